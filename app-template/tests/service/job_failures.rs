//! What becomes of a job that fails, that cannot be tried, or that nobody here knows.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::child::Service;
use crate::jobs::{make_due, placed_with_charge_due, report, wait_for_job, worker};
use crate::postgres::{KEY, Reads, shared};
use crate::provider::{Provider, Received};
use crate::shop::{order, stock};
use crate::waiting::until;

#[test]
fn what_an_open_breaker_refused_is_no_attempt_and_is_done_once_it_closes() {
    const ORDERS: usize = 12;
    let database = shared();
    let provider = Provider::start();
    let url = [("PAYMENTS_URL", provider.url.as_str())];
    let service = Service::spawn(database.command(Reads::FromPrimary, &[]).envs(url)).wait_until_ready();
    let (account, products) = stock(&service, 1);
    provider.answer_all(503, || {
        for number in 0..ORDERS {
            assert_eq!(order(&service, &number.to_string(), account, &products).status, 202);
        }
    });
    drop(service);
    database.sql("UPDATE jobs.jobs SET max_attempts = 3");
    make_due(&database);
    let worker = worker(&database, "payments", &[], &url);
    let (failed, ()) = provider.serve(
        |asked| asked.answer(503),
        || {
            until("the breaker refuses nothing", || {
                worker.sum("circuit_breaker_calls_total{name=\"payments\",outcome=\"rejected\"}") >= 36.0
            });
        },
    );
    let (paid, ()) = provider.serve(Received::pay, || {
        database
            .wait_until("SELECT state, count(*) FROM jobs.jobs GROUP BY state", &format!("done|{ORDERS}"));
    });
    assert_eq!(
        database.sql("SELECT count(*), count(DISTINCT order_id) FROM orders.charges"),
        format!("{ORDERS}|{ORDERS}")
    );
    assert_eq!(database.sql("SELECT sum(attempts) FROM jobs.jobs"), (failed + paid).to_string());
}

/// A database that answers no report while its products are locked.
#[test]
fn a_job_is_repeated_for_a_day_however_often_it_fails() {
    let database = shared();
    let service = database.service(Reads::FromPrimary, &[]);
    let hurried = [("DATABASE_STATEMENT_TIMEOUT", "250ms")];
    let accepted = report(&service, "r", &json!({}));
    let status = accepted.json()["status"].as_str().unwrap().to_owned();
    let old = report(&service, "old", &json!({})).json()["job"].as_str().unwrap().to_owned();
    database
        .sql(&format!("UPDATE jobs.jobs SET enqueued_at = now() - interval '25 hours' WHERE id = '{old}'"));
    let lock = database.lock_products();
    let worker = worker(&database, "reports", &[], &hurried);
    database.wait_until("SELECT attempts > max_attempts FROM jobs.jobs WHERE state <> 'dead'", "t");
    wait_for_job(&service, &format!("/jobs/{old}"), "dead");
    assert_eq!(worker.wait_for_log("the job is given up")["job"], old.as_str());
    drop(lock);
    wait_for_job(&service, &status, "done");
}

#[test]
fn an_answer_that_is_for_good_is_asked_for_once_and_is_seen() {
    let database = shared();
    let provider = Provider::start();
    let url = [("PAYMENTS_URL", provider.url.as_str())];
    let order = placed_with_charge_due(&database, &provider);
    let worker = worker(&database, "payments", &[], &url);
    provider.next().answer(400);
    let said = worker.wait_for_log("the job is given up");
    assert_eq!(
        (&said["level"], &said["job"], &said["error"]),
        (
            &json!("ERROR"),
            &json!(order),
            &json!("the payment provider refuses the payment with 400 Bad Request")
        )
    );
    worker.wait_for_sample("jobs_queue_depth{queue=\"payments\",state=\"dead\"}", "1");
    assert_eq!(database.sql("SELECT state, attempts FROM jobs.jobs"), "dead|1");
    assert!(provider.is_quiet());
}

