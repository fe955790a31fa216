//! The process: arguments, lease, HTTP server, metrics, logs and traces. I/O.

pub mod args;
pub mod clock;
pub mod decision_log;
pub mod front_proxy;
pub mod health;
pub mod lease;
pub mod listener;
pub mod live;
pub mod metrics;
pub mod server;
pub mod shutdown;
pub mod telemetry;
