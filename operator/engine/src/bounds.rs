//! The fewest and the most replicas that a component may have, and what asks for the fewest. Pure.

use crate::reason::{self, Reason};
use crate::schedule::Schedule;

/// The fewest and the most replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The fewest.
    pub min: i32,
    /// The most.
    pub max: i32,
}

/// The fewest replicas that something asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Floor {
    /// The fewest replicas.
    pub replicas: i32,
    /// The reason to give where it holds replicas up.
    pub reason: Reason,
    /// What asks for it, in words.
    pub by: String,
}

impl Floor {
    /// The floor of the component itself.
    pub fn of_spec(min_replicas: i32) -> Self {
        Self { replicas: min_replicas, reason: reason::MIN_REPLICAS, by: "minReplicas".to_owned() }
    }

    /// The floor of a schedule that is on.
    pub fn of_schedule(schedule: &Schedule) -> Self {
        let by = format!("schedule {}", schedule.name);
        Self { replicas: schedule.min_replicas, reason: reason::SCHEDULE, by }
    }

    /// The higher of two floors; this one if they are equal.
    #[must_use]
    pub fn or_higher(self, other: Option<Self>) -> Self {
        other.filter(|other| other.replicas > self.replicas).unwrap_or(self)
    }
}

impl Range {
    /// The range to scale in, and the reasons to name at once: where the floor is above the maximum, the maximum wins
    /// and both are named.
    pub fn resolve(floor: &Floor, max: i32) -> (Self, Vec<Reason>) {
        if floor.replicas > max {
            (Self { min: max, max }, vec![floor.reason, reason::MAX_REPLICAS])
        } else {
            (Self { min: floor.replicas, max }, Vec::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maximum_wins_over_the_floor() {
        let (range, limited_by) = Range::resolve(&Floor::of_spec(6), 4);
        assert_eq!(range, Range { min: 4, max: 4 });
        assert_eq!(limited_by, [reason::MIN_REPLICAS, reason::MAX_REPLICAS]);
    }
}
