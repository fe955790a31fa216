//! What is measured of jobs. No I/O.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};

use super::queues::QUEUES;

/// Upper bounds in seconds of the time that a run takes.
pub(crate) const BUCKETS: [f64; 10] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0];

/// Describes the series, and shows the counters of every queue from now on.
pub(crate) fn describe() {
    describe_counter!("jobs_enqueued_total", "Jobs that were added, by queue.");
    describe_counter!("jobs_finished_total", "Runs of jobs that ended, by queue and outcome.");
    describe_gauge!("jobs_in_flight", "Jobs that this worker runs.");
    describe_histogram!("job_duration_seconds", Unit::Seconds, "How long a run of a job took.");
    describe_gauge!("jobs_queue_depth", "Jobs by queue and state; counted up to 10000.");
    describe_gauge!(
        "jobs_oldest_age_seconds",
        Unit::Seconds,
        "For how long the oldest job that could run has waited; 0 if none waits."
    );
    for queue in QUEUES {
        counter!("jobs_enqueued_total", "queue" => queue).absolute(0);
        for outcome in ["done", "retried", "dead", "released"] {
            counter!("jobs_finished_total", "queue" => queue, "outcome" => outcome).absolute(0);
        }
    }
}
