//! The code that writes, against API servers that are functions.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

mod caches;
mod children;
mod cnpg;
mod deletion_costs;
mod ejection;
mod events;
mod fake;
mod lease;
mod namespaces;
mod overrides;
mod refusals;
mod removed;
mod routes;
mod shortages;
mod tick;
mod unreadable;
