//! The samples of one tick, and their problems. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use scalableapp_crds::{LiveCache, LiveLatency};
use scalableapp_engine::evidence::backlog::BacklogReading;
use scalableapp_engine::evidence::cache::CacheReading;
use scalableapp_engine::evidence::circuit::CircuitReading;
use scalableapp_engine::evidence::connections::{ConnectionsReading, PoolReading};
use scalableapp_engine::evidence::recent::RecentRate;
use scalableapp_engine::evidence::sample::{Coverage, Reading, Window};
use scalableapp_engine::forecast::season::Seasonal;
use scalableapp_engine::hpa::pod::{self, PodSample, Resource};

use super::backlog_queries;
use super::breaker_query;
use super::prometheus::canary::{JudgedSteps, trial_judge::JudgedStep};
use super::prometheus::custom::Answers;
use super::prometheus::history::Seasons;
use super::prometheus::quantile::quantile;
use super::prometheus::signals::cache::CacheUse;
use super::prometheus::signals::family::Measurements;
use super::prometheus::signals::jobs::PoolBacklog;
use super::prometheus::signals::recent::RecentTraffic;
use super::prometheus::signals::requests::Traffic;
use super::prometheus::signals::scraped::Measured;
use super::prometheus::signals::usage::pod_sample;
use super::prometheus::targets::Targets;
use super::query_plan::{CustomQuery, QueryPlan, Signal, Source};
#[cfg(test)]
use super::{
    namespaced::NamespacedName, prometheus::custom::QueryAnswer, prometheus::signals::cache::ShardUse,
};
#[cfg(test)]
use crate::resolve::app::App;
use crate::resolve::app::{Breaker, ComponentKey};

/// The samples of one tick.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    pub(super) wanted: Arc<QueryPlan>,
    pub(super) evidence: Measurements,
    pub(super) custom: Answers,
    pub(super) targets: Option<Arc<Targets>>,
    pub(super) seasons: Arc<Seasons>,
    pub(super) judged: Arc<JudgedSteps>,
    pub(super) max_age: SignedDuration,
    pub(super) request_window: SignedDuration,
    pub(super) recent_window: SignedDuration,
    pub(super) cpu_window: SignedDuration,
    pub(super) diagnosis_window: SignedDuration,
    pub(super) taken: Option<Timestamp>,
}

#[cfg(test)]
impl Samples {
    /// The samples of a tick without any.
    pub(crate) fn without_any(taken: Timestamp) -> Self {
        Self { taken: Some(taken), ..Self::default() }
    }

    /// The samples of a tick with these judgements of canaries.
    pub(crate) fn of_canaries(
        taken: Timestamp,
        judged: impl IntoIterator<Item = (ComponentKey, JudgedStep)>,
    ) -> Self {
        Self { judged: Arc::new(judged.into_iter().collect()), ..Self::without_any(taken) }
    }

    /// The samples of a tick in which this query of an app returned a series for each of these pods.
    pub(crate) fn of_breakers(
        app: &App,
        query: &str,
        taken: Timestamp,
        pods: impl IntoIterator<Item = (String, f64)>,
    ) -> Self {
        let (pods, values) = pods.into_iter().map(|(pod, value)| (Some(pod), value)).unzip();
        let answer = QueryAnswer { values, pods, at: Some(taken), ..QueryAnswer::default() };
        let query = CustomQuery { namespace: app.namespace.clone(), text: query.to_owned() };
        let (wanted, custom) = (Arc::new(QueryPlan::of([app])), Answers::from([(query, Arc::new(answer))]));
        Self { wanted, custom, max_age: SignedDuration::from_secs(90), ..Self::without_any(taken) }
    }

    /// The samples of a tick that read these commands per second of shards in a namespace, over a minute.
    pub(crate) fn of_shards(
        namespace: &str,
        taken: Timestamp,
        commands: impl IntoIterator<Item = (String, f64)>,
    ) -> Self {
        Self::of_data(namespace, taken, commands.into_iter().map(|(pod, commands)| (pod, commands, None)))
    }

