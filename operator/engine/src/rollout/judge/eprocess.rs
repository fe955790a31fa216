//! E-processes: evidence that may be looked at after every slice. Pure.
//!
//! Given all bad requests of a slice, and the share w of its requests that the canary had, each bad one is the canary's
//! with probability p(θ, w) = θw / (θw + 1 − w), where θ is the ratio of the two shares of bad requests. For independent
//! requests the likelihood ratio of an alternative θ′ to a bound ρ, multiplied over slices, has a mean of at most 1 as
//! long as θ is on the other side of ρ. So has any mixture over alternatives and over the slice to start at. By Ville's
//! inequality (1939) it ever reaches 1/α with probability at most α, however often one looks, whatever the weights.
//! See Lindon and Malek, *Anytime-Valid Inference for Multinomial Count Data*, NeurIPS 2022.
//!
//! Every likelihood ratio is raised to 1/φ, for bad requests that come together. That needs no assumption on φ ≥ 1: as
//! x^(1/φ) ≤ 1 + (x − 1)/φ, the deflated process reaches 1/α only if the other one does.

use std::f64::consts::LN_2;

/// Ratios of alternatives, relative to the bound, with their weights. The weights sum up to 1.
#[derive(Clone, Debug)]
pub struct Alternatives(Vec<Alternative>);

#[derive(Clone, Copy, Debug)]
struct Alternative {
    ratio: f64,
    ln_weight: f64,
}

/// The ratios of the judge with their weights: from hardly worse to an outage, most of it on what a bad version does.
const RATIOS: [(f64, f64); 8] =
    [(1.1, 0.05), (1.25, 0.05), (1.5, 0.1), (2.0, 0.2), (3.0, 0.2), (5.0, 0.2), (10.0, 0.1), (30.0, 0.1)];

impl Alternatives {
    /// Alternatives by ratio and weight.
    #[must_use]
    pub fn of(ratios: &[(f64, f64)]) -> Self {
        Self(ratios.iter().map(|&(ratio, weight)| Alternative { ratio, ln_weight: weight.ln() }).collect())
    }

    /// A canary that is worse than the bound.
    pub(super) fn worse() -> Self {
        Self::of(&RATIOS)
    }

    /// A canary that is better than the bound.
    pub(super) fn better() -> Self {
        Self::of(&RATIOS.map(|(ratio, weight)| (1.0 / ratio, weight)))
    }
}

/// The weights of the slices at which evidence may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starts {
    /// At the first slice alone.
    First,
    /// Half at the first slice, so that an early regression is found early. The other half from then on, once in this
    /// number of slices, so that a late one is not hidden by what was good before: a quarter over the first 32 of these
    /// starts, an eighth over the next 32, and so on.
    Every(u32),
}

/// Starts that have the same weight.
const BLOCK: u64 = 32;

impl Starts {
    /// The logarithm of the weight of a slice, if evidence may start at it.
    fn ln_weight(self, slice: u64) -> Option<f64> {
        match (self, slice) {
            (Self::First, 0) => Some(0.0),
            (Self::Every(_), 0) => Some(-LN_2),
            (Self::Every(every), _) if slice.is_multiple_of(u64::from(every.max(1))) => {
                let start = slice / u64::from(every.max(1)) - 1;
                Some(-((start / BLOCK + 2) as f64) * LN_2 - (BLOCK as f64).ln())
            }
            _ => None,
        }
    }

    /// The weight of the starts after a slice.
    fn rest(self, slice: u64) -> f64 {
        let Self::Every(every) = self else { return 0.0 };
        let begun = slice / u64::from(every.max(1));
        let (blocks, of_block) = (begun / BLOCK, (begun % BLOCK) as f64 / BLOCK as f64);
        let block = (-((blocks + 2) as f64) * LN_2).exp();
        2.0 * block - block * of_block
    }
}

/// Evidence that the ratio of the shares of bad requests, canary to stable, is on the other side of a bound.
#[derive(Clone, Debug)]
pub struct EProcess {
    bound: f64,
    alternatives: Alternatives,
    starts: Starts,
    phi: f64,
    ln_capital: Vec<f64>,
    slices: u64,
}

impl EProcess {
    /// Evidence against a ratio at `bound`, above 0, in favor of `alternatives` of it, divided by `phi`, at least 1.
    #[must_use]
    pub fn new(bound: f64, alternatives: Alternatives, starts: Starts, phi: f64) -> Self {
        let ln_capital = vec![f64::NEG_INFINITY; alternatives.0.len()];
        Self { bound, alternatives, starts, phi: phi.max(1.0), ln_capital, slices: 0 }
    }

