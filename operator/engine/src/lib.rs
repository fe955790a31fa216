//! Every decision of ScalableApp, as pure functions.

pub mod behavior;
pub mod combine;
mod convert;
pub mod history;
pub mod normalize;
pub mod pod;
pub mod scale;
pub mod signal;
