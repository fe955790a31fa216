//! The families of signals: their templates, and the measurements from the answers. Pure.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;

use hashbrown::HashMap;
use jiff::Timestamp;
use scalableapp_crds::CircuitSource;
use scalableapp_engine::evidence::connections::{ConnectionsReading, PoolReading};

use super::cache::{ByShard, CacheUse};
use super::circuit::Circuits;
use super::database_use::DatabaseUse;
use super::jobs::PoolBacklog;
use super::recent::RecentTraffic;
use super::requests::Traffic;
use super::running_jobs::ByPod;
use super::scraped::ByComponent;
use super::template::{Misread, Template, TemplateAnswers};
use super::usage::ByContainer;
use super::{
    activity, cache, calls, circuit, connections, cpu, database_use, failures, jobs, latency, memory, recent,
    requests, running_jobs,
};
use crate::observe::prometheus::parts::{Part, PartProblems};
use crate::observe::prometheus::quantile::Bucket;
use crate::observe::query_plan::{QueryPlan, Signal};
use crate::resolve::app::ComponentKey;

/// One file each.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The queries. A signal is valid only with all of its answers.
    pub templates: &'static [Template],
    /// Replaces a part of the evidence with the measurements of the templates.
    pub read: fn(&mut Measurements, &Sampling<'_>, &mut TemplateAnswers<'_>) -> Result<(), Misread>,
    /// Removes the measurements.
    pub forget: fn(&mut Measurements),
}

impl Signal {
    /// All signals.
    pub const ALL: [Self; 22] = [
        Self::RequestRate,
        Self::Latency,
        Self::Cpu,
        Self::Memory,
        Self::Jobs,
        Self::RunningJobs,
        Self::Activity,
        Self::Cache,
        Self::Circuit(CircuitSource::App),
        Self::Circuit(CircuitSource::Resilience4j),
        Self::Circuit(CircuitSource::Opossum),
        Self::Circuit(CircuitSource::Hystrix),
        Self::Circuit(CircuitSource::Polly),
        Self::Circuit(CircuitSource::Sentinel),
        Self::Circuit(CircuitSource::Dapr),
        Self::Circuit(CircuitSource::Linkerd),
        Self::Circuit(CircuitSource::Envoy),
        Self::Connections,
        Self::RecentRequests,
        Self::Failures,
        Self::Calls,
        Self::DatabaseUse,
    ];

    /// Its family.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::RequestRate => requests::FAMILY,
            Self::Latency => latency::FAMILY,
            Self::Cpu => cpu::FAMILY,
            Self::Memory => memory::FAMILY,
            Self::Jobs => jobs::FAMILY,
            Self::RunningJobs => running_jobs::FAMILY,
            Self::Activity => activity::FAMILY,
            Self::Cache => cache::FAMILY,
            Self::Circuit(source) => circuit::family(source),
            Self::Connections => connections::FAMILY,
            Self::RecentRequests => recent::FAMILY,
            Self::Failures => failures::FAMILY,
            Self::Calls => calls::FAMILY,
            Self::DatabaseUse => database_use::FAMILY,
        }
    }
}

/// A set of queries at the same time.
#[derive(Clone, Copy)]
pub struct Sampling<'a> {
    /// The apps.
    pub part: &'a Part<'a>,
    /// The measurements that all apps need.
    pub wanted: &'a QueryPlan,
    /// The time of the tick.
    pub now: Timestamp,
}

