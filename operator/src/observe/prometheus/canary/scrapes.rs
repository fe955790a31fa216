//! The answers to the queries for a canary, by slice and pod. Pure.

use super::grid::SliceGrid;
use crate::observe::prometheus::signals::circuit::adapters::{self, Facts};
use crate::observe::trials::CanaryTrial;
use crate::resolve::app::{Breaker, BreakerQuery};
use prometheus_http_query::response::RangeVector;
use scalableapp_crds::CircuitSource;
use scalableapp_engine::evidence::circuit::CircuitState;
use std::collections::BTreeMap;

/// The counters of a pod since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodTotals {
    /// Requests; `None` where the pod exports none, as before the first one.
    pub requests: Option<u64>,
    /// Failed requests.
    pub errors: u64,
    /// Requests by the upper bound of their latency in nanoseconds.
    pub buckets: BTreeMap<u64, u64>,
    /// Answers without a dependency, by its breaker.
    pub fallbacks: BTreeMap<String, u64>,
    /// Calls that a breaker cut short, by breaker.
    pub rejections: BTreeMap<String, u64>,
}

/// A pod at the end of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrapedPod {
    /// Whether it is of the new revision.
    pub is_canary: bool,
    /// Its counters.
    pub totals: PodTotals,
}

/// The pods whose scrape succeeded at the end of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrape {
    /// By name.
    pub pods: BTreeMap<String, ScrapedPod>,
    /// The states of circuit breakers, by dependency and pod. One that is not plausible is missing.
    pub breakers: BTreeMap<String, BTreeMap<String, CircuitState>>,
}

/// The scrapes by slice.
pub type Scrapes = BTreeMap<i64, Scrape>;

/// The answers to the queries for a canary.
#[derive(Debug, Default)]
pub struct CanaryAnswers {
    /// Scraped pods.
    pub pods: Vec<RangeVector>,
    /// Requests.
    pub requests: Vec<RangeVector>,
    /// Failed requests.
    pub errors: Vec<RangeVector>,
    /// Buckets of latency.
    pub buckets: Vec<RangeVector>,
    /// Masked calls.
    pub masked: Vec<RangeVector>,
    /// Exported breakers.
    pub breakers: Vec<(CircuitSource, Vec<RangeVector>)>,
    /// Breakers by queries of the spec.
    pub own: Vec<(String, BreakerQuery, Vec<RangeVector>)>,
}

/// What was scraped, by slice.
#[must_use]
pub fn scrapes(answers: &CanaryAnswers, trial: &CanaryTrial, grid: SliceGrid) -> Scrapes {
    let mut scrapes = Scrapes::new();
    for (series, slice, is_up) in points(&answers.pods, grid) {
        let (Some(pod), Some(revision)) = (label(series, "pod"), label(series, "revision")) else { continue };
        if is_up == 1.0 {
            let pods = &mut scrapes.entry(slice).or_default().pods;
            pods.entry(pod.to_owned()).or_default().is_canary = revision == trial.canary;
        }
    }
    let mut each = |answer: &[RangeVector], add: &dyn Fn(&mut PodTotals, &RangeVector, u64)| {
        for (series, slice, value) in points(answer, grid) {
            let pods = scrapes.get_mut(&slice).map(|scrape| &mut scrape.pods);
            let pod = pods.zip(label(series, "pod")).and_then(|(pods, pod)| pods.get_mut(pod));
            if let Some(pod) = pod.filter(|_| value.is_finite() && value >= 0.0) {
                add(&mut pod.totals, series, value.round() as u64);
            }
        }
    };
    each(&answers.requests, &|totals, _, count| totals.requests = Some(count));
    each(&answers.errors, &|totals, _, count| totals.errors = count);
    each(&answers.buckets, &|totals, series, count| {
        if let Some(bound) = label(series, "le").and_then(bound) {
            totals.buckets.insert(bound, count);
        }
    });
    each(&answers.masked, &|totals, series, count| {
        let (Some(name), Some(outcome)) = (label(series, "name"), label(series, "outcome")) else { return };
        let of = if outcome == "fallback" { &mut totals.fallbacks } else { &mut totals.rejections };
        of.insert(name.to_owned(), count);
    });
    for (source, answer) in &answers.breakers {
        exported(&mut scrapes, *source, answer, trial, grid);
    }
    for (dependency, query, answer) in &answers.own {
        for (series, slice, value) in points(answer, grid) {
            let state = query.state_of(value);
            let scrape = scrapes.get_mut(&slice);
            if let (Some(scrape), Some(pod), Some(state)) = (scrape, label(series, "pod"), state) {
                scrape.breakers.entry(dependency.clone()).or_default().insert(pod.to_owned(), state);
            }
        }
    }
    scrapes
}

/// The breakers of a source. A pod without facts has whatever state that means.
fn exported(
    scrapes: &mut Scrapes,
    source: CircuitSource,
    answer: &[RangeVector],
    trial: &CanaryTrial,
    grid: SliceGrid,
) {
    let mut facts: BTreeMap<(i64, &str, &str), Facts<'_>> = BTreeMap::new();
    for (series, slice, value) in points(answer, grid) {
        let labels = (label(series, "pod"), label(series, "name"), label(series, "state"));
        let (Some(pod), Some(name), Some(fact)) = labels else { continue };
        let highest = facts.entry((slice, name, pod)).or_default().entry(fact).or_insert(value);
        *highest = highest.max(value);
    }
    let (none, judge) = (Facts::new(), adapters::adapter(source).judge);
    for (slice, scrape) in scrapes {
        for (dependency, breaker) in &trial.breakers {
            let Breaker::Exported { source: of, name } = breaker else { continue };
            let state = |pod: &String| {
                let state = judge(facts.get(&(*slice, name, pod)).unwrap_or(&none))?;
                (state != CircuitState::Implausible).then(|| (pod.clone(), state))
            };
            if *of == source {
                scrape.breakers.insert(dependency.clone(), scrape.pods.keys().filter_map(state).collect());
            }
        }
    }
}

