//! Customers who order, change and read at a steady pace while something breaks under them, and a count of what they
//! were answered. I/O: sockets.

use std::net::SocketAddr;
use std::ops::Sub;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::child::Service;
use crate::client::{Answer, Connection};
use crate::postgres::Database;
use crate::shop::stock;
use crate::waiting::{PATIENCE, until};

/// As many as the primary may read for in place of a replica, so that the cap refuses none of them.
pub(crate) const CUSTOMERS: usize = 4;

const BROWSERS: usize = 2;

/// Between two requests of a client.
const PAUSE: Duration = Duration::from_millis(5);

/// How requests of one kind were answered. Each is also in order: whatever is not is in [`Load::wrong`].
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Answers {
    /// As asked.
    pub(crate) full: usize,
    /// Without a dependency, and marked so.
    pub(crate) fallback: usize,
    /// With 503, a mark and a time to return.
    pub(crate) refused: usize,
}

/// By kind of request.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) writes: Answers,
    /// Reads that must show what their client wrote.
    pub(crate) own_reads: Answers,
    pub(crate) reads: Answers,
}

impl Answers {
    pub(crate) fn all(self) -> usize {
        self.full + self.fallback + self.refused
    }
}

impl Sub for Answers {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            full: self.full - earlier.full,
            fallback: self.fallback - earlier.fallback,
            refused: self.refused - earlier.refused,
        }
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            writes: self.writes - earlier.writes,
            own_reads: self.own_reads - earlier.own_reads,
            reads: self.reads - earlier.reads,
        }
    }
}

/// What was promised to customers: it has to be there afterwards, once.
#[derive(Debug, Default)]
pub(crate) struct Promised {
    /// Identifier and sum of each order that was answered.
    pub(crate) orders: Vec<(String, i64)>,
    /// The job of each report that was accepted.
    pub(crate) reports: Vec<String>,
}

/// The load while it runs.
pub(crate) struct Load {
    pods: Vec<SocketAddr>,
    account: i64,
    products: Vec<i64>,
    counts: Mutex<Counts>,
    promised: Mutex<Promised>,
    wrong: Mutex<Vec<String>>,
    is_over: AtomicBool,
    /// One of the pods has been told to go.
    pub(crate) is_leaving: AtomicBool,
}

impl Load {
    /// Load on these pods of an empty database.
    pub(crate) fn on<Guard>(database: &Database<Guard>, pods: &[&Service]) -> Self {
        let (account, products) = stock(pods[0], CUSTOMERS + 4);
        // Whoever has written nothing may be shown the replica, from the first look on.
        database.wait_for_replica();
        Self {
            pods: pods.iter().map(|pod| pod.address).collect(),
            account,
            products,
            counts: Mutex::default(),
            promised: Mutex::default(),
            wrong: Mutex::default(),
            is_over: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
        }
    }

    /// Runs for as long as `during` does, and ends once everybody has what they ordered.
    ///
    /// Panics if anything was answered out of order, or if a client was shown less than it wrote.
    pub(crate) fn run(self, during: impl FnOnce(&Self)) -> Promised {
        thread::scope(|scope| {
            // Also if `during` panics: the clients would go on for ever.
            let _end = End(&self);
            for number in 0..CUSTOMERS {
                let customer = Customer { client: Client::new(&self, number), number, bought: None };
                scope.spawn(|| customer.shop());
            }
            for number in 0..BROWSERS {
                let browser = Client::new(&self, number);
                scope.spawn(|| browser.browse());
            }
            during(&self);
        });
        let wrong = self.wrong.into_inner().unwrap();
        assert!(
            wrong.is_empty(),
            "{} answers out of order: {:#?}",
            wrong.len(),
            &wrong[..wrong.len().min(5)]
        );
        self.promised.into_inner().unwrap()
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until clients have got so many answers, and returns what those of that time were.
    pub(crate) fn pass(&self, writes: usize, reads: usize) -> Counts {
        let before = self.counts();
        until("the load stands still", || {
            let passed = self.counts() - before;
            passed.writes.all() >= writes && passed.reads.all() >= reads
        });
        self.counts() - before
    }

    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

struct End<'a>(&'a Load);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
    }
}

/// Which of the counts a request belongs to.
type Kind = fn(&mut Counts) -> &mut Answers;
const WRITE: Kind = |counts| &mut counts.writes;
const OWN_READ: Kind = |counts| &mut counts.own_reads;
const READ: Kind = |counts| &mut counts.reads;

/// A client with one connection, which goes to another pod when it is sent away.
struct Client<'a> {
    load: &'a Load,
    pod: usize,
    connection: Option<Connection>,
    asked: Instant,
    random: fastrand::Rng,
}

impl<'a> Client<'a> {
    fn new(load: &'a Load, number: usize) -> Self {
        Self {
            load,
            pod: number,
            connection: None,
            asked: Instant::now(),
            random: fastrand::Rng::with_seed(number as u64),
        }
    }

    /// The answer, if it was given as asked.
    fn ask(&mut self, kind: Kind, (method, path): (&str, &str), headers: &str, body: &str) -> Option<Answer> {
        thread::sleep(PAUSE);
        let answer = match self.exchange(method, path, headers, body) {
            Ok(answer) => answer,
            Err(error) => {
                self.load.wrong(format!("{method} {path}: lost, {error}"));
                return None;
            }
        };
        let mark = answer.headers.get("x-degraded").map(String::as_str);
        let mut counts = self.load.counts.lock().unwrap();
        let count = kind(&mut counts);
        match (answer.status, mark) {
            (200..=202, None) => count.full += 1,
            (200..=202, Some("fallback")) => count.fallback += 1,
            (503, Some("shed")) if answer.headers.contains_key("retry-after") => {
                count.refused += 1;
                return None;
            }
            (status, mark) => {
                self.load.wrong(format!("{method} {path}: {status} {mark:?} {}", answer.body));
                return None;
            }
        }
        drop(counts);
        Some(answer)
    }

