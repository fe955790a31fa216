//! The minimum and the maximum of replicas. Pure.

/// Minimum and maximum replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Minimum.
    pub min: i32,
    /// Maximum.
    pub max: i32,
}