/// The measurements of each signal. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Measurements {
    /// HTTP requests.
    pub traffic: Arc<ByComponent<Traffic>>,
    /// Latency histograms.
    pub latencies: Arc<ByComponent<Vec<Bucket>>>,
    /// CPU.
    pub cpu: Arc<ByContainer>,
    /// Memory.
    pub memory: Arc<ByContainer>,
    /// Backlogs of pools of workers.
    pub backlogs: Arc<ByComponent<PoolBacklog>>,
    /// Running jobs of pods of workers.
    pub running_jobs: Arc<ByPod>,
    /// Running queries of read replicas.
    pub activity: Arc<ByComponent<f64>>,
    /// Evictions, hits and memory of caches.
    pub caches: Arc<ByComponent<CacheUse>>,
    /// Commands per second of each shard.
    pub shards: Arc<ByShard>,
    /// Circuit breakers of the pods of each component, by what exports them.
    pub circuits: BTreeMap<CircuitSource, Arc<ByComponent<Circuits>>>,
    /// Connections of the servers of databases, by database.
    pub connections: Arc<ByComponent<ConnectionsReading>>,
    /// Pools of the pods of each component.
    pub pools: Arc<ByComponent<PoolReading>>,
    /// HTTP requests over the short window.
    pub recent: Arc<ByComponent<RecentTraffic>>,
    /// Failed HTTP requests per second.
    pub failures: Arc<ByComponent<f64>>,
    /// Mean seconds of calls to others.
    pub call_seconds: Arc<ByComponent<f64>>,
    /// Repeated calls per second.
    pub retries: Arc<ByComponent<f64>>,
    /// The use of databases.
    pub database_use: Arc<ByComponent<DatabaseUse>>,
    /// Seconds by which replicas are behind.
    pub replica_lag: Arc<ByComponent<f64>>,
    /// Why the last attempts at each signal failed.
    pub problems: BTreeMap<Signal, PartProblems>,
}

impl Measurements {
    /// Reads the answers to a signal's templates.
    ///
    /// # Errors
    /// When the family reads an answer without its query, or does not read an answer.
    pub fn read(
        &mut self,
        signal: Signal,
        sampling: &Sampling<'_>,
        mut answers: TemplateAnswers<'_>,
    ) -> Result<(), Misread> {
        (signal.family().read)(self, sampling, &mut answers)?;
        answers.are_read()
    }

    /// Why the last attempt at a component's signal failed, as a sentence; `None` if it did not.
    #[must_use]
    pub fn problem(&self, signal: Signal, key: &ComponentKey) -> Option<&str> {
        let app = (key.namespace.clone(), key.app.clone());
        self.problems.get(&signal)?.range(..=app).next_back()?.1.as_deref()
    }
}

/// Replaces the values of a part.
pub(super) fn renew<T: Clone>(all: &mut Arc<ByComponent<T>>, part: &Part<'_>, measured: ByComponent<T>) {
    if part.is_whole {
        *all = Arc::new(measured);
    } else {
        let all = Arc::make_mut(all);
        all.retain(|key, _| !part.has_app(&key.namespace, &key.app));
        all.extend(measured);
    }
}

/// Replaces the values of a part's pods. `pod` is the namespace and the name of the pod of a key.
pub(super) fn renew_pods<K: Clone + Eq + Hash, T: Clone>(
    all: &mut Arc<HashMap<K, T>>,
    part: &Part<'_>,
    measured: HashMap<K, T>,
    pod: impl Fn(&K) -> (&str, &str),
) {
    if part.is_whole {
        *all = Arc::new(measured);
    } else {
        let all = Arc::make_mut(all);
        all.retain(|key, _| {
            let (namespace, pod) = pod(key);
            !part.has_pod(namespace, pod)
        });
        all.extend(measured);
    }
}

#[cfg(test)]
mod tests {
    use super::super::requests::{RATE, RESETS};
    use super::super::scraped::{self, Measured, Scraped};
    use super::super::{in_flight, latency::BUCKETS};
    use super::*;
    use crate::observe::prometheus::answer::Outcome;
    use crate::observe::query_plan::{AppKey, Shown};
    use crate::resolve::app::Breaker;
    use jiff::ToSpan;
    use scalableapp_engine::evidence::cache::CacheReading;
    use scalableapp_engine::evidence::circuit::CircuitState::{Closed, HalfOpen, Implausible, Open};
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn key() -> ComponentKey {
        ComponentKey::new("shop", "shop", "web")
    }

    fn web() -> Value {
        json!({"namespace": "shop", "scalableapp": "shop", "component": "web"})
    }

