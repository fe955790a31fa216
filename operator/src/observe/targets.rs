//! Whether Prometheus scrapes the pods, and adds the labels that the templates read: the check of an installation.
//! I/O: Prometheus, only while a component that should be measured is not.
//!
//! Without it a missing relabelling shows as "no sample", which says nothing about what to change.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::time::Instant;

use super::answer::{Data, Labels};
use super::backoff::{self, Backoff};
use super::measurements::pod;
use super::namespaced::NamespacedName;
use super::prometheus::{Prometheus, TEMPLATE_LIMIT};
use super::templates::Selection;
use crate::runtime::clock;

/// Time between two checks.
const INTERVAL: Duration = Duration::from_secs(15);

/// The first label that each pod's target lacks, by namespace and pod; nothing if it lacks none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Targets(HashMap<NamespacedName, Option<&'static str>>);

/// Why the pods of a component have no series.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unscraped {
    /// No pod is a target.
    #[error(
        "Prometheus scrapes none of the component's pods: give it the chart's scrape job, whose targets have the labels namespace, pod, scalableapp and component"
    )]
    NoTarget,
    /// The targets lack labels.
    #[error(
        "Prometheus scrapes the component's pods without the label {0}: add the relabelling of the chart's scrape job"
    )]
    NoLabel(&'static str),
    /// The pods are scraped, and the series are not there.
    #[error(
        "the component's pods are scraped but export no http_server_request_duration_seconds: measure the requests in the app, or scale on another metric"
    )]
    NoSeries,
}

impl Targets {
    fn read(data: &Data<'_>) -> Self {
        let lacks = |labels: &Labels<'_>| match (&labels.scalableapp, &labels.component) {
            (None, _) => Some("scalableapp"),
            (_, None) => Some("component"),
            _ => None,
        };
        let target = |labels| {
            let (namespace, name) = pod(labels)?;
            Some((NamespacedName::new(namespace, name), lacks(labels)))
        };
        Self(data.series().filter_map(|(labels, _)| target(labels)).collect())
    }

    /// Why the component with these pods has no series.
    #[must_use]
    pub fn explain<'a>(&self, namespace: &str, pods: impl IntoIterator<Item = &'a str>) -> Unscraped {
        let mut lacking = pods.into_iter().filter_map(|pod| self.0.get(&(namespace, pod))).peekable();
        if lacking.peek().is_none() {
            return Unscraped::NoTarget;
        }
        lacking.find_map(|label| *label).map_or(Unscraped::NoSeries, Unscraped::NoLabel)
    }
}

/// Asks for the targets while something is missing.
pub struct TargetCheck {
    prometheus: Prometheus,
    selection: Selection,
    next: Option<Instant>,
    backoff: Backoff,
    /// Nothing while nothing is missing, or before the first answer.
    targets: Option<Arc<Targets>>,
}

impl TargetCheck {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(prometheus: Prometheus, selection: Selection) -> Self {
        Self { prometheus, selection, next: None, backoff: Backoff::default(), targets: None }
    }

    /// The targets in the namespaces in which a component has no series.
    pub async fn refresh(&mut self, namespaces: &BTreeSet<String>) -> Option<Arc<Targets>> {
        if namespaces.is_empty() {
            (self.next, self.targets) = (None, None);
            return None;
        }
        let now = clock::monotonic();
        if self.next.is_none_or(|next| now >= next) && self.backoff.admits(now) {
            self.next = Some(now + INTERVAL);
            let query = self.selection.targets(namespaces);
            match self.prometheus.query("targets", &query, TEMPLATE_LIMIT).await {
                Ok(data) => {
                    self.backoff.succeeded();
                    self.targets = Some(Arc::new(Targets::read(data.get())));
                }
                // The signals name what is wrong with Prometheus.
                Err(_) => self.backoff.failed(clock::monotonic(), backoff::CAP),
            }
        }
        self.targets.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::{Value, json};

    fn targets(series: &[Value]) -> Targets {
        let result: Vec<Value> =
            series.iter().map(|labels| json!({"metric": labels, "value": [0.0, "1"]})).collect();
        Targets::read(&Data::deserialize(json!({"resultType": "vector", "result": result})).unwrap())
    }

    #[test]
    fn what_the_scrape_job_lacks_is_named() {
        let whole = json!({"namespace": "shop", "pod": "a", "scalableapp": "shop", "component": "web"});
        let mut bare = whole.clone();
        bare.as_object_mut().unwrap().remove("component");
        let explained = |series: &[Value]| targets(series).explain("shop", ["a", "b"]);
        assert_eq!(explained(&[]), Unscraped::NoTarget);
        assert_eq!(explained(&[json!({"namespace": "shop"})]), Unscraped::NoTarget);
        assert_eq!(
            explained(&[json!({"namespace": "blog", "pod": "a", "scalableapp": "s", "component": "w"})]),
            Unscraped::NoTarget
        );
        assert_eq!(explained(&[bare]), Unscraped::NoLabel("component"));
        assert_eq!(explained(&[json!({"namespace": "shop", "pod": "b"})]), Unscraped::NoLabel("scalableapp"));
        assert_eq!(explained(&[whole]), Unscraped::NoSeries);
    }
}
