//! Work that outlives its request: neither lost nor done twice, whatever becomes of its worker.

use std::thread;
use std::time::Duration;

use hmac::{Hmac, Mac};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::child::{Service, command, wait};
use crate::postgres::{Database, KEY, Reads, alone, shared};
use crate::provider::Provider;
use crate::shop::{order, stock};
use crate::waiting::eventually;

/// A worker with short times, ready.
pub(crate) fn worker<Guard>(
    database: &Database<Guard>,
    queue: &str,
    more: &[&str],
    environment: &[(&str, &str)],
) -> Service {
    let mut command = database.command(Reads::FromPrimary, &[]);
    command.args(["worker", "--queue", queue, "--backoff", "10ms"]).args(more);
    Service::spawn(command.envs(environment.iter().copied())).wait_until_ready()
}

/// Asks until the job has the state.
pub(crate) fn wait_for_job(service: &Service, path: &str, state: &str) -> Value {
    eventually(|| {
        let job = service.connect().get(path).unwrap().json();
        if job["state"] == state { Ok(job) } else { Err(job) }
    })
}

pub(crate) fn report(service: &Service, key: &str, more: &Value) -> crate::client::Answer {
    let mut body = json!({ "from": "2026-01-01", "to": "2126-12-31" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    service.call("POST", "/reports", &format!("idempotency-key: {key}\r\n"), &body.to_string())
}

/// Makes the charges of all orders due at once.
pub(crate) fn make_due<Guard>(database: &Database<Guard>) {
    database.sql("UPDATE jobs.jobs SET due_at = now() WHERE state = 'available'");
}

#[test]
fn a_report_is_accepted_made_by_a_worker_and_told_by_a_signed_webhook() {
    let database = shared();
    let receiver = Provider::start();
    let hook = [("WEBHOOK_HOSTS", receiver.authority()), ("WEBHOOK_KEY", KEY)];
    let service = Service::spawn(database.command(Reads::FromPrimary, &[]).envs(hook)).wait_until_ready();
    let (account, products) = stock(&service, 2);
    order(&service, "one", account, &products);

    let accepted = report(&service, "r", &json!({ "webhook": format!("{}/hook", receiver.url) }));
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    let status = accepted.json()["status"].as_str().unwrap().to_owned();
    assert_eq!(accepted.headers["location"], status);
    let waiting = service.connect().get(&status).unwrap();
    assert_eq!(
        (&waiting.json()["state"], &waiting.headers["retry-after"]),
        (&json!("available"), &"1".to_owned())
    );
    let repeated = report(&service, "r", &json!({ "webhook": format!("{}/hook", receiver.url) }));
    assert_eq!(repeated.json(), accepted.json(), "the same key is the same job");

    let worker = worker(&database, "reports,webhooks", &[], &hook);
    let job = wait_for_job(&service, &status, "done");
    let report = service.connect().get(job["result"]["report"].as_str().unwrap()).unwrap().json();
    assert_eq!(
        report["lines"][0],
        json!({ "product": products[1], "name": "Tea 1", "quantity": 2, "cents": 202 })
    );

    let told = receiver.next();
    let body: Value = serde_json::from_str(&told.body).unwrap();
    assert_eq!((&body["job"], &body["state"]), (&accepted.json()["job"], &json!("done")));
    let signature = &told.headers["x-signature"];
    let (time, mac) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let expected = hmac(&format!("{time}.{}", told.body));
    assert_eq!(mac, expected);
    told.answer(204);
    for queue in ["reports", "webhooks"] {
        worker.wait_for_sample(&format!("jobs_finished_total{{queue=\"{queue}\",outcome=\"done\"}}"), "1");
    }
}

#[test]
fn a_report_is_shown_to_whoever_is_told_of_it_before_the_replica_has_it() {
    let database = alone();
    let service = database.service(Reads::FromReplica, &[]);
    let _worker = worker(&database, "reports", &[], &[]);
    database.wait_for_replica();
    assert_eq!(service.connect().get("/products").unwrap().status, 200);
    database.pause_replay();
    assert_eq!(report(&service, "r", &json!({})).status, 202);
    database.wait_until("SELECT count(*) FROM reports.reports", "1");
    // A webhook brings the path, and no token.
    let path = format!("/reports/{}", database.sql("SELECT id FROM reports.reports"));
    assert_eq!(service.connect().get(&path).unwrap().status, 200);
    database.resume_replay();
}

#[test]
fn a_report_has_the_orders_that_its_caller_placed_before() {
    let database = alone();
    let provider = Provider::start();
    let url = [("PAYMENTS_URL", provider.url.as_str())];
    let service = Service::spawn(database.command(Reads::FromReplica, &[]).envs(url)).wait_until_ready();
    let mut command = database.command(Reads::FromReplica, &[]);
    let _worker = Service::spawn(command.args(["worker", "--queue", "reports", "--backoff", "10ms"]))
        .wait_until_ready();
    let (account, products) = stock(&service, 3);
    database.wait_for_replica();
    database.pause_replay();
    let placed = |key: &str, product: usize, status: u16| {
        let placed =
            provider.answer_all(status, || order(&service, key, account, &products[product..=product]));
        placed.json()["state"].as_str().unwrap().to_owned()
    };
    // What the provider declines is not sold; what it has not charged for yet is.
    assert_eq!(placed("declined", 0, 402), "declined");
    assert_eq!(placed("open", 1, 503), "placed");

    // The caller brings no token: programs that only place orders and ask for reports have no need of one.
    let accepted = report(&service, "r", &json!({}));
    let job = wait_for_job(&service, accepted.json()["status"].as_str().unwrap(), "done");
    let report = service.connect().get(job["result"]["report"].as_str().unwrap()).unwrap().json();
    let line = json!({ "product": products[1], "name": "Tea 1", "quantity": 2, "cents": 202 });
    assert_eq!(report["lines"], json!([line]));
    database.resume_replay();
}

/// HMAC-SHA256 in hexadecimal digits, with the key of the tests.
fn hmac(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[test]
fn a_job_continues_the_trace_of_its_request() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let database = shared();
    let service = database.service(Reads::FromPrimary, &[]);
    let headers = format!("idempotency-key: t\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n");
    let accepted = service.call("POST", "/reports", &headers, r#"{"from":"2026-01-01","to":"2026-01-01"}"#);
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    let worker = worker(&database, "reports", &[], &[]);
    assert_eq!(worker.wait_for_log("the job is done")["trace_id"], TRACE);
}

#[test]
fn the_backlog_is_shown_when_no_worker_runs_and_falls_to_zero_again() {
    let database = shared();
    let service = database.service(Reads::FromPrimary, &[]);
    let depth = "jobs_queue_depth{queue=\"reports\",state=\"available\"}";
    service.wait_for_sample(depth, "0");
    for number in 0..3 {
        report(&service, &format!("r{number}"), &json!({}));
    }
    assert_eq!(service.sum("jobs_enqueued_total{queue=\"reports\"}"), 3.0);
    service.wait_for_sample(depth, "3");
    assert!(service.sum("jobs_oldest_age_seconds{queue=\"reports\"}") > 0.0);
    let _worker = worker(&database, "reports", &[], &[]);
    service.wait_for_sample(depth, "0");
    service.wait_for_sample("jobs_oldest_age_seconds{queue=\"reports\"}", "0");
}

#[test]
fn an_order_is_charged_with_its_request_or_later_but_once() {
    let database = shared();
    let provider = Provider::start();
    let url = [("PAYMENTS_URL", provider.url.as_str())];
    let service = Service::spawn(database.command(Reads::FromPrimary, &[]).envs(url)).wait_until_ready();
    let (account, products) = stock(&service, 1);
    thread::scope(|scope| {
        let placed = scope.spawn(|| order(&service, "paid", account, &products));
        provider.next().pay();
        let placed = placed.join().unwrap();
        assert_eq!((placed.status, &placed.json()["state"]), (201, &json!("paid")));

        let declined = scope.spawn(|| order(&service, "declined", account, &products));
        provider.next().answer(402);
        let declined = declined.join().unwrap();
        assert_eq!((declined.status, &declined.json()["state"]), (201, &json!("declined")));

        let open = provider.answer_all(500, || order(&service, "open", account, &products));
        assert_eq!((open.status, &open.json()["state"]), (202, &json!("placed")));
        assert_eq!(open.headers["x-degraded"], "fallback");
        let key = open.json()["id"].as_str().unwrap().to_owned();
        make_due(&database);

        let _worker = worker(&database, "payments", &[], &url);
        for status in [503, 409, 200] {
            let asked = provider.next();
            assert_eq!(asked.headers["idempotency-key"], key, "the provider knows the order again");
            if status == 200 { asked.pay() } else { asked.answer(status) }
        }
        let job = wait_for_job(&service, &format!("/jobs/{key}"), "done");
        assert_eq!(job["attempts"], 3);
        assert_eq!(service.connect().get(&open.headers["location"]).unwrap().json()["state"], "paid");
    });
    assert_eq!(database.sql("SELECT count(*), count(DISTINCT order_id) FROM orders.charges"), "2|2");
    assert!(provider.is_quiet(), "a settled order is not charged again");
}

#[test]
fn a_job_that_cannot_succeed_is_kept_among_the_dead() {
    let database = shared();
    let service = database.service(Reads::FromPrimary, &[]);
    database.sql(
        "INSERT INTO jobs.jobs (id, queue, kind, payload, max_attempts, due_at)
         VALUES ('00000000-0000-0000-0000-000000000001', 'reports', 'report', '{}', 3, now())",
    );
    let _worker = worker(&database, "reports", &[], &[]);
    wait_for_job(&service, "/jobs/00000000-0000-0000-0000-000000000001", "dead");
    service.wait_for_sample("jobs_queue_depth{queue=\"reports\",state=\"dead\"}", "1");
    assert!(database.sql("SELECT error FROM jobs.jobs").contains("the job names no period"));
}

#[test]
fn what_is_over_is_forgotten_after_a_while_and_nothing_else() {
    let database = shared();
    let service = database.service(Reads::FromPrimary, &[]);
    report(&service, "new", &json!({}));
    database.sql(
        "INSERT INTO requests.keys VALUES ('reports', 'old', 'x', gen_random_uuid(), now() - interval '25 hours');
         INSERT INTO jobs.jobs (id, queue, kind, payload, max_attempts, due_at, state, finished_at)
         SELECT gen_random_uuid(), 'reports', 'report', '{}', 1, now(), state, now() - interval '8 days'
         FROM unnest('{done,dead}'::text[]) AS state",
    );
    // No worker: keys come without one too.
    let _again = database.service(Reads::FromPrimary, &[]);
    database.wait_until("SELECT string_agg(key, ',') FROM requests.keys", "new");
    database.wait_until("SELECT string_agg(state, ',' ORDER BY state) FROM jobs.jobs", "available,dead");
}

#[test]
fn a_worker_that_is_told_to_leave_finishes_what_it_holds() {
    let database = shared();
    let provider = Provider::start();
    let url = [("PAYMENTS_URL", provider.url.as_str())];
    let order = placed_with_charge_due(&database, &provider);
    let mut worker = worker(&database, "payments", &[], &url);
    let asked = provider.next();
    worker.terminate();
    worker.wait_for_log("shutting down");
    asked.pay();
    assert_eq!(worker.wait().0.code(), Some(0));
    assert_eq!(
        database.sql(&format!("SELECT state, attempts FROM jobs.jobs WHERE id = '{order}'")),
        "done|1"
    );
    assert_eq!(database.sql("SELECT count(*) FROM orders.charges"), "1");
}

#[test]
fn a_worker_that_runs_out_of_time_gives_its_job_back_for_the_next() {
    let database = shared();
    let provider = Provider::start();
    let url = [("PAYMENTS_URL", provider.url.as_str())];
    let order = placed_with_charge_due(&database, &provider);
    let mut first = worker(&database, "payments", &["--drain", "1s", "--lease", "1m"], &url);
    let asked = provider.next();
    first.terminate();
    assert_eq!(first.wait().0.code(), Some(0));
    drop(asked);
    let state = format!("SELECT state, attempts, worker IS NULL FROM jobs.jobs WHERE id = '{order}'");
    assert_eq!(database.sql(&state), "available|0|t", "at once, not at the end of its lease");

    let _second = worker(&database, "payments", &[], &url);
    provider.next().pay();
    database.wait_until(&state, "done|1|t");
    assert_eq!(database.sql("SELECT count(*) FROM orders.charges"), "1");
}

#[test]
fn the_job_of_a_worker_that_was_killed_is_done_once_by_another() {
    let database = shared();
    let provider = Provider::start();
    let url = [("PAYMENTS_URL", provider.url.as_str())];
    let order = placed_with_charge_due(&database, &provider);
    let first = worker(&database, "payments", &["--lease", "500ms"], &url);
    let asked = provider.next();
    first.signal(Signal::SIGKILL);
    let key = asked.headers["idempotency-key"].clone();
    // The provider has charged; nobody is left to hear it.
    asked.pay();

    let _second = worker(&database, "payments", &["--lease", "500ms"], &url);
    let again = provider.next();
    assert_eq!(again.headers["idempotency-key"], key);
    again.pay();
    database.wait_until(&format!("SELECT state, attempts FROM jobs.jobs WHERE id = '{order}'"), "done|2");
    assert_eq!(database.sql("SELECT count(*) FROM orders.charges"), "1");
}

#[test]
fn a_worker_whose_lease_ended_cannot_end_a_job_that_another_took() {
    let database = shared();
    let provider = Provider::start();
    let url = [("PAYMENTS_URL", provider.url.as_str())];
    let order = placed_with_charge_due(&database, &provider);
    // With room for this job only, so that it does not take it again itself.
    let first = worker(&database, "payments", &["--lease", "1h", "--concurrency", "1"], &url);
    let asked = provider.next();
    database.sql("UPDATE jobs.jobs SET due_at = now() WHERE state = 'running'");

    let _second = worker(&database, "payments", &[], &url);
    let again = provider.next();
    asked.answer(402);
    first.wait_for_log("another worker holds the job by now");
    assert_eq!(database.sql("SELECT state FROM orders.orders"), "placed", "rolled back");
    again.pay();
    database.wait_until(&format!("SELECT state FROM jobs.jobs WHERE id = '{order}'"), "done");
    assert_eq!(database.sql("SELECT state FROM orders.orders"), "paid", "by the one that held the job");
}

#[test]
fn a_job_that_takes_longer_than_its_lease_stays_with_its_worker() {
    let database = shared();
    let provider = Provider::start();
    let url = [("PAYMENTS_URL", provider.url.as_str())];
    let order = placed_with_charge_due(&database, &provider);
    let short = ["--lease", "600ms"];
    let _workers = [(), ()].map(|()| worker(&database, "payments", &short, &url));
    let asked = provider.next();
    let first = database.sql("SELECT due_at FROM jobs.jobs");
    database.wait_until(
        &format!("SELECT due_at > '{first}'::timestamptz + interval '700ms' FROM jobs.jobs"),
        "t",
    );
    assert!(provider.is_quiet(), "nobody else took it");
    asked.pay();
    database.wait_until(&format!("SELECT state, attempts FROM jobs.jobs WHERE id = '{order}'"), "done|1");
}

/// Many jobs, and workers that are killed and replaced all the while.
#[test]
fn no_job_is_lost_or_done_twice_while_workers_are_killed() {
    const JOBS: usize = 120;
    let database = shared();
    let service = database.service(Reads::FromPrimary, &[]);
    database.sql(&format!(
        "INSERT INTO jobs.jobs (id, queue, kind, payload, max_attempts, due_at)
         SELECT gen_random_uuid(), 'reports', 'report', '{{\"from\":\"2026-01-01\",\"to\":\"2026-01-01\"}}', 50, now()
         FROM generate_series(1, {JOBS})"
    ));
    let steady = ["--lease", "300ms", "--concurrency", "4"];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..6 {
        let worker = worker(&database, "reports", &steady, &[]);
        thread::sleep(Duration::from_millis(random.u64(..60)));
        worker.signal(Signal::SIGKILL);
    }
    let _last = worker(&database, "reports", &steady, &[]);
    database.wait_until("SELECT count(*) FROM jobs.jobs WHERE state = 'done'", &JOBS.to_string());
    assert_eq!(
        database.sql("SELECT count(*), count(DISTINCT job) FROM reports.reports"),
        format!("{JOBS}|{JOBS}")
    );
    drop(service);
}

#[test]
fn a_worker_without_a_database_or_of_an_unknown_queue_is_refused_in_words() {
    let refusal = |arguments: &[&str]| wait(&mut command(arguments).spawn().unwrap()).1;
    assert!(
        refusal(&["worker", "--queue", "reports"]).contains("it needs a database, set DATABASE_MAIN_URL")
    );
    let unknown = refusal(&["worker", "--queue", "mail"]);
    assert!(unknown.contains("there is no queue mail, choose from payments, reports"), "{unknown}");
}

/// An order that the provider did not charge for within its request; returns its identifier.
pub(crate) fn placed_with_charge_due<Guard>(database: &Database<Guard>, provider: &Provider) -> String {
    let url = [("PAYMENTS_URL", provider.url.as_str())];
    let service = Service::spawn(database.command(Reads::FromPrimary, &[]).envs(url)).wait_until_ready();
    let (account, products) = stock(&service, 1);
    let placed = provider.answer_all(503, || order(&service, "one", account, &products));
    assert_eq!(placed.status, 202, "{}", placed.body);
    make_due(database);
    placed.json()["id"].as_str().unwrap().to_owned()
}
