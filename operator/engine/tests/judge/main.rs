//! The judge of a canary, from outside: its e-values beside another implementation, its verdicts, its promises.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

mod properties;
mod service;
mod verdicts;
mod ville;
