//! Servers are killed, stopped and replaced under a steady load, and nobody restarts the service. At the end the books
//! are compared exactly; README.md states the bounds that are asserted here.

use std::sync::atomic::Ordering;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::accounting::settle;
use crate::child::Service;
use crate::postgres::{Database, Reads, alone, apart, shared};
use crate::redis_server::RedisServer;
use crate::shop::{order, stock};
use crate::stand_in::Provider;
use crate::steady::{CUSTOMERS, Counts, Load};
use crate::waiting::until;

/// As many answers of each kind are waited for at least, before, during and after a fault.
const SOME: usize = 60;

/// A service that reads from the replica, or a worker if the arguments say so.
fn shop<Guard>(
    database: &Database<Guard>,
    provider: &Provider,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Service {
    let mut command = database.command(Reads::FromReplica, &["--payments-url", &provider.url()]);
    // What is refused must be so for the fault, and not because the machine is busy.
    command.env("DATABASE_ACQUIRE_TIMEOUT", "10s").env("DATABASE_STATEMENT_TIMEOUT", "20s");
    Service::spawn(command.args(arguments).envs(environment.iter().copied())).wait_until_ready()
}

/// A worker of all queues, with short times.
const WORKER: [&str; 7] = ["worker", "--queue", "payments,reports", "--backoff", "10ms", "--lease", "500ms"];

/// Nobody is refused; what the provider could not be asked for is put off.
fn none_is_refused(counts: Counts) {
    let refused = counts.writes.refused + counts.own_reads.refused + counts.reads.refused;
    assert_eq!(refused, 0, "{counts:?}");
}

#[test]
fn without_redis_no_order_and_no_read_fails() {
    let database = shared();
    let provider = Provider::start();
    let mut redis = RedisServer::start();
    let service = shop(&database, &provider, &["--redis-url", &redis.url()], &[]);
    let _worker = shop(&database, &provider, &WORKER, &[]);
    let promised = Load::on(&database, &[&service]).run(|load| {
        load.pass(SOME, SOME);
        redis.kill();
        none_is_refused(load.pass(SOME, SOME));
        let session = service.call("POST", "/visits", "", "");
        assert_eq!((session.status, session.headers["x-degraded"].as_str()), (503, "shed"));
        redis.revive();
        until("sessions do not come back", || service.call("POST", "/visits", "", "").status == 200);
        redis.suspend();
        none_is_refused(load.pass(SOME, SOME));
        redis.resume();
        until("sessions do not come back", || service.call("POST", "/visits", "", "").status == 200);
        none_is_refused(load.pass(SOME, SOME));
    });
    settle(|statement| database.sql(statement), &provider, &promised);
}

#[test]
fn while_the_primary_is_gone_writes_are_refused_and_afterwards_each_is_there_once() {
    let database = alone();
    let provider = Provider::start();
    let service = shop(&database, &provider, &[], &[]);
    let _worker = shop(&database, &provider, &WORKER, &[]);
    let promised = Load::on(&database, &[&service]).run(|load| {
        load.pass(SOME, SOME);
        let sound = load.counts();
        database.primary().crash();
        let gone = load.pass(SOME, SOME);
        // An answer may have been on its way.
        assert!(gone.writes.full + gone.writes.fallback <= CUSTOMERS, "{gone:?}");
        assert_eq!(gone.reads.refused, 0, "{gone:?}");
        assert_eq!(service.connect().get("/readyz").unwrap().status, 200);
        println!("primary gone: before {sound:?}, then {gone:?}");

        database.primary().start();
        let back = load.pass(SOME, SOME);
        assert!(back.writes.refused <= CUSTOMERS && back.own_reads.refused <= CUSTOMERS, "{back:?}");
        assert_eq!(back.reads.refused, 0, "{back:?}");
    });
    settle(|statement| database.sql(statement), &provider, &promised);
}

#[test]
fn a_primary_that_hangs_is_given_up_and_used_again() {
    let database = alone();
    let provider = Provider::start();
    let service = shop(&database, &provider, &["--database-statement-timeout", "500ms"], &[]);
    let _worker = shop(&database, &provider, &WORKER, &[]);
    let promised = Load::on(&database, &[&service]).run(|load| {
        load.pass(SOME, SOME);
        let suspended = database.primary().suspend();
        let silent = load.pass(SOME / 2, SOME);
        assert!(silent.writes.full + silent.writes.fallback <= CUSTOMERS, "{silent:?}");
        assert_eq!(silent.reads.refused, 0, "{silent:?}");
        drop(suspended);
        until("writes are still refused", || load.pass(CUSTOMERS, 0).writes.refused == 0);
        none_is_refused(load.pass(SOME, SOME));
    });
    settle(|statement| database.sql(statement), &provider, &promised);
}

#[test]
fn after_a_failover_the_promoted_replica_takes_writes_and_none_is_lost_that_it_confirmed() {
    let database = apart();
    // A commit waits until the replica has it on disk.
    database.sql("ALTER SYSTEM SET synchronous_standby_names = '*'");
    database.sql("SELECT pg_reload_conf()");
    let provider = Provider::start();
    let both = [("DATABASE_MAIN_URL", database.url_of_both())];
    let both = both.each_ref().map(|(name, url)| (*name, url.as_str()));
    let service = shop(&database, &provider, &[], &both);
    let _worker = shop(&database, &provider, &WORKER, &both);
    let promised = Load::on(&database, &[&service]).run(|load| {
        load.pass(SOME, SOME);
        database.primary().crash();
        let gone = load.pass(SOME, SOME);
        assert!(gone.writes.full + gone.writes.fallback <= CUSTOMERS, "{gone:?}");
        assert_eq!(gone.reads.refused, 0, "{gone:?}");

        database.replica().promote();
        let promoted = load.pass(SOME, SOME);
        assert!(promoted.writes.refused <= CUSTOMERS, "{promoted:?}");
        assert_eq!(promoted.reads.refused, 0, "{promoted:?}");
        none_is_refused(load.pass(SOME, SOME));
    });
    settle(|statement| database.sql_on_replica(statement), &provider, &promised);
}

/// What nobody else has cannot outlive its server: README.md says how to have it confirmed by a replica first.
#[test]
fn an_order_that_no_replica_had_is_gone_after_a_failover_and_its_key_places_it_anew() {
    let database = apart();
    let mut command = database.command(Reads::FromReplica, &[]);
    let service = Service::spawn(command.env("DATABASE_MAIN_URL", database.url_of_both())).wait_until_ready();
    let (account, products) = stock(&service, 1);
    database.wait_for_replica();
    database.sql_on_replica("ALTER SYSTEM SET primary_conninfo = ''");
    database.sql_on_replica("SELECT pg_reload_conf()");
    let receivers = "SELECT count(*) FROM pg_stat_wal_receiver";
    until("the replica goes on", || database.sql_on_replica(receivers) == "0");
    let placed = order(&service, "k", account, &products);
    assert_eq!(placed.status, 201, "{}", placed.body);

    database.primary().crash();
    database.replica().promote();

    let token = format!("x-consistency-token: {}\r\n", placed.headers["x-consistency-token"]);
    let path = &placed.headers["location"];
    until("it is not known to be gone", || service.call("GET", path, &token, "").status == 404);
    let again = order(&service, "k", account, &products);
    assert_eq!(
        (again.status, again.json()["totalCents"].as_i64()),
        (201, placed.json()["totalCents"].as_i64())
    );
    assert_eq!(database.sql_on_replica("SELECT count(*) FROM orders.orders"), "1");
}

#[test]
fn while_a_replica_stands_still_nothing_fails_and_nobody_is_shown_less_than_they_wrote() {
    let database = alone();
    let provider = Provider::start();
    let service = shop(&database, &provider, &["--database-replay-wait", "10ms"], &[]);
    let _worker = shop(&database, &provider, &WORKER, &[]);
    let promised = Load::on(&database, &[&service]).run(|load| {
        load.pass(SOME, SOME);
        database.pause_replay();
        let stuck = load.pass(SOME, SOME);
        none_is_refused(stuck);
        let asked = service.sum("db_reads_routed_total{target=\"primary\",reason=\"ryw_token\"}");
        assert!(asked >= 1.0, "own writes are read from the primary");
        database.resume_replay();
        none_is_refused(load.pass(SOME, SOME));
    });
    settle(|statement| database.sql(statement), &provider, &promised);
}

#[test]
fn while_the_provider_is_slow_and_then_dead_orders_are_taken_and_charged_later_but_once() {
    let database = shared();
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let provider = Provider::start_with(&ledger, None);
    let service = shop(&database, &provider, &[], &[]);
    let _worker = shop(&database, &provider, &WORKER, &[]);
    let open = "circuit_breaker_state{name=\"payments\",state=\"open\"}";
    let mut revived = None;
    let promised = Load::on(&database, &[&service]).run(|load| {
        load.pass(SOME, SOME);
        let sound = load.counts();
        provider.behave(&json!({ "delay_ms": 3000 }));
        service.wait_for_sample(open, "1");
        none_is_refused(load.counts() - sound);

        let address = provider.kill();
        let dead = load.pass(SOME, SOME);
        none_is_refused(dead);
        assert!(dead.writes.fallback > 0, "marked as what they are: {dead:?}");

        let provider = Provider::start_with(&ledger, Some(address));
        until("orders are not charged at once again", || load.pass(CUSTOMERS, 0).writes.fallback == 0);
        none_is_refused(load.counts());
        revived = Some(provider);
    });
    settle(|statement| database.sql(statement), &revived.unwrap(), &promised);
}

#[test]
fn workers_that_are_killed_in_the_middle_of_their_jobs_lose_none() {
    let database = shared();
    let provider = Provider::start();
    let service = shop(&database, &provider, &[], &[]);
    let promised = Load::on(&database, &[&service]).run(|load| {
        load.pass(SOME, SOME);
        // Whoever charges now waits for an answer that does not come.
        provider.behave(&json!({ "hang": true }));
        for _ in 0..3 {
            let before = load.counts();
            let worker = shop(&database, &provider, &WORKER, &[]);
            until("no worker is in the middle of a job", || {
                database.sql("UPDATE jobs.jobs SET due_at = now() WHERE state = 'available'");
                worker.sum("jobs_in_flight{queue=\"payments\"}") > 0.0
            });
            worker.signal(Signal::SIGKILL);
            none_is_refused(load.counts() - before);
        }
        provider.behave(&json!({}));
        none_is_refused(load.pass(SOME, SOME));
    });
    let _worker = shop(&database, &provider, &WORKER, &[]);
    settle(|statement| database.sql(statement), &provider, &promised);
}

#[test]
fn pods_that_are_told_to_leave_under_load_fail_no_request_and_lose_no_job() {
    let database = shared();
    let provider = Provider::start();
    let [mut leaving, staying] = [(), ()].map(|()| shop(&database, &provider, &[], &[]));
    let mut worker = shop(&database, &provider, &WORKER, &[]);
    let promised = Load::on(&database, &[&leaving, &staying]).run(|load| {
        load.pass(SOME, SOME);
        load.is_leaving.store(true, Ordering::SeqCst);
        leaving.terminate();
        worker.terminate();
        assert_eq!((leaving.wait().0.code(), worker.wait().0.code()), (Some(0), Some(0)));
        load.pass(SOME, SOME);
        none_is_refused(load.counts());
    });
    let _next = shop(&database, &provider, &WORKER, &[]);
    settle(|statement| database.sql(statement), &provider, &promised);
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
    until("/healthz does not say which server is gone", || {
        let health = service.connect().get("/healthz").unwrap().json();
        health["dependencies"][0]["reachable"] == false && health["dependencies"][1]["reachable"] == true
    });
    let depth = "jobs_queue_depth{queue=\"reports\",state=\"available\"}";
    service.wait_for_sample(depth, "NaN");

    // A pod that starts now reads as well: the replica has the schema.
    let late = database.service(Reads::FromReplica, &[]);
    assert_eq!(late.connect().get("/products").unwrap().status, 200);

    database.primary().start();
    until("no order is taken", || order(&service, "k0", account, &products).status == 201);
    assert_eq!(order(&service, "k0", account, &products).status, 201);
    assert_eq!(database.sql("SELECT count(*) FROM orders.orders"), "1", "one key, one order");
    until("no order is taken", || order(&late, "late", account, &products).status == 201);

    let body = json!({ "from": "2026-01-01", "to": "2026-01-31" }).to_string();
    let accepted = service.call("POST", "/reports", "idempotency-key: r\r\n", &body);
    assert_eq!(accepted.status, 202);
    let status = accepted.json()["status"].as_str().unwrap().to_owned();
    let token = format!("x-consistency-token: {}\r\n", accepted.headers["x-consistency-token"]);
    until("the report is not made", || service.call("GET", &status, &token, "").json()["state"] == "done");
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
