//! The primary goes and comes back, and nobody restarts the service.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::child::{PATIENCE, Service};
use crate::postgres::{Reads, alone};
use crate::shop::{order, stock};

/// Asks until the answer has the status.
fn wait_for_status(status: u16, mut ask: impl FnMut() -> u16) {
    let begun = Instant::now();
    loop {
        let now = ask();
        if now == status {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{now} in place of {status}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn without_its_primary_the_service_reads_refuses_writes_quickly_and_recovers_by_itself() {
    let database = alone();
    let service = database.service(Reads::FromReplica, &[]);
    let mut command = database.command(Reads::FromPrimary, &["worker", "--queue", "reports"]);
    let _worker = Service::spawn(&mut command).wait_until_ready();
    let (account, products) = stock(&service, 1);
    database.wait_for_replica();

    database.primary().crash();
    for attempt in 0..30 {
        let refused = order(&service, &format!("k{attempt}"), account, &products);
        assert_eq!(refused.status, 503, "{}", refused.body);
        assert_eq!(refused.headers["retry-after"], "1");
        assert!(refused.problem()["detail"].as_str().unwrap().contains("cannot be reached"));
        assert_eq!(service.connect().get("/products").unwrap().status, 200, "from the replica");
        assert_eq!(service.connect().get("/readyz").unwrap().status, 200);
    }
    wait_for_status(1, || {
        let health = service.connect().get("/healthz").unwrap().json();
        u16::from(
            health["dependencies"][0]["reachable"] == false && health["dependencies"][1]["reachable"] == true,
        )
    });
    let depth = "jobs_queue_depth{queue=\"reports\",state=\"available\"}";
    service.wait_for_sample(depth, "NaN");

    // A pod that starts now reads as well: the replica has the schema.
    let late = database.service(Reads::FromReplica, &[]);
    assert_eq!(late.connect().get("/products").unwrap().status, 200);

    database.primary().start();
    wait_for_status(201, || order(&service, "k0", account, &products).status);
    assert_eq!(order(&service, "k0", account, &products).status, 201);
    assert_eq!(database.sql("SELECT count(*) FROM orders.orders"), "1", "one key, one order");
    wait_for_status(201, || order(&late, "late", account, &products).status);

    let body = json!({ "from": "2026-01-01", "to": "2026-01-31" }).to_string();
    let accepted = service.call("POST", "/reports", "idempotency-key: r\r\n", &body);
    assert_eq!(accepted.status, 202);
    let status = accepted.json()["status"].as_str().unwrap().to_owned();
    let token = format!("x-consistency-token: {}\r\n", accepted.headers["x-consistency-token"]);
    wait_for_status(1, || u16::from(service.call("GET", &status, &token, "").json()["state"] == "done"));
    service.wait_for_sample(depth, "0");
}

#[test]
fn a_service_that_starts_before_its_database_becomes_ready_with_it() {
    let database = alone();
    database.primary().crash();
    let service = Service::spawn(&mut database.command(Reads::FromPrimary, &[]));
    let answer = service.connect().get("/readyz").unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (503, "waiting for the database\n"));
    assert_eq!(service.connect().get("/work?ms=1").unwrap().status, 200, "what needs no database is served");
    database.primary().start();
    let service = service.wait_until_ready();
    assert_eq!(service.connect().get("/products").unwrap().status, 200);
}
