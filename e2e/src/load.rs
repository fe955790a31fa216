//! An open-loop HTTP load generator: requests are sent according to the profile, whether or not earlier ones were
//! answered.
//!
//! A closed loop would slow down with the server and hide the latency for its users.

mod connection;
mod generator;
mod profile;
mod report;

pub use generator::{Options, generate};
pub use profile::Profile;
pub use report::{Failed, Latency, Report};

pub mod target;
