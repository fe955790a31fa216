//! Promises to a fleet of apps, on a hollow cluster: one after the other, because each has an operator of its own.
//! `make bench-fleet` prints the figures of the same for more apps and for longer.

mod at_rest_only_the_lease_is_written;
mod failing_queries_only_delay;
mod flooding_query_harms_nobody_else;
mod prometheus_outage_takes_no_replica;

use std::time::Duration;

/// Apps of each test.
const APPS: usize = 50;
/// The time over which metrics change.
const SPREAD: Duration = Duration::from_secs(10);
