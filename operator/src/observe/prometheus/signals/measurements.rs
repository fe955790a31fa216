//! What the templates measured, by component and by pod, from the series that Prometheus returned. Pure.

use hashbrown::{Equivalent, HashMap};
use jiff::{SignedDuration, Timestamp};
use scalableapp_engine::hpa::pod::{Container, Pod, PodSample};

use crate::observe::namespaced::NamespacedName;
use crate::observe::prometheus::answer::{Data, Labels, Named, Outcome};
use crate::observe::prometheus::quantile::Bucket;
use crate::observe::wanted::Wanted;
use crate::resolve::app::ComponentKey;

/// A value of a component, with what tells how far it can be trusted.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured<T> {
    /// The value.
    pub value: T,
    /// When the oldest sample behind it was taken; nothing if no sample is newer than Prometheus' look-back.
    pub at: Option<Timestamp>,
    /// Pods that are scraped; nothing if none of them is a target of Prometheus.
    pub scraped: Option<Scraped>,
    /// Whether the answer may lack series.
    pub is_partial: bool,
}

/// What is asked beside the value of every component.
#[derive(Clone, Copy)]
pub struct Companions<'a> {
    /// Age of its samples.
    pub ages: &'a Outcome<'a>,
    /// Pods that are scraped.
    pub pods: &'a Outcome<'a>,
}

/// How many pods of a component were scraped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scraped {
    /// When the window of the value began.
    pub at_start: u32,
    /// Now.
    pub at_end: u32,
}

/// The HTTP requests of a component.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Requests that ended, for each second of the window.
    pub rate: f64,
    /// How often a counter of them began anew within the window.
    pub resets: u32,
    /// Requests that are being served; nothing if none is, or the app does not say.
    pub in_flight: Option<u32>,
}

/// The values of all components.
pub type ByComponent<T> = HashMap<ComponentKey, Measured<T>>;

/// Usage of a resource by one container.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// In thousandths.
    pub milli: i64,
    /// When the sample was taken.
    pub at: Timestamp,
}

/// A container of a pod. It has the hash of the tuple of its three texts, which it is found by.
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

/// The sample of a pod, as an average over `window`: the sum over its containers, as old as the oldest of them.
///
/// As with Kubernetes' metrics API there is none unless every container was measured: a part of the sum would read
/// as a pod that does little. What else was measured is passed over: for minutes Prometheus still shows an init container
/// that has ended.
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

/// Requests of each component that is wanted.
#[must_use]
pub fn traffic(
    rates: &Outcome<'_>,
    companions: Companions<'_>,
    resets: &Outcome<'_>,
    active: &Outcome<'_>,
    wanted: &Wanted,
    now: Timestamp,
) -> ByComponent<Traffic> {
    let is_partial = [rates, resets, active].iter().any(|outcome| outcome.is_partial);
    let (resets, active) = (by_component(&resets.data), by_component(&active.data));
    let count = |counts: &HashMap<Named<'_>, f64>, key| counts.get(&key).map(|count| count.ceil() as u32);
    let traffic = |(key, rate)| {
        let (resets, in_flight) = (count(&resets, key).unwrap_or(0), count(&active, key));
        (key, Traffic { rate, resets, in_flight })
    };
    let rates = rates.data.series().filter_map(|(labels, rate)| Some((labels.component()?, rate)));
    measured(rates.map(traffic), is_partial, companions, wanted, now)
}

/// The latency histogram of each component that is wanted.
#[must_use]
pub fn latencies(
    buckets: &Outcome<'_>,
    companions: Companions<'_>,
    wanted: &Wanted,
    now: Timestamp,
) -> ByComponent<Vec<Bucket>> {
    let mut histograms: HashMap<Named<'_>, Vec<Bucket>> = HashMap::new();
    for (labels, rate) in buckets.data.series() {
        let le = labels.le.as_ref().and_then(|le| le.parse().ok());
        if let (Some(key), Some(le)) = (labels.component(), le) {
            histograms.entry(key).or_default().push(Bucket { le, rate });
        }
    }
    measured(histograms.into_iter(), buckets.is_partial, companions, wanted, now)
}

/// Usage of each container. An amount is rounded up to a thousandth, as a Kubernetes quantity is. A pod that an answer
/// lacks counts as any other without a sample.
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

fn measured<'a, T>(
    values: impl Iterator<Item = (Named<'a>, T)>,
    is_partial: bool,
    companions: Companions<'_>,
    wanted: &Wanted,
    now: Timestamp,
) -> ByComponent<T> {
    let Companions { ages, pods } = companions;
    let is_partial = is_partial || ages.is_partial || pods.is_partial;
    let (ages, pods) = (by_component(&ages.data), scraped(&pods.data));
    let measured = |(key, value): (Named<'a>, T)| {
        let (known, _) = wanted.components().get_key_value(&key)?;
        let at = ages.get(&key).and_then(|age| taken(now, *age));
        let scraped = pods.get(&key).copied();
        Some((known.clone(), Measured { value, at, scraped, is_partial }))
    };
    values.filter_map(measured).collect()
}

fn by_component<'a>(data: &'a Data<'_>) -> HashMap<Named<'a>, f64> {
    data.series().filter_map(|(labels, value)| Some((labels.component()?, value))).collect()
}

