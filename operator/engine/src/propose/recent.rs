//! What the request rate of the last seconds asks for: more replicas, or nothing. Pure.
//!
//! The averaging window of the request rate is long, so a step in the load takes as long to be seen. A short window sees
//! it early, and noise with it. So it counts only as far as its lower confidence bound: the lowest load that would still
//! explain its requests. The arithmetic is that of the metric itself, with the same tolerance.
//!
//! With independent requests, n of them in a window are n or more of a Poisson variable with the mean m < n. The
//! probability of that is at most its first term times a geometric series,
//! exp(−m) mⁿ / n! × 1 / (1 − m / (n + 1)), where n! ≥ √(2πn) (n / e)ⁿ (Robbins, *A Remark on Stirling's Formula*, 1955).
//! The bound is the m for which that is [`PER_DAY`] / [`TICKS`]. Windows overlap, so their counts depend on each other. The
//! sum over the ticks of a day bounds the probability that any of them deceives, whatever the dependence (Boole's
//! inequality), and it is at most [`PER_DAY`].

use crate::app::subject::Subject;
use crate::hpa::signal::average_of_total;
use crate::propose::evaluate::MetricResult;
use crate::propose::metric::{decimal, thousandths};
use jiff::SignedDuration;
use std::f64::consts::TAU;

/// Probability that a constant load within the tolerance adds a replica on one day.
const PER_DAY: f64 = 1e-3;
/// Ticks of a day, at most: a tick takes a second or more.
const TICKS: f64 = 86_400.0;

/// More replicas, by the request rate of a short window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RecentProposal {
    pub(crate) replicas: i32,
    /// The lower bound of the requests per second.
    at_least: f64,
    length: SignedDuration,
}

/// Reads and judges the short window. `whole` is the result of the long one; without a valid one there is no proposal.
pub(crate) fn on_recent(
    subject: &Subject<'_>,
    per_replica: i64,
    whole: Option<&MetricResult>,
) -> Option<RecentProposal> {
    let Some(MetricResult::Asks(whole)) = whole else { return None };
    let reading = subject.recent_rate()?;
    let rate = reading.complete(&subject.pods, subject.now)?;
    let at_least = rate * lower_share(reading.requests);
    // As for the long window: a surge of pods is no demand.
    let replicas = subject.existing_replicas.min(subject.current_replicas);
    let tolerance = subject.declared.behavior.tolerance();
    let replicas = average_of_total(at_least, per_replica, replicas, tolerance).ok()?.replicas;
    let is_more = replicas > whole.replicas.max(subject.current_replicas);
    is_more.then_some(RecentProposal { replicas, at_least, length: reading.length })
}

impl RecentProposal {
    /// The proposal in words.
    pub(crate) fn show(&self) -> String {
        let Self { replicas, at_least, length } = self;
        let rate = decimal(thousandths((at_least * 10.0).floor() / 10.0));
        format!("{replicas} for at least {rate}/s in the last {} s", length.as_secs())
    }
}

/// The lower bound as a share of the number of events.
fn lower_share(events: f64) -> f64 {
    if events < 1.0 { 0.0 } else { lower_bound(events) / events }
}

/// The lowest mean of a Poisson variable that explains so many events, one or more.
fn lower_bound(events: f64) -> f64 {
    let surprise = (TICKS / PER_DAY).ln();
    let stirling = (TAU * events).ln() / 2.0;
    // Minus the logarithm of the probability. It falls from infinity at a mean of 0.
    let of = |mean: f64| {
        let first = mean - events + events * (events / mean).ln() + stirling;
        first + (1.0 - mean / (events + 1.0)).ln()
    };
    let (mut low, mut high) = (0.0, events);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if of(middle) >= surprise {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hpa::behavior::Behavior;

    /// The probability of so many events or more, summed term by term.
    fn tail(mean: f64, events: u32) -> f64 {
        let mut term = (1..=events).fold(-mean, |sum, one| sum + (mean / f64::from(one)).ln()).exp();
        let mut sum = 0.0;
        for next in events + 1..events + 2_000 {
            sum += term;
            term *= mean / f64::from(next);
        }
        sum
    }

    #[test]
    fn the_bound_is_never_too_high_and_seldom_much_too_low() {
        for events in [1, 5, 20, 33, 100, 1_000] {
            let bound = lower_bound(f64::from(events));
            let probability = tail(bound, events);
            assert!(probability <= PER_DAY / TICKS, "{events}: {bound} with {probability}");
            assert!(tail(bound * 1.05, events) > PER_DAY / TICKS || events < 20, "{events}: {bound}");
        }
    }

    #[test]
    fn few_requests_prove_nothing() {
        assert!(lower_share(0.0).abs() < f64::EPSILON);
        assert!(lower_share(10.0) < 0.1);
        assert!((0.83..0.84).contains(&lower_share(1_000.0)), "{}", lower_share(1_000.0));
    }

    /// The increases of a counter between scrapes, of independent requests with a mean.
    struct Counter {
        rng: fastrand::Rng,
        /// The cumulative probabilities of 0, 1, 2 and so on.
        cumulative: Vec<f64>,
    }

    impl Counter {
        fn new(mean: f64, seed: u64) -> Self {
            let mut term = (-mean).exp();
            let mut sum = 0.0;
            let most = (mean + 20.0 * mean.sqrt() + 20.0) as usize;
            let cumulative = (1..=most).map(|next| {
                sum += term;
                term *= mean / next as f64;
                sum
            });
            Self { cumulative: cumulative.collect(), rng: fastrand::Rng::with_seed(seed) }
        }

        fn increase(&mut self) -> f64 {
            let drawn = self.rng.f64();
            self.cumulative.partition_point(|one| *one < drawn) as f64
        }
    }

    /// What 10⁵ ticks of 5 s ask for at the upper end of the tolerance: the ticks with more replicas, by the bound and
    /// by the rate as it is. Each pod is scraped once in a tick, so that a window of 20 s has four samples of it, and
    /// `rate` extrapolates the three increases between them.
    fn ticks_with_more(replicas: i32, per_replica: f64, seed: u64) -> (usize, usize) {
        let tolerance = Behavior::default().tolerance();
        let mut pods: Vec<Counter> = (0..replicas)
            .map(|pod| Counter::new(per_replica * (1.0 + tolerance.up) * 5.0, seed + pod as u64))
            .collect();
        let mut increases = [0.0; 3];
        let asks = |rate: f64| {
            let milli = (per_replica * 1000.0) as i64;
            average_of_total(rate, milli, replicas, tolerance).unwrap().replicas > replicas
        };
        let (mut bounded, mut plain) = (0, 0);
        for tick in 0..100_000 {
            increases[tick % 3] = pods.iter_mut().map(Counter::increase).sum();
            if tick < 3 {
                continue;
            }
            let requests = increases.iter().sum::<f64>();
            let rate = requests / 15.0;
            bounded += usize::from(asks(rate * lower_share(requests)));
            plain += usize::from(asks(rate));
        }
        (bounded, plain)
    }

    #[test]
    fn a_constant_load_within_the_tolerance_adds_no_replica() {
        for (replicas, per_replica) in [(1, 5.0), (2, 10.0), (4, 50.0), (20, 20.0)] {
            let (bounded, plain) = ticks_with_more(replicas, per_replica, 7);
            assert_eq!(bounded, 0, "{replicas} replicas of {per_replica}/s");
            assert!(plain > 10_000, "the rate itself asks for more in {plain} ticks");
        }
    }
}
