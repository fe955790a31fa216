//! Replays a load trace through a model of an app with an autoscaler, in virtual time. Pure.
//!
//! [`replay()`] is the entry point.
//!
//! - The input is a [`Replay`]: the requests of a trace ([`workload::Workload`]), the autoscaler and its setting
//!   ([`setting::Contender`], [`setting::Setting`]), and the start time of pods.
//! - The output is an [`Outcome`]: for each minute the requests and those that were too slow or failed, for each second
//!   the pods, and the number of started pods.
//!
//! Nothing waits: an hour of load takes much less than a second. The same input gives the same outcome on every
//! machine. The constants of [`app`], [`autoscaler`] and [`workload`] are the assumptions of the model.

pub mod app;
pub mod autoscaler;
mod clock;
mod replay;
pub mod setting;
pub mod workload;

pub use replay::{Outcome, Replay, replay, replay_while};
