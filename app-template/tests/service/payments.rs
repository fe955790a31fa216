//! A payment provider that dies, slows down, hangs, fails and comes back, under a service that goes on.

use std::thread;

use serde_json::{Value, json};

use crate::child::Service;
use crate::client::{Answer, Connection};
use crate::postgres::{Reads, shared};
use crate::redis_server::RedisServer;
use crate::shop::{order, stock};
use crate::stand_in::Provider;
use crate::waiting::eventually;

fn shop(provider: &Provider) -> Service {
    Service::start(&["--payments-url", &provider.url()])
}

fn pay(connection: &mut Connection, key: &str) -> Answer {
    let key = format!("idempotency-key: {key}\r\n");
    connection.exchange("POST", "/payments", &key, r#"{"amount": 1250, "currency": "EUR"}"#).unwrap()
}

fn is_shed(answer: &Answer) -> bool {
    answer.headers.get("x-degraded").is_some_and(|mark| mark == "shed")
}

/// Waits until `/metrics` shows the state, and sees that `/healthz` shows the same.
fn wait_for_breaker(service: &Service, state: &str) {
    let series = |state: &str| format!("circuit_breaker_state{{name=\"payments\",state=\"{state}\"}}");
    service.wait_for_sample(&series(state), "1");
    let metrics = service.scrape();
    let others = ["closed", "half_open", "open"].into_iter().filter(|other| *other != state);
    for other in others {
        assert!(metrics.contains(&format!("{} 0\n", series(other))), "{state} and {other}:\n{metrics}");
    }
    let health = service.connect().get("/healthz").unwrap();
    let health: Value = serde_json::from_str(&health.body).unwrap();
    assert_eq!(
        (&health["dependencies"][0]["name"], &health["dependencies"][0]["breaker"]),
        (&json!("payments"), &json!(state))
    );
}

/// Pays until the breaker is open, from enough clients that each waits for one time-out only. Returns how
/// many were refused in time, and how many waited for the provider in vain.
fn pay_until_open(service: &Service, keys: &str) -> (usize, usize) {
    let clients: Vec<_> = (0..30)
        .map(|number| {
            let (address, key) = (service.address, format!("{keys}-{number}"));
            thread::spawn(move || pay(&mut Connection::open(address).unwrap(), &key))
        })
        .collect();
    let answers: Vec<Answer> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    wait_for_breaker(service, "open");
    assert!(answers.iter().all(|answer| answer.status >= 500));
    let shed = answers.iter().filter(|answer| is_shed(answer)).count();
    (shed, answers.len() - shed)
}

/// Probes until the breaker is closed; none of them may fail.
fn recover(service: &Service, keys: &str) {
    wait_for_breaker(service, "half_open");
    let mut connection = service.connect();
    for number in 0..5 {
        assert_eq!(pay(&mut connection, &format!("{keys}-{number}")).status, 201);
    }
    wait_for_breaker(service, "closed");
}

#[test]
fn the_shop_outlives_its_provider_and_finds_it_again() {
    let provider = Provider::start();
    let service = shop(&provider);
    wait_for_breaker(&service, "closed");
    let mut connection = service.connect();
    for number in 0..20 {
        assert_eq!(pay(&mut connection, &format!("well-{number}")).status, 201);
    }
    let asked = connection.get("/payments/methods").unwrap();
    assert!(asked.body.contains("card") && !asked.headers.contains_key("x-degraded"), "{}", asked.body);

    // Dead. As many fail as there were successes to outweigh, and from then on nobody waits.
    let address = provider.kill();
    let answers: Vec<Answer> =
        (0..100).map(|number| pay(&mut connection, &format!("dead-{number}"))).collect();
    let failed = answers.iter().filter(|answer| answer.status == 502).count();
    assert!((1..=21).contains(&failed), "{failed} failed");
    assert_eq!(answers.iter().filter(|answer| is_shed(answer)).count(), 100 - failed);
    wait_for_breaker(&service, "open");
    let shed = pay(&mut connection, "shed");
    assert_eq!((shed.status, shed.headers["retry-after"].as_str()), (503, "1"));
    assert!(shed.problem()["detail"].as_str().unwrap().contains("same Idempotency-Key"));
    // The cache knows the methods for a moment longer.
    let fallback = eventually(|| {
        let answer = connection.get("/payments/methods").unwrap();
        assert_eq!((answer.status, &answer.body), (200, &asked.body), "the methods last heard");
        if answer.headers.contains_key("x-degraded") { Ok(answer) } else { Err("no fallback") }
    });
    assert_eq!(fallback.headers["x-degraded"], "fallback");

    // Alive again.
    let provider = Provider::start_at(&address.to_string());
    recover(&service, "alive");

    // Slow, then silent while it is probed, then well.
    provider.behave(&json!({ "delay_ms": 3000 }));
    let (_, waited) = pay_until_open(&service, "slow");
    assert!(waited > 0, "nobody noticed that it is slow");
    provider.behave(&json!({ "hang": true }));
    wait_for_breaker(&service, "half_open");
    assert_eq!(pay(&mut connection, "probe").status, 504);
    wait_for_breaker(&service, "open");
    provider.behave(&json!({}));
    recover(&service, "well-again");

    let metrics = service.scrape();
    for marked in [("POST", "/payments", "503", "shed"), ("GET", "/payments/methods", "200", "fallback")] {
        let (method, route, status, mark) = marked;
        let series = format!(
            "http_server_request_duration_seconds_count{{http_request_method=\"{method}\",http_route=\"{route}\",\
             http_response_status_code=\"{status}\",module=\"payments\",degraded=\"{mark}\"}}"
        );
        assert!(metrics.contains(&series), "{series} in\n{metrics}");
    }
    assert!(metrics.contains("circuit_breaker_calls_total{name=\"payments\",outcome=\"fallback\"} 1\n"));
    assert!(metrics.contains("bulkhead_limit{name=\"payments\"} 64\n"));
}

#[test]
fn retries_hide_a_failure_now_and_then_and_no_payment_is_taken_twice() {
    let provider = Provider::start();
    let service = shop(&provider);
    provider.behave(&json!({ "fail_percent": 8 }));
    let mut connection = service.connect();
    for number in 0..100 {
        assert_eq!(pay(&mut connection, &format!("order-{number}")).status, 201);
    }
    // A customer who has lost the answer asks again.
    assert_eq!(pay(&mut connection, "order-99").status, 201);
    assert_eq!(provider.taken(), 100);
    let metrics = service.scrape();
    assert!(metrics.contains("retry_attempts_total{name=\"payments\",outcome=\"success\"} 8\n"), "{metrics}");
}

#[test]
fn a_careless_service_repeats_every_call_that_fails_and_its_breaker_stays_closed() {
    let provider = Provider::start();
    let service = Service::start(&["--payments-url", &provider.url(), "--payments-careless"]);
    provider.behave(&json!({ "fail_percent": 100 }));
    let mut connection = service.connect();
    for number in 0..20 {
        assert!(pay(&mut connection, &format!("order-{number}")).status >= 500);
    }
    let metrics = service.scrape();
    assert!(
        metrics.contains("retry_attempts_total{name=\"payments\",outcome=\"failure\"} 40\n"),
        "{metrics}"
    );
    wait_for_breaker(&service, "closed");
}

#[test]
fn a_provider_with_a_capacity_refuses_calls_that_would_wait_for_too_long() {
    let provider = Provider::start();
    let service = shop(&provider);
    provider.behave(&json!({ "answers_per_second": 1 }));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let address = service.address;
            thread::spawn(move || pay(&mut Connection::open(address).unwrap(), &format!("order-{number}")))
        })
        .collect();
    let statuses: Vec<u16> = clients.into_iter().map(|client| client.join().unwrap().status).collect();
    assert!(statuses.iter().any(|status| *status >= 500), "{statuses:?}");
}

