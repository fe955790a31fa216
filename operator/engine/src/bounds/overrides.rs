//! Temporary bounds or a hold set by people. Pure.

use crate::bounds::{Bound, Bounds};
use crate::hpa::range::Range;
use crate::reason;
use serde::{Deserialize, Serialize};

/// The overrides in force for one component. Each bound names its override.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overrides {
    /// Holds the replicas of the last decision.
    pub hold: Option<String>,
    /// The minimum replicas.
    pub min: Option<(i32, String)>,
    /// The maximum replicas.
    pub max: Option<(i32, String)>,
}

impl Overrides {
    /// Whether an override of that name is among them.
    pub fn names(&self, name: &str) -> bool {
        let bounds = self.min.iter().chain(&self.max).map(|(_, name)| name);
        bounds.chain(&self.hold).any(|one| one == name)
    }

    /// The minimum, if any.
    pub(crate) fn floor(&self) -> Option<Bound> {
        self.min.as_ref().map(bound)
    }

    /// The maximum, if any.
    pub(crate) fn ceiling(&self) -> Option<Bound> {
        self.max.as_ref().map(bound)
    }

    /// The bounds while `replicas` are held, within the component's own bounds.
    pub(crate) fn held(&self, bounds: Bounds, replicas: i32) -> Bounds {
        let Some(name) = &self.hold else { return bounds };
        let range = bounds.range();
        let replicas = replicas.clamp(range.min, range.max);
        let held = Bound::new(replicas, reason::HELD, format!("override {name}"));
        Bounds {
            floor: bounds.floor.or_higher(Some(held.clone())),
            ceiling: bounds.ceiling.or_lower(Some(held)),
        }
    }
}

/// The effect of an override's bounds within a component's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// They apply as they are.
    Whole,
    /// They apply up to `maxReplicas`.
    Clamped,
    /// They have no effect.
    Nothing,
    /// They have no effect, because the component may not have 0 replicas.
    NotZero,
}

impl Effect {
    /// The effect of bounds without other overrides.
    pub fn of(min: Option<i32>, max: Option<i32>, own: Range) -> Self {
        if max == Some(0) && own.min > 0 {
            return Self::NotZero;
        }
        let ceiling = max.unwrap_or(own.max).min(own.max);
        let floor = min.unwrap_or(own.min).max(own.min).min(ceiling);
        if (floor, ceiling) == (own.min, own.max) {
            Self::Nothing
        } else if min.max(max) > Some(own.max) {
            Self::Clamped
        } else {
            Self::Whole
        }
    }

    /// The words for it, where they do not apply as they are.
    pub fn remark(self, component: &str, own: Range) -> Option<String> {
        let Range { min, max } = own;
        match self {
            Self::Whole => None,
            Self::Clamped => {
                Some(format!("{component} runs at most {max} by its maxReplicas, raise that for more"))
            }
            Self::Nothing => Some(format!(
                "nothing changes for {component}, whose minReplicas is {min} and maxReplicas {max}"
            )),
            Self::NotZero => Some(format!(
                "{component} keeps running, because its minReplicas is {min}: 0 is for a minReplicas of 0"
            )),
        }
    }
}

fn bound((replicas, name): &(i32, String)) -> Bound {
    Bound::new(*replicas, reason::OVERRIDE, format!("override {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_are_clamped_or_change_nothing_are_told_from_those_that_count() {
        let of = |min, max| Effect::of(min, max, Range { min: 2, max: 4 });
        let cases = [
            ((Some(50), Some(50)), Effect::Clamped),
            ((Some(3), Some(9)), Effect::Clamped),
            ((Some(9), None), Effect::Clamped),
            ((None, Some(9)), Effect::Nothing),
            ((Some(1), None), Effect::Nothing),
            ((Some(2), Some(4)), Effect::Nothing),
            ((None, Some(3)), Effect::Whole),
            ((None, Some(1)), Effect::Whole),
            ((Some(3), None), Effect::Whole),
            ((Some(3), Some(3)), Effect::Whole),
            ((Some(0), Some(0)), Effect::NotZero),
            ((None, Some(0)), Effect::NotZero),
        ];
        for ((min, max), effect) in cases {
            assert_eq!(of(min, max), effect, "{min:?} {max:?}");
        }
        assert_eq!(Effect::of(Some(0), Some(0), Range { min: 0, max: 4 }), Effect::Whole);
        let fixed = Range { min: 4, max: 4 };
        assert_eq!(Effect::of(Some(50), Some(50), fixed), Effect::Nothing);
    }
}
