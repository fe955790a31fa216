//! A load trace replayed through a model of an app, in virtual time: how would an autoscaler have scaled it? Pure.
//!
//! [`replay()`] is the entry point.
//!
//! - In goes a [`Replay`]: the requests of a trace ([`workload::Workload`]), who scales and how it is set
//!   ([`setting::Contender`], [`setting::Setting`]), and how long a pod takes to be ready.
//! - Out comes an [`Outcome`]: for each minute the requests and how many of them were too slow or failed, for each second
//!   the pods, and how many pods were started.
//!
//! Nothing waits: an hour of load takes much less than a second. The same input gives the same outcome, on every machine. The
//! constants of [`app`], [`autoscaler`] and [`workload`] are the assumptions of the model.

pub mod app;
pub mod autoscaler;
mod clock;
mod replay;
pub mod setting;
pub mod workload;

pub use replay::{Outcome, Replay, replay, replay_while};
