//! The promises of the service, kept by a real process on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test says by a panic what went wrong; clippy recognises only the test functions as tests"
)]

mod child;
mod client;
mod own_writes;
mod postgres;
mod provider;
mod redis_server;

mod contract;
mod drain;
mod faults;
mod jobs;
mod media;
mod overload;
mod payments;
mod reads;
mod sessions;
mod shop;
mod start;
mod traces;
