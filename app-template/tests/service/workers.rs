//! A worker is a pod that nobody calls: it has the port of its metrics, and leaves in its own time.

use std::process::{Command, Stdio};

use crate::child::Service;
use crate::jobs::{placed_with_charge_due, worker};
use crate::postgres::{Reads, shared};
use crate::provider::Provider;

#[test]
fn a_worker_without_a_port_answers_probes_and_scrapes_on_its_metrics_port_alone() {
    let database = shared();
    let mut command = Command::new(env!("CARGO_BIN_EXE_app-template"));
    command.env_clear().envs(database.environment(Reads::FromPrimary));
    command.env("ADDRESS", "127.0.0.1").env("METRICS_PORT", "0").env("DRAIN", "1s");
    command.args(["worker", "--queue", "reports,webhooks"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut worker = Service::spawn(&mut command);
    assert_eq!(worker.address, worker.metrics, "the only one");
    worker = worker.wait_until_ready();
    let mut connection = worker.connect();
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(connection.get(path).unwrap().status, 200, "{path}");
    }
    worker.wait_for_sample("jobs_queue_depth{queue=\"reports\",state=\"available\"}", "0");
    worker.terminate();
    assert_eq!(worker.wait().0.code(), Some(0));
}

#[test]
fn the_jobs_of_a_worker_have_a_drain_time_of_their_own() {
    let database = shared();
    let provider = Provider::start();
    let order = placed_with_charge_due(&database, &provider);
    let environment = [("PAYMENTS_URL", provider.url.as_str()), ("WORKER_DRAIN", "1s")];
    let mut hurried = worker(&database, "payments", &["--drain", "1h", "--lease", "1m"], &environment);
    let asked = provider.next();
    hurried.terminate();
    assert_eq!(hurried.wait().0.code(), Some(0));
    drop(asked);
    let state = format!("SELECT state, attempts, worker IS NULL FROM jobs.jobs WHERE id = '{order}'");
    assert_eq!(database.sql(&state), "available|0|t", "given back, not done");
}
