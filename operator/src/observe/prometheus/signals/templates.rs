//! The PromQL of the metrics that every app can use: each sent once for all apps. Pure.
//!
//! Series of the apps carry the target labels `namespace`, `pod`, `scalableapp` and `component`, which the scrape
//! configuration adds from the pods' labels. Series of the kubelet carry `namespace`, `pod` and `container` only; they
//! are joined with the pods in the process.
//!
//! Only known apps are asked for, so that made-up names fill no answer. A series that arrived with one of these labels is
//! somebody else's, copied: Prometheus renamed it to `exported_...`, and it is passed over. Copies of one series, which
//! scrape jobs and Prometheus servers tell apart by labels of theirs, count once.
//!
//! Beside each value its age is asked for, because the timestamp of a result is the time of the evaluation and says
//! nothing about the samples. Prometheus itself subtracts, so its clock need not agree with ours.

use std::collections::BTreeSet;
use std::time::Duration;

use promql_parser::label::Matcher;
use promql_parser::util::display_duration;

use crate::observe::prometheus::parts::Part;
use crate::observe::wanted::{AppKey, Signal};
use crate::resolve::app::ComponentKey;

/// One query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Template {
    /// HTTP requests per second by component.
    RequestRate,
    /// HTTP requests per second by component and upper bound of their latency.
    LatencyBuckets,
    /// Age in seconds of the oldest fresh sample of the HTTP series, by component; of the oldest where none is fresh.
    RequestAge,
    /// Pods whose scrape succeeds, by component, now and when the window began.
    ScrapedPods,
    /// How often the counters of HTTP requests began anew within the window, by component, where they did.
    CounterResets,
    /// HTTP requests that are being served, by component, where there are some.
    ActiveRequests,
    /// CPU in cores by pod and container.
    CpuUsage,
    /// Age in seconds of the oldest CPU sample, by pod and container.
    CpuAge,
    /// Memory working set in bytes by pod and container.
    MemoryUsage,
    /// Age in seconds of the oldest memory sample, by pod and container.
    MemoryAge,
}

impl Signal {
    /// The queries that the signal consists of. It is only as good as all of them together.
    #[must_use]
    pub fn templates(self) -> &'static [Template] {
        match self {
            Self::RequestRate => &[
                Template::RequestRate,
                Template::RequestAge,
                Template::ScrapedPods,
                Template::CounterResets,
                Template::ActiveRequests,
            ],
            Self::Latency => &[Template::LatencyBuckets, Template::RequestAge, Template::ScrapedPods],
            Self::Cpu => &[Template::CpuUsage, Template::CpuAge],
            Self::Memory => &[Template::MemoryUsage, Template::MemoryAge],
        }
    }
}

/// What the templates are filled with.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Matchers of the operator, added to every selector.
    pub matchers: Vec<Matcher>,
    /// Window of request rate and latency.
    pub request_window: Duration,
    /// Window of CPU usage.
    pub cpu_window: Duration,
    /// Age from which a sample is stale.
    pub staleness: Duration,
}

const COMPONENT: &str = "namespace, scalableapp, component";
const CONTAINER: &str = "namespace, pod, container";
/// Labels by which scrape jobs and Prometheus servers tell copies of one pod's series apart: two jobs that scrape it, or
/// two servers that nobody deduplicates. `endpoint` and `container` are none of them: an app may tell its own series apart
/// by such labels, and the sum would read too low.
const COPIES: &str = "job, instance, prometheus, prometheus_replica, replica";
/// The series is the pod's own.
const OWN: &str =
    "exported_namespace=\"\",exported_pod=\"\",exported_scalableapp=\"\",exported_component=\"\"";
/// Apps that a query names. With more of them the namespaces alone bound what it reads.
const NAMED: usize = 500;
const REQUESTS: &str = "http_server_request_duration_seconds";
/// The in-flight requests of the same OpenTelemetry convention. An app need not have it.
const ACTIVE_REQUESTS: &str = "http_server_active_requests";
const CPU: &str = "container_cpu_usage_seconds_total";
const MEMORY: &str = "container_memory_working_set_bytes";

impl Template {
    /// Name in the process' own metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestRate => "request_rate",
            Self::LatencyBuckets => "latency_buckets",
            Self::RequestAge => "request_age",
            Self::ScrapedPods => "scraped_pods",
            Self::CounterResets => "counter_resets",
            Self::ActiveRequests => "active_requests",
            Self::CpuUsage => "cpu_usage",
            Self::CpuAge => "cpu_age",
            Self::MemoryUsage => "memory_usage",
            Self::MemoryAge => "memory_age",
        }
    }

    /// The query for these apps.
    ///
    /// Of a container that two scrape jobs report (the kubelet's `/metrics/resource` and its cAdvisor) the larger value
    /// counts, never their sum. One whose samples begin in the later half of the window has no usage yet: `rate` divides
    /// by the whole window and would read too low.
    #[must_use]
    pub fn query(self, selection: &Selection, part: &Part<'_>) -> String {
        let known = known(&part.apps, part.apps.len() <= NAMED || part.cuts_a_namespace);
        let of_apps = |series: &str| selection.selector(series, &known);
        let pods = pods_of(part);
        let of_pods = |series: &str| selection.selector(series, &pods);
        let request_window = display_duration(&selection.request_window);
        let cpu_window = display_duration(&selection.cpu_window);
        match self {
            Self::RequestRate => selection.rate_of_requests(&known),
            Self::LatencyBuckets => format!(
                "sum by ({COMPONENT}, le) ({})",
                once(&format!("rate({}[{request_window}])", of_apps(&format!("{REQUESTS}_bucket"))))
            ),
            Self::RequestAge => selection.age_of_component(&of_apps(&format!("{REQUESTS}_count"))),
            Self::ScrapedPods => selection.scraped_pods(&of_apps("up")),
            Self::CounterResets => format!(
                "sum by ({COMPONENT}) ({}) > 0",
                once(&format!("resets({}[{request_window}])", of_apps(&format!("{REQUESTS}_count"))))
            ),
            Self::ActiveRequests => {
                format!("sum by ({COMPONENT}) ({}) > 0", once(&of_apps(ACTIVE_REQUESTS)))
            }
            Self::CpuUsage => {
                let (usage, half) = (of_pods(CPU), display_duration(&(selection.cpu_window / 2)));
                format!(
                    "max by ({CONTAINER}) (rate({usage}[{cpu_window}]) and present_over_time({usage}[{half}] offset {half}))"
                )
            }
            Self::CpuAge => age(CONTAINER, &of_pods(CPU)),
            Self::MemoryUsage => format!("max by ({CONTAINER}) ({})", of_pods(MEMORY)),
            Self::MemoryAge => age(CONTAINER, &of_pods(MEMORY)),
        }
    }
}

