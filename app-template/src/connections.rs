//! How many connections are open, and which of them is closed when there are too many. No I/O.
//!
//! A connection waits for its client (for a head, the rest of a body, or to take an answer) or is answered. Those that
//! are answered are bounded by the places for requests; those that wait are bounded here. One connection too many
//! closes the one that has waited longest, so whoever comes new, such as a probe, is always heard.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, Gauge, counter, gauge};
use tokio_util::sync::CancellationToken;

/// All connections of one port.
#[derive(Debug)]
pub(crate) struct Connections {
    limit: usize,
    table: Mutex<Table>,
    open: Gauge,
    closed: Counter,
}

#[derive(Debug, Default)]
struct Table {
    open: usize,
    next_turn: u64,
    /// In the order in which they began to wait.
    waiting: BTreeMap<u64, CancellationToken>,
}

impl Table {
    fn wait(&mut self, token: &CancellationToken) -> u64 {
        self.next_turn += 1;
        self.waiting.insert(self.next_turn, token.clone());
        self.next_turn
    }
}

/// One open connection; dropping it closes it in the table.
#[derive(Debug)]
pub(crate) struct Connection {
    all: Arc<Connections>,
    /// Its turn while it waits.
    turn: Mutex<Option<u64>>,
    token: CancellationToken,
}

/// A request is being answered; dropping it lets the connection wait again.
#[derive(Debug)]
pub(crate) struct Answering(Arc<Connection>);

impl Connections {
    /// `port` names the series of the port.
    pub(crate) fn new(port: &'static str, limit: usize) -> Arc<Self> {
        gauge!("http_server_connections_limit", "port" => port).set(limit as f64);
        let open = gauge!("http_server_connections", "port" => port);
        open.set(0.0);
        let closed = counter!("http_server_connections_closed_total", "port" => port);
        closed.absolute(0);
        Arc::new(Self { limit, table: Mutex::default(), open, closed })
    }

    /// One connection more. Closes the one that has waited longest if there are too many.
    pub(crate) fn enter(self: &Arc<Self>) -> Arc<Connection> {
        let token = CancellationToken::new();
        let turn = {
            let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            table.open += 1;
            if table.open > self.limit
                && let Some((_, longest)) = table.waiting.pop_first()
            {
                longest.cancel();
                self.closed.increment(1);
            }
            table.wait(&token)
        };
        self.open.increment(1.0);
        Arc::new(Connection { all: Arc::clone(self), turn: Mutex::new(Some(turn)), token })
    }
}

impl Connection {
    /// The request of this connection is complete and is being answered.
    pub(crate) fn answer(self: &Arc<Self>) -> Answering {
        self.stop_waiting();
        Answering(Arc::clone(self))
    }

    /// Ends when the connection has to make room.
    pub(crate) async fn displaced(&self) {
        self.token.cancelled().await;
    }

    fn stop_waiting(&self) {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(turn) = turn {
            self.all.table.lock().unwrap_or_else(PoisonError::into_inner).waiting.remove(&turn);
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let Self(connection) = self;
        let turn =
            connection.all.table.lock().unwrap_or_else(PoisonError::into_inner).wait(&connection.token);
        *connection.turn.lock().unwrap_or_else(PoisonError::into_inner) = Some(turn);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stop_waiting();
        self.all.table.lock().unwrap_or_else(PoisonError::into_inner).open -= 1;
        self.all.open.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_closes_the_one_that_has_waited_longest() {
        let connections = Connections::new("test", 3);
        let [first, second, third] = [(); 3].map(|()| connections.enter());
        // The first is answered and waits again: now the second has waited longest.
        drop(first.answer());
        let fourth = connections.enter();
        let closed = [&first, &second, &third, &fourth].map(|one| one.token.is_cancelled());
        assert_eq!(closed, [false, true, false, false]);
        drop(second);
        let fifth = connections.enter();
        assert!(third.token.is_cancelled() && !first.token.is_cancelled() && !fifth.token.is_cancelled());
    }

    #[test]
    fn a_connection_that_is_answered_is_never_closed() {
        let connections = Connections::new("test", 1);
        let first = connections.enter();
        let answering = first.answer();
        let second = connections.enter();
        let third = connections.enter();
        let closed = [&first, &second, &third].map(|one| one.token.is_cancelled());
        assert_eq!(closed, [false, true, false]);
        drop(answering);
        drop((second, third));
        assert!(!first.token.is_cancelled());
        let _fourth = connections.enter();
        assert!(first.token.is_cancelled());
    }
}