    /// The same with the bytes of their data.
    pub(crate) fn of_data(
        namespace: &str,
        taken: Timestamp,
        shards: impl IntoIterator<Item = (String, f64, Option<f64>)>,
    ) -> Self {
        let shards = shards.into_iter().map(|(pod, commands_per_second, data)| {
            (NamespacedName::new(namespace, &pod), ShardUse { commands_per_second, data, at: taken })
        });
        let evidence = Measurements { shards: Arc::new(shards.collect()), ..Measurements::default() };
        let request_window = SignedDuration::from_secs(60);
        Self { evidence, request_window, ..Self::without_any(taken) }
    }
}

impl Samples {
    /// The age up to which a sample is fresh.
    #[must_use]
    pub fn max_age(&self) -> SignedDuration {
        self.max_age
    }

    /// Whether a tick has queried Prometheus at all.
    #[must_use]
    pub fn were_taken(&self) -> bool {
        self.taken.is_some()
    }

    /// When a tick last queried Prometheus.
    #[must_use]
    pub fn taken(&self) -> Option<Timestamp> {
        self.taken
    }

    /// Result of the query of a component's metric; `None` where it was not answered. CPU and memory are read with
    /// [`Self::usage`].
    #[must_use]
    pub fn reading(&self, key: &ComponentKey, metric: &str) -> Option<Reading> {
        self.read(key, self.source(key, metric)?)
    }

    /// The source of a component's metric in the last tick.
    #[must_use]
    pub fn source(&self, key: &ComponentKey, metric: &str) -> Option<&Source> {
        self.wanted.components().get(key)?.get(metric)
    }

    /// The season of a component's metric; `None` while its history is loading.
    #[must_use]
    pub fn season(&self, key: &ComponentKey, metric: &str) -> Option<&Seasonal> {
        self.seasons.get(key)?.get(metric)
    }

    /// What the judge says of a component's canary; `None` before it was read.
    #[must_use]
    pub fn judged(&self, key: &ComponentKey) -> Option<&JudgedStep> {
        self.judged.get(key)
    }

    fn read(&self, key: &ComponentKey, source: &Source) -> Option<Reading> {
        match source {
            Source::Component(Signal::Activity) => self
                .evidence
                .activity
                .get(key)
                .map(|measured| Reading { values: vec![measured.value], ..reading_of(measured) }),
            Source::Component(_) => self.evidence.traffic.get(key).map(|measured| self.rate(measured)),
            // A histogram without observations has no value: no traffic, so the latency is not known.
            Source::Quantile(wanted) => self.evidence.latencies.get(key).map(|histogram| {
                let values = quantile(*wanted, &histogram.value).into_iter().collect();
                Reading { values, ..reading_of(histogram) }
            }),
            Source::Pods(_) | Source::Backlog(_) | Source::BacklogQueries(_) | Source::Evictions => None,
            Source::Replicas { running, reporting } => self.replicas(running, reporting),
            Source::Custom(query) => self.custom.get(query).map(|answer| Reading {
                values: answer.values.clone(),
                at: answer.at,
                is_partial: answer.is_partial,
                ..Reading::default()
            }),
        }
    }

    /// The running queries of the replicas of a Cluster, and how many replicas they are of.
    fn replicas(&self, running: &CustomQuery, reporting: &CustomQuery) -> Option<Reading> {
        let (running, reporting) = (self.custom.get(running)?, self.custom.get(reporting)?);
        let reporting_replicas = match reporting.values[..] {
            [replicas] => replicas as u32,
            _ => 0,
        };
        Some(Reading {
            values: running.values.clone(),
            at: running.at.min(reporting.at),
            coverage: Some(Coverage { reporting: reporting_replicas }),
            is_partial: running.is_partial || reporting.is_partial,
            ..Reading::default()
        })
    }

    fn rate(&self, measured: &Measured<Traffic>) -> Reading {
        let Traffic { rate, resets, in_flight } = measured.value;
        let length = self.request_window;
        let window = measured.scraped.map(|scraped| Window {
            length,
            start: Coverage { reporting: scraped.at_start },
            resets,
        });
        Reading { values: vec![rate], window, in_flight, ..reading_of(measured) }
    }

    /// Backlog of a pool of workers, for its metric; `None` where it is not known, or may be incomplete.
    #[must_use]
    pub fn backlog(&self, key: &ComponentKey, metric: &str) -> Option<BacklogReading> {
        match self.source(key, metric)? {
            Source::BacklogQueries(queries) => backlog_queries::reading(queries, &self.custom),
            Source::Backlog(_) => match self.evidence.backlogs.get(key)? {
                Measured { value: PoolBacklog::Known(reading), is_partial: false, .. } => Some(*reading),
                _ => None,
            },
            _ => None,
        }
    }

