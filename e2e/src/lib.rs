//! Tests of ScalableApp on a real Kubernetes: a local cluster, what one test sees of it, and a load generator.

pub mod chart;
pub mod cluster;
pub mod fault_proxy;
pub mod fleet;
pub mod interrupt;
pub mod load;
pub mod operator;
pub mod percentiles;
pub mod process;
pub mod prometheus_stub;
pub mod tools;
pub mod world;
