//! The measurements that the apps need, so that nothing else is queried. Pure.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use scalableapp_crds::{self as api, CircuitSource, Tier};
use scalableapp_engine::forecast::Forecast;
use scalableapp_engine::propose::metric::Target;

use super::prometheus::cluster_activity;
use crate::resolve::app::{App, BacklogSource, Breaker, BreakerQuery, Component, ComponentKey};

/// A signal: one set of queries for all apps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// HTTP requests per second of a component.
    RequestRate,
    /// Histogram of the HTTP latency of a component.
    Latency,
    /// CPU of each pod.
    Cpu,
    /// Memory working set of each pod.
    Memory,
    /// Jobs of the queues of a pool of workers.
    Jobs,
    /// Jobs that each pod of a worker runs.
    RunningJobs,
    /// Running queries of the read replicas of a database.
    Activity,
    /// Evictions, hits and memory of a cache.
    Cache,
    /// Circuit breakers of each pod, by what exports them.
    Circuit(CircuitSource),
    /// Connections of the servers of databases, and the pools of pods.
    Connections,
    /// HTTP requests per second of a component over a short window.
    RecentRequests,
    /// Failed HTTP requests of a component.
    Failures,
    /// Calls of a component to others.
    Calls,
    /// How a component uses its database.
    DatabaseUse,
}

/// Namespace and name of an app.
pub type AppKey = (String, String);

/// The users of a signal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryScope {
    /// The apps that use it.
    pub apps: BTreeSet<AppKey>,
    /// Whether a decision uses it. Otherwise it is only displayed.
    pub decides: bool,
}

/// The apps that are measured whatever they scale on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Those with a service or a worker that serves metrics: their traffic, which is displayed.
    pub traffic: BTreeSet<AppKey>,
    /// Those with a cache, which is displayed.
    pub caches: BTreeSet<AppKey>,
    /// Those with a worker that serves metrics: the jobs of each pod decide which pods leave.
    pub workers: BTreeSet<AppKey>,
}

/// A custom query, as its author wrote it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CustomQuery {
    /// Namespace that it is confined to.
    pub namespace: String,
    /// The text.
    pub text: String,
}

impl CustomQuery {
    /// The query of a circuit breaker, in a namespace.
    #[must_use]
    pub fn of_breaker(query: &BreakerQuery, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), text: query.text.clone() }
    }
}

/// The custom queries of a backlog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BacklogQueries {
    /// New jobs per second.
    pub arrivals: CustomQuery,
    /// Waiting jobs.
    pub waiting: CustomQuery,
    /// Age of the oldest waiting job, in seconds.
    pub oldest: CustomQuery,
    /// Running jobs.
    pub running: Option<CustomQuery>,
    /// Jobs that ended, per second.
    pub finished: Option<CustomQuery>,
    /// Mean duration of a job, in seconds.
    pub seconds: Option<CustomQuery>,
}

impl BacklogQueries {
    /// The queries as the user wrote them, in a namespace.
    #[must_use]
    pub fn of(written: &api::BacklogQueries, namespace: &str) -> Self {
        let query = |text: &String| CustomQuery { namespace: namespace.to_owned(), text: text.clone() };
        Self {
            arrivals: query(&written.arrivals_per_second),
            waiting: query(&written.waiting),
            oldest: query(&written.oldest_seconds),
            running: written.running.as_ref().map(query),
            finished: written.finished_per_second.as_ref().map(query),
            seconds: written.seconds_per_job.as_ref().map(query),
        }
    }

    /// Each query with its name in the spec.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &CustomQuery)> {
        let needed = [
            ("arrivalsPerSecond", &self.arrivals),
            ("waiting", &self.waiting),
            ("oldestSeconds", &self.oldest),
        ];
        let others = [
            ("running", &self.running),
            ("finishedPerSecond", &self.finished),
            ("secondsPerJob", &self.seconds),
        ];
        needed.into_iter().chain(others.into_iter().filter_map(|(name, query)| Some((name, query.as_ref()?))))
    }
}

