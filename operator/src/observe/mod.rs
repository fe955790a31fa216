//! Objects from the API server's watches, and samples from Prometheus. I/O in.

mod backlog_queries;
mod breaker_query;
pub mod cluster;
mod diagnosed;
pub mod measure;
pub mod namespaced;
pub mod prometheus;
pub mod query_plan;
pub mod snapshot;
pub mod store;
pub mod timeline;
pub mod trials;
