//! Work that outlives its request. I/O: PostgreSQL.
//!
//! A job is a row that is written together with what it belongs to: either both are there or neither. A worker holds
//! it by a lease that it renews; what the job changes is committed together with its end, and only by whoever still
//! holds the lease. So a job whose worker dies runs again, and its effect is there once.
//!
//! | file | what it owns |
//! |---|---|
//! | `args` | what a worker can be told |
//! | `enqueue` | adding a job, and the answer 202 |
//! | `idempotency` | a request that is repeated takes effect once |
//! | `lease` | taking a job, keeping it, ending it |
//! | `worker` | the loop that takes jobs and runs them |
//! | `backlog` | how much waits, and for how long |
//! | `webhook` | telling a caller that a job has ended, signed |
//! | `receiver` | where webhooks may go |
//! | `retention` | forgetting what is over |

mod args;
mod backlog;
mod enqueue;
mod idempotency;
mod lease;
mod receiver;
mod retention;
mod webhook;
mod worker;

use futures::future::BoxFuture;

pub use args::WorkerArgs;
pub(crate) use backlog::run as watch_backlog;
pub(crate) use enqueue::{NewJob, accepted, enqueue, withdraw};
pub(crate) use idempotency::{Claim, claim};
pub(crate) use lease::{JobError, Lease};
pub use receiver::Receiver;
pub(crate) use retention::run as forget_what_is_over;
pub(crate) use webhook::{DELIVER, Webhooks, check as check_webhook};
pub(crate) use worker::run as work;

use crate::database::{DatabaseError, Transaction};
use crate::shop::Shop;

/// Every queue of the app: name it by what it holds, and give work that must not wait behind other work its own.
pub(crate) const QUEUES: [&str; 3] = ["payments", "reports", WEBHOOKS];

/// Of what receivers are told: they are others' servers, and as slow as they please.
const WEBHOOKS: &str = "webhooks";

/// Upper bounds in seconds of the time that a run takes.
pub(crate) const BUCKETS: [f64; 10] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0];

/// What runs jobs of one kind.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub(crate) kind: &'static str,
    /// Computes first, and then commits its effect in one transaction with [`Lease::finish`].
    pub(crate) run: for<'a> fn(&'a Shop, &'a Lease) -> BoxFuture<'a, Result<(), JobError>>,
    /// What else changes in the transaction that ends a job as refused for good.
    pub(crate) refused: Option<Refused>,
}

pub(crate) type Refused = for<'a> fn(&'a Transaction, &'a Lease) -> BoxFuture<'a, Result<(), DatabaseError>>;

pub(crate) fn describe() {
    metrics::describe_counter!("jobs_enqueued_total", "Jobs that were added, by queue.");
    metrics::describe_counter!("jobs_finished_total", "Runs of jobs that ended, by queue and outcome.");
    metrics::describe_gauge!("jobs_in_flight", "Jobs that this worker runs.");
    metrics::describe_histogram!(
        "job_duration_seconds",
        metrics::Unit::Seconds,
        "How long a run of a job took."
    );
    metrics::describe_gauge!("jobs_queue_depth", "Jobs by queue and state; counted up to 10000.");
    metrics::describe_gauge!(
        "jobs_oldest_age_seconds",
        metrics::Unit::Seconds,
        "For how long the oldest job that could run has waited; 0 if none waits."
    );
    for queue in QUEUES {
        metrics::counter!("jobs_enqueued_total", "queue" => queue).absolute(0);
        for outcome in ["done", "retried", "dead", "released"] {
            metrics::counter!("jobs_finished_total", "queue" => queue, "outcome" => outcome).absolute(0);
        }
    }
}
