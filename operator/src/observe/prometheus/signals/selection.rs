//! The series that the templates read. Pure.
//!
//! Series of the apps carry the target labels `namespace`, `pod`, `scalableapp` and `component`, which the scrape
//! configuration adds from the pods' labels. Series of the kubelet carry `namespace`, `pod` and `container` only; they
//! are joined with the pods in the process.
//!
//! Only known apps are queried, so invented names fill no answer. If a series already had one of these labels, it was
//! copied from elsewhere: Prometheus renamed the label to `exported_...`, and the series is skipped. Copies of one
//! series, which scrape jobs and Prometheus servers distinguish by their own labels, count once.

use std::collections::BTreeSet;
use std::time::Duration;

use promql_parser::label::Matcher;

use crate::observe::prometheus::parts::Part;
use crate::observe::query_plan::AppKey;

/// The parameters of the templates.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Matchers of the operator, added to every selector.
    pub matchers: Vec<Matcher>,
    /// Window of request rate and latency.
    pub request_window: Duration,
    /// Short window of the request rate; zero where none is used.
    pub recent_window: Duration,
    /// Window of CPU usage.
    pub cpu_window: Duration,
    /// Age from which a sample is stale.
    pub staleness: Duration,
}

/// Labels of a component.
pub(super) const COMPONENT: &str = "namespace, scalableapp, component";
/// Labels of a pod of a component.
pub(super) const POD: &str = "namespace, scalableapp, component, pod";
/// Labels of a container.
pub(super) const CONTAINER: &str = "namespace, pod, container";
/// Labels by which scrape jobs and Prometheus servers distinguish copies of one pod's series: two jobs that scrape it,
/// or two servers without deduplication. `endpoint` and `container` are not among them: an app may use such labels for
/// its own series, and the sum would be too low.
pub(super) const COPIES: &str = "job, instance, prometheus, prometheus_replica, replica";
/// The series is not a copy.
const OWN: &str =
    "exported_namespace=\"\",exported_pod=\"\",exported_scalableapp=\"\",exported_component=\"\"";
/// The most apps that a query names. With more of them it is limited by namespace only.
const NAMED: usize = 500;

impl Selection {
    /// One series for each pod that is a target, with or without the component's labels: 1 if its scrape succeeds,
    /// otherwise 0.
    #[must_use]
    pub fn targets(&self, namespaces: &BTreeSet<String>) -> String {
        let namespaces = among("namespace", namespaces.iter().map(String::as_str).collect());
        let pods = self.selector("up", &format!("pod!=\"\",{namespaces}"));
        format!("max by (namespace, pod, scalableapp, component) ({pods})")
    }

    /// The series of the apps' own pods.
    pub(crate) fn of_apps(&self, series: &str, part: &Part<'_>) -> String {
        let by_name = part.apps.len() <= NAMED || part.cuts_a_namespace;
        self.selector(series, &known(&part.apps, by_name))
    }

    /// Those of them that this matcher selects.
    pub(crate) fn of_apps_where(&self, series: &str, matcher: &str, part: &Part<'_>) -> String {
        let by_name = part.apps.len() <= NAMED || part.cuts_a_namespace;
        self.selector(series, &format!("{matcher},{}", known(&part.apps, by_name)))
    }

    /// The kubelets' measurements of these apps' pods.
    pub(super) fn of_pods(&self, series: &str, part: &Part<'_>) -> String {
        self.selector(series, &pods_of(part))
    }

    /// The series of the own pods of these apps, for any number of apps.
    pub(super) fn of_named_apps(&self, series: &str, apps: &[&AppKey]) -> String {
        self.selector(series, &known(apps, true))
    }

    /// The timestamps of the samples that are not stale.
    pub(crate) fn fresh(&self, selector: &str) -> String {
        format!("timestamp({selector}) > time() - {}", self.staleness.as_secs_f64())
    }

    fn selector(&self, series: &str, matchers: &str) -> String {
        let own = self.matchers.iter().map(|matcher| format!(",{matcher}")).collect::<String>();
        format!("{series}{{{matchers}{own}}}")
    }
}

/// The series of pods of these apps.
fn known(apps: &[&AppKey], by_name: bool) -> String {
    let names: BTreeSet<&str> = apps.iter().map(|app| app.1.as_str()).collect();
    let app = if by_name { among("scalableapp", names) } else { "scalableapp!=\"\"".to_owned() };
    format!("{app},{},{OWN}", namespaces_of(apps))
}