    /// The measurements of one component from the answers; the other templates are answered without series.
    fn read(signal: Signal, answered: &[(Template, Outcome<'static>)]) -> Measurements {
        let none = Outcome::vector(&[]);
        let answer = |template: &Template| {
            let answered = answered.iter().find(|(one, _)| one == template);
            (*template, answered.map_or(&none, |(_, outcome)| outcome))
        };
        let answers = signal.family().templates.iter().map(answer).collect();
        let wanted = QueryPlan::new([(key(), BTreeMap::new())].into(), BTreeMap::new(), Shown::default());
        let breaker = Breaker::Exported { source: CircuitSource::App, name: "pay".to_owned() };
        let wanted = wanted.with_breakers([(key(), [("payments".to_owned(), breaker)].into())].into());
        let part =
            Part { start: AppKey::default(), apps: Vec::new(), is_whole: true, cuts_a_namespace: false };
        let mut evidence = Measurements::default();
        evidence.read(signal, &Sampling { part: &part, wanted: &wanted, now: now() }, answers).unwrap();
        evidence
    }

    #[test]
    fn every_signal_reads_all_of_its_templates_and_no_other() {
        for signal in Signal::ALL {
            read(signal, &[]);
        }
    }

    #[test]
    fn every_template_has_a_name_of_its_own() {
        let templates: Vec<Template> =
            Signal::ALL.iter().flat_map(|signal| signal.family().templates).copied().collect();
        for one in &templates {
            let same = templates.iter().filter(|other| *other == one);
            let queries: BTreeSet<usize> = same.map(|template| template.query as usize).collect();
            assert_eq!(queries.len(), 1, "{one:?}");
        }
    }

    #[test]
    fn a_value_has_the_age_of_its_own_samples() {
        let at = |end: &str| {
            let mut labels = web();
            labels["at"] = json!(end);
            labels
        };
        let evidence = read(
            Signal::RequestRate,
            &[
                (in_flight::ACTIVE, Outcome::vector(&[(web(), "7")])),
                (RESETS, Outcome::vector(&[(web(), "3")])),
                (scraped::AGE, Outcome::vector(&[(web(), "3.5")])),
                (scraped::PODS, Outcome::vector(&[(at("end"), "2"), (at("start"), "1")])),
                (RATE, Outcome::vector(&[(web(), "12.5")])),
            ],
        );
        let expected = Measured {
            value: Traffic { rate: 12.5, resets: 3, in_flight: Some(7) },
            at: Some(now() - 3500.milliseconds()),
            scraped: Some(Scraped { at_start: 1, at_end: 2 }),
            is_partial: false,
        };
        assert_eq!(evidence.traffic[&key()], expected);
    }

    #[test]
    fn the_short_window_has_a_rate_and_the_pods_that_were_scraped_in_it() {
        let at = |what: &str| {
            let mut labels = web();
            labels["at"] = json!(what);
            labels
        };
        let answered = [(at("rate"), "12.5"), (at("number"), "180"), (at("pods"), "2"), (at("other"), "7")];
        let evidence = read(
            Signal::RecentRequests,
            &[
                (scraped::AGE, Outcome::vector(&[(web(), "3.5")])),
                (recent::REQUESTS_AND_PODS, Outcome::vector(&answered)),
            ],
        );
        let expected = Measured {
            value: RecentTraffic { rate: 12.5, requests: 180.0, pods: 2 },
            at: Some(now() - 3500.milliseconds()),
            scraped: None,
            is_partial: false,
        };
        assert_eq!(evidence.recent[&key()], expected);
    }

    #[test]
    fn running_jobs_are_known_of_each_pod_that_tells_a_number_of_them() {
        let pod = |name: &str| json!({"namespace": "shop", "pod": name});
        let answered = [(pod("a"), "3"), (pod("b"), "0"), (pod("c"), "NaN"), (pod("d"), "-1"), (web(), "7")];
        let evidence = read(Signal::RunningJobs, &[(running_jobs::RUNNING, Outcome::vector(&answered))]);
        let jobs = |pod: &str| evidence.running_jobs.get(&("shop", pod)).map(|one| (one.jobs, one.at));
        assert_eq!([jobs("a"), jobs("b")], [Some((3, now())), Some((0, now()))]);
        assert_eq!(evidence.running_jobs.len(), 2);
    }

    #[test]
    fn a_cache_is_known_by_its_evictions_and_without_a_read_has_no_hit_ratio() {
        let answered = [
            (cache::EVICTIONS, Outcome::vector(&[(web(), "2.5")])),
            (cache::EVICTIONS_AGE, Outcome::vector(&[(web(), "3.5")])),
            (cache::SHARDS, Outcome::vector(&[(web(), "3")])),
            (cache::HIT_RATIO, Outcome::vector(&[(web(), "NaN")])),
            (cache::EARLIER_HIT_RATIO, Outcome::vector(&[(web(), "0.9")])),
            (cache::USED_MEMORY, Outcome::vector(&[(web(), "0.5")])),
        ];
        let at = Some(now() - 3500.milliseconds());
        let reading = CacheReading {
            at,
            shards: 3,
            evictions_per_second: 2.5,
            hits_per_second: None,
            hit_ratio: None,
            earlier_hit_ratio: Some(0.9),
        };
        let value = CacheUse { reading, used_memory: Some(0.5) };
        let expected = Measured { value, at, scraped: None, is_partial: false };
        assert_eq!(read(Signal::Cache, &answered).caches[&key()], expected);
        assert!(read(Signal::Cache, &answered[1..]).caches.is_empty(), "no evictions are not none");
    }

    #[test]
    fn a_breaker_has_the_one_state_that_is_1_or_an_implausible_one() {
        let breaker = |pod: &str, state: Option<&str>| {
            let mut labels = web();
            (labels["pod"], labels["name"]) = (json!(pod), json!("pay"));
            if let Some(state) = state {
                labels["state"] = json!(state);
            }
            labels
        };
        let states = [
            (breaker("a", Some("open")), "1"),
            (breaker("b", Some("half_open")), "1"),
            (breaker("c", Some("closed")), "1"),
            (breaker("latched", Some("closed")), "1"),
            (breaker("latched", Some("open")), "1"),
            (breaker("other", Some("forced")), "1"),
        ];
        let ages: Vec<_> =
            ["a", "b", "c", "latched", "other", "none"].map(|pod| (breaker(pod, None), "3.5")).into();
        let [facts, age] = *Signal::Circuit(CircuitSource::App).family().templates else {
            panic!("two templates")
        };
        let evidence = read(
            Signal::Circuit(CircuitSource::App),
            &[(facts, Outcome::vector(&states)), (age, Outcome::vector(&ages))],
        );
        let pods = &evidence.circuits[&CircuitSource::App][&key()].value["payments"].pods;
        let states: Vec<_> = pods.iter().map(|(pod, circuit)| (pod.as_str(), circuit.state)).collect();
        let implausible = ["latched", "none", "other"].map(|pod| (pod, Implausible));
        assert_eq!(states[..3], [("a", Open), ("b", HalfOpen), ("c", Closed)]);
        assert_eq!(states[3..], implausible);
        assert!(pods.values().all(|circuit| circuit.at == Some(now() - 3500.milliseconds())));
    }

    #[test]
    fn replicas_that_report_no_query_run_none_and_replicas_that_do_not_report_are_not_measured() {
        let of = |answered: &[(Template, Outcome<'static>)]| {
            let evidence = read(Signal::Activity, answered);
            evidence.activity.get(&key()).map(|one| (one.value, one.at, one.scraped))
        };
        let queries = || (activity::QUERIES, Outcome::vector(&[(web(), "12")]));
        let reporting = || (activity::REPORTING, Outcome::vector(&[(web(), "2")]));
        let age = || (activity::AGE, Outcome::vector(&[(web(), "3.5")]));
        let (at, scraped) = (Some(now() - 3500.milliseconds()), Some(Scraped { at_start: 0, at_end: 2 }));
        assert_eq!(of(&[queries(), reporting(), age()]), Some((12.0, at, scraped)));
        assert_eq!(of(&[reporting(), age()]), Some((0.0, at, scraped)));
        assert_eq!(of(&[queries(), age()]), None);
    }

    /// The measurements of the pool of a component to the database `main`.
    fn read_connections(answered: &[(Template, Outcome<'static>)]) -> Measurements {
        let none = Outcome::vector(&[]);
        let answer = |template: &Template| {
            let answered = answered.iter().find(|(one, _)| one == template);
            (*template, answered.map_or(&none, |(_, outcome)| outcome))
        };
        let answers = Signal::Connections.family().templates.iter().map(answer).collect();
        let pools = BTreeMap::from([(key(), ComponentKey::new("shop", "shop", "main"))]);
        let wanted = QueryPlan::default().with_pools(pools);
        let part =
            Part { start: AppKey::default(), apps: Vec::new(), is_whole: true, cuts_a_namespace: false };
        let mut evidence = Measurements::default();
        let sampling = Sampling { part: &part, wanted: &wanted, now: now() };
        evidence.read(Signal::Connections, &sampling, answers).unwrap();
        evidence
    }

    #[test]
    fn the_connections_of_a_server_are_read_by_owner_and_without_a_report_have_no_time() {
        let main = json!({"namespace": "shop", "scalableapp": "shop", "database": "main"});
        let owned = |owner: &str| {
            let mut labels = main.clone();
            labels["owner"] = json!(owner);
            labels
        };
        let answered = [
            (connections::SESSIONS, Outcome::vector(&[(owned("app"), "20"), (owned("others"), "12")])),
            (connections::MOST, Outcome::vector(&[(main.clone(), "47")])),
            (connections::AGE, Outcome::vector(&[(main.clone(), "3.5")])),
        ];
        let server = ComponentKey::new("shop", "shop", "main");
        let at = Some(now() - 3500.milliseconds());
        let expected = ConnectionsReading { at, most: 47.0, own: 20.0, others: 12.0 };
        assert_eq!(read_connections(&answered).connections[&server].value, expected);
        assert_eq!(
            read_connections(&[]).connections[&server].value.at,
            None,
            "it was answered, and is not known"
        );
    }

    #[test]
    fn the_size_of_a_pool_is_that_of_the_pool_for_writes_or_of_the_databases_name() {
        let of = |pool: &str| {
            let mut labels = web();
            labels["db_client_connection_pool_name"] = json!(pool);
            labels
        };
        let read = |name: &str| {
            let sizes = Outcome::vector(&[(of(name), "8"), (of("read"), "30")]);
            let pods = Outcome::vector(&[(of(name), "3"), (of("read"), "9")]);
            let answered = [(connections::POOL_SIZE, sizes), (connections::POOL_PODS, pods)];
            let value = read_connections(&answered).pools[&key()].value;
            (value.at, value.largest, value.reporting)
        };
        assert_eq!(read("write"), (Some(now()), 8.0, 3));
        assert_eq!(read("main"), (Some(now()), 8.0, 3));
        assert_eq!(read("other"), (Some(now()), 0.0, 0));
    }

    #[test]
    fn a_value_without_recent_samples_has_no_age() {
        let evidence = read(Signal::RequestRate, &[(RATE, Outcome::vector(&[(web(), "12.5")]))]);
        let value = Traffic { rate: 12.5, ..Traffic::default() };
        let expected = Measured { value, at: None, scraped: None, is_partial: false };
        assert_eq!(evidence.traffic[&key()], expected);
    }

    #[test]
    fn series_that_name_no_wanted_component_are_passed_over() {
        let mut other = web();
        other["component"] = json!("api");
        let others = [(json!({"namespace": "shop"}), "12.5"), (json!({}), "1"), (other.clone(), "2")];
        other["le"] = json!("0.1");
        let buckets = [(json!({"le": "0.1"}), "12.5"), (other, "2")];
        assert!(read(Signal::RequestRate, &[(RATE, Outcome::vector(&others))]).traffic.is_empty());
        assert!(read(Signal::Latency, &[(BUCKETS, Outcome::vector(&buckets))]).latencies.is_empty());
    }
}