/// The source of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A signal of the component as a whole.
    Component(Signal),
    /// A quantile of the component's latency, between 0 and 1.
    Quantile(f64),
    /// A signal of each pod.
    Pods(Signal),
    /// The jobs of these queues of the app.
    Backlog(Vec<String>),
    /// The jobs that these queries count.
    BacklogQueries(Box<BacklogQueries>),
    /// The evictions of a cache.
    Evictions,
    /// A custom query.
    Custom(CustomQuery),
    /// The replicas of a Cluster of CloudNativePG.
    Replicas {
        /// Their running queries.
        running: CustomQuery,
        /// The number of replicas that reported.
        reporting: CustomQuery,
    },
}

impl Source {
    /// Its custom queries.
    fn queries(&self) -> Vec<&CustomQuery> {
        match self {
            Self::Custom(query) => vec![query],
            Self::Replicas { running, reporting } => vec![running, reporting],
            Self::BacklogQueries(queries) => queries.named().map(|(_, query)| query).collect(),
            _ => Vec::new(),
        }
    }

    /// The signal behind it; `None` for custom queries.
    #[must_use]
    pub fn signal(&self) -> Option<Signal> {
        match self {
            Self::Component(signal) | Self::Pods(signal) => Some(*signal),
            Self::Quantile(_) => Some(Signal::Latency),
            Self::Backlog(_) => Some(Signal::Jobs),
            Self::Evictions => Some(Signal::Cache),
            Self::Custom(_) | Self::BacklogQueries(_) | Self::Replicas { .. } => None,
        }
    }
}

/// The source of each metric of a component, by the metric's name.
pub type Sources = BTreeMap<String, Source>;

/// For each component the sources of its metrics.
pub type Components = HashMap<ComponentKey, Sources>;

/// The sources of a component's metrics.
#[must_use]
pub fn sources(component: &Component) -> Sources {
    let source = |name: &str, target: &Target| match target {
        Target::RequestRate { .. } => Some(Source::Component(Signal::RequestRate)),
        Target::Latency { quantile, .. } => Some(Source::Quantile(*quantile)),
        Target::Cpu(_) => Some(Source::Pods(Signal::Cpu)),
        Target::Memory(_) => Some(Source::Pods(Signal::Memory)),
        Target::Backlog(_) => component.backlog.as_ref().map(|backlog| match backlog {
            BacklogSource::Queues(queues) => Source::Backlog(queues.clone()),
            BacklogSource::Queries(queries) => {
                Source::BacklogQueries(Box::new(BacklogQueries::of(queries, &component.key.namespace)))
            }
        }),
        Target::Prometheus { .. } if component.tier == Tier::Database => {
            let of_cluster = cluster_activity::queries(component);
            let replicas = of_cluster.map(|(running, reporting)| Source::Replicas { running, reporting });
            Some(replicas.unwrap_or(Source::Component(Signal::Activity)))
        }
        Target::Evictions => Some(Source::Evictions),
        Target::Prometheus { .. } => component.queries.get(name).map(|text| {
            let namespace = component.key.namespace.clone();
            Source::Custom(CustomQuery { namespace, text: text.clone() })
        }),
    };
    let metrics = component.declared.metrics().iter();
    metrics.filter_map(|one| Some((one.name.clone(), source(&one.name, &one.target)?))).collect()
}

/// The circuit breakers of each component that calls something, by the name of the dependency.
pub type Breakers = BTreeMap<ComponentKey, BTreeMap<String, Breaker>>;

/// The measurements that the apps need. Computed when an app changes, not in every tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryPlan {
    components: Components,
    forecasts: BTreeMap<ComponentKey, Forecast>,
    signals: BTreeMap<Signal, QueryScope>,
    custom: BTreeSet<CustomQuery>,
    breakers: Breakers,
    pools: BTreeMap<ComponentKey, ComponentKey>,
}