    /// Adds a slice: requests and bad ones of canary and stable.
    pub fn push(&mut self, (canary_requests, canary_bad): (f64, f64), (requests, bad): (f64, f64)) {
        if let Some(ln_weight) = self.starts.ln_weight(self.slices) {
            self.ln_capital.iter_mut().for_each(|capital| *capital = ln_add(*capital, ln_weight));
        }
        self.slices += 1;
        let (all, total) = (canary_bad + bad, canary_requests + requests);
        // Where one revision had no requests, it could have no bad ones either.
        if all <= 0.0 || canary_requests <= 0.0 || requests <= 0.0 {
            return;
        }
        let share = canary_requests / total;
        let ln_bound = ((self.bound - 1.0) * share).ln_1p();
        for (capital, Alternative { ratio, .. }) in self.ln_capital.iter_mut().zip(&self.alternatives.0) {
            let ln_alternative = ((ratio * self.bound - 1.0) * share).ln_1p();
            *capital += (canary_bad * ratio.ln() - all * (ln_alternative - ln_bound)) / self.phi;
        }
    }

    /// The natural logarithm of the evidence. It is 0 at first, and proves something at ln(1/α).
    #[must_use]
    pub fn ln(&self) -> f64 {
        if self.slices == 0 {
            return 0.0;
        }
        let begun = self.ln_capital.iter().zip(&self.alternatives.0);
        ln_add(
            begun.fold(f64::NEG_INFINITY, |sum, (capital, one)| ln_add(sum, capital + one.ln_weight)),
            self.starts.rest(self.slices - 1).ln(),
        )
    }

    /// Slices until the evidence reaches a logarithm, at expected counts of a slice; none if it never does. The fastest
    /// alternative decides, from the first slice.
    #[must_use]
    pub fn expected_slices(&self, canary: (f64, f64), stable: (f64, f64), ln_goal: f64) -> Option<f64> {
        let mut one = Self::new(self.bound, self.alternatives.clone(), self.starts, self.phi);
        one.push(canary, stable);
        let first = self.starts.ln_weight(0)?;
        let slices = one.ln_capital.iter().zip(&one.alternatives.0).filter_map(|(capital, alternative)| {
            let drift = capital - first;
            (drift > 0.0).then(|| (ln_goal - first - alternative.ln_weight).max(0.0) / drift)
        });
        slices.min_by(f64::total_cmp)
    }
}

/// Shares of the largest share that is accepted, with their weights. Nearly all is on 0: without a bad request the
/// bound is `n ≥ ln α / ln(1 − p)`, by less than one request. The rest lets a rare bad one pass.
const SHARES: [(f64, f64); 5] = [(0.0, 0.998), (0.01, 5e-4), (0.1, 5e-4), (0.25, 5e-4), (0.5, 5e-4)];

/// The logarithm of the evidence that the share of bad requests is below `largest`, within (0, 1).
#[must_use]
pub fn ln_below(largest: f64, requests: f64, bad: f64, phi: f64) -> f64 {
    SHARES.iter().fold(f64::NEG_INFINITY, |sum, (part, weight)| {
        let share = part * largest;
        let of_bad = if bad > 0.0 { bad * part.ln() } else { 0.0 };
        let of_good = (requests - bad).max(0.0) * ((-share).ln_1p() - (-largest).ln_1p());
        ln_add(sum, weight.ln() + (of_bad + of_good) / phi.max(1.0))
    })
}

/// Requests until [`ln_below`] is expected to reach a logarithm at a share of bad ones; none if it never does.
#[must_use]
pub fn expected_requests(largest: f64, share: f64, phi: f64, ln_goal: f64) -> Option<f64> {
    let requests = SHARES.iter().filter_map(|(part, weight)| {
        let of_bad = if share > 0.0 { share * part.ln() } else { 0.0 };
        let drift =
            (of_bad + (1.0 - share) * ((-part * largest).ln_1p() - (-largest).ln_1p())) / phi.max(1.0);
        (drift > 0.0).then(|| (ln_goal - weight.ln()) / drift)
    });
    requests.min_by(f64::total_cmp)
}

/// The logarithm of a sum, by the logarithms of its terms.
pub(super) fn ln_add(one: f64, other: f64) -> f64 {
    let (high, low) = if one > other { (one, other) } else { (other, one) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// The logarithm of the mean of e-values, which is an e-value whatever their dependence (Vovk and Wang 2021).
pub(super) fn ln_mean(ln_values: &[f64]) -> f64 {
    ln_values.iter().fold(f64::NEG_INFINITY, |sum, one| ln_add(sum, *one)) - (ln_values.len() as f64).ln()
}
