//! The live measurements of each app, as the plugin reads them: what status must not hold. Pure.
//!
//! The leader's tick shows them here and `GET /v1/apps/{namespace}/{name}` shows them. Field names are the JSON's;
//! they only ever gain members.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use serde::Serialize;

/// One app at the last tick.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveApp {
    /// Name of the ScalableApp.
    pub app: String,
    /// Its namespace.
    pub namespace: String,
    /// When the tick measured it, in RFC 3339.
    pub observed_at: Timestamp,
    /// One entry for each component, in the order of the spec.
    pub components: Vec<LiveComponent>,
}

/// One component at the last tick.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveComponent {
    /// Name of the component.
    pub name: String,
    /// Replicas that the last decision asked for.
    pub desired: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Replicas that the Deployments ask for now.
    pub current: i32,
    /// HTTP requests per second; null if there is no fresh sample or nothing asks for it.
    pub request_rate: Option<f64>,
    /// HTTP latency; null if nothing asks for it. Up to 12 s and a tick older than the rate unless an app scales on it.
    pub latency: Option<LiveLatency>,
    /// One entry for each metric of the component.
    pub metrics: Vec<LiveMetric>,
    /// The reason of the last decision as one word, from the list in `docs/reasons.md`.
    pub reason: String,
    /// The reason as a sentence.
    pub message: String,
}

/// Quantiles of HTTP latency in seconds; null while no request was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LiveLatency {
    /// Median.
    pub p50: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
}

/// One metric at the last tick.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveMetric {
    /// Name of the metric.
    pub name: String,
    /// The value that was read, with its unit, or why there was none.
    pub value: String,
    /// The target, with its unit.
    pub target: String,
    /// `Fresh`, or the reason why the sample may not be acted on, as one word from the list in `docs/reasons.md`.
    pub quality: String,
    /// Replicas that it asks for; null if it had no say.
    pub proposal: Option<i32>,
}

/// An app by namespace and name.
type Show = dyn Fn(&str, &str) -> Option<LiveApp> + Send + Sync;

/// The apps of the last tick, each made when it is asked for. Clones share one view.
#[derive(Clone, Default)]
pub struct LiveView(Arc<RwLock<Option<Arc<Show>>>>);

impl LiveView {
    /// Shows the apps that this function finds by namespace and name, and no others.
    pub fn show(&self, of: impl Fn(&str, &str) -> Option<LiveApp> + Send + Sync + 'static) {
        // The lock guards one assignment, so a panic elsewhere cannot have left it half done.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(of));
    }

    /// The app, if the last tick saw it.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<LiveApp> {
        let show = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        show?(namespace, name)
    }
}