    /// Evictions and hits of a cache; `None` where they are not known, or may be incomplete.
    #[must_use]
    pub fn cache(&self, key: &ComponentKey) -> Option<&CacheReading> {
        let measured = self.evidence.caches.get(key).filter(|measured| !measured.is_partial)?;
        Some(&measured.value.reading)
    }

    /// The circuit breakers of a component's pods for a dependency; `None` before their query was answered. A pod that an
    /// answer may lack is without one.
    #[must_use]
    pub fn circuit(
        &self,
        key: &ComponentKey,
        dependency: &str,
        breaker: &Breaker,
    ) -> Option<Cow<'_, CircuitReading>> {
        let asked = self.wanted.breakers().get(key)?.get(dependency)?;
        if asked != breaker {
            return None;
        }
        match breaker {
            Breaker::Exported { source, .. } => {
                let measured = self.evidence.circuits.get(source)?;
                let measured = measured.get(key).and_then(|measured| measured.value.get(dependency));
                Some(measured.map_or_else(Cow::default, Cow::Borrowed))
            }
            Breaker::Query(query) => {
                let answer = self.custom.get(&CustomQuery::of_breaker(query, &key.namespace))?;
                answer.at.is_some().then(|| Cow::Owned(breaker_query::reading(query, answer)))
            }
        }
    }

    /// Why the circuit breakers of these pods of a component are not known, as a sentence; `None` where nothing is wrong
    /// with the way they are read.
    #[must_use]
    pub fn circuit_problem(
        &self,
        key: &ComponentKey,
        breaker: &Breaker,
        pods: &[pod::Pod],
    ) -> Option<String> {
        let Breaker::Query(query) = breaker else { return None };
        let answer = self.custom.get(&CustomQuery::of_breaker(query, &key.namespace))?;
        breaker_query::problem(query, answer, pods)
    }

    /// Connections of the server of a database; `None` where they were not answered, or may be incomplete.
    #[must_use]
    pub fn connections(&self, database: &ComponentKey) -> Option<ConnectionsReading> {
        self.evidence.connections.get(database).map(|measured| measured.value)
    }

    /// Pools of a component's pods; `None` where they were not answered, or may be incomplete.
    #[must_use]
    pub fn pools(&self, key: &ComponentKey) -> Option<PoolReading> {
        self.evidence.pools.get(key).map(|measured| measured.value)
    }

    /// HTTP requests per second of a component over the short window; `None` where they were not answered, or may be
    /// incomplete.
    #[must_use]
    pub fn recent_rate(&self, key: &ComponentKey) -> Option<RecentRate> {
        let Measured { value, at, is_partial: false, .. } = self.evidence.recent.get(key)? else {
            return None;
        };
        let (length, resets) = (self.recent_window, self.evidence.traffic.get(key)?.value.resets);
        let RecentTraffic { rate, requests, pods } = *value;
        Some(RecentRate { at: *at, rate, requests, length, pods, resets })
    }

    /// Usage of a pod, if every container and sidecar of it was measured.
    #[must_use]
    pub fn usage(&self, namespace: &str, pod: &pod::Pod, resource: Resource) -> Option<PodSample> {
        match resource {
            Resource::Cpu => pod_sample(&self.evidence.cpu, namespace, pod, self.cpu_window),
            Resource::Memory => pod_sample(&self.evidence.memory, namespace, pod, SignedDuration::ZERO),
        }
    }

    /// The jobs that a pod runs, if that is fresh.
    #[must_use]
    pub fn running_jobs(&self, namespace: &str, pod: &pod::Pod) -> Option<u32> {
        let running = self.evidence.running_jobs.get(&(namespace, &*pod.name))?;
        self.is_fresh(Some(running.at)).then_some(running.jobs)
    }

    /// The problem of the last attempt to read a metric, as a sentence; `None` if there was none. `pods` are the
    /// component's. They do not count as missing before they could have been scraped twice.
    #[must_use]
    pub fn problem(
        &self,
        key: &ComponentKey,
        metric: &str,
        pods: &[pod::Pod],
        now: Timestamp,
    ) -> Option<String> {
        let source = self.source(key, metric)?;
        match source {
            Source::Custom(query) => return self.custom.get(query)?.problem(),
            Source::BacklogQueries(queries) => return backlog_queries::problem(queries, &self.custom),
            _ => {}
        }
        if let Source::Replicas { running, reporting } = source {
            let (running, reporting) = (self.custom.get(running)?, self.custom.get(reporting)?);
            let words = "no replica of the Cluster reports: let Prometheus scrape port 9187 of its pods";
            let is_silent = running.at.is_some() && running.values.is_empty();
            let problem = || running.problem().or_else(|| reporting.problem());
            return if is_silent { Some(words.to_owned()) } else { problem() };
        }
        if let Some(problem) = self.evidence.problem(source.signal()?, key) {
            return Some(problem.to_owned());
        }
        if let Source::Backlog(_) = source {
            return self.unknown_backlog(key);
        }
        if *source == Source::Component(Signal::Activity) {
            let words =
                "no exporter reports that it reaches its replica: read the log of the container exporter";
            return self.lacks(key, source).then(|| words.to_owned());
        }
        let targets = self.targets.as_ref().filter(|_| self.lacks(key, source))?;
        // A window holds at least four scrapes.
        let half = self.request_window / 2;
        let mut scraped =
            pods.iter().filter(|pod| pod.is_ready_for(half, now)).map(|pod| &*pod.name).peekable();
        scraped.peek()?;
        Some(targets.explain(&key.namespace, scraped).to_string())
    }

    /// Why the backlog of a pool is not known, as a sentence.
    fn unknown_backlog(&self, key: &ComponentKey) -> Option<String> {
        let measured = self.evidence.backlogs.get(key)?;
        match &measured.value {
            PoolBacklog::Unknown(missing) => Some(format!(
                "no pod of the app exports {missing}: export it from a component that always runs, such as a service, \
                 and set its metricsPort"
            )),
            PoolBacklog::Known(_) if measured.is_partial => {
                Some("Prometheus answered for some of its servers only".to_owned())
            }
            PoolBacklog::Known(_) => None,
        }
    }

    /// Why a latency is unknown, as a sentence, if its query was unanswered for so long that the last value is stale.
    /// No traffic is an answer.
    #[must_use]
    pub fn unanswered(&self, key: &ComponentKey, metric: &str, now: Timestamp) -> Option<&str> {
        let source = self.source(key, metric).filter(|source| matches!(source, Source::Quantile(_)))?;
        let at = self.evidence.latencies.get(key).and_then(|histogram| histogram.at);
        let is_fresh = at.is_some_and(|at| now.duration_since(at) <= self.max_age);
        self.evidence.problem(source.signal()?, key).filter(|_| !is_fresh)
    }

    /// Namespaces with a component that lacks all series of one of its metrics.
    pub(super) fn unmeasured(&self) -> BTreeSet<String> {
        let lacks = |(key, sources): &(&ComponentKey, &BTreeMap<String, Source>)| {
            sources.values().any(|source| self.lacks(key, source))
        };
        self.wanted.components().iter().filter(lacks).map(|(key, _)| key.namespace.clone()).collect()
    }

    fn lacks(&self, key: &ComponentKey, source: &Source) -> bool {
        match source {
            Source::Component(Signal::Activity) => !self.evidence.activity.contains_key(key),
            Source::Component(_) => !self.evidence.traffic.contains_key(key),
            Source::Quantile(_) => !self.evidence.latencies.contains_key(key),
            Source::Pods(_)
            | Source::Custom(_)
            | Source::Replicas { .. }
            | Source::Backlog(_)
            | Source::BacklogQueries(_) => false,
            Source::Evictions => !self.evidence.caches.contains_key(key),
        }
    }

    /// HTTP requests per second of a component, if it serves metrics and the sample is fresh.
    #[must_use]
    pub fn request_rate(&self, key: &ComponentKey) -> Option<f64> {
        let traffic = self.evidence.traffic.get(key)?;
        self.is_fresh(traffic.at).then_some(traffic.value.rate)
    }

    /// HTTP latency of a component, if it serves metrics and the sample is fresh.
    #[must_use]
    pub fn latency(&self, key: &ComponentKey) -> Option<LiveLatency> {
        let histogram = self.evidence.latencies.get(key)?;
        self.is_fresh(histogram.at).then(|| LiveLatency {
            p50: quantile(0.5, &histogram.value),
            p99: quantile(0.99, &histogram.value),
        })
    }

    /// Backlog of a pool of workers, if it is fresh.
    #[must_use]
    pub fn fresh_backlog(&self, key: &ComponentKey) -> Option<BacklogReading> {
        let mut metrics = self.wanted.components().get(key)?.keys();
        metrics.find_map(|metric| self.backlog(key, metric)).filter(|reading| self.is_fresh(reading.at))
    }

    /// The use of a cache, if the sample is fresh.
    #[must_use]
    pub fn cache_use(&self, key: &ComponentKey) -> Option<LiveCache> {
        let measured = self.evidence.caches.get(key)?;
        let CacheUse { reading, used_memory } = measured.value;
        self.is_fresh(measured.at).then_some(LiveCache {
            shards: reading.shards,
            hit_ratio: reading.hit_ratio,
            evictions_per_second: reading.evictions_per_second,
            used_memory_ratio: used_memory,
        })
    }

    /// Whether no consumer used a shard for a whole window of requests after this time, as far as is known.
    #[must_use]
    pub fn is_unused_since(&self, namespace: &str, pod: &str, since: Timestamp) -> bool {
        let used = self.evidence.shards.get(&(namespace, pod));
        used.filter(|used| self.is_fresh(Some(used.at))).is_some_and(|used| {
            used.commands_per_second == 0.0 && used.at.duration_since(since) >= self.request_window
        })
    }

    /// Whether the data of a shard fits so many bytes now and is not about to grow, as far as is known.
    #[must_use]
    pub fn data_fits(&self, namespace: &str, pod: &str, bytes: i64) -> bool {
        let used = self.evidence.shards.get(&(namespace, pod)).filter(|used| self.is_fresh(Some(used.at)));
        used.and_then(|used| used.data).is_some_and(|data| data <= bytes as f64)
    }
}

