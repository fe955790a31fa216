//! Kubernetes' own arithmetic, as `tests/hpa-vectors` define it. Pure.

pub mod behavior;
pub mod combine;
pub(crate) mod convert;
pub mod history;
pub mod normalize;
pub mod pod;
pub mod range;
pub mod scale;
pub mod signal;
