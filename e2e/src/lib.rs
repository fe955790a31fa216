//! A real Kubernetes for tests: a local cluster, and a load generator.

pub mod cluster;
pub mod load;
