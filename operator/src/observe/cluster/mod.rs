//! Cached objects from the API server's watches. I/O in.

pub mod access;
pub mod bounded;
pub mod cached;
pub mod caches;
pub mod children;
pub mod labelled;
mod merged;
pub mod named;
pub mod owner;
pub mod pods;
pub mod postgres;
pub mod reachable;
pub mod refusals;
mod replica;
pub mod routes;
pub mod shortages;
pub mod trouble;
pub mod workload;
