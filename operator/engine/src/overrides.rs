//! What people ask for a while: other bounds, or the replicas that there are. Pure.

use crate::bounds::{Bound, Bounds};
use crate::reason;
use serde::{Deserialize, Serialize};

/// What the overrides that are in force say of one component. Each names the one that says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overrides {
    /// Keeps the replicas that there are.
    pub hold: Option<String>,
    /// The fewest replicas.
    pub min: Option<(i32, String)>,
    /// The most replicas.
    pub max: Option<(i32, String)>,
}

impl Overrides {
    /// The floor that is asked for.
    pub(crate) fn floor(&self) -> Option<Bound> {
        self.min.as_ref().map(bound)
    }

    /// The ceiling that is asked for.
    pub(crate) fn ceiling(&self) -> Option<Bound> {
        self.max.as_ref().map(bound)
    }

    /// The bounds while the replicas are held: the current ones, as far as the bounds allow them.
    pub(crate) fn held(&self, bounds: Bounds, current: i32) -> Bounds {
        let Some(name) = &self.hold else { return bounds };
        let range = bounds.range();
        let replicas = current.clamp(range.min, range.max);
        let held = Bound { replicas, reason: reason::HELD, by: format!("override {name}") };
        Bounds {
            floor: bounds.floor.or_higher(Some(held.clone())),
            ceiling: bounds.ceiling.or_lower(Some(held)),
        }
    }
}

fn bound((replicas, name): &(i32, String)) -> Bound {
    Bound { replicas: *replicas, reason: reason::OVERRIDE, by: format!("override {name}") }
}
