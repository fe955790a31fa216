//! The model of a service whose pods answer well or badly, from a seed. Pure.

use fastrand::Rng;
use scalableapp_engine::rollout::judge::counts::{PodCounts, RevisionCounts};

/// Seconds of a slice.
pub(crate) const SLICE: u32 = 15;
/// Pods of the stable revision.
pub(crate) const STABLE_PODS: usize = 10;
/// Pods of the canary.
pub(crate) const CANARY_PODS: usize = 3;
/// Errors of a healthy revision.
pub(crate) const ERRORS: f64 = 0.005;
/// Slow requests of a healthy revision.
pub(crate) const SLOW: f64 = 0.01;
/// Errors in an episode.
const EPISODE_ERRORS: f64 = 0.05;
/// Seconds between the episodes of one pod: with ten pods there is one in five minutes.
const BETWEEN_EPISODES: f64 = 3000.0;
/// The age of every pod, beyond any warm-up.
const READY_SECONDS: u32 = 3600;

/// How errors come together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Clustering {
    /// Not at all.
    Independent,
    /// In runs of failing requests on a pod, of a geometric length with this mean.
    Bursts(f64),
    /// With episodes of this many seconds on single pods, beside independent ones.
    Episodes(f64),
}

impl Clustering {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Independent => "independent".to_owned(),
            Self::Bursts(mean) => format!("bursts of {mean}"),
            Self::Episodes(seconds) => format!("episodes of {seconds} s"),
        }
    }
}

/// How bad a revision is in a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Health {
    /// Errors of independent requests, and at the begin of bursts.
    pub(crate) errors: f64,
    /// Factor of the errors in episodes.
    pub(crate) ratio: f64,
    /// Errors that are independent in any case: those of a shared brownout.
    pub(crate) more_errors: f64,
    /// Masked failures.
    pub(crate) masked: f64,
    /// Slow requests.
    pub(crate) slow: f64,
}

impl Health {
    pub(crate) fn of(errors: f64, ratio: f64) -> Self {
        Self { errors: errors * ratio, ratio, more_errors: 0.0, masked: 0.0, slow: SLOW }
    }
}

#[derive(Clone, Copy, Default)]
struct PodModel {
    /// Requests of a burst that are still to fail.
    failing: u64,
    /// Seconds of an episode that are left.
    episode: f64,
}

/// The pods of a revision.
pub(crate) struct Pods {
    names: Vec<String>,
    pods: Vec<PodModel>,
}

impl Pods {
    pub(crate) fn new(revision: &str, count: usize) -> Self {
        let names = (0..count).map(|pod| format!("{revision}-{pod}")).collect();
        Self { names, pods: vec![PodModel::default(); count] }
    }

    /// A slice with this load on all pods together.
    pub(crate) fn slice(
        &mut self,
        rng: &mut Rng,
        requests_per_second: f64,
        clustering: Clustering,
        health: Health,
    ) -> RevisionCounts {
        let mean = requests_per_second * f64::from(SLICE) / self.pods.len() as f64;
        let pods = self.names.iter().zip(&mut self.pods);
        let counts = pods.map(|(name, pod)| {
            let requests = poisson(rng, mean);
            let errors = pod.errors(rng, requests, clustering, health);
            let counts = PodCounts {
                requests,
                errors,
                slow: binomial(rng, requests, health.slow),
                masked: binomial(rng, requests - errors, health.masked),
                ready_seconds: READY_SECONDS,
            };
            (name.clone(), counts)
        });
        RevisionCounts { pods: counts.collect(), ..RevisionCounts::default() }
    }
}

impl PodModel {
    fn errors(&mut self, rng: &mut Rng, requests: u64, clustering: Clustering, health: Health) -> u64 {
        let own = match clustering {
            Clustering::Independent => binomial(rng, requests, health.errors),
            Clustering::Bursts(mean) => self.burst_errors(rng, requests, mean, health.errors),
            Clustering::Episodes(seconds) => {
                if self.episode <= 0.0 && rng.f64() < f64::from(SLICE) / BETWEEN_EPISODES {
                    self.episode = seconds;
                }
                let is_on = self.episode > 0.0;
                self.episode -= f64::from(SLICE);
                let share = if is_on { (EPISODE_ERRORS * health.ratio).min(1.0) } else { health.errors };
                binomial(rng, requests, share)
            }
        };
        own + binomial(rng, requests - own, health.more_errors)
    }

    /// A share of `errors` in runs: good requests up to the next run, then its bad ones.
    fn burst_errors(&mut self, rng: &mut Rng, requests: u64, mean: f64, errors: f64) -> u64 {
        let begins = errors / (mean * (1.0 - errors));
        let (mut left, mut failed) = (requests, 0);
        loop {
            let failing = self.failing.min(left);
            self.failing -= failing;
            failed += failing;
            left -= failing;
            let good = gap(rng, begins);
            if good >= left {
                return failed;
            }
            left -= good;
            self.failing = 1 + gap(rng, 1.0 / mean);
        }
    }
}

/// Failures before the first success, of a probability.
fn gap(rng: &mut Rng, probability: f64) -> u64 {
    ((1.0 - rng.f64()).ln() / (-probability).ln_1p()) as u64
}

fn binomial(rng: &mut Rng, trials: u64, probability: f64) -> u64 {
    if probability <= 0.0 {
        return 0;
    }
    if probability >= 1.0 {
        return trials;
    }
    let (mut left, mut hits) = (trials, 0);
    loop {
        let misses = gap(rng, probability);
        if misses >= left {
            return hits;
        }
        left -= misses + 1;
        hits += 1;
    }
}

/// Above 200 by the normal distribution.
fn poisson(rng: &mut Rng, mean: f64) -> u64 {
    if mean > 200.0 {
        let normal = (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos();
        return (mean + mean.sqrt() * normal).round().max(0.0) as u64;
    }
    let (mut product, mut events) = (1.0 - rng.f64(), 0);
    let end = (-mean).exp();
    while product > end {
        product *= 1.0 - rng.f64();
        events += 1;
    }
    events
}
