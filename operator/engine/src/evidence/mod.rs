//! What was measured, and whether it may be acted on. Pure.

pub(crate) mod exact;
pub mod sample;
pub mod zero;