#[test]
fn a_payment_that_the_provider_is_still_taking_is_not_refused_for_good() {
    let provider = Provider::start();
    let service = shop(&provider);
    let mut connection = service.connect();
    for status in [409, 423, 429] {
        provider.behave(&json!({ "fail_percent": 100, "fail_status": status }));
        let answer = pay(&mut connection, &status.to_string());
        assert_eq!(answer.status, 502, "{status}: {}", answer.body);
        assert!(answer.problem()["detail"].as_str().unwrap().contains("same Idempotency-Key"));
    }
    provider.behave(&json!({}));
    assert_eq!(pay(&mut connection, "409").status, 201);
    assert_eq!(provider.taken(), 3, "each was taken once");
}

#[test]
fn a_bad_payment_is_a_problem_document() {
    let provider = Provider::start();
    let service = shop(&provider);
    let mut connection = service.connect();
    let key = "idempotency-key: k\r\n";
    let long = format!("idempotency-key: {}\r\n", "k".repeat(65));
    let good = r#"{"amount": 1, "currency": "EUR"}"#;
    for (headers, body, status) in [
        ("", good, 400),
        (long.as_str(), good, 400),
        ("idempotency-key: a\r\nidempotency-key: b\r\n", good, 400),
        ("idempotency-key: \u{fc}\r\n", good, 400),
        (key, r#"{"amount": 0, "currency": "EUR"}"#, 400),
        (key, r#"{"amount": 1, "currency": "euro"}"#, 400),
        (key, r#"{"amount": -1, "currency": "EUR"}"#, 422),
        (key, r#"{"amount": 1}"#, 422),
        (key, r#"{"amount": 1, "currency": "EUR", "to": "me"}"#, 422),
        (key, "{", 400),
        (key, "", 400),
    ] {
        let answer = connection.exchange("POST", "/payments", headers, body).unwrap();
        assert_eq!(answer.status, status, "{headers}{body}: {}", answer.body);
        assert!(!answer.problem()["detail"].as_str().unwrap().is_empty());
    }
    assert_eq!(provider.taken(), 0);

    assert_eq!(pay(&mut connection, "k").status, 201);
    let other = r#"{"amount": 9, "currency": "EUR"}"#;
    let reused = connection.exchange("POST", "/payments", key, other).unwrap();
    assert_eq!(reused.status, 422);
    assert!(reused.problem()["detail"].as_str().unwrap().contains("one payment only"));
}

#[test]
fn a_client_that_knows_the_methods_is_not_sent_them_again() {
    let provider = Provider::start();
    let service = shop(&provider);
    let mut connection = service.connect();
    let full = connection.get("/payments/methods").unwrap();
    assert_eq!(full.headers["cache-control"], "public, max-age=30, stale-while-revalidate=30");

    let known = format!("if-none-match: {}\r\n", full.headers["etag"]);
    connection.send("GET", "/payments/methods", &known).unwrap();
    let answer = connection.receive_head().unwrap();

    assert_eq!((answer.status, &answer.headers["etag"]), (304, &full.headers["etag"]));
    // The connection goes on with the next answer, so there was no body.
    assert_eq!(connection.get("/livez").unwrap().body, "alive\n");
}

#[test]
fn a_service_without_a_provider_has_no_payments() {
    let service = Service::start(&[]);
    assert_eq!(service.connect().get("/payments/methods").unwrap().status, 404);
    assert!(!service.scrape().contains("circuit_breaker"));
}

#[test]
fn orders_are_taken_without_the_provider_and_charged_once_it_is_back() {
    const ORDERS: usize = 20;
    let database = shared();
    let provider = Provider::start();
    let url = provider.url();
    let service = Service::spawn(database.command(Reads::FromPrimary, &[]).args(["--payments-url", &url]));
    let service = service.wait_until_ready();
    let (account, products) = stock(&service, 1);
    let paid = order(&service, "well", account, &products);
    assert_eq!((paid.status, &paid.json()["state"]), (201, &json!("paid")));
    assert!(!paid.headers.contains_key("x-degraded"));

    let address = provider.kill();
    for number in 0..ORDERS {
        let placed = order(&service, &number.to_string(), account, &products);
        assert_eq!((placed.status, &placed.json()["state"]), (202, &json!("placed")));
        assert_eq!(placed.headers["x-degraded"], "fallback");
    }
    let metrics = service.scrape();
    for series in [
        format!("circuit_breaker_calls_total{{name=\"payments\",outcome=\"fallback\"}} {ORDERS}\n"),
        format!(
            "http_server_request_duration_seconds_count{{http_request_method=\"POST\",http_route=\"/orders\",\
             http_response_status_code=\"202\",module=\"orders\",degraded=\"fallback\"}} {ORDERS}\n"
        ),
    ] {
        assert!(metrics.contains(&series), "{series} in\n{metrics}");
    }
    assert!(service.sum("circuit_breaker_calls_total{name=\"payments\",outcome=\"rejected\"}") > 0.0);
    let health = service.connect().get("/healthz").unwrap().json();
    let names: Vec<_> =
        health["dependencies"].as_array().unwrap().iter().map(|entry| &entry["name"]).collect();
    assert_eq!(names, ["database main, primary", "payments"]);

    let provider = Provider::start_at(&address.to_string());
    database.sql("UPDATE jobs.jobs SET due_at = now() WHERE state = 'available'");
    let mut worker = database.command(Reads::FromPrimary, &[]);
    worker.args(["worker", "--queue", "payments", "--backoff", "10ms", "--payments-url", &url]);
    let worker = Service::spawn(&mut worker).wait_until_ready();
    worker.wait_for_sample("jobs_finished_total{queue=\"payments\",outcome=\"done\"}", &ORDERS.to_string());
    assert_eq!(database.sql("SELECT DISTINCT state FROM orders.orders"), "paid");
    assert_eq!(provider.taken(), u64::try_from(ORDERS).unwrap(), "what the first one took is gone with it");
}

#[test]
fn pods_share_what_one_of_them_has_asked() {
    let redis = RedisServer::start();
    let provider = Provider::start();
    let url = provider.url();
    let start =
        || Service::start(&["--payments-url", &url, "--redis-url", &redis.url(), "--redis-timeout", "10s"]);
    let (asking, sharing) = (start(), start());
    let asked = asking.connect().get("/payments/methods").unwrap();
    provider.kill();

    let shared = sharing.connect().get("/payments/methods").unwrap();

    assert_eq!((shared.status, shared.body), (200, asked.body));
    assert!(!shared.headers.contains_key("x-degraded"));
    let hit = "cache_requests_total{cache=\"payment_methods\",result=\"hit\"} 1\n";
    assert!(sharing.scrape().contains(hit), "{}", sharing.scrape());
    let health = sharing.connect().get("/healthz").unwrap().body;
    assert!(health.contains("\"redis\"") && health.contains("\"payments\""), "{health}");
}
