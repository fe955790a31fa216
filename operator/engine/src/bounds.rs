//! The fewest and the most replicas that a component may have. Pure.

use crate::reason::{self, Reason};

/// The fewest and the most replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The fewest.
    pub min: i32,
    /// The most.
    pub max: i32,
}

impl Range {
    /// The range to scale in, and the reasons to name at once: where the minimum is above the maximum, the maximum
    /// wins and both are named.
    pub fn resolve(min: i32, max: i32) -> (Self, Vec<Reason>) {
        if min > max {
            (Self { min: max, max }, vec![reason::MIN_REPLICAS, reason::MAX_REPLICAS])
        } else {
            (Self { min, max }, Vec::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maximum_wins_over_the_minimum() {
        let (range, limited_by) = Range::resolve(6, 4);
        assert_eq!(range, Range { min: 4, max: 4 });
        assert_eq!(limited_by, [reason::MIN_REPLICAS, reason::MAX_REPLICAS]);
    }
}