/// The kubelets' measurements of these apps' pods. A pod cannot forge them: series that a pod exports have the label of
/// its app.
fn pods_of(part: &Part<'_>) -> String {
    let names: BTreeSet<&str> = part.apps.iter().map(|app| app.1.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let pods =
        if part.cuts_a_namespace { format!("pod=~\"(?:{})-.+\",", names.join("|")) } else { String::new() };
    format!("container!=\"\",scalableapp=\"\",{pods}{}", namespaces_of(&part.apps))
}

fn namespaces_of(apps: &[&AppKey]) -> String {
    among("namespace", apps.iter().map(|app| app.0.as_str()).collect())
}

/// Names of namespaces and apps are DNS labels: none of their characters has a meaning in a regular expression.
fn among(label: &str, names: BTreeSet<&str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    format!("{label}=~\"{}\"", names.join("|"))
}

/// Each series once, for any number of copies. They may differ: one server may have missed a scrape.
pub(crate) fn once(series: &str) -> String {
    format!("max without ({COPIES}) ({series})")
}

#[cfg(test)]
mod tests {
    use super::super::circuit::adapters;
    use super::super::template::Template;
    use super::super::{
        activity, cache, calls, circuit, connections, cpu, database_use, failures, in_flight, jobs, latency,
        memory, recent, requests, running_jobs, scraped,
    };
    use super::*;
    use crate::observe::prometheus::parts::Parts;
    use crate::observe::prometheus::promql::read_matchers;

    const ALL: [Template; 42] = [
        requests::RATE,
        latency::BUCKETS,
        scraped::AGE,
        scraped::PODS,
        requests::RESETS,
        in_flight::ACTIVE,
        cpu::USAGE,
        cpu::AGE,
        memory::USAGE,
        memory::AGE,
        cache::EVICTIONS,
        cache::EVICTIONS_AGE,
        cache::SHARDS,
        cache::HIT_RATIO,
        cache::EARLIER_HIT_RATIO,
        cache::USED_MEMORY,
        cache::HITS,
        cache::SHARD_COMMANDS,
        cache::SHARD_DATA,
        activity::QUERIES,
        activity::REPORTING,
        activity::AGE,
        jobs::DEPTH,
        jobs::OLDEST,
        jobs::ENQUEUED,
        jobs::FINISHED,
        jobs::DURATION,
        jobs::DEPTH_AGE,
        running_jobs::RUNNING,
        connections::SESSIONS,
        connections::MOST,
        connections::AGE,
        connections::POOL_SIZE,
        connections::POOL_PODS,
        recent::REQUESTS_AND_PODS,
        failures::FAILURES,
        calls::SECONDS,
        calls::RETRIES,
        database_use::IN_USE,
        database_use::WAIT,
        database_use::QUERY,
        database_use::LAG,
    ];

    fn selection(matchers: &str) -> Selection {
        Selection {
            matchers: read_matchers(matchers).unwrap(),
            request_window: Duration::from_secs(60),
            recent_window: Duration::from_secs(20),
            cpu_window: Duration::from_secs(120),
            staleness: Duration::from_secs(90),
        }
    }

    fn queries(matchers: &str) -> Vec<String> {
        let selection = selection(matchers);
        let apps = BTreeSet::from([app("blog", "blog"), app("shop", "cart"), app("shop", "shop")]);
        let namespaces = BTreeSet::from(["blog".to_owned(), "shop".to_owned()]);
        let whole = whole(&apps);
        let circuits = adapters::ADAPTERS.iter().flat_map(|row| circuit::family(row.source).templates);
        let templates = ALL.iter().chain(circuits).map(|template| (template.query)(&selection, &whole));
        templates.chain([selection.targets(&namespaces)]).collect()
    }

    fn app(namespace: &str, name: &str) -> AppKey {
        (namespace.to_owned(), name.to_owned())
    }

    fn whole(apps: &BTreeSet<AppKey>) -> Part<'_> {
        Parts::default().of(apps).remove(0)
    }

    #[test]
    fn a_query_names_apps_only_while_they_are_few() {
        let query = |count: usize, cuts_a_namespace| {
            let apps: BTreeSet<AppKey> =
                (0..count).map(|index| app("shop", &format!("app-{index}"))).collect();
            let part = Part { cuts_a_namespace, ..whole(&apps) };
            ((requests::RATE.query)(&selection(""), &part), (cpu::AGE.query)(&selection(""), &part))
        };
        assert!(query(500, false).0.contains("scalableapp=~\"app-0|app-1|"));
        assert!(query(501, false).0.contains("scalableapp!=\"\",namespace=~\"shop\""));
        assert!(query(501, true).0.contains("scalableapp=~\"app-0|app-1|"));
        assert!(query(2, true).1.contains("pod=~\"(?:app-0|app-1)-.+\","));
    }

    #[test]
    fn templates_are_what_the_documentation_shows() {
        insta::assert_snapshot!(queries("").join("\n"));
    }

    #[test]
    fn the_operators_matchers_are_on_every_selector_of_promql() {
        for query in queries("cluster=\"a\"") {
            promql_parser::parser::parse(&query).unwrap();
            assert_eq!(query.matches('{').count(), query.matches("cluster=\"a\"}").count(), "{query}");
        }
    }
}
