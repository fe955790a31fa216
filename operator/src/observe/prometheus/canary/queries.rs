//! The queries for the counts of a canary and of the stable revision, for one component. Pure.
//!
//! Each returns counters since the start of a pod, at the ends of the slices. Their differences are whole numbers; `rate`
//! and `increase` extrapolate.

use super::super::parts::Part;
use super::super::promql::{Refusal, confine_over, read_matchers};
use super::super::signals::circuit::{self, adapters};
use super::super::signals::failures::FAILED;
use super::super::signals::requests::REQUESTS;
use super::super::signals::selection::{Selection, once};
use crate::observe::query_plan::AppKey;
use crate::observe::trials::CanaryTrial;
use crate::resolve::app::{Breaker, BreakerQuery, ComponentKey};
use scalableapp_crds::CircuitSource;
use std::collections::BTreeSet;
use std::time::Duration;

/// Labels of a pod of a revision.
const POD: &str = "revision, pod";
/// The counter of what circuit breakers did with calls.
const CALLS: &str = "circuit_breaker_calls_total";
/// Calls that a breaker cut short, and answers without the dependency.
const MASKED: &str = "outcome=~\"fallback|rejected\"";

/// The texts of the queries.
#[derive(Clone, Debug)]
pub struct CanaryQueries {
    /// By pod: 1 if its last scrape is of this slice and succeeded.
    pub pods: String,
    /// Requests by pod.
    pub requests: String,
    /// Failed requests by pod.
    pub errors: String,
    /// Requests by pod and upper bound of their latency, if latency is judged.
    pub buckets: Option<String>,
    /// Masked calls by pod, dependency and outcome.
    pub masked: String,
    /// Facts of circuit breakers that are exported.
    pub breakers: Vec<(CircuitSource, String)>,
    /// The queries of the spec for circuit breakers, by dependency.
    pub own: Vec<(String, BreakerQuery, String)>,
}

impl CanaryQueries {
    /// The queries over this time. A query of the spec that is refused is left out: its breaker is not known.
    ///
    /// # Errors
    /// When the name of the component or of a revision is none.
    pub fn new(
        selection: &Selection,
        key: &ComponentKey,
        trial: &CanaryTrial,
        time: Duration,
    ) -> Result<Self, Refusal> {
        let own = selection.matchers.as_slice();
        let CanaryTrial { canary, stable, .. } = trial;
        let staleness = Duration::from_secs(u64::from(trial.policy.slice_seconds));
        let selecting = |matchers: String| {
            let matchers = read_matchers(&matchers)?.into_iter().chain(own.iter().cloned()).collect();
            Ok::<_, Refusal>(Selection { matchers, staleness, ..selection.clone() })
        };
        let component = format!("component=\"{}\"", key.component);
        let revisions = selecting(format!("{component},revision=~\"{canary}|{stable}\""))?;
        // The series of a sidecar may be without the revision.
        let component = selecting(component)?;
        let app: AppKey = (key.namespace.clone(), key.app.clone());
        let part = Part { start: app.clone(), apps: vec![&app], is_whole: false, cuts_a_namespace: true };
        let sum = |labels: &str, selector: &str| format!("sum by ({labels}) ({})", once(selector));
        let of = |series: &str| revisions.of_apps(series, &part);
        let with = |series: &str, matcher: &str| revisions.of_apps_where(series, matcher, &part);
        let (up, count) = (of("up"), format!("{REQUESTS}_count"));
        let sources: BTreeSet<CircuitSource> = trial.breakers.values().filter_map(source).collect();
        let facts = |source| (source, circuit::facts(adapters::adapter(source), &component, &part));
        let own_query = |(dependency, breaker): (&String, &Breaker)| {
            let Breaker::Query(query) = breaker else { return None };
            let text = confine_over(time, &query.text, &key.namespace, own).ok()?;
            Some((dependency.clone(), query.clone(), text))
        };
        Ok(Self {
            pods: format!("max by ({POD}) ({up} and {})", revisions.fresh(&up)),
            requests: sum(POD, &of(&count)),
            errors: sum(POD, &with(&count, FAILED)),
            buckets: trial.slow_above.map(|_| sum(&format!("{POD}, le"), &of(&format!("{REQUESTS}_bucket")))),
            masked: sum(&format!("{POD}, name, outcome"), &with(CALLS, MASKED)),
            breakers: sources.into_iter().map(facts).collect(),
            own: trial.breakers.iter().filter_map(own_query).collect(),
        })
    }
}

fn source(breaker: &Breaker) -> Option<CircuitSource> {
    match breaker {
        Breaker::Exported { source, .. } => Some(*source),
        Breaker::Query(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use scalableapp_engine::rollout::judge::policy::CanaryPolicy;
    use std::collections::BTreeMap;

    fn queries(matchers: &str, slow_above: Option<f64>) -> CanaryQueries {
        let second = Duration::from_secs;
        let selection = Selection {
            matchers: read_matchers(matchers).unwrap(),
            request_window: second(60),
            recent_window: second(20),
            cpu_window: second(120),
            staleness: second(90),
        };
        let own =
            |text: &str| Breaker::Query(BreakerQuery { text: text.to_owned(), states: BTreeMap::default() });
        let exported = Breaker::Exported { source: CircuitSource::App, name: "payments".to_owned() };
        let breakers = [("payments", exported), ("stock", own("max by (pod) (open)")), ("odd", own("(("))];
        let trial = CanaryTrial {
            canary: "5f6c9b7d4".to_owned(),
            stable: "7d9f8c6b5".to_owned(),
            begun: Timestamp::UNIX_EPOCH,
            step: 0,
            step_begun: None,
            policy: CanaryPolicy::default(),
            slow_above,
            breakers: breakers.map(|(name, breaker)| (name.to_owned(), breaker)).into(),
        };
        let key = ComponentKey::new("shop", "store", "web");
        CanaryQueries::new(&selection, &key, &trial, second(1785)).unwrap()
    }

    fn texts(queries: CanaryQueries) -> Vec<String> {
        let CanaryQueries { pods, requests, errors, buckets, masked, breakers, own } = queries;
        let breakers = breakers.into_iter().map(|(_, text)| text);
        let own = own.into_iter().map(|(_, _, text)| text);
        [pods, requests, errors]
            .into_iter()
            .chain(buckets)
            .chain([masked])
            .chain(breakers)
            .chain(own)
            .collect()
    }

    #[test]
    fn queries_are_what_the_documentation_shows() {
        insta::assert_snapshot!(texts(queries("", Some(0.3))).join("\n"));
    }

    #[test]
    fn every_selector_has_the_matchers_of_the_operator_and_the_namespace_of_the_app() {
        for query in texts(queries("cluster=\"a\"", Some(0.3))) {
            promql_parser::parser::parse(&query).unwrap();
            for selector in query.split('{').skip(1) {
                let matchers: Vec<&str> = selector.split('}').next().unwrap().split(',').collect();
                assert!(matchers.contains(&"cluster=\"a\""), "{query}");
                assert!(matchers.iter().any(|one| one.starts_with("namespace=")), "{query}");
            }
        }
    }

    #[test]
    fn latency_is_read_where_it_is_judged() {
        assert_eq!(queries("", None).buckets, None);
        assert!(queries("", Some(0.3)).buckets.is_some());
    }

    #[test]
    fn a_query_of_the_spec_that_is_refused_takes_no_other_away() {
        let queries = queries("", None);
        let names: Vec<&str> = queries.own.iter().map(|(dependency, ..)| dependency.as_str()).collect();
        assert_eq!(names, ["stock"]);
    }
}
