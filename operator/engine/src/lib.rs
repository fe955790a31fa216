//! Every decision of ScalableApp, as pure functions.

pub mod behavior;
pub mod bounds;
pub mod combine;
mod convert;
pub mod decide;
mod evaluate;
mod explain;
pub mod history;
mod latency;
pub mod memory;
pub mod metric;
pub mod normalize;
pub mod pod;
pub mod reason;
pub mod rollout;
pub mod sample;
pub mod scale;
pub mod signal;

pub use decide::{Decision, Input, decide};
pub use evaluate::Invalid;
pub use latency::LatencyStep;
