//! PROPOSE: the proposal of each metric. Pure.

pub(crate) mod cache;
pub(crate) mod evaluate;
pub(crate) mod latency;
pub mod metric;
pub(crate) mod recent;
pub(crate) mod throughput;
pub(crate) mod time_to_useful;
pub(crate) mod worker;
