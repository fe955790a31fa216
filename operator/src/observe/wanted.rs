//! What the apps want measured, so that nothing else is asked for. Pure.

use std::collections::{BTreeMap, BTreeSet};

use scalableapp_engine::metric::Target;

use crate::resolve::app::App;

/// A component of an app.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ComponentKey {
    /// Namespace of the app.
    pub namespace: String,
    /// Name of the app.
    pub app: String,
    /// Name of the component.
    pub component: String,
}

impl ComponentKey {
    /// The key of a component.
    #[must_use]
    pub fn new(namespace: &str, app: &str, component: &str) -> Self {
        Self { namespace: namespace.to_owned(), app: app.to_owned(), component: component.to_owned() }
    }
}

/// What one set of queries measures for all apps.
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
}

/// An app's own query, as its author wrote it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CustomQuery {
    /// Namespace that it is confined to.
    pub namespace: String,
    /// The text.
    pub text: String,
}

/// Where the value of a metric is read.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A signal of the component as a whole.
    Component(Signal),
    /// A quantile of the component's latency, between 0 and 1.
    Quantile(f64),
    /// A signal of each pod.
    Pods(Signal),
    /// A query of one's own.
    Custom(CustomQuery),
}

impl Source {
    /// The signal behind it; nothing for a query of one's own.
    #[must_use]
    pub fn signal(&self) -> Option<Signal> {
        match self {
            Self::Component(signal) | Self::Pods(signal) => Some(*signal),
            Self::Quantile(_) => Some(Signal::Latency),
            Self::Custom(_) => None,
        }
    }
}

/// What the apps want measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// For each component the source of each metric, by the metric's name.
    pub components: BTreeMap<ComponentKey, BTreeMap<String, Source>>,
}

impl Wanted {
    /// What the metrics of these apps need.
    #[must_use]
    pub fn of<'a>(apps: impl IntoIterator<Item = &'a App>) -> Self {
        let mut components = BTreeMap::new();
        for app in apps {
            for service in &app.services {
                let source = |name: &str, target: &Target| match target {
                    Target::RequestRate { .. } => Some(Source::Component(Signal::RequestRate)),
                    Target::Latency { quantile, .. } => Some(Source::Quantile(*quantile)),
                    Target::Cpu(_) => Some(Source::Pods(Signal::Cpu)),
                    Target::Memory(_) => Some(Source::Pods(Signal::Memory)),
                    Target::Prometheus { .. } => service.scaling.queries.get(name).map(|text| {
                        Source::Custom(CustomQuery { namespace: app.namespace.clone(), text: text.clone() })
                    }),
                };
                let metrics = service.scaling.metrics.iter();
                let sources = metrics
                    .filter_map(|one| Some((one.name.clone(), source(&one.name, &one.target)?)))
                    .collect();
                let key = ComponentKey::new(&app.namespace, app.name.as_str(), service.name.as_str());
                components.insert(key, sources);
            }
        }
        Self { components }
    }

    /// The signals that some metric is read from, each with the namespaces of the apps that use it.
    #[must_use]
    pub fn signals(&self) -> BTreeMap<Signal, BTreeSet<String>> {
        let mut signals: BTreeMap<Signal, BTreeSet<String>> = BTreeMap::new();
        for (key, sources) in &self.components {
            for signal in sources.values().filter_map(Source::signal) {
                signals.entry(signal).or_default().insert(key.namespace.clone());
            }
        }
        signals
    }

    /// The apps' own queries, each once.
    #[must_use]
    pub fn custom(&self) -> BTreeSet<&CustomQuery> {
        let sources = self.components.values().flat_map(BTreeMap::values);
        sources
            .filter_map(|source| match source {
                Source::Custom(query) => Some(query),
                _ => None,
            })
            .collect()
    }
}
