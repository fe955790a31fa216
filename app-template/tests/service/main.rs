//! The promises of the service, kept by a real process on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says by a panic what went wrong; clippy recognises only the test functions as tests"
)]

mod child;
mod client;
mod redis_server;

mod contract;
mod drain;
mod overload;
mod payments;
mod sessions;
mod start;
mod traces;
