//! The promises of the service, kept by a real process on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test says by a panic what went wrong; clippy recognises only the test functions as tests"
)]

mod accounting;
mod child;
mod client;
mod cookies;
mod object_store;
mod own_writes;
mod postgres;
mod postgres_pair;
mod provider;
mod redis_server;
mod stand_in;
mod steady;
mod waiting;

mod accounts;
mod catalog;
mod contract;
mod credentials;
mod dashboard;
mod database;
mod drain;
mod faults;
mod fuzz;
mod invalidations;
mod job_failures;
mod jobs;
mod media;
mod orders;
mod overload;
mod payments;
mod read_host;
mod reads;
mod sessions;
mod shards;
mod shop;
mod slow_clients;
mod start;
mod tls;
mod traces;
mod webhooks;
mod workers;