/// Age and coverage of a value.
fn reading_of<T>(measured: &Measured<T>) -> Reading {
    let coverage = measured.scraped.map(|scraped| Coverage { reporting: scraped.at_end });
    let is_partial = measured.is_partial;
    Reading { at: measured.at, coverage, is_partial, ..Reading::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::resolve;
    use serde_json::json;

    #[test]
    fn running_queries_of_a_cluster_are_known_with_the_replicas_that_reported() {
        let replicas = json!({"min": 1, "max": 5, "target": {"activeQueries": 8}});
        let cnpg = json!({"clusterRef": {"name": "pg"}, "readReplicas": replicas});
        let app = serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "shop", "uid": "1"},
            "spec": {
                "services": [{"name": "web", "image": "shop:1", "port": 8080}],
                "databases": [{"name": "main", "postgres": {"cnpg": cnpg}}],
            },
        }));
        let wanted = Arc::new(QueryPlan::of(&[resolve(&app.expect("an app")).expect("no problem")]));
        let key = ComponentKey::new("shop", "shop", "main");
        let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + SignedDuration::from_secs(5));
        let samples = |running: &[f64], reporting: &[f64]| {
            let Some(Source::Replicas { running: of_running, reporting: of_reporting }) =
                wanted.components()[&key].get("active-queries").cloned()
            else {
                panic!("no queries of a Cluster")
            };
            let answer = |values: &[f64], at| {
                Arc::new(QueryAnswer { values: values.to_vec(), at: Some(at), ..QueryAnswer::default() })
            };
            let custom = [(of_running, answer(running, late)), (of_reporting, answer(reporting, early))];
            Samples { wanted: Arc::clone(&wanted), custom: custom.into(), ..Samples::default() }
        };
        let reading =
            |running: &[f64], reporting: &[f64]| samples(running, reporting).reading(&key, "active-queries");
        let known = reading(&[12.0], &[3.0]).expect("a reading");
        assert_eq!((known.values, known.at), (vec![12.0], Some(early)), "as old as the older answer");
        assert_eq!(known.coverage, Some(Coverage { reporting: 3 }));
        assert_eq!(reading(&[12.0], &[]).expect("a reading").coverage, Some(Coverage { reporting: 0 }));
        let problem = samples(&[], &[]).problem(&key, "active-queries", &[], late).expect("a problem");
        assert!(problem.starts_with("no replica of the Cluster reports"), "{problem}");
    }
}
