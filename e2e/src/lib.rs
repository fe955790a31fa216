//! A real Kubernetes for tests. `cluster` brings one up on this machine.
pub mod cluster;
