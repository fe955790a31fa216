//! Tests of ScalableApp on a real Kubernetes: the view of one test on a cluster, and a load generator.

pub mod fault_proxy;
pub mod fleet;
pub mod interrupt;
pub mod load;
pub mod operator;
pub mod percentiles;
pub mod process;
pub mod prometheus_stub;
pub mod world;

/// The folder of the crate.
pub const CRATE_DIR: &str = env!("CARGO_MANIFEST_DIR");
