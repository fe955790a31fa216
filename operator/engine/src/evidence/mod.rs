//! What was measured, and whether it may be acted on.

pub(crate) mod exact;
pub mod sample;
pub mod zero;
