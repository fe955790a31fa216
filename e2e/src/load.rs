//! An open-loop HTTP load generator: requests leave when the profile says so, whether or not earlier ones were answered.
//!
//! A closed loop would slow down with the server and hide what its users see.

mod connection;
mod generator;
mod profile;
mod report;

pub use generator::{Options, generate};
pub use profile::Profile;
pub use report::{Failed, Latency, Report};

pub mod target;
