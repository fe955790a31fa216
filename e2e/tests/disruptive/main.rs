//! Promises whose tests disturb the operator or Prometheus, and so everybody: one after the other.

mod operator_restart_is_quiet;
mod prometheus_fault_is_named;
mod prometheus_outage_holds;
mod two_operators_at_once;