impl QueryPlan {
    /// The needs of these apps' metrics.
    #[must_use]
    pub fn of<'a>(apps: impl IntoIterator<Item = &'a App>) -> Self {
        let (mut components, mut forecasts) = (HashMap::new(), BTreeMap::new());
        let (mut shown, mut breakers) = (Shown::default(), Breakers::new());
        let mut pools = BTreeMap::new();
        for app in apps {
            for component in app.components.iter().filter(|component| component.is_valid()) {
                let key = || (app.namespace.clone(), app.name.to_string());
                if component.tier == Tier::Cache {
                    shown.caches.insert(key());
                }
                let serves_metrics = component.pod.metrics_port.is_some();
                if serves_metrics && matches!(component.tier, Tier::Service | Tier::Worker) {
                    shown.traffic.insert(key());
                }
                if serves_metrics && component.tier == Tier::Worker {
                    shown.workers.insert(key());
                }
                if !component.breakers.is_empty() {
                    breakers.insert(component.key.clone(), component.breakers.clone());
                }
                forecasts
                    .extend(component.declared.forecast().map(|forecast| (component.key.clone(), forecast)));
                if let Some(pool) = &component.declared.pool {
                    let database = ComponentKey::new(&app.namespace, app.name.as_str(), &pool.database);
                    pools.insert(component.key.clone(), database);
                }
                components.insert(component.key.clone(), sources(component));
            }
        }
        let diagnosed = shown.traffic.clone();
        let plan = Self::new(components, forecasts, shown).with_breakers(breakers).with_pools(pools);
        plan.with_diagnosis(&diagnosed)
    }

    /// The same with what is measured of these apps for their diagnosis only.
    fn with_diagnosis(mut self, apps: &BTreeSet<AppKey>) -> Self {
        let of = |keys: &mut dyn Iterator<Item = &ComponentKey>| -> BTreeSet<AppKey> {
            let keys = keys.map(|key| (key.namespace.clone(), key.app.clone()));
            keys.filter(|key| apps.contains(key)).collect()
        };
        let (calling, pooled) = (of(&mut self.breakers.keys()), of(&mut self.pools.keys()));
        for (signal, apps) in [
            (Signal::Failures, apps.clone()),
            (Signal::Cpu, apps.clone()),
            (Signal::Memory, apps.clone()),
            (Signal::Calls, calling),
            (Signal::DatabaseUse, pooled),
        ] {
            if !apps.is_empty() {
                self.signals.entry(signal).or_default().apps.extend(apps);
            }
        }
        self
    }

    /// The plan with the circuit breakers of components.
    #[must_use]
    pub fn with_breakers(mut self, breakers: Breakers) -> Self {
        for (key, breakers) in &breakers {
            for breaker in breakers.values() {
                match breaker {
                    Breaker::Exported { source, .. } => {
                        let scope = self.signals.entry(Signal::Circuit(*source)).or_default();
                        scope.decides = true;
                        scope.apps.insert((key.namespace.clone(), key.app.clone()));
                    }
                    Breaker::Query(query) => {
                        self.custom.insert(CustomQuery::of_breaker(query, &key.namespace));
                    }
                }
            }
        }
        Self { breakers, ..self }
    }

    /// The same with the connection pools of these components, each with the key of its database.
    #[must_use]
    pub fn with_pools(mut self, pools: BTreeMap<ComponentKey, ComponentKey>) -> Self {
        let apps: BTreeSet<AppKey> =
            pools.keys().map(|key| (key.namespace.clone(), key.app.clone())).collect();
        if !apps.is_empty() {
            self.signals.insert(Signal::Connections, QueryScope { apps, decides: true });
        }
        Self { pools, ..self }
    }

    /// The needs of these components, and what is measured anyway.
    #[must_use]
    pub fn new(components: Components, forecasts: BTreeMap<ComponentKey, Forecast>, shown: Shown) -> Self {
        let sources = components.values().flat_map(BTreeMap::values);
        let custom = sources.flat_map(Source::queries).cloned();
        Self {
            signals: signals(&components, shown),
            custom: custom.collect(),
            components,
            forecasts,
            breakers: Breakers::new(),
            pools: BTreeMap::new(),
        }
    }

    /// The circuit breakers of each component that has some.
    #[must_use]
    pub fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    /// For each component the source of each metric.
    #[must_use]
    pub fn components(&self) -> &Components {
        &self.components
    }

    /// The forecast of each component's load, where there is one.
    #[must_use]
    pub fn forecasts(&self) -> &BTreeMap<ComponentKey, Forecast> {
        &self.forecasts
    }

    /// The components with a connection pool, each with the key of its database.
    #[must_use]
    pub fn pools(&self) -> &BTreeMap<ComponentKey, ComponentKey> {
        &self.pools
    }

    /// The measured signals: those of metrics, and those that are displayed.
    #[must_use]
    pub fn signals(&self) -> &BTreeMap<Signal, QueryScope> {
        &self.signals
    }

    /// The custom queries, each once.
    #[must_use]
    pub fn custom(&self) -> &BTreeSet<CustomQuery> {
        &self.custom
    }

    /// The apps with one of these queries, by namespace and name.
    #[must_use]
    pub fn apps_with(&self, queries: &BTreeSet<CustomQuery>) -> BTreeSet<AppKey> {
        let uses = |sources: &BTreeMap<String, Source>| {
            sources.values().flat_map(Source::queries).any(|query| queries.contains(query))
        };
        let is_read = |(key, breakers): &(&ComponentKey, &BTreeMap<String, Breaker>)| {
            breakers.values().any(|breaker| match breaker {
                Breaker::Query(query) => queries.contains(&CustomQuery::of_breaker(query, &key.namespace)),
                Breaker::Exported { .. } => false,
            })
        };
        let components = self.components.iter().filter(|(_, sources)| uses(sources)).map(|(key, _)| key);
        let callers = self.breakers.iter().filter(is_read).map(|(key, _)| key);
        components.chain(callers).map(|key| (key.namespace.clone(), key.app.clone())).collect()
    }
}

