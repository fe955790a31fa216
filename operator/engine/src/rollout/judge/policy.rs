//! What the judge is asked to prove, and with which errors. Pure.

use super::counts::BadKind;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// What a canary is judged by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CanaryPolicy {
    /// α of an abort: the probability that a canary within [`Self::tolerated`] is ever aborted, within (0, 0.5].
    pub false_abort: f64,
    /// α of a promotion: the probability, for one kind of bad requests and one proof, that a canary beyond
    /// [`Self::excluded`] passes a step, within (0, 0.5].
    pub false_promote: f64,
    /// A canary is aborted if its share of bad requests is proven to be more than this many times the stable one's; 1 or
    /// more.
    pub tolerated: f64,
    /// A step is passed if it is proven to be less than this many times; above [`Self::tolerated`].
    pub excluded: f64,
    /// Or if the share itself is proven to be below this, by [`BadKind::ALL`], within (0, 1). It is what a service
    /// without errors is promoted by.
    pub largest_share: [f64; BadKind::ALL.len()],
    /// Length of a slice in seconds, 1 to 300.
    pub slice_seconds: u32,
    /// Seconds after a pod becomes ready in which it is left out.
    pub warm_up_seconds: u32,
}

impl Default for CanaryPolicy {
    fn default() -> Self {
        Self {
            false_abort: 0.01,
            false_promote: 0.05,
            tolerated: 1.0,
            excluded: 2.0,
            largest_share: [0.01; BadKind::ALL.len()],
            slice_seconds: 15,
            warm_up_seconds: 60,
        }
    }
}

/// A policy that cannot be followed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// A number is out of its range.
    #[error("failed to read the policy: {name} is {value}, but must be {range}")]
    OutOfRange {
        /// The number.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
}

impl CanaryPolicy {
    /// Checks every range.
    ///
    /// # Errors
    ///
    /// The first number that is out of its range.
    pub fn check(&self) -> Result<(), PolicyError> {
        let small: RangeInclusive<f64> = 1e-9..=0.5;
        let check = |is_good: bool, name, value, range| {
            if is_good { Ok(()) } else { Err(PolicyError::OutOfRange { name, value, range }) }
        };
        let (abort, promote) = (self.false_abort, self.false_promote);
        check(small.contains(&abort), "false_abort", abort, "from 1e-9 to 0.5")?;
        check(small.contains(&promote), "false_promote", promote, "from 1e-9 to 0.5")?;
        check((1.0..=1e3).contains(&self.tolerated), "tolerated", self.tolerated, "from 1 to 1000")?;
        let excluded = self.excluded > self.tolerated && self.excluded <= 1e6;
        check(excluded, "excluded", self.excluded, "above tolerated, and at most 1000000")?;
        for share in self.largest_share {
            check((1e-9..1.0).contains(&share), "largest_share", share, "from 1e-9 to below 1")?;
        }
        let seconds = self.slice_seconds;
        check((1..=300).contains(&seconds), "slice_seconds", f64::from(seconds), "from 1 to 300")
    }

    pub(super) fn ln_abort_goal(&self) -> f64 {
        -self.false_abort.ln()
    }

    pub(super) fn ln_promote_goal(&self) -> f64 {
        -self.false_promote.ln()
    }

    /// A minute in slices, at least one.
    pub(super) fn minute(&self) -> u32 {
        (60 / self.slice_seconds.max(1)).max(1)
    }
}
