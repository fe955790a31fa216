//! How many connections are open, and which of them is closed when there are too many. No I/O.
//!
//! A connection waits for its client (for a head, the rest of a body, or to take an answer) or is answered. Those that
//! are answered are bounded by the places for requests; those that wait are bounded here. One connection too many
//! closes the one that has waited longest, so whoever comes new, such as a probe, is always heard.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{Counter, Gauge, counter, gauge};
use tokio::sync::Notify;

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
    /// Without those that are to make room.
    open: usize,
    next_turn: u64,
    /// In the order in which they began to wait.
    waiting: BTreeMap<u64, Arc<Notify>>,
}

impl Table {
    fn wait(&mut self, told: &Arc<Notify>) -> Standing {
        self.next_turn += 1;
        self.waiting.insert(self.next_turn, Arc::clone(told));
        Standing::Waiting(self.next_turn)
    }
}

/// One open connection; dropping it closes it in the table.
#[derive(Debug)]
pub(crate) struct Connection {
    all: Arc<Connections>,
    /// Locked after the table.
    standing: Mutex<Standing>,
    /// It may have to make room.
    told: Arc<Notify>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// With its turn, which is not in the table any more when it has to make room.
    Waiting(u64),
    Answering,
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

    /// One connection more. Closes those that have waited longest if there are too many.
    pub(crate) fn enter(self: &Arc<Self>) -> Arc<Connection> {
        let told = Arc::new(Notify::new());
        let standing = {
            let mut table = self.table();
            table.open += 1;
            while table.open > self.limit
                && let Some((_, longest)) = table.waiting.pop_first()
            {
                table.open -= 1;
                longest.notify_one();
            }
            table.wait(&told)
        };
        self.open.increment(1.0);
        Arc::new(Connection { all: Arc::clone(self), standing: Mutex::new(standing), told })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// The request of this connection is complete and is being answered, also if the connection was to make room.
    pub(crate) fn answer(self: &Arc<Self>) -> Answering {
        let mut table = self.all.table();
        if let Standing::Waiting(turn) = std::mem::replace(&mut *self.standing(), Standing::Answering)
            && table.waiting.remove(&turn).is_none()
        {
            table.open += 1;
        }
        Answering(Arc::clone(self))
    }

    /// Ends when the connection has to make room, and is not answering.
    pub(crate) async fn displaced(&self) {
        while !self.is_displaced() {
            self.told.notified().await;
        }
        self.all.closed.increment(1);
    }

    fn is_displaced(&self) -> bool {
        let table = self.all.table();
        matches!(*self.standing(), Standing::Waiting(turn) if !table.waiting.contains_key(&turn))
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let Self(connection) = self;
        let mut table = connection.all.table();
        *connection.standing() = table.wait(&connection.told);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut table = self.all.table();
        let is_displaced =
            matches!(*self.standing(), Standing::Waiting(turn) if table.waiting.remove(&turn).is_none());
        if !is_displaced {
            table.open -= 1;
        }
        drop(table);
        self.all.open.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn one_too_many_closes_the_one_that_has_waited_longest() {
        let connections = Connections::new("test", 3);
        let [first, second, third] = [(); 3].map(|()| connections.enter());
        // The first is answered and waits again: now the second has waited longest.
        drop(first.answer());
        let fourth = connections.enter();
        let closed = [&first, &second, &third, &fourth].map(|one| one.is_displaced());
        assert_eq!(closed, [false, true, false, false]);
        drop(second);
        let fifth = connections.enter();
        assert!(third.is_displaced() && !first.is_displaced() && !fifth.is_displaced());
    }

    #[test]
    fn a_connection_that_is_answered_is_never_closed() {
        let connections = Connections::new("test", 1);
        let first = connections.enter();
        let answering = first.answer();
        let second = connections.enter();
        let third = connections.enter();
        let closed = [&first, &second, &third].map(|one| one.is_displaced());
        assert_eq!(closed, [false, true, false]);
        drop(answering);
        drop((second, third));
        assert!(!first.is_displaced());
        let _fourth = connections.enter();
        assert!(first.is_displaced());
    }
    /// The one that closes it and its request come at the same time.
    #[test]
    fn a_request_that_is_complete_is_answered_though_its_connection_was_to_make_room() {
        let connections = Connections::new("test", 1);
        let first = connections.enter();
        let second = connections.enter();
        assert!(first.is_displaced());
        let answering = first.answer();
        assert!(!first.is_displaced() && first.displaced().now_or_never().is_none());
        drop(answering);
        assert!(!first.is_displaced(), "its client still takes the answer");
        let third = connections.enter();
        assert!(first.is_displaced() && second.is_displaced() && !third.is_displaced());
        assert!(first.displaced().now_or_never().is_some());
        drop((first, second, third));
        assert_eq!(connections.table().open, 0);
    }
}
