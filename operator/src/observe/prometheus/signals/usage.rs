//! Resource usage of each container, as measured by the kubelets. Pure.
//!
//! If two scrape jobs report a container (the kubelet's `/metrics/resource` and its cAdvisor), the larger value counts,
//! never the sum.

use std::sync::Arc;

use hashbrown::{Equivalent, HashMap};
use jiff::{SignedDuration, Timestamp};
use scalableapp_engine::hpa::pod::{Container, Pod, PodSample};

use super::family::renew_pods;
use super::selection::CONTAINER;
use crate::observe::namespaced::NamespacedName;
use crate::observe::prometheus::answer::{Labels, Outcome, taken};
use crate::observe::prometheus::parts::Part;

/// Usage of a resource by one container.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// In thousandths.
    pub milli: i64,
    /// Time of the sample.
    pub at: Timestamp,
}

/// A container of a pod. Its hash is that of the tuple of its three strings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerName {
    pod: NamespacedName,
    container: Box<str>,
}

impl ContainerName {
    /// Namespace of the pod.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.pod.namespace()
    }

    /// Name of the pod.
    #[must_use]
    pub fn pod(&self) -> &str {
        self.pod.name()
    }
}

impl Equivalent<ContainerName> for (&str, &str, &str) {
    fn equivalent(&self, key: &ContainerName) -> bool {
        let (namespace, pod, container) = *self;
        (namespace, pod).equivalent(&key.pod) && container == &*key.container
    }
}

/// Usage of a resource by container.
pub type ByContainer = HashMap<ContainerName, Usage>;

/// The sample of a pod, as an average over `window`: the sum over its containers, with the age of the oldest one.
///
/// As in Kubernetes' metrics API there is none unless every container was measured: a part of the sum would look like
/// an idle pod. Samples of other containers are ignored: Prometheus still returns an ended init container for minutes.
#[must_use]
pub fn pod_sample(
    usages: &ByContainer,
    namespace: &str,
    pod: &Pod,
    window: SignedDuration,
) -> Option<PodSample> {
    let usage = |container: &Container| usages.get(&(namespace, &*pod.name, &*container.name)).copied();
    let add =
        |sum: Usage, one: Usage| Usage { milli: sum.milli.saturating_add(one.milli), at: sum.at.min(one.at) };
    let (first, others) = pod.containers.split_first()?;
    let Usage { milli, at } =
        others.iter().try_fold(usage(first)?, |sum, container| Some(add(sum, usage(container)?)))?;
    Some(PodSample { milli, at, window })
}

/// Age in seconds of the oldest sample of a series, by pod and container.
pub(super) fn age_of(selector: &str) -> String {
    format!("time() - min by ({CONTAINER}) (timestamp({selector}))")
}

/// Replaces the usages of a part's pods.
pub(super) fn renew(all: &mut Arc<ByContainer>, part: &Part<'_>, measured: ByContainer) {
    renew_pods(all, part, measured, |container| (container.namespace(), container.pod()));
}

/// Usage of each container, rounded up to a thousandth, as a Kubernetes quantity is. A pod that is missing from an
/// answer counts as a pod without a sample.
#[must_use]
pub fn usages(values: &Outcome<'_>, ages: &Outcome<'_>, now: Timestamp) -> ByContainer {
    let (values, ages) = (&values.data, &ages.data);
    let ages: HashMap<_, _> =
        ages.series().filter_map(|(labels, age)| Some((container(labels)?, taken(now, age)?))).collect();
    let usage = |(labels, value): (&Labels<'_>, f64)| {
        let texts @ (namespace, name, container) = container(labels).filter(|_| value.is_finite())?;
        let key = ContainerName { pod: NamespacedName::new(namespace, name), container: container.into() };
        Some((key, Usage { milli: (value * 1000.0).ceil() as i64, at: *ages.get(&texts)? }))
    };
    values.series().filter_map(usage).collect()
}

/// Namespace, pod and name of the container of a series.
fn container<'a>(labels: &'a Labels<'_>) -> Option<(&'a str, &'a str, &'a str)> {
    let (namespace, pod) = labels.pod_name()?;
    Some((namespace, pod, labels.container.as_deref()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;
    use scalableapp_engine::hpa::pod::{ByResource, Phase};
    use serde_json::{Value, json};

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    #[test]
    fn series_that_name_no_container_are_passed_over() {
        let others = Outcome::vector(&[(json!({"namespace": "shop"}), "12.5"), (json!({}), "1")]);
        assert!(usages(&others, &others, now()).is_empty());
    }

    fn pod_of(containers: &[&str]) -> Pod {
        let container = |name: &&str| Container { name: (*name).to_owned(), requests: ByResource::default() };
        Pod {
            name: "web-1".into(),
            phase: Phase::Running,
            deleting: false,
            ready: None,
            start: None,
            containers: containers.iter().map(container).collect(),
            requests: ByResource::default(),
            usage: ByResource::default(),
        }
    }

    fn container(name: &str) -> Value {
        json!({"namespace": "shop", "pod": "web-1", "container": name})
    }

    fn sample(usages: &ByContainer, containers: &[&str]) -> Option<(i64, Timestamp)> {
        let sample = pod_sample(usages, "shop", &pod_of(containers), SignedDuration::ZERO);
        sample.map(|sample| (sample.milli, sample.at))
    }

    #[test]
    fn containers_of_a_pod_are_added_up_and_what_is_no_number_is_passed_over() {
        let values = Outcome::vector(&[
            (container("web"), "0.2501"),
            (container("proxy"), "0.01"),
            (container("bad"), "NaN"),
        ]);
        let ages =
            Outcome::vector(&[(container("web"), "8"), (container("proxy"), "9"), (container("bad"), "1")]);
        let usages = usages(&values, &ages, now());
        assert_eq!(sample(&usages, &["web", "proxy"]), Some((261, now() - 9.seconds())));
        assert_eq!(sample(&usages, &["web", "proxy", "bad"]), None);
    }

    #[test]
    fn an_init_container_that_has_ended_counts_for_nothing() {
        let values = Outcome::vector(&[(container("web"), "0.25"), (container("migrate"), "4")]);
        let ages = Outcome::vector(&[(container("web"), "8"), (container("migrate"), "240")]);
        let usages = usages(&values, &ages, now());
        assert_eq!(sample(&usages, &["web"]), Some((250, now() - 8.seconds())));
        assert_eq!(sample(&usages, &["web", "proxy"]), None, "nor in the place of a container");
    }
}
