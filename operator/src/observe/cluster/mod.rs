//! Objects from the API server's watches, as they are cached. I/O in.

pub mod bounded;
pub mod cached;
pub mod caches;
pub mod children;
pub mod labelled;
mod merged;
pub mod owner;
pub mod pods;
pub mod reachable;
pub mod trouble;
pub mod workload;
