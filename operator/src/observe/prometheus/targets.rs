//! Whether Prometheus scrapes the pods, and adds the labels that the templates read: a check of the installation. I/O:
//! Prometheus, only while a component lacks its series.
//!
//! Without it a missing relabelling appears as "no sample", which does not say what to change.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::time::Instant;

use super::answer::{Data, Labels};
use super::backoff::{self, Backoff};
use super::client::Prometheus;
use super::signals::selection::Selection;
use crate::observe::namespaced::NamespacedName;
use crate::runtime::clock;

/// Time between two checks.
const INTERVAL: Duration = Duration::from_secs(15);

/// The problem of each pod's target, by namespace and pod; `None` without a problem.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Targets(HashMap<NamespacedName, Option<Unscraped>>);

/// Why the pods of a component have no series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// No scrape succeeds.
    #[error(
        "Prometheus fails to scrape the component's pods: they must answer at metricsPort without a redirect, and within the limits of the scrape job, such as sample_limit"
    )]
    Fails,
    /// The pods are scraped, but the series are missing.
    #[error(
        "the component's pods are scraped but export no http_server_request_duration_seconds of their own, without labels named namespace, pod, scalableapp or component: measure the requests in the app, or scale on another metric"
    )]
    NoSeries,
}

impl Targets {
    fn read(data: &Data<'_>) -> Self {
        let wrong = |labels: &Labels<'_>, up: f64| match (&labels.scalableapp, &labels.component) {
            (None, _) => Some(Unscraped::NoLabel("scalableapp")),
            (_, None) => Some(Unscraped::NoLabel("component")),
            _ => (up != 1.0).then_some(Unscraped::Fails),
        };
        let target = |(labels, up): (&Labels<'_>, f64)| {
            let (namespace, name) = labels.pod_name()?;
            Some((NamespacedName::new(namespace, name), wrong(labels, up)))
        };
        Self(data.series().filter_map(target).collect())
    }

    /// Why the component with these pods has no series.
    #[must_use]
    pub fn explain<'a>(&self, namespace: &str, pods: impl IntoIterator<Item = &'a str>) -> Unscraped {
        let mut targets = pods.into_iter().filter_map(|pod| self.0.get(&(namespace, pod))).peekable();
        if targets.peek().is_none() {
            return Unscraped::NoTarget;
        }
        targets.find_map(|wrong| *wrong).unwrap_or(Unscraped::NoSeries)
    }
}

/// Queries the targets while series are missing.
pub struct TargetCheck {
    prometheus: Prometheus,
    selection: Selection,
    next: Option<Instant>,
    backoff: Backoff,
    /// `None` while nothing is missing, or before the first answer.
    targets: Option<Arc<Targets>>,
}

impl TargetCheck {
    /// No state yet.
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
            match self.prometheus.query("targets", &query).await {
                Ok(data) => {
                    self.backoff.succeeded();
                    self.targets = Some(Arc::new(Targets::read(&data.get().data)));
                }
                // The signals report problems of Prometheus itself.
                Err(_) => self.backoff.failed(clock::monotonic(), backoff::CAP),
            }
        }
        self.targets.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::Outcome;
    use super::*;
    use serde_json::{Value, json};

    fn targets(series: &[Value]) -> Targets {
        targets_that_are("1", series)
    }

    fn targets_that_are(up: &str, series: &[Value]) -> Targets {
        let series: Vec<_> = series.iter().map(|labels| (labels.clone(), up)).collect();
        Targets::read(&Outcome::vector(&series).data)
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
        assert_eq!(explained(std::slice::from_ref(&whole)), Unscraped::NoSeries);
        assert_eq!(targets_that_are("0", &[whole]).explain("shop", ["a", "b"]), Unscraped::Fails);
    }
}
