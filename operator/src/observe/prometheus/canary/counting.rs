//! Counters of pods at the ends of slices as counts of slices. Pure.
//!
//! - A pod is counted from its first successful scrape on, to its last one.
//! - A counter that fell to less than half began anew with its process, and counts from 0. One that fell less lost a series
//!   or a copy of one, and counts as unchanged: from 0 it would count everything again.
//! - A slice in which a scrape is missing is added to the next one of the pod, for a minute at most.
//! - A slice is not measured unless a pod of each revision is. Before the rollout the stable one is enough.

use super::scrapes::{PodTotals, Scrape};
use scalableapp_engine::evidence::circuit::CircuitState;
use scalableapp_engine::rollout::judge::counts::{PodCounts, RevisionCounts, TimeSlice};
use std::collections::BTreeMap;

/// Slices over which a pod may miss scrapes without the loss of counts.
const BRIDGED: i64 = 4;
/// Slices after its last scrape for which a pod is known: about an hour.
const KNOWN: i64 = 240;

/// Why a slice was not measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncounted {
    /// No pod of the stable revision was scraped at both of its ends.
    Stable,
    /// No pod of the new revision was.
    Canary,
    /// A pod has no buckets of latency.
    Buckets,
}

/// The counters of the pods at the last ends of slices that were measured.
#[derive(Clone, Debug, Default)]
pub struct SliceCounters {
    pods: BTreeMap<String, CountedPod>,
    /// The upper bound of requests that are not slow, in nanoseconds.
    slow_above: Option<u64>,
    seconds: i64,
}

#[derive(Clone, Debug)]
struct CountedPod {
    /// The slice at whose end the counters were read.
    at: i64,
    totals: PodTotals,
    /// The slice of its first requests.
    serves_since: Option<i64>,
}

/// The difference of two scrapes of a pod.
struct PodDifference<'a> {
    name: &'a str,
    is_canary: bool,
    counts: PodCounts,
    buckets: BTreeMap<u64, u64>,
}

impl SliceCounters {
    /// Nothing is counted yet. `slow_above` is in nanoseconds; `seconds` is the length of a slice.
    #[must_use]
    pub fn new(slow_above: Option<u64>, seconds: i64) -> Self {
        Self { pods: BTreeMap::new(), slow_above, seconds }
    }

    /// The counts of a slice. Slices are given in order.
    ///
    /// # Errors
    /// When it was not measured.
    pub fn count(&mut self, slice: i64, scrape: &Scrape) -> Result<TimeSlice, Uncounted> {
        let mut differences: Vec<PodDifference<'_>> = Vec::new();
        for (name, pod) in &scrape.pods {
            let known = self.pods.get(name).filter(|known| slice - known.at <= BRIDGED);
            let Some(known) = known else { continue };
            let Some((counts, buckets)) = difference(&known.totals, &pod.totals) else { continue };
            let since = known.serves_since.unwrap_or(slice);
            let ready_seconds = u32::try_from((slice - since) * self.seconds).unwrap_or(u32::MAX);
            let counts = PodCounts { ready_seconds, ..counts };
            differences.push(PodDifference { name, is_canary: pod.is_canary, counts, buckets });
        }
        let counted = self.counted(slice, &differences);
        let served: Vec<&str> =
            differences.iter().filter(|one| one.counts.requests > 0).map(|one| one.name).collect();
        for (name, pod) in &scrape.pods {
            let has_difference = differences.iter().any(|one| one.name == name);
            if counted.is_err() && has_difference {
                continue;
            }
            let known = self.pods.get(name);
            // Between two processes, or not exported by all jobs of Prometheus: no count is 0 after there were some.
            if pod.totals.requests.is_none() && known.is_some_and(|known| known.totals.requests.is_some()) {
                continue;
            }
            let serves_since = known.and_then(|known| known.serves_since);
            let serves_since = serves_since.or(served.contains(&name.as_str()).then_some(slice));
            let read = CountedPod { at: slice, totals: pod.totals.clone(), serves_since };
            self.pods.insert(name.clone(), read);
        }
        self.pods.retain(|_, known| slice - known.at <= KNOWN);
        let mut counts = counted?;
        for (dependency, states) in &scrape.breakers {
            for (is_canary, revision) in [(true, &mut counts.canary), (false, &mut counts.stable)] {
                let of = |pod: &String| scrape.pods.get(pod).is_some_and(|pod| pod.is_canary == is_canary);
                let states = states.iter().filter(|(pod, _)| of(pod)).map(|(_, state)| *state);
                if let Some(state) = most(states) {
                    revision.breakers.insert(dependency.clone(), state);
                }
            }
        }
        Ok(counts)
    }

