//! The judge on the stable revision itself: φ before the rollout, and how often two halves of its pods are told apart. Pure.
//!
//! Two halves of the same pods cannot differ in their version. If more of such comparisons than α end in an abort, φ is
//! too small for this service, and it is widened until that is no longer so.

use super::attribution::Attribution;
use super::counts::{Arm, BadKind, Pair, PodNumbers, RevisionCounts};
use super::dispersion::{self, Dispersion};
use super::policy::CanaryPolicy;
use super::proof::{self, Direction, Phis, Proof};

/// Widths to try, as factors of φ.
const FACTORS: [f64; 9] = [1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0];

/// Length of a comparison, in minutes: as long as a short rollout.
const MINUTES: usize = 20;

/// Ways to halve the pods, each in both directions.
const HALVES: usize = 4;

/// What the past of the stable revision says of its noise.
#[derive(Clone, Debug)]
pub struct Calibration {
    pub(super) dispersion: Dispersion,
    /// The factor by which φ is widened; 1 if it need not be.
    pub widening: f64,
    /// Comparisons of two halves of the stable pods.
    pub comparisons: u32,
    /// Those of them that ended in an abort, before φ was widened.
    pub aborts: u32,
}

impl Default for Calibration {
    fn default() -> Self {
        Self { dispersion: Dispersion::default(), widening: 1.0, comparisons: 0, aborts: 0 }
    }
}

impl Calibration {
    /// From slices of the stable revision before the rollout, oldest first. Without any, nothing is known of the noise.
    #[must_use]
    pub fn of<'a>(policy: &CanaryPolicy, slices: impl IntoIterator<Item = &'a RevisionCounts>) -> Self {
        let mut numbers = PodNumbers::default();
        let arms: Vec<Arm> =
            slices.into_iter().map(|slice| numbers.arm(slice, policy.warm_up_seconds)).collect();
        let mut calibration = Self::default();
        arms.iter().for_each(|arm| calibration.dispersion.push(arm));
        for factor in FACTORS {
            let (aborts, comparisons) = compare(policy, &arms, &calibration.phis(factor));
            if factor == 1.0 {
                (calibration.aborts, calibration.comparisons) = (aborts, comparisons);
            }
            calibration.widening = factor;
            if f64::from(aborts) <= policy.false_abort * f64::from(comparisons) {
                break;
            }
        }
        calibration
    }

    fn phis(&self, factor: f64) -> Phis {
        std::array::from_fn(|kind| factor * dispersion::phi([&self.dispersion], kind).0)
    }

    /// One sentence on how far the judge can be trusted with this service.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { comparisons, aborts, widening, .. } = self;
        match (comparisons, aborts) {
            (0, _) => "There is no past of the stable pods to calibrate on.".to_owned(),
            (_, 0) => {
                format!("No two halves of the stable pods were told apart, in {comparisons} comparisons.")
            }
            _ => format!(
                "Two halves of the stable pods were told apart in {aborts} of {comparisons} comparisons. \
                 So the evidence counts for a factor of {widening} less."
            ),
        }
    }
}

/// Aborts and comparisons over all windows, halves and directions.
fn compare(policy: &CanaryPolicy, arms: &[Arm], phis: &Phis) -> (u32, u32) {
    let (mut aborts, mut comparisons) = (0, 0);
    for window in arms.chunks_exact(MINUTES * policy.minute() as usize) {
        for way in 0..2 * HALVES {
            let pairs: Vec<Pair> = window.iter().map(|arm| halve(arm, way)).collect();
            if pairs.iter().any(|pair| pair.canary.all.requests > 0.0 && pair.stable.all.requests > 0.0) {
                comparisons += 1;
                aborts += u32::from(is_aborted(policy, phis, &pairs));
            }
        }
    }
    (aborts, comparisons)
}

/// Two halves of the pods, by number. Ways that differ in the lowest bit alone are the same halves, exchanged.
fn halve(arm: &Arm, way: usize) -> Pair {
    // Alternating, by pairs, by fours, and a mixture: each splits any run of pods about evenly.
    let half = |pod: usize| match way / 2 {
        0 => pod,
        1 => pod / 2,
        2 => pod / 4,
        _ => pod + pod / 2,
    };
    let part =
        |parity: usize| Arm::of(arm.pods.iter().filter(|(pod, _)| (half(*pod) + way) % 2 == parity).copied());
    Pair { canary: part(0), stable: part(1) }
}

/// Whether these slices ever end in an abort, with a look after each.
fn is_aborted(policy: &CanaryPolicy, phis: &Phis, pairs: &[Pair]) -> bool {
    let mut worse = Proof::new(Direction::Worse, policy, phis);
    let goal = policy.ln_abort_goal();
    pairs.iter().enumerate().any(|(at, pair)| {
        worse.push(pair, None);
        worse.ln_any() >= goal && {
            let seen = pairs.get(..=at).unwrap_or_default();
            let attribution = proof::attribute(policy, phis, seen, goal, |_| String::new());
            !matches!(attribution, Attribution::OnePod(_))
        }
    })
}

/// φ by kind with the length of its batches, from the stable revision before and during a rollout.
pub(super) fn phis(past: &Calibration, now: &Dispersion) -> [(f64, u32); BadKind::ALL.len()] {
    std::array::from_fn(|kind| {
        let (phi, slices) = dispersion::phi([&past.dispersion, now], kind);
        (phi * past.widening, slices)
    })
}
