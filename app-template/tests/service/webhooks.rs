//! Webhooks go to others' servers: those that hang, fail or lead elsewhere harm nobody else.

use serde_json::json;

use crate::child::Service;
use crate::jobs::{make_due, report, wait_for_job, worker};
use crate::postgres::{Database, KEY, Reads, shared};
use crate::provider::Provider;
use crate::waiting::{eventually, until};

/// Adds webhooks that are due.
fn add<Guard>(database: &Database<Guard>, url: &str, count: usize) {
    database.sql(&format!(
        "INSERT INTO jobs.jobs (id, queue, kind, payload, max_attempts, due_at)
         SELECT gen_random_uuid(), 'webhooks', 'webhook', jsonb_build_object('url', '{url}/', 'body', '{{}}'), 12, now()
         FROM generate_series(1, {count})"
    ));
}

/// How many webhooks were sent and have ended.
fn ended(worker: &Service) -> f64 {
    let outcomes = ["done", "retried", "dead"];
    let of = |outcome| format!("jobs_finished_total{{queue=\"webhooks\",outcome=\"{outcome}\"}}");
    outcomes.map(|outcome| worker.sum(&of(outcome))).iter().sum()
}

#[test]
fn receivers_that_hang_hold_up_no_other_job() {
    let database = shared();
    // As many that no breaker sees enough of them to open.
    let hanging: Vec<Provider> = (0..10).map(|_| Provider::start()).collect();
    let hosts: Vec<&str> = hanging.iter().map(Provider::authority).collect();
    let hosts = hosts.join(",");
    let hook = [("WEBHOOK_HOSTS", hosts.as_str()), ("WEBHOOK_KEY", KEY)];
    let service = database.service(Reads::FromPrimary, &[]);
    for receiver in &hanging {
        add(&database, &receiver.url, 2);
    }
    let worker = worker(&database, "reports,webhooks", &[], &hook);
    worker.wait_for_sample("jobs_in_flight{queue=\"webhooks\"}", "8");
    // A job that waits for a place is done after a webhook has ended; one that does not may be so by chance.
    let is_done_before_one_ends = |number: usize| {
        let before = ended(&worker);
        let accepted = report(&service, &format!("r{number}"), &json!({}));
        wait_for_job(&service, accepted.json()["status"].as_str().unwrap(), "done");
        ended(&worker) == before
    };
    assert!((0..8).any(is_done_before_one_ends), "reports wait for webhooks");
}

#[test]
fn a_receiver_that_hangs_holds_up_no_other_receiver() {
    let database = shared();
    let [hanging, well] = [Provider::start(), Provider::start()];
    let hosts = format!("{},{}", hanging.authority(), well.authority());
    let _schema = database.service(Reads::FromPrimary, &[]);
    add(&database, &hanging.url, 40);
    let hook = [("WEBHOOK_HOSTS", hosts.as_str()), ("WEBHOOK_KEY", KEY)];
    let worker = worker(&database, "webhooks", &["--concurrency", "6"], &hook);
    let held = hanging.next();
    add(&database, &well.url, 1);
    well.next().answer(204);
    let waiting = hanging.left_waiting();
    let asked = waiting.len() + 1;
    let at_a_time = asked as f64 - worker.sum("jobs_finished_total{queue=\"webhooks\",outcome=\"retried\"}");
    assert!(at_a_time <= 3.0, "{at_a_time} of 6 places are the hanging receiver's");
    let limit = format!("bulkhead_limit{{name=\"receiver {}\"}}", hanging.authority());
    worker.wait_for_sample(&limit, "3");
    drop((held, waiting));
}

#[test]
fn a_receiver_that_fails_is_left_alone_and_what_is_not_sent_is_no_attempt() {
    let database = shared();
    let failing = Provider::start();
    let hook = [("WEBHOOK_HOSTS", failing.authority()), ("WEBHOOK_KEY", KEY)];
    let _schema = database.service(Reads::FromPrimary, &[]);
    add(&database, &failing.url, 12);
    let worker = worker(&database, "webhooks", &[], &hook);
    let open = format!("circuit_breaker_state{{name=\"receiver {}\",state=\"open\"}}", failing.authority());
    let (sent, ()) = failing.serve(
        |asked| asked.answer(500),
        || {
            worker.wait_for_sample(&open, "1");
            until("nothing is put off", || {
                worker.sum("jobs_finished_total{queue=\"webhooks\",outcome=\"released\"}") >= 24.0
            });
        },
    );
    // Those that run now are looked at and given back untried, for the breaker is open.
    let sent = sent + failing.left_waiting().len();
    let attempts = "SELECT sum(attempts - (state = 'running')::int) FROM jobs.jobs";
    database.wait_until(attempts, &sent.to_string());
}

