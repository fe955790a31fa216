//! Bad input on every route gets a problem document, and never shows a defect.
//!
//! | file | what it owns |
//! |---|---|
//! | `routes` | the one list of the routes, each with a request that is in order |
//! | `request` | a request that can be damaged and written down |
//! | `damage` | the ways in which it is damaged |

mod damage;
mod request;
mod routes;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use regex::Regex;
use serde_json::json;

use crate::child::Service;
use crate::client::{Answer, Connection};
use crate::postgres::{Database, Reads, shared};
use crate::redis_server::RedisServer;
use crate::shop::{order, stock};
use crate::stand_in::Provider;
use damage::{Damage, EDGES, damage};
use request::Request;
use routes::ROUTES;

/// A service with every module, and what its routes can be asked for.
struct Shop {
    service: Service,
    there: Vec<(&'static str, String)>,
    _around: (RedisServer, Provider, tempfile::TempDir),
}

fn shop<Guard>(database: &Database<Guard>) -> Shop {
    let (redis, provider, folder) = (RedisServer::start(), Provider::start(), tempfile::tempdir().unwrap());
    // Patient: an answer of a busy machine must not look like one to bad input.
    let mut command = database.command(Reads::FromReplica, &["--redis-timeout", "20s"]);
    command
        .env("REDIS_URL", redis.url())
        .env("PAYMENTS_URL", provider.url())
        .env("MEDIA_URL", format!("file://{}", folder.path().display()))
        .env("WEBHOOK_HOSTS", "127.0.0.1")
        .env("WEBHOOK_KEY", crate::postgres::KEY)
        .env("DATABASE_ACQUIRE_TIMEOUT", "20s")
        .env("DATABASE_STATEMENT_TIMEOUT", "20s");
    let service = Service::spawn(&mut command).wait_until_ready();
    let (account, products) = stock(&service, 1);
    let order = order(&service, "one", account, &products);
    let body = json!({ "from": "2026-01-01", "to": "2026-01-31" }).to_string();
    let job = service.call("POST", "/reports", "idempotency-key: r\r\n", &body).json()["job"].clone();
    let mut there = vec![
        ("ACCOUNT", account.to_string()),
        ("PRODUCT", products[0].to_string()),
        ("ORDER", order.json()["id"].as_str().unwrap().to_owned()),
        ("JOB", job.as_str().unwrap().to_owned()),
        ("REPORT", database.sql(REPORT)),
        ("NEW", "new".to_owned()),
    ];
    let upload = ROUTES.iter().find(|route| (route.method, route.pattern) == ("POST", "/media")).unwrap();
    let taken =
        Connection::open(service.address).unwrap().ask(&upload.request(&there).bytes(), false).unwrap();
    there.push(("MEDIA", taken.headers["location"].trim_start_matches("/media/").to_owned()));
    database.wait_for_replica();
    Shop { service, there, _around: (redis, provider, folder) }
}

const REPORT: &str = "INSERT INTO reports.reports (id, job, first_day, last_day, lines)
    VALUES (gen_random_uuid(), gen_random_uuid(), '2026-01-01', '2026-01-31', '[]') RETURNING id";

/// A connection that is opened anew when the service has closed it.
struct Line {
    address: std::net::SocketAddr,
    connection: RefCell<Option<Connection>>,
}

impl Line {
    /// The answer, or none if the service closed the connection on a body that is longer than it reads.
    fn ask(&self, request: &Request) -> Option<Answer> {
        let is_head = request.method == "HEAD";
        for _ in 0..3 {
            let mut held = self.connection.borrow_mut();
            let connection = held.get_or_insert_with(|| Connection::open(self.address).unwrap());
            match connection.ask(&request.bytes(), is_head) {
                Ok(answer) => {
                    if answer.sends_away() {
                        *held = None;
                    }
                    return Some(answer);
                }
                Err(_) => *held = None,
            }
        }
        None
    }
}

/// To both ports of a service.
struct Lines {
    app: Line,
    metrics: Line,
}

impl Lines {
    fn to(service: &Service) -> Self {
        let line = |address| Line { address, connection: RefCell::default() };
        Self { app: line(service.address), metrics: line(service.metrics) }
    }