#[test]
fn an_order_that_nobody_will_charge_for_is_not_sold_until_its_job_is_tried_again_and_paid() {
    let database = shared();
    let provider = Provider::start();
    let url = [("PAYMENTS_URL", provider.url.as_str())];
    let order = placed_with_charge_due(&database, &provider);
    let service = database.service(Reads::FromPrimary, &[]);
    let _worker = worker(&database, "payments,reports", &[], &url);
    let lines_of_report = |key: &str| {
        let accepted = report(&service, key, &json!({}));
        let job = wait_for_job(&service, accepted.json()["status"].as_str().unwrap(), "done");
        let report = service.connect().get(job["result"]["report"].as_str().unwrap()).unwrap().json();
        report["lines"].as_array().unwrap().len()
    };
    let charge = format!("/jobs/{order}");
    provider.next().answer(401);
    wait_for_job(&service, &charge, "dead");
    assert_eq!(database.sql("SELECT state FROM orders.orders"), "failed");
    assert_eq!(lines_of_report("refused"), 0);

    database.sql(
        "UPDATE jobs.jobs SET state = 'available', attempts = 0, enqueued_at = now(), due_at = now()
         WHERE state = 'dead'",
    );
    provider.next().pay();
    wait_for_job(&service, &charge, "done");
    assert_eq!(database.sql("SELECT state FROM orders.orders"), "paid");
    assert_eq!(lines_of_report("paid"), 1);
}

#[test]
fn a_job_that_ends_with_its_worker_is_given_up_and_told() {
    let database = shared();
    let receiver = Provider::start();
    let environment = [
        ("WEBHOOK_HOSTS", receiver.authority()),
        ("WEBHOOK_KEY", KEY),
        ("DATABASE_STATEMENT_TIMEOUT", "60s"),
    ];
    let service =
        Service::spawn(database.command(Reads::FromPrimary, &[]).envs(environment)).wait_until_ready();
    let accepted = report(&service, "r", &json!({ "webhook": format!("{}/hook", receiver.url) }));
    let status = accepted.json()["status"].as_str().unwrap().to_owned();
    database.sql("UPDATE jobs.jobs SET max_attempts = 2");
    let lock = database.lock_products();
    let start = || worker(&database, "reports,webhooks", &["--lease", "500ms"], &environment);
    for attempt in ["1", "2"] {
        let doomed = start();
        database
            .wait_until("SELECT attempts FROM jobs.jobs WHERE state = 'running' AND due_at > now()", attempt);
        doomed.signal(Signal::SIGKILL);
    }
    let last = start();
    let told = receiver.next();
    let body: Value = serde_json::from_str(&told.body).unwrap();
    assert_eq!((&body["job"], &body["state"]), (&accepted.json()["job"], &json!("dead")));
    told.answer(204);
    last.wait_for_sample("jobs_finished_total{queue=\"reports\",outcome=\"dead\"}", "1");
    assert_eq!(wait_for_job(&service, &status, "dead")["attempts"], 2, "it was not begun a third time");
    drop(lock);
}

#[test]
fn a_job_of_a_kind_that_a_worker_does_not_know_waits_for_one_that_does() {
    let database = shared();
    let service = database.service(Reads::FromPrimary, &[]);
    let newer = report(&service, "r", &json!({})).json()["status"].as_str().unwrap().to_owned();
    database.sql("UPDATE jobs.jobs SET kind = 'of a newer version', due_at = now() - interval '1 minute'");
    let older = worker(&database, "reports", &["--concurrency", "1"], &[]);
    for number in 0..3 {
        let known = report(&service, &format!("r{number}"), &json!({}));
        wait_for_job(&service, known.json()["status"].as_str().unwrap(), "done");
    }
    let waiting = service.connect().get(&newer).unwrap().json();
    assert_eq!((&waiting["state"], &waiting["attempts"]), (&json!("available"), &json!(0)));
    // Where a worker knows it, by the name that this version has for it, it is done.
    database.sql("UPDATE jobs.jobs SET kind = 'report' WHERE kind = 'of a newer version'");
    wait_for_job(&service, &newer, "done");
    drop(older);
}