#[test]
fn webhooks_that_found_no_place_are_sent_however_old_they_are() {
    const WEBHOOKS: usize = 8;
    let database = shared();
    let receiver = Provider::start();
    let hook = [("WEBHOOK_HOSTS", receiver.authority()), ("WEBHOOK_KEY", KEY)];
    let _schema = database.service(Reads::FromPrimary, &[]);
    add(&database, &receiver.url, WEBHOOKS);
    database.sql("UPDATE jobs.jobs SET enqueued_at = now() - interval '25 hours'");
    let worker = worker(&database, "webhooks", &[], &hook);
    // The receiver gets four of the eight places; those beyond are given back.
    let held: Vec<_> = (0..4).map(|_| receiver.next()).collect();
    until("the others find a place", || {
        worker.sum("jobs_finished_total{queue=\"webhooks\",outcome=\"released\"}") >= 4.0
    });
    held.into_iter().for_each(|asked| asked.answer(204));
    receiver.serve(
        |asked| asked.answer(204),
        || {
            until("some are given up", || {
                make_due(&database);
                database.sql("SELECT count(*) FROM jobs.jobs WHERE state = 'done'") == WEBHOOKS.to_string()
            });
        },
    );
}

#[test]
fn an_answer_that_is_for_good_ends_a_webhook_and_a_redirect_is_not_followed() {
    let database = shared();
    let receiver = Provider::start();
    let hook = [("WEBHOOK_HOSTS", receiver.authority()), ("WEBHOOK_KEY", KEY)];
    let _schema = database.service(Reads::FromPrimary, &[]);
    add(&database, &receiver.url, 3);
    let worker = worker(&database, "webhooks", &[], &hook);
    for status in [404, 302, 410] {
        receiver.next().answer(status);
    }
    worker.wait_for_sample("jobs_finished_total{queue=\"webhooks\",outcome=\"dead\"}", "3");
    assert!(receiver.is_quiet());
    assert_eq!(database.sql("SELECT DISTINCT attempts FROM jobs.jobs"), "1");
}

#[test]
fn a_webhook_goes_to_no_other_port_and_takes_no_password_along() {
    let database = shared();
    let hook = [("WEBHOOK_HOSTS", "hooks.example,hooks.example:8080"), ("WEBHOOK_KEY", KEY)];
    let service = Service::spawn(database.command(Reads::FromPrimary, &[]).envs(hook)).wait_until_ready();
    for (number, (url, status)) in [
        ("http://hooks.example/a", 202),
        ("http://hooks.example:8080/a", 202),
        ("http://hooks.example:6379/a", 422),
        ("http://hooks.example:22/", 422),
        ("http://user:word@hooks.example/", 422),
        ("http://user@hooks.example/", 422),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = report(&service, &format!("r{number}"), &json!({ "webhook": url }));
        assert_eq!(answer.status, status, "{url}: {}", answer.body);
    }
}

#[test]
fn a_name_that_leads_to_the_pod_itself_is_not_sent_to() {
    let database = shared();
    let inside = Provider::start();
    let host = inside.authority().replace("127.0.0.1", "localhost");
    let hook = [("WEBHOOK_HOSTS", host.as_str()), ("WEBHOOK_KEY", KEY)];
    let _schema = database.service(Reads::FromPrimary, &[]);
    add(&database, &format!("http://{host}"), 1);
    let _worker = worker(&database, "webhooks", &[], &hook);
    eventually(|| {
        let error = database.sql("SELECT error FROM jobs.jobs");
        if error.contains("localhost leads to") { Ok(()) } else { Err(error) }
    });
    assert!(inside.is_quiet());
}

#[test]
fn a_worker_that_may_not_send_to_a_receiver_leaves_its_webhooks_to_one_that_may() {
    let database = shared();
    let receiver = Provider::start();
    let _schema = database.service(Reads::FromPrimary, &[]);
    add(&database, &receiver.url, 1);
    let other =
        worker(&database, "webhooks", &[], &[("WEBHOOK_HOSTS", "other.example"), ("WEBHOOK_KEY", KEY)]);
    until("it is not given back", || {
        other.sum("jobs_finished_total{queue=\"webhooks\",outcome=\"released\"}") >= 3.0
    });
    drop(other);
    assert_eq!(database.sql("SELECT attempts FROM jobs.jobs"), "0");
    let _worker =
        worker(&database, "webhooks", &[], &[("WEBHOOK_HOSTS", receiver.authority()), ("WEBHOOK_KEY", KEY)]);
    receiver.answer_all(204, || database.wait_until("SELECT state FROM jobs.jobs", "done"));
}
