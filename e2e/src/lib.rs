//! A real Kubernetes from package registries, and one test per promise.
