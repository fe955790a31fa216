//! How much bad requests come together: the overdispersion φ. Pure.
//!
//! Given the bad requests of a revision in some slices, and the share of its requests that each pod had, independent ones
//! would fall on the pods like a multinomial. φ is how many times larger the squares of the differences are. It is
//! measured over batches of several lengths, as bursts and episodes may last longer than a slice. The largest counts of
//! those that chance does not explain.
//! It is that of the stable revision: whether the canary differs is the question, and a sick pod of it is no noise. What all
//! pods share, such as a change of load or a brownout, is not in it: it is not in the comparison either.

use super::counts::{Arm, BadKind, Tally};

/// Lengths of batches, in slices.
const SCALES: [u32; 5] = [1, 2, 4, 8, 12];

/// Standard deviations by which φ must be above 1 to count: noise alone passes in one of forty cases. Without this the
/// largest of five scales costs a service with independent errors a fifth of its evidence.
const SIGNIFICANT: f64 = 2.0;

const KINDS: usize = BadKind::ALL.len();

/// Sums over the batches of one length.
#[derive(Clone, Debug, Default)]
struct Batches {
    slices: u32,
    /// By the number of the pod.
    open: Vec<Tally>,
    /// Squares of the differences, by kind.
    squares: [f64; KINDS],
    /// What they would be for independent requests, by kind.
    expected: [f64; KINDS],
    /// The variance of the squares for independent requests, by kind.
    variance: [f64; KINDS],
}

impl Batches {
    fn push(&mut self, arm: &Arm, length: u32) {
        for (pod, tally) in &arm.pods {
            if self.open.len() <= *pod {
                self.open.resize(pod + 1, Tally::default());
            }
            if let Some(open) = self.open.get_mut(*pod) {
                open.add(tally);
            }
        }
        self.slices += 1;
        if self.slices >= length {
            self.close();
        }
    }

    fn close(&mut self) {
        let mut all = Tally::default();
        self.open.iter().for_each(|tally| all.add(tally));
        let shares = || self.open.iter().map(|tally| tally.requests / all.requests);
        let power = |exponent| shares().map(|share| share.powi(exponent)).sum::<f64>();
        // The variance of a sum of squares of a multinomial, of which all pairs of its members add up to this.
        let spread = (power(2) - 2.0 * power(3) + power(2).powi(2)).max(0.0);
        for (kind, bad) in all.bad.into_iter().enumerate().filter(|(_, bad)| *bad > 0.0) {
            let squares =
                self.open.iter().zip(shares()).map(|(tally, share)| (tally.bad[kind] - bad * share).powi(2));
            self.squares[kind] += squares.sum::<f64>();
            self.expected[kind] += bad * (1.0 - power(2));
            self.variance[kind] += 2.0 * bad * (bad - 1.0).max(0.0) * spread;
        }
        self.open.iter_mut().for_each(|tally| *tally = Tally::default());
        self.slices = 0;
    }
}

/// The dispersion of the pods of one revision, over all scales.
#[derive(Clone, Debug, Default)]
pub(super) struct Dispersion {
    scales: [Batches; SCALES.len()],
}

impl Dispersion {
    pub(super) fn push(&mut self, arm: &Arm) {
        self.scales.iter_mut().zip(SCALES).for_each(|(scale, length)| scale.push(arm, length));
    }
}

/// φ of a kind over several times, at least 1, and the length of the batches that it comes from.
pub(super) fn phi<const N: usize>(parts: [&Dispersion; N], kind: usize) -> (f64, u32) {
    let mut largest = (1.0, 1);
    for (at, length) in SCALES.iter().enumerate() {
        let sum = |of: fn(&Batches) -> &[f64; KINDS]| -> f64 {
            parts.iter().map(|one| of(&one.scales[at])[kind]).sum()
        };
        let (squares, expected) = (sum(|scale| &scale.squares), sum(|scale| &scale.expected));
        let is_chance = squares - expected <= SIGNIFICANT * sum(|scale| &scale.variance).sqrt();
        if !is_chance && expected > 0.0 && squares / expected > largest.0 {
            largest = (squares / expected, *length);
        }
    }
    largest
}