fn signals(components: &Components, shown: Shown) -> BTreeMap<Signal, QueryScope> {
    let Shown { traffic, caches, workers } = shown;
    let mut signals: BTreeMap<Signal, QueryScope> = BTreeMap::new();
    for (signal, apps, decides) in [
        (Signal::RequestRate, traffic.clone(), false),
        (Signal::Latency, traffic, false),
        (Signal::Cache, caches, false),
        (Signal::RunningJobs, workers, true),
    ] {
        if !apps.is_empty() {
            signals.insert(signal, QueryScope { apps, decides });
        }
    }
    for (key, sources) in components {
        let of_metrics = || sources.values().filter_map(Source::signal);
        let recent =
            of_metrics().any(|signal| signal == Signal::RequestRate).then_some(Signal::RecentRequests);
        for signal in of_metrics().chain(recent) {
            let scope = signals.entry(signal).or_default();
            scope.decides = true;
            scope.apps.insert((key.namespace.clone(), key.app.clone()));
        }
    }
    signals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::resolve;
    use serde_json::{Value, json};

    fn app(namespace: &str, name: &str, metrics: &Value) -> App {
        let app = serde_json::from_value(json!({
            "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp",
            "metadata": {"name": name, "namespace": namespace, "uid": "1", "generation": 1},
            "spec": {"image": "registry.example/shop:1", "services": [{
                "name": "web", "port": 8080, "metricsPort": 9090,
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
                "scaling": {"minReplicas": 1, "maxReplicas": 9, "metrics": metrics},
            }]},
        }));
        resolve(&app.unwrap()).unwrap()
    }

    #[test]
    fn many_apps_with_one_kind_of_metric_want_no_more_signals_than_one() {
        let metrics = json!([{"name": "rps", "requestRate": {"perReplica": "50"}}]);
        let apps: Vec<App> = (0..100)
            .map(|index| app(&format!("team-{}", index % 3), &format!("app-{index}"), &metrics))
            .collect();
        let wanted = QueryPlan::of(&apps);
        let signals = &wanted.signals;
        let of_diagnosis = [Signal::Cpu, Signal::Memory, Signal::Failures];
        let all = [
            Signal::RequestRate,
            Signal::Latency,
            Signal::Cpu,
            Signal::Memory,
            Signal::RecentRequests,
            Signal::Failures,
        ];
        assert_eq!(signals.keys().copied().collect::<Vec<_>>(), all);
        assert!(of_diagnosis.iter().all(|signal| !signals[signal].decides), "queried less often");
        assert_eq!(signals[&Signal::RequestRate].apps.len(), 100);
        assert!(signals[&Signal::RequestRate].decides && !signals[&Signal::Latency].decides);
    }

    #[test]
    fn a_signal_that_no_app_uses_is_not_wanted() {
        let metrics = json!([{"name": "cpu", "cpu": {"utilization": 70}}]);
        let mut app = app("shop", "shop", &metrics);
        app.components[0].pod.metrics_port = None;
        assert_eq!(QueryPlan::of(&[app]).signals.keys().collect::<Vec<_>>(), [&Signal::Cpu]);
        assert!(QueryPlan::of(&[]).signals.is_empty());
    }

    #[test]
    fn breakers_are_queried_of_the_apps_that_call_a_dependency_alone() {
        let app = |calls: &[&str]| {
            let app = serde_json::from_value(json!({
                "metadata": {"name": "shop", "namespace": "shop", "uid": "1"},
                "spec": {
                    "services": [{"name": "web", "image": "shop:1", "port": 8080, "calls": calls}],
                    "dependencies": [
                        {"name": "payments", "circuit": {"source": "polly"}},
                        {"name": "stock", "circuit": {"source": "app"}},
                    ],
                },
            }));
            QueryPlan::of(&[resolve(&app.unwrap()).unwrap()]).signals.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(app(&[]), []);
        assert_eq!(app(&["payments"]), [Signal::Circuit(CircuitSource::Polly)]);
    }

    #[test]
    fn what_a_diagnosis_alone_reads_is_wanted_of_apps_that_can_have_it() {
        let signals = |pool: &Value, calls: &Value| {
            let app = serde_json::from_value(json!({
                "metadata": {"name": "shop", "namespace": "shop", "uid": "1"},
                "spec": {
                    "services": [{"name": "web", "image": "shop:1", "port": 8080, "metricsPort": 9090,
                        "connectionPool": pool, "calls": calls}],
                    "databases": [{"name": "main", "postgres": {"primary": {"secretRef": {"name": "shop-db"}}}}],
                    "dependencies": [{"name": "payments", "circuit": {"source": "app"}}],
                },
            }));
            let signals = QueryPlan::of(&[resolve(&app.unwrap()).unwrap()]).signals;
            [Signal::Failures, Signal::Calls, Signal::DatabaseUse].map(|signal| signals.contains_key(&signal))
        };
        let pool = json!({"database": "main", "size": 5});
        assert_eq!(signals(&Value::Null, &json!([])), [true, false, false]);
        assert_eq!(signals(&pool, &json!([])), [true, false, true]);
        assert_eq!(signals(&Value::Null, &json!(["payments"])), [true, true, false]);
    }

    #[test]
    fn a_cache_is_measured_whether_or_not_it_scales_and_no_traffic_of_it_is() {
        let signals = |max: i32| {
            let app = serde_json::from_value(json!({
                "metadata": {"name": "shop", "namespace": "shop", "uid": "1"},
                "spec": {
                    "services": [{"name": "web", "image": "shop:1", "port": 8080}],
                    "caches": [{"name": "hot", "redis": {"shards": {"min": 1, "max": max}, "memory": "64Mi"}}],
                },
            }));
            let wanted = QueryPlan::of(&[resolve(&app.unwrap()).unwrap()]);
            wanted.signals.iter().map(|(signal, scope)| (*signal, scope.decides)).collect::<Vec<_>>()
        };
        assert_eq!(signals(1), [(Signal::Cache, false)]);
        assert_eq!(signals(2), [(Signal::Cpu, true), (Signal::Cache, true)]);
    }

    #[test]
    fn the_jobs_of_each_pod_are_measured_for_workers_that_serve_metrics() {
        let signals = |port: &Value| {
            let app = serde_json::from_value(json!({
                "metadata": {"name": "shop", "namespace": "shop", "uid": "1"},
                "spec": {
                    "services": [{"name": "web", "image": "shop:1", "port": 8080}],
                    "workers": [{"name": "mail", "image": "shop:1", "metricsPort": port,
                        "scaling": {"minReplicas": 1, "maxReplicas": 1}}],
                },
            }));
            QueryPlan::of(&[resolve(&app.unwrap()).unwrap()]).signals
        };
        assert!(signals(&json!(9090))[&Signal::RunningJobs].decides);
        assert!(!signals(&json!(null)).contains_key(&Signal::RunningJobs));
    }

    #[test]
    fn each_kind_of_metric_has_its_source() {
        let metrics = json!([
            {"name": "rps", "requestRate": {"perReplica": "50"}},
            {"name": "p99", "latency": {"quantile": "0.99", "target": "300ms"}},
            {"name": "cpu", "cpu": {"utilization": 70}},
            {"name": "memory", "memory": {"averageValue": "64Mi"}},
            {"name": "carts", "prometheus": {"query": "sum(carts_open)", "perReplica": "200"}},
        ]);
        let wanted = QueryPlan::of(&[app("shop", "shop", &metrics)]);
        let query = CustomQuery { namespace: "shop".to_owned(), text: "sum(carts_open)".to_owned() };
        let expected = BTreeMap::from([
            ("rps".to_owned(), Source::Component(Signal::RequestRate)),
            ("p99".to_owned(), Source::Quantile(0.99)),
            ("cpu".to_owned(), Source::Pods(Signal::Cpu)),
            ("memory".to_owned(), Source::Pods(Signal::Memory)),
            ("carts".to_owned(), Source::Custom(query)),
        ]);
        assert_eq!(wanted.components[&ComponentKey::new("shop", "shop", "web")], expected);
        let decides = wanted.signals.values().filter(|scope| scope.decides).count();
        assert_eq!(decides, 5, "the request rate over two windows, and the three others");
    }

    #[test]
    fn the_queries_of_a_backlog_are_wanted_like_those_of_a_metric() {
        let app = serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "shop", "uid": "1"},
            "spec": {"workers": [{"name": "mail", "image": "shop:1", "scaling": {"maxReplicas": 3, "backlog": {
                "queries": {"arrivalsPerSecond": "a", "waiting": "b", "oldestSeconds": "c", "secondsPerJob": "d"},
                "drainWithin": "60s",
            }}}]},
        }));
        let wanted = QueryPlan::of(&[resolve(&app.unwrap()).unwrap()]);
        let texts: Vec<&str> = wanted.custom.iter().map(|query| query.text.as_str()).collect();
        assert_eq!(texts, ["a", "b", "c", "d"]);
        assert!(!wanted.signals.contains_key(&Signal::Jobs));
        let answered = wanted.custom.iter().filter(|query| query.text == "d").cloned().collect();
        assert_eq!(wanted.apps_with(&answered), BTreeSet::from([("shop".to_owned(), "shop".to_owned())]));
    }

    #[test]
    fn a_query_is_wanted_once_for_each_namespace() {
        let metrics =
            json!([{"name": "carts", "prometheus": {"query": "sum(carts_open)", "perReplica": "200"}}]);
        let apps = [app("shop", "one", &metrics), app("shop", "two", &metrics), app("blog", "one", &metrics)];
        let wanted = QueryPlan::of(&apps);
        assert_eq!(wanted.custom.len(), 2);
        let query = CustomQuery { namespace: "shop".to_owned(), text: "sum(carts_open)".to_owned() };
        let app = |name: &str| ("shop".to_owned(), name.to_owned());
        assert_eq!(wanted.apps_with(&BTreeSet::from([query])), BTreeSet::from([app("one"), app("two")]));
    }
}
