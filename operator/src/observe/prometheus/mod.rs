//! Queries to Prometheus and their results. I/O in.

pub mod answer;
pub mod backoff;
pub mod canary;
pub mod client;
pub mod cluster_activity;
pub mod cost;
pub mod custom;
pub mod history;
pub mod parts;
pub mod patterns;
pub mod promql;
pub mod quantile;
pub mod signals;
pub mod spelling;
pub mod targets;