fn scraped<'a>(pods: &'a Data<'_>) -> HashMap<Named<'a>, Scraped> {
    let mut all: HashMap<Named<'a>, Scraped> = HashMap::new();
    for (labels, count) in pods.series() {
        let Some(key) = labels.component() else { continue };
        let scraped = all.entry(key).or_default();
        match labels.at.as_deref() {
            Some("start") => scraped.at_start = count as u32,
            _ => scraped.at_end = count as u32,
        }
    }
    all
}

/// Namespace and name of the pod of a series.
pub(in crate::observe::prometheus) fn pod<'a>(labels: &'a Labels<'_>) -> Option<(&'a str, &'a str)> {
    Some((labels.namespace.as_deref()?, labels.pod.as_deref()?))
}

/// Namespace, pod and name of the container of a series.
fn container<'a>(labels: &'a Labels<'_>) -> Option<(&'a str, &'a str, &'a str)> {
    let (namespace, pod) = pod(labels)?;
    Some((namespace, pod, labels.container.as_deref()?))
}

/// The time of a sample of that age in seconds.
fn taken(now: Timestamp, age: f64) -> Option<Timestamp> {
    now.checked_sub(SignedDuration::try_from_secs_f64(age).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;
    use scalableapp_engine::hpa::pod::{ByResource, Phase};
    use serde::Deserialize;
    use serde_json::{Value, json};
    use std::collections::{BTreeMap, BTreeSet};

    fn vector(series: &[(Value, &str)]) -> Outcome<'static> {
        let result: Vec<Value> =
            series.iter().map(|(labels, value)| json!({"metric": labels, "value": [0.0, value]})).collect();
        let data = Data::deserialize(json!({"resultType": "vector", "result": result})).unwrap();
        Outcome { data, is_partial: false }
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn web() -> Value {
        json!({"namespace": "shop", "scalableapp": "shop", "component": "web"})
    }

    fn wanted() -> Wanted {
        let components = [(ComponentKey::new("shop", "shop", "web"), BTreeMap::new())].into();
        Wanted::new(components, BTreeMap::new(), BTreeSet::new())
    }

    #[test]
    fn a_value_has_the_age_of_its_own_samples() {
        let at = |end: &str| {
            let mut labels = web();
            labels["at"] = json!(end);
            labels
        };
        let traffic = traffic(
            &vector(&[(web(), "12.5")]),
            Companions {
                ages: &vector(&[(web(), "3.5")]),
                pods: &vector(&[(at("end"), "2"), (at("start"), "1")]),
            },
            &vector(&[(web(), "3")]),
            &vector(&[(web(), "7")]),
            &wanted(),
            now(),
        );
        let expected = Measured {
            value: Traffic { rate: 12.5, resets: 3, in_flight: Some(7) },
            at: Some(now() - 3500.milliseconds()),
            scraped: Some(Scraped { at_start: 1, at_end: 2 }),
            is_partial: false,
        };
        assert_eq!(traffic[&ComponentKey::new("shop", "shop", "web")], expected);
    }

    #[test]
    fn a_value_without_recent_samples_has_no_age() {
        let none = vector(&[]);
        let companions = Companions { ages: &none, pods: &none };
        let traffic = traffic(&vector(&[(web(), "12.5")]), companions, &none, &none, &wanted(), now());
        let value = Traffic { rate: 12.5, ..Traffic::default() };
        let expected = Measured { value, at: None, scraped: None, is_partial: false };
        assert_eq!(traffic[&ComponentKey::new("shop", "shop", "web")], expected);
    }

    #[test]
    fn series_that_name_no_wanted_component_are_passed_over() {
        let none = vector(&[]);
        let mut other = web();
        other["component"] = json!("api");
        let others =
            vector(&[(json!({"namespace": "shop"}), "12.5"), (json!({}), "1"), (other.clone(), "2")]);
        other["le"] = json!("0.1");
        let buckets = vector(&[(json!({"le": "0.1"}), "12.5"), (other, "2")]);
        let companions = Companions { ages: &none, pods: &none };
        assert!(traffic(&others, companions, &none, &none, &wanted(), now()).is_empty());
        assert!(latencies(&buckets, companions, &wanted(), now()).is_empty());
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
        let values =
            vector(&[(container("web"), "0.2501"), (container("proxy"), "0.01"), (container("bad"), "NaN")]);
        let ages = vector(&[(container("web"), "8"), (container("proxy"), "9"), (container("bad"), "1")]);
        let usages = usages(&values, &ages, now());
        assert_eq!(sample(&usages, &["web", "proxy"]), Some((261, now() - 9.seconds())));
        assert_eq!(sample(&usages, &["web", "proxy", "bad"]), None);
    }

    #[test]
    fn an_init_container_that_has_ended_counts_for_nothing() {
        let values = vector(&[(container("web"), "0.25"), (container("migrate"), "4")]);
        let ages = vector(&[(container("web"), "8"), (container("migrate"), "240")]);
        let usages = usages(&values, &ages, now());
        assert_eq!(sample(&usages, &["web"]), Some((250, now() - 8.seconds())));
        assert_eq!(sample(&usages, &["web", "proxy"]), None, "nor in the place of a container");
    }
}