impl Selection {
    /// One series for each pod that is a target, whether or not the scrape job adds the labels of its component: 1 if it is
    /// scraped, and 0 if that fails.
    #[must_use]
    pub fn targets(&self, namespaces: &BTreeSet<String>) -> String {
        let namespaces = among("namespace", namespaces.iter().map(String::as_str).collect());
        let pods = self.selector("up", &format!("pod!=\"\",{namespaces}"));
        format!("max by (namespace, pod, scalableapp, component) ({pods})")
    }

    /// Requests per second of these components, and of others in their namespaces with an app of the same name.
    #[must_use]
    pub fn request_rates_of(&self, components: &BTreeSet<&ComponentKey>) -> String {
        let apps: Vec<AppKey> =
            components.iter().map(|key| (key.namespace.clone(), key.app.clone())).collect();
        self.rate_of_requests(&known(&apps.iter().collect::<Vec<_>>(), true))
    }

    fn rate_of_requests(&self, matchers: &str) -> String {
        let window = display_duration(&self.request_window);
        format!(
            "sum by ({COMPONENT}) ({})",
            once(&format!("rate({}[{window}])", self.selector(&format!("{REQUESTS}_count"), matchers)))
        )
    }

    /// A window holds at least four samples, so one that was seen whole has one in its first quarter, and there is one in
    /// the quarter before it. Without them there was a gap, which `rate` does not show: it divides by the whole window.
    fn scraped_pods(&self, up: &str) -> String {
        let window = self.request_window;
        let [quarter, rest, window] =
            [window / 4, window - window / 4, window].map(|one| display_duration(&one));
        let pods = |at: &str, up: &str| {
            format!("label_replace(max by ({COMPONENT}, pod) ({up}) == 1, \"at\", \"{at}\", \"\", \"\")")
        };
        let end = pods("end", &format!("{up} and {}", self.fresh(up)));
        let scraped = |offset: &str| format!("max_over_time({up}[{quarter}] offset {offset})");
        let start = pods("start", &format!("{} * {}", scraped(&rest), scraped(&window)));
        format!("count by ({COMPONENT}, at) ({end} or {start})")
    }

    /// The last samples of a pod that went while Prometheus was away are shown for five minutes more, as no marker says
    /// that they ended. They make nothing old that the component's others have reported since.
    fn age_of_component(&self, selector: &str) -> String {
        let fresh = self.fresh(selector);
        format!("time() - (min by ({COMPONENT}) ({fresh}) or min by ({COMPONENT}) (timestamp({selector})))")
    }

    /// The timestamps of the samples that are not stale.
    fn fresh(&self, selector: &str) -> String {
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

/// What the kubelets measured of these apps' pods. No pod says it of itself: what a pod exports has the label of its app.
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

/// Names of namespaces and apps are DNS labels: none of their characters means anything in a regular expression.
fn among(label: &str, names: BTreeSet<&str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    format!("{label}=~\"{}\"", names.join("|"))
}

/// Each series once, however many copies there are. They need not be equally good: one server may have missed a scrape.
fn once(series: &str) -> String {
    format!("max without ({COPIES}) ({series})")
}

fn age(by: &str, selector: &str) -> String {
    format!("time() - min by ({by}) (timestamp({selector}))")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::prometheus::parts::Parts;
    use crate::observe::prometheus::promql::read_matchers;

    const ALL: [Template; 10] = [
        Template::RequestRate,
        Template::LatencyBuckets,
        Template::RequestAge,
        Template::ScrapedPods,
        Template::CounterResets,
        Template::ActiveRequests,
        Template::CpuUsage,
        Template::CpuAge,
        Template::MemoryUsage,
        Template::MemoryAge,
    ];

    fn selection(matchers: &str) -> Selection {
        Selection {
            matchers: read_matchers(matchers).unwrap(),
            request_window: Duration::from_secs(60),
            cpu_window: Duration::from_secs(120),
            staleness: Duration::from_secs(90),
        }
    }

    fn queries(matchers: &str) -> Vec<String> {
        let selection = selection(matchers);
        let apps = BTreeSet::from([app("blog", "blog"), app("shop", "cart"), app("shop", "shop")]);
        let namespaces = BTreeSet::from(["blog".to_owned(), "shop".to_owned()]);
        let whole = whole(&apps);
        let templates = ALL.iter().map(|template| template.query(&selection, &whole));
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
            (
                Template::RequestRate.query(&selection(""), &part),
                Template::CpuAge.query(&selection(""), &part),
            )
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
