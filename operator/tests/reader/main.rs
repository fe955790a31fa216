//! The scripts of a read replica, as its pod runs them, on real PostgreSQL servers on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod copies;
mod eligibility;
mod leaving;
mod pod;
mod primary;
mod process;
mod refusals;
mod secret;