/// Every sample of an answer, with its series and the slice that ends at it.
fn points(answer: &[RangeVector], grid: SliceGrid) -> impl Iterator<Item = (&RangeVector, i64, f64)> {
    answer.iter().flat_map(move |series| {
        let at = move |sample: &prometheus_http_query::response::Sample| {
            (series, grid.ending_at(sample.timestamp()), sample.value())
        };
        series.samples().iter().map(at)
    })
}

fn label<'a>(series: &'a RangeVector, name: &str) -> Option<&'a str> {
    series.metric().get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// An upper bound in nanoseconds. The last bucket has none.
fn bound(le: &str) -> Option<u64> {
    le.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0).map(nanoseconds)
}

/// Seconds as whole nanoseconds, so that two notations of one bound are the same.
#[must_use]
pub fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use scalableapp_engine::rollout::judge::policy::CanaryPolicy;
    use serde_json::{Value, json};

    const BEGUN: i64 = 1_800_000_000;

    fn grid() -> SliceGrid {
        let begun = Timestamp::from_second(BEGUN).unwrap();
        SliceGrid::new(begun, begun, 15)
    }

    /// A series with these values at the ends of the slices from 1 on.
    fn series(labels: &Value, values: &[&str]) -> RangeVector {
        let samples =
            values.iter().enumerate().map(|(index, value)| json!([BEGUN + 15 + 15 * index as i64, value]));
        serde_json::from_value(json!({"metric": labels, "values": samples.collect::<Vec<_>>()})).unwrap()
    }

    fn trial() -> CanaryTrial {
        let exported = |name: &str, source| Breaker::Exported { source, name: name.to_owned() };
        let breakers = [
            ("payments", exported("pay", CircuitSource::App)),
            ("mail", exported("mail", CircuitSource::Hystrix)),
        ];
        CanaryTrial {
            canary: "new".to_owned(),
            stable: "old".to_owned(),
            begun: Timestamp::UNIX_EPOCH,
            step: 0,
            step_begun: None,
            policy: CanaryPolicy::default(),
            slow_above: Some(0.3),
            breakers: breakers.map(|(name, breaker)| (name.to_owned(), breaker)).into(),
        }
    }

    #[test]
    fn counters_are_put_together_by_pod_and_slice() {
        let pod = |name: &str, more: &[(&str, &str)]| {
            let mut labels = json!({"pod": name, "revision": if name == "a" { "new" } else { "old" }});
            more.iter().for_each(|(label, value)| labels[label] = json!(value));
            labels
        };
        let answers = CanaryAnswers {
            pods: vec![series(&pod("a", &[]), &["1", "0"]), series(&pod("b", &[]), &["1", "1"])],
            requests: vec![series(&pod("a", &[]), &["5", "9"]), series(&pod("b", &[]), &["NaN", "7"])],
            errors: vec![series(&pod("a", &[]), &["2"]), series(&pod("gone", &[]), &["2"])],
            buckets: ["0.30", "+Inf", "odd"].map(|le| series(&pod("a", &[("le", le)]), &["4"])).into(),
            masked: ["fallback", "rejected"]
                .map(|outcome| series(&pod("a", &[("name", "pay"), ("outcome", outcome)]), &["1"]))
                .into(),
            ..CanaryAnswers::default()
        };
        let scrapes = scrapes(&answers, &trial(), grid());
        let one = |name: &str, count| BTreeMap::from([(name.to_owned(), count)]);
        let totals = PodTotals {
            requests: Some(5),
            errors: 2,
            buckets: BTreeMap::from([(300_000_000, 4)]),
            fallbacks: one("pay", 1),
            rejections: one("pay", 1),
        };
        let pods = |slice: i64| scrapes[&slice].pods.keys().map(String::as_str).collect::<Vec<_>>();
        assert_eq!((pods(1), pods(2)), (vec!["a", "b"], vec!["b"]), "the scrape of a failed");
        assert_eq!(scrapes[&1].pods["a"], ScrapedPod { is_canary: true, totals });
        assert_eq!(scrapes[&1].pods["b"].totals.requests, None);
        assert_eq!(scrapes[&2].pods["b"].totals.requests, Some(7));
    }

    #[test]
    fn a_breaker_has_the_state_of_its_facts() {
        let up = |pod: &str| series(&json!({"pod": pod, "revision": "new"}), &["1"]);
        let fact = |pod: &str, name: &str, state: &str| {
            series(&json!({"pod": pod, "name": name, "state": state}), &["1"])
        };
        let breakers = vec![
            (CircuitSource::App, vec![fact("a", "pay", "open"), fact("b", "other", "open")]),
            (CircuitSource::Hystrix, vec![fact("b", "mail", "open")]),
        ];
        let answers = CanaryAnswers { pods: vec![up("a"), up("b")], breakers, ..CanaryAnswers::default() };
        let breakers = &scrapes(&answers, &trial(), grid())[&1].breakers;
        let states = |states: &[(&str, CircuitState)]| {
            states.iter().map(|(pod, state)| ((*pod).to_owned(), *state)).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(breakers["payments"], states(&[("a", CircuitState::Open)]), "b reports none");
        let of_mail = states(&[("a", CircuitState::Closed), ("b", CircuitState::Open)]);
        assert_eq!(breakers["mail"], of_mail, "without a fact it is closed");
    }
}
