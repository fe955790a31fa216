//! Leaving without losing a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::child::Service;
use crate::client::Connection;

/// What one client met until no new connection was taken any more.
#[derive(Debug, Default)]
struct Tally {
    answered: usize,
    sent_away: usize,
}

/// Sends requests on keep-alive connections, with a pause after each, until a new connection is refused.
///
/// Panics when a request gets no answer, or when a connection is refused before `draining`.
fn keep_asking(
    address: SocketAddr,
    (path, pause): (&str, Duration),
    draining: &AtomicBool,
    answered: &AtomicUsize,
) -> Tally {
    let mut tally = Tally::default();
    loop {
        let late = draining.load(Ordering::SeqCst);
        let Ok(mut connection) = Connection::open(address) else {
            assert!(draining.load(Ordering::SeqCst), "refused before the drain began");
            return tally;
        };
        let mut first = true;
        loop {
            let answer = match connection.get(path) {
                Ok(answer) => answer,
                // The kernel shook hands in the instant in which the listening socket closed: a refusal.
                Err(_) if first && late => return tally,
                Err(error) => panic!("lost a request after {tally:?}: {error}"),
            };
            assert_eq!(answer.status, 200);
            first = false;
            tally.answered += 1;
            answered.fetch_add(1, Ordering::SeqCst);
            if answer.sends_away() {
                assert!(draining.load(Ordering::SeqCst), "sent away before the drain began");
                tally.sent_away += 1;
                break;
            }
            thread::sleep(pause);
        }
    }
}

#[test]
fn sigterm_under_keep_alive_load_loses_no_request() {
    let mut service = Service::start(&[]);
    let draining = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..12)
        .map(|client| {
            let (address, draining, answered) =
                (service.address, Arc::clone(&draining), Arc::clone(&answered));
            // The first kind is mostly idle, the second mostly in flight, the third never rests.
            let habit = [("/", 20), ("/wait?ms=7", 0), ("/work?ms=1", 0)][client % 3];
            let habit = (habit.0, Duration::from_millis(habit.1));
            thread::spawn(move || keep_asking(address, habit, &draining, &answered))
        })
        .collect();
    while answered.load(Ordering::SeqCst) < 500 {
        assert!(!clients.iter().any(thread::JoinHandle::is_finished), "a client gave up");
        thread::sleep(Duration::from_millis(5));
    }

    draining.store(true, Ordering::SeqCst);
    service.terminate();

    for client in clients {
        let tally = client.join().unwrap();
        assert!(tally.answered > 0 && tally.sent_away > 0, "{tally:?}");
    }
    let (status, stderr) = service.wait();
    assert_eq!(status.code(), Some(0), "{stderr}");
}

#[test]
fn a_request_in_flight_is_finished_and_idle_connections_are_closed() {
    let mut service = Service::start(&[]);
    let mut in_flight = service.connect();
    in_flight.send("GET", "/wait?ms=2000", "").unwrap();
    let (mut used_again, mut idle) = (service.connect(), service.connect());
    for connection in [&mut used_again, &mut idle] {
        assert!(!connection.get("/").unwrap().sends_away());
    }

    service.terminate();

    while !used_again.get("/").unwrap().sends_away() {}
    assert!(used_again.is_closed());
    assert!(idle.is_closed());
    let answer = in_flight.receive().unwrap();
    assert_eq!((answer.status, answer.sends_away()), (200, true));
    let (status, stderr) = service.wait();
    assert_eq!(status.code(), Some(0), "{stderr}");
}

#[test]
fn a_lame_duck_is_unready_and_serves_new_connections() {
    let service = Service::start(&["--lame-duck", "1h"]);
    service.terminate();
    service.wait_for_log("shutting down");

    let answer = service.connect().get("/readyz").unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (503, "draining\n"));
    assert_eq!(service.connect().get("/livez").unwrap().status, 200);
    let answer = service.connect().get("/work?ms=1").unwrap();
    assert_eq!((answer.status, answer.sends_away()), (200, true));
}

#[test]
fn a_drain_that_ran_out_of_time_is_an_error() {
    let mut service = Service::start(&["--drain", "1s"]);
    let mut connection = service.connect();
    connection.send("GET", "/work?ms=5000", "").unwrap();
    service.wait_for_sample("bulkhead_in_use{name=\"cpu\"}", "1");

    service.terminate();

    let (status, stderr) = service.wait();
    assert_eq!(status.code(), Some(1));
    assert!(stderr.contains("failed to finish all requests within the drain time of 1s"), "{stderr}");
}
