//! `db_client_operation_duration_seconds`: the time of each call to PostgreSQL or Redis. No I/O.
//!
//! Name and buckets are those of the OpenTelemetry conventions, as Prometheus spells them.

use metrics::{Unit, describe_histogram};

/// The name of the histogram.
pub(crate) const STORE_DURATION: &str = "db_client_operation_duration_seconds";

/// Upper bounds in seconds, as the conventions advise for `db.client.operation.duration`.
pub(crate) const BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

pub(crate) fn describe() {
    describe_histogram!(STORE_DURATION, Unit::Seconds, "Time of a statement, or of a call to Redis.");
}
