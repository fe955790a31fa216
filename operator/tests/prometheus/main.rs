//! Sampling, against a server that answers as Prometheus does, or wrongly.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

mod breakers;
mod canary;
mod client;
mod custom;
mod diagnosis;
mod failures;
mod fake;
mod floods;
mod scrape_jobs;
mod templates;
mod tls;