    fn counted(&self, slice: i64, differences: &[PodDifference<'_>]) -> Result<TimeSlice, Uncounted> {
        let has = |is_canary| differences.iter().any(|one| one.is_canary == is_canary);
        if !has(false) {
            return Err(Uncounted::Stable);
        }
        if slice > 0 && !has(true) {
            return Err(Uncounted::Canary);
        }
        let bound = self.bound(differences)?;
        let revision = |is_canary| {
            let pods = differences.iter().filter(|one| one.is_canary == is_canary).map(|one| {
                let fast = bound.map_or(one.counts.requests, |bound| {
                    one.buckets.get(&bound).copied().unwrap_or(one.counts.requests)
                });
                let slow = one.counts.requests.saturating_sub(fast);
                (one.name.to_owned(), PodCounts { slow, ..one.counts })
            });
            RevisionCounts { pods: pods.collect(), ..RevisionCounts::default() }
        };
        Ok(TimeSlice { canary: revision(true), stable: revision(false) })
    }

    /// The smallest bound at or above the threshold that all pods with requests have, or else their largest: both
    /// revisions must be compared at the same one.
    fn bound(&self, differences: &[PodDifference<'_>]) -> Result<Option<u64>, Uncounted> {
        let Some(threshold) = self.slow_above else { return Ok(None) };
        let mut serving = differences.iter().filter(|one| one.counts.requests > 0);
        let Some(first) = serving.next() else { return Ok(None) };
        let others: Vec<_> = serving.collect();
        let common = first
            .buckets
            .keys()
            .copied()
            .filter(|bound| others.iter().all(|one| one.buckets.contains_key(bound)));
        let common: Vec<u64> = common.collect();
        let bound = common.iter().find(|bound| **bound >= threshold).or(common.last());
        bound.copied().map(Some).ok_or(Uncounted::Buckets)
    }
}

/// What a pod counted between two scrapes, without what is slow; `None` if its requests are not exported any more.
fn difference(before: &PodTotals, now: &PodTotals) -> Option<(PodCounts, BTreeMap<u64, u64>)> {
    if now.requests.is_none() && before.requests.is_some() {
        return None;
    }
    let (requests_before, requests) = (before.requests.unwrap_or(0), now.requests.unwrap_or(0));
    let is_new = requests < requests_before.div_ceil(2);
    let since = |before: u64, now: u64| if is_new { now } else { now.saturating_sub(before) };
    let of = |before: &BTreeMap<String, u64>, name: &String| before.get(name).copied().unwrap_or(0);
    let requests = since(requests_before, requests);
    let errors = since(before.errors, now.errors).min(requests);
    let names: std::collections::BTreeSet<&String> =
        now.fallbacks.keys().chain(now.rejections.keys()).collect();
    let (mut fallbacks, mut unanswered) = (0_u64, 0_u64);
    for name in names {
        let fell_back = since(of(&before.fallbacks, name), of(&now.fallbacks, name));
        let rejected = since(of(&before.rejections, name), of(&now.rejections, name));
        fallbacks += fell_back;
        unanswered += rejected.saturating_sub(fell_back);
    }
    // A call that was cut short is answered by a fallback, ends in an error, or is masked without either.
    let masked = fallbacks + unanswered.saturating_sub(errors);
    let buckets = now.buckets.iter().map(|(bound, count)| {
        let before = before.buckets.get(bound).copied().unwrap_or(0);
        (*bound, since(before, *count).min(requests))
    });
    Some((PodCounts { requests, errors, masked, ..PodCounts::default() }, buckets.collect()))
}

/// The state of most of these breakers. Half of them being open is enough, as it is for a dependency that is degraded.
fn most(states: impl Iterator<Item = CircuitState>) -> Option<CircuitState> {
    let (mut known, mut open) = (0, 0);
    for state in states {
        known += 1;
        open += u32::from(matches!(state, CircuitState::Open | CircuitState::HalfOpen));
    }
    let state = if open > 0 && 2 * open >= known { CircuitState::Open } else { CircuitState::Closed };
    (known > 0).then_some(state)
}

#[cfg(test)]
#[path = "counting_tests.rs"]
mod tests;