    /// The one on which a route is.
    fn of(&self, route: usize) -> &Line {
        if ROUTES[route].is_metrics() { &self.metrics } else { &self.app }
    }
}

/// Whether there is time for everything.
fn is_thorough() -> bool {
    std::env::var_os("PROPTEST_CASES").is_some()
}

/// As many cases as the environment says (`PROPTEST_CASES`), others each time; else few, always the same.
fn runner() -> TestRunner {
    let config = Config { failure_persistence: None, max_shrink_iters: 100, ..Config::default() };
    if is_thorough() {
        return TestRunner::new(config);
    }
    let fixed = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(Config { cases: 800, ..config }, fixed)
}

#[test]
fn damaged_requests_to_every_route_are_answered_or_refused_in_order() {
    let database = shared();
    let Shop { service, there, _around } = shop(&database);
    let lines = Lines::to(&service);
    let seen: RefCell<BTreeMap<usize, BTreeSet<u16>>> = RefCell::default();
    let number = Cell::new(0_u64);
    let cases = (0..ROUTES.len(), prop::collection::vec(damage(), 0..4));
    let outcome = runner().run(&cases, |(route, damages)| {
        number.set(number.get() + 1);
        let mut request = damaged(route, &damages, &there, number.get());
        if request.is_slow() {
            request.query.clear();
        }
        let status = check(&request, || lines.of(route).ask(&request))?;
        seen.borrow_mut().entry(route).or_default().extend(status);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));

    for (number, route) in ROUTES.iter().enumerate() {
        let statuses = seen.borrow().get(&number).cloned().unwrap_or_default();
        let some = |range: std::ops::Range<u16>| statuses.iter().any(|status| range.contains(status));
        let good = route.request(&there);
        let can_be_wrong = good.inputs() > good.headers.len();
        assert!(
            some(200..300) && some(400..500) >= can_be_wrong,
            "{} {}: {statuses:?}",
            route.method,
            route.pattern
        );
    }
    let known: BTreeSet<String> =
        listed().into_iter().map(|(_, route)| route).chain([String::new()]).collect();
    let unknown: Vec<String> = counted(&service.scrape()).into_iter().map(|(_, route)| route).collect();
    assert!(unknown.iter().all(|route| known.contains(route)), "texts of clients are labels: {unknown:?}");
    assert_eq!(service.connect().get("/livez").unwrap().status, 200);
}

#[test]
fn every_input_of_every_route_takes_the_edges_of_what_it_may_be() {
    let database = shared();
    let Shop { service, there, _around } = shop(&database);
    let lines = Lines::to(&service);
    let inputs = (0..ROUTES.len()).flat_map(|route| {
        let inputs = damaged(route, &[], &there, 0).inputs();
        (0..inputs).map(move |input| (route, input))
    });
    let cases = inputs.flat_map(|(route, input)| EDGES.iter().map(move |edge| (route, input, *edge)));
    // A prime number, so that each input meets edges and each edge inputs.
    let step = if is_thorough() { 1 } else { 23 };
    for (number, (route, input, edge)) in cases.enumerate().step_by(step) {
        for is_bare in [false, true] {
            let number = 2 * number as u64 + u64::from(is_bare);
            let mut request = damaged(route, &[], &there, number);
            request.replace_input(input, edge, is_bare);
            check(&request, || lines.of(route).ask(&request)).unwrap();
        }
    }
}

/// The route's good request with all damages. Its key is new: only a repetition of it is the same request.
fn damaged(route: usize, damages: &[Damage], there: &[(&'static str, String)], number: u64) -> Request {
    let mut there = there.to_vec();
    there.retain(|(name, _)| *name != "NEW");
    there.push(("NEW", format!("new{number}")));
    let mut request = ROUTES[route].request(&there);
    request.headers[0].1 = format!("key {number}").into_bytes();
    for damage in damages {
        damage.to(&mut request);
    }
    request
}

/// The status of an answer that is in order.
fn check(request: &Request, ask: impl Fn() -> Option<Answer>) -> Result<Option<u16>, TestCaseError> {
    let Some(mut answer) = ask() else {
        prop_assert!(request.body.len() > 2_000_000, "no answer to {request:?}");
        return Ok(None);
    };
    if [503, 504].contains(&answer.status) {
        // A machine that is busy recovers, a defect does not.
        answer = ask().unwrap_or(answer);
    }
    let status = answer.status;
    prop_assert!(status < 500, "{status} {} to {request:?}", answer.body);
    if status >= 400 && request.method != "HEAD" {
        let media = answer.headers.get("content-type").map_or("", String::as_str);
        prop_assert_eq!(media, "application/problem+json", "{} {} to {:?}", status, answer.body, request);
        let problem = answer.problem();
        let has_words = |member: &str| problem[member].as_str().is_some_and(|words| !words.is_empty());
        prop_assert!(has_words("title") && has_words("detail"), "{problem} to {request:?}");
    }
    Ok(Some(status))
}

/// Methods and patterns of the list.
fn listed() -> BTreeSet<(String, String)> {
    ROUTES.iter().map(|route| (route.method.to_owned(), route.pattern.to_owned())).collect()
}

/// Methods and patterns that are measured.
fn counted(metrics: &str) -> BTreeSet<(String, String)> {
    let series = Regex::new(
        r#"^http_server_request_duration_seconds_count\{http_request_method="(\w+)",http_route="([^"]*)""#,
    );
    let series = series.unwrap();
    let found = metrics.lines().filter_map(|line| series.captures(line));
    found.map(|found| (found[1].to_owned(), found[2].to_owned())).collect()
}

#[test]
fn no_route_is_left_off_the_list() {
    let database = shared();
    let Shop { service, .. } = shop(&database);
    let fresh = counted(&service.scrape());
    let mut routes: BTreeSet<(String, String)> =
        fresh.into_iter().filter(|(_, route)| !route.is_empty()).collect();
    // Those that are not measured are named where they are routed.
    let mut sources = Vec::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
    let routed = Regex::new(r#"\.route\(\s*"([^"]+)",\s*(\w+)"#).unwrap();
    for source in &sources {
        let program = source.split("#[cfg(test)]").next().unwrap_or_default();
        routes.extend(
            routed.captures_iter(program).map(|found| (found[2].to_uppercase(), found[1].to_owned())),
        );
    }
    assert_eq!(routes, listed(), "tests/service/fuzz/routes.rs lists other routes than there are");
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    for (method, route) in listed() {
        assert!(
            readme.contains(&format!("`{method} {route}")),
            "the README does not describe {method} {route}"
        );
    }
}

/// The sources of the service, but for the stand-in of its payment provider.
fn read(folder: &Path, sources: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("bin") {
            read(&path, sources);
        } else if path.is_file() {
            sources.push(fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn garbage_in_place_of_a_request_ends_its_connection_and_nothing_else() {
    let service = Service::start(&[]);
    let verbs =
        prop::sample::select(&["", "GET ", "GET / HTTP/1.1\r\n", "POST /work HTTP/1.1\r\nhost: a\r\n"][..]);
    let cases = (verbs, prop::collection::vec(any::<u8>(), 1..300));
    let outcome = runner().run(&cases, |(begin, garbage)| {
        let mut stream = TcpStream::connect(service.address).unwrap();
        // The service may have closed it already.
        let _ = stream.write_all(&[begin.as_bytes(), &garbage, b"\r\n\r\n"].concat());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        if let Ok(answer) = Connection::of(stream).receive_head() {
            prop_assert!((200..500).contains(&answer.status), "{}", answer.status);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(service.connect().get("/readyz").unwrap().status, 200);
}
