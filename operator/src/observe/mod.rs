//! What is: objects from the API server's watches, samples from Prometheus. I/O in.

pub mod answer;
pub mod backoff;
pub mod children;
pub mod cluster;
pub mod cost;
pub mod custom;
pub mod history;
pub mod labelled;
pub mod measurements;
pub mod namespaced;
pub mod owner;
pub mod parts;
pub mod patterns;
pub mod pods;
pub mod prometheus;
pub mod promql;
pub mod quantile;
pub mod samples;
pub mod seen;
pub mod signals;
pub mod spelling;
pub mod targets;
pub mod templates;
pub mod trouble;
pub mod wanted;
pub mod workload;
