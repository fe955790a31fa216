//! Canaries and blue-green rollouts: each rule of theirs, and what holds through any order of edits, faults and acts.
#![allow(clippy::expect_used, reason = "clippy sees tests only in functions marked as such")]

mod acts;
mod any_order;
mod any_switch;
mod blue_green;
mod canary;
mod world;