    fn exchange(&mut self, method: &str, path: &str, headers: &str, body: &str) -> std::io::Result<Answer> {
        let begun = Instant::now();
        loop {
            let (kept, is_leaving) = (self.connection.take(), self.load.is_leaving.load(Ordering::SeqCst));
            // HTTP/1.1 cannot tell a client that has been silent for long that its connection is closed.
            let may_fail = kept.is_none() || self.asked.elapsed() > PAUSE * 100;
            let opened =
                kept.map_or_else(|| Connection::open(self.load.pods[self.pod % self.load.pods.len()]), Ok);
            let outcome = opened.and_then(|mut connection| {
                let answer = connection.exchange(method, path, headers, body)?;
                Ok((connection, answer))
            });
            self.asked = Instant::now();
            match outcome {
                Ok((_, answer)) if answer.sends_away() => {
                    self.pod += 1;
                    return Ok(answer);
                }
                Ok((connection, answer)) => {
                    self.connection = Some(connection);
                    return Ok(answer);
                }
                // The other pod takes connections.
                Err(_) if may_fail && is_leaving && begun.elapsed() < PATIENCE => self.pod += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads what anybody may.
    fn browse(mut self) {
        while !self.load.is_over() {
            self.ask(READ, ("GET", "/products?limit=5"), "", "");
            let product = self.load.products[self.random.usize(..self.load.products.len())];
            self.ask(READ, ("GET", &format!("/products/{product}")), "", "");
        }
    }
}

/// What a customer has bought last, and has to be shown from then on.
struct Bought {
    key: String,
    body: String,
    order: Value,
    /// A header line.
    token: String,
}

struct Customer<'a> {
    client: Client<'a>,
    number: usize,
    bought: Option<Bought>,
}

impl Customer<'_> {
    fn shop(mut self) {
        for round in 0.. {
            if self.client.load.is_over() {
                return;
            }
            self.order(round);
            self.check();
            match round % 4 {
                0 => self.change(round),
                1 => self.repeat(),
                2 => self.report(round),
                _ => {}
            }
        }
    }

    fn order(&mut self, round: usize) {
        let products = &self.client.load.products;
        let items = json!([{ "product": products[round % products.len()], "quantity": 1 }]);
        let body = json!({ "account": self.client.load.account, "items": items }).to_string();
        let key = format!("{}-{round}", self.number);
        let Some(answer) = self.insist("/orders", &key, &body) else { return };
        let (order, token) = (answer.json(), token(&answer));
        let placed = (order["id"].as_str().unwrap().to_owned(), order["totalCents"].as_i64().unwrap());
        self.client.load.promised.lock().unwrap().orders.push(placed);
        self.bought = Some(Bought { key, body, order, token });
    }

    /// Asks for a report of all that was sold.
    fn report(&mut self, round: usize) {
        let body = r#"{"from":"2026-01-01","to":"2126-12-31"}"#;
        if let Some(accepted) = self.insist("/reports", &format!("{}-{round}", self.number), body) {
            let job = accepted.json()["job"].as_str().unwrap().to_owned();
            self.client.load.promised.lock().unwrap().reports.push(job);
        }
    }

    /// Sends the same request until it is answered as asked, as the answers that refuse it say.
    fn insist(&mut self, path: &str, key: &str, body: &str) -> Option<Answer> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let answer = self.send(path, key, body);
            if answer.is_some() {
                return answer;
            }
            self.check();
        }
        self.client.load.wrong(format!("POST {path} with the key {key} was never answered as asked"));
        None
    }

    fn send(&mut self, path: &str, key: &str, body: &str) -> Option<Answer> {
        self.client.ask(WRITE, ("POST", path), &format!("idempotency-key: {key}\r\n"), body)
    }

    /// Reads the last order, which must be there, and paid if it was.
    fn check(&mut self) {
        let Some(bought) = &self.bought else { return };
        let path = format!("/orders/{}", bought.order["id"].as_str().unwrap());
        let Some(shown) = self.client.ask(OWN_READ, ("GET", &path), &bought.token, "") else { return };
        let (was, is) = (&bought.order["state"], &shown.json()["state"]);
        if was != is && was != "placed" {
            self.client.load.wrong(format!("stale: the order {path} was {was} and is {is}"));
        }
    }

    /// Orders once more with the same key, as whoever lost the answer does.
    fn repeat(&mut self) {
        let Some(Bought { key, body, order, .. }) = self.bought.take() else { return };
        let again = self.send("/orders", &key, &body);
        if let Some(again) = again.filter(|again| again.json()["id"] != order["id"]) {
            self.client.load.wrong(format!("doubled: {} is {} too", order["id"], again.json()["id"]));
        }
    }

    /// Changes a product that is this customer's alone, and reads it back.
    fn change(&mut self, round: usize) {
        let path = format!("/products/{}", self.client.load.products[self.number]);
        let body = json!({ "name": "Tea", "category": "tea", "priceCents": 1 + round }).to_string();
        let Some(changed) = self.client.ask(WRITE, ("PUT", &path), "", &body) else { return };
        let Some(shown) = self.client.ask(OWN_READ, ("GET", &path), &token(&changed), "") else { return };
        if shown.json() != changed.json() {
            self.client.load.wrong(format!("stale: {} in place of {}", shown.body, changed.body));
        }
    }
}

/// The place of a write, as the header line that brings it back.
fn token(answer: &Answer) -> String {
    answer
        .headers
        .get("x-consistency-token")
        .map_or_else(String::new, |token| format!("x-consistency-token: {token}\r\n"))
}
