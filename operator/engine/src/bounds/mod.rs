//! Minimum and maximum replicas of a component, and their sources. Pure.

pub mod circuit;
pub mod cron;
pub(crate) mod diagnosis;
pub(crate) mod evicting;
pub mod fallback;
pub(crate) mod incomplete_window;
pub(crate) mod last_decision;
pub mod overrides;
pub mod schedule;
pub(crate) mod throughput;
pub(crate) mod ungranted;

use crate::hpa::range::Range;
use crate::reason::{self, Reason};
use schedule::Schedule;

/// A minimum or a maximum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The replicas.
    pub replicas: i32,
    /// The reason while it limits.
    pub reason: Reason,
    /// Its source, in words that change with the source only.
    pub by: String,
    /// The measurement, in words that change with each value; empty without one.
    pub measured: String,
}

/// Minimum and maximum, with their sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The minimum replicas.
    pub floor: Bound,
    /// The maximum replicas. Where the minimum is higher, the maximum wins.
    pub ceiling: Bound,
}

impl Bound {
    /// A bound without a measurement.
    pub fn new(replicas: i32, reason: Reason, by: String) -> Self {
        Self { replicas, reason, by, measured: String::new() }
    }

    /// A component's own `minReplicas`.
    pub fn of_min(replicas: i32) -> Self {
        Self::new(replicas, reason::MIN_REPLICAS, "minReplicas".to_owned())
    }

    /// A component's own `maxReplicas`.
    pub fn of_max(replicas: i32) -> Self {
        Self::new(replicas, reason::MAX_REPLICAS, "maxReplicas".to_owned())
    }

    /// The minimum of an active schedule.
    pub fn of_schedule(schedule: &Schedule) -> Self {
        Self::new(schedule.min_replicas, reason::SCHEDULE, format!("schedule {}", schedule.name))
    }

    /// The replicas that synchronous replication of a database needs.
    pub fn required(replicas: i32) -> Self {
        let by = "synchronous replication of the Cluster".to_owned();
        Self::new(replicas, reason::SYNCHRONOUS_REPLICAS, by)
    }

    /// The higher of two minimums; this one if they are equal.
    #[must_use]
    pub fn or_higher(self, other: Option<Self>) -> Self {
        other.filter(|other| other.replicas > self.replicas).unwrap_or(self)
    }

    /// The lower of two maximums; this one if they are equal.
    #[must_use]
    pub fn or_lower(self, other: Option<Self>) -> Self {
        other.filter(|other| other.replicas < self.replicas).unwrap_or(self)
    }
}

impl Bounds {
    /// The range for scaling.
    pub fn range(&self) -> Range {
        Range { min: self.floor.replicas.min(self.ceiling.replicas), max: self.ceiling.replicas }
    }

    /// The reasons to name together: both, where the minimum is above the maximum.
    pub fn conflict(&self) -> Vec<Reason> {
        if self.floor.replicas > self.ceiling.replicas {
            vec![self.floor.reason, self.ceiling.reason]
        } else {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_wins_over_the_floor() {
        let bounds = Bounds { floor: Bound::of_min(6), ceiling: Bound::of_max(4) };
        assert_eq!(bounds.range(), Range { min: 4, max: 4 });
        assert_eq!(bounds.conflict(), [reason::MIN_REPLICAS, reason::MAX_REPLICAS]);
    }

    #[test]
    fn the_tighter_of_two_bounds_counts() {
        let (two, five) = (Bound::of_min(2), Bound::of_max(5));
        assert_eq!(two.clone().or_higher(Some(five.clone())), five);
        assert_eq!(five.clone().or_higher(Some(two.clone())), five);
        assert_eq!(five.or_lower(Some(two.clone())), two);
    }
}
