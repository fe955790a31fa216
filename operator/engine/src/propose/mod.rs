//! How many replicas each metric asks for. Pure.

pub(crate) mod evaluate;
pub(crate) mod latency;
pub mod metric;
