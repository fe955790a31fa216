//! Clients that write and read at random while a replica stands still now and then, and what they were shown that was
//! older than their own last write. I/O: HTTP.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;

use crate::child::Service;
use crate::client::Connection;
use crate::postgres::Exclusive;

/// What all clients together have seen.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) writes: u64,
    pub(crate) reads: u64,
    /// Answered with 503: there is no server that shows the write and has room.
    pub(crate) refused: u64,
    /// A sentence for each answer that showed less than its client had written.
    pub(crate) stale: Vec<String>,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { writes, reads, refused, stale } = self;
        write!(f, "{writes} writes, {reads} reads, {refused} refused, {} stale", stale.len())
    }
}

/// Lets clients make `requests` each, each to any of `pods`, all of which read from the replica. Each of `products`
/// but the last has a client of its own, and all of them change the last one. The order of a client's requests follows
/// from `seed`.
pub(crate) fn check(
    database: &Exclusive,
    pods: &[Service],
    products: &[i64],
    requests: usize,
    seed: u64,
) -> Seen {
    let Some((shared, own)) = products.split_last() else { return Seen::default() };
    // Nothing is read from a replica that lacks the schema.
    database.wait_for_replica();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let disturber = scope.spawn(|| {
            let mut random = Rng::with_seed(seed);
            while !done.load(Ordering::SeqCst) {
                database.pause_replay();
                thread::sleep(Duration::from_millis(random.u64(10..90)));
                database.resume_replay();
                thread::sleep(Duration::from_millis(random.u64(10..90)));
            }
        });
        let running: Vec<_> = own
            .iter()
            .map(|own| {
                let mut client = Client::new(pods, [*own, *shared], seed ^ own.cast_unsigned());
                scope.spawn(move || {
                    (0..requests).for_each(|_| client.step());
                    client.seen
                })
            })
            .collect();
        let ended: Vec<_> = running.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::SeqCst);
        disturber.join().unwrap();
        ended.into_iter().map(Result::unwrap).fold(Seen::default(), |sum, seen| Seen {
            writes: sum.writes + seen.writes,
            reads: sum.reads + seen.reads,
            refused: sum.refused + seen.refused,
            stale: [sum.stale, seen.stale].concat(),
        })
    })
}

/// One client with its connections, and the newest version of each product that it has written.
struct Client {
    pods: Vec<Connection>,
    written: [(i64, i64); 2],
    token: String,
    random: Rng,
    seen: Seen,
}

impl Client {
    fn new(pods: &[Service], products: [i64; 2], seed: u64) -> Self {
        Self {
            pods: pods.iter().map(Service::connect).collect(),
            written: products.map(|product| (product, 0)),
            token: String::new(),
            random: Rng::with_seed(seed),
            seen: Seen::default(),
        }
    }

    fn step(&mut self) {
        let which = self.random.usize(..self.written.len());
        match self.random.u32(..6) {
            0 | 1 => self.write(which),
            2 => self.list(which),
            _ => self.read(which),
        }
    }

    fn write(&mut self, which: usize) {
        let (product, newest) = &mut self.written[which];
        let body = json!({ "name": "Tea", "category": "tea", "priceCents": self.random.u32(..1000) });
        let pod = self.random.usize(..self.pods.len());
        let path = format!("/products/{product}");
        let answer = self.pods[pod].exchange("PUT", &path, "", &body.to_string()).unwrap();
        if answer.status == 503 {
            self.seen.refused += 1;
            return;
        }
        assert_eq!(answer.status, 200, "{}", answer.body);
        *newest = answer.json()["version"].as_i64().unwrap();
        self.token = format!("x-consistency-token: {}\r\n", answer.headers["x-consistency-token"]);
        self.seen.writes += 1;
    }

    fn read(&mut self, which: usize) {
        let path = format!("/products/{}", self.written[which].0);
        self.compare(which, &path, "/version");
    }

    /// A list shows the product too.
    fn list(&mut self, which: usize) {
        let path = format!("/products?limit=1&after={}", self.written[which].0 - 1);
        self.compare(which, &path, "/products/0/version");
    }

    fn compare(&mut self, which: usize, path: &str, version: &str) {
        let pod = self.random.usize(..self.pods.len());
        let answer = self.pods[pod].exchange("GET", path, &self.token, "").unwrap();
        if answer.status == 503 {
            self.seen.refused += 1;
            return;
        }
        assert_eq!(answer.status, 200, "{}", answer.body);
        self.seen.reads += 1;
        let shown = answer.json().pointer(version).and_then(serde_json::Value::as_i64).unwrap();
        let written = self.written[which].1;
        // Others change the shared product too: it may be newer.
        if shown < written {
            self.seen.stale.push(format!("GET {path} showed version {shown}, written was {written}"));
        }
    }
}
