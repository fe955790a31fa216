//! The PromQL of the metrics that every app can use: each sent once for all apps. Pure.
//!
//! Series of the apps carry the target labels `namespace`, `pod`, `scalableapp` and `component`, which the scrape
//! configuration adds from the pods' labels. Series of the kubelet carry `namespace`, `pod` and `container` only; they
//! are joined with the pods in the process.
//!
//! Beside each value its age is asked for, because the timestamp of a result is the time of the evaluation and says
//! nothing about the samples. Prometheus itself subtracts, so its clock need not agree with ours.

use std::collections::BTreeSet;
use std::time::Duration;

use promql_parser::label::Matcher;
use promql_parser::util::display_duration;

use super::wanted::Signal;
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

    /// The query. `namespaces` are those of the apps that want it.
    ///
    /// Of a container that two scrape jobs report (the kubelet's `/metrics/resource` and its cAdvisor) the larger value
    /// counts, never their sum. One whose samples begin in the later half of the window has no usage yet: `rate` divides
    /// by the whole window and would read too low.
    #[must_use]
    pub fn query(self, selection: &Selection, namespaces: &BTreeSet<String>) -> String {
        let of_apps = |series: &str| selection.selector(series, "scalableapp!=\"\"");
        let in_namespaces = format!("container!=\"\",{}", among(namespaces));
        let of_pods = |series: &str| selection.selector(series, &in_namespaces);
        let request_window = display_duration(&selection.request_window);
        let cpu_window = display_duration(&selection.cpu_window);
        match self {
            Self::RequestRate => selection.rate_of_requests("scalableapp!=\"\""),
            Self::LatencyBuckets => format!(
                "sum by ({COMPONENT}, le) (rate({}[{request_window}]))",
                of_apps(&format!("{REQUESTS}_bucket"))
            ),
            Self::RequestAge => selection.age_of_component(&of_apps(&format!("{REQUESTS}_count"))),
            Self::ScrapedPods => selection.scraped_pods(&of_apps("up")),
            Self::CounterResets => format!(
                "sum by ({COMPONENT}) (resets({}[{request_window}])) > 0",
                of_apps(&format!("{REQUESTS}_count"))
            ),
            Self::ActiveRequests => format!("sum by ({COMPONENT}) ({}) > 0", of_apps(ACTIVE_REQUESTS)),
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
    /// One series for each pod that is a target, whether or not the scrape job adds the labels of its component.
    #[must_use]
    pub fn targets(&self, namespaces: &BTreeSet<String>) -> String {
        let pods = self.selector("up", &format!("pod!=\"\",{}", among(namespaces)));
        format!("group by (namespace, pod, scalableapp, component) ({pods})")
    }

    /// Requests per second of these components, and of others in their namespaces with an app of the same name.
    #[must_use]
    pub fn request_rates_of(&self, components: &BTreeSet<&ComponentKey>) -> String {
        let namespaces = components.iter().map(|key| key.namespace.clone()).collect();
        let apps: BTreeSet<&str> = components.iter().map(|key| key.app.as_str()).collect();
        let apps: Vec<&str> = apps.into_iter().collect();
        let matchers = format!("scalableapp=~\"{}\",{}", apps.join("|"), among(&namespaces));
        self.rate_of_requests(&matchers)
    }

    fn rate_of_requests(&self, matchers: &str) -> String {
        let window = display_duration(&self.request_window);
        format!(
            "sum by ({COMPONENT}) (rate({}[{window}]))",
            self.selector(&format!("{REQUESTS}_count"), matchers)
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

/// Names of namespaces are DNS labels: none of their characters means anything in a regular expression.
fn among(namespaces: &BTreeSet<String>) -> String {
    let names: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    format!("namespace=~\"{}\"", names.join("|"))
}

fn age(by: &str, selector: &str) -> String {
    format!("time() - min by ({by}) (timestamp({selector}))")
}

#[cfg(test)]
mod tests {
    use super::super::promql::read_matchers;
    use super::*;

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

    fn queries(matchers: &str) -> Vec<String> {
        let selection = Selection {
            matchers: read_matchers(matchers).unwrap(),
            request_window: Duration::from_secs(60),
            cpu_window: Duration::from_secs(120),
            staleness: Duration::from_secs(90),
        };
        let namespaces = BTreeSet::from(["blog".to_owned(), "shop".to_owned()]);
        let templates = ALL.iter().map(|template| template.query(&selection, &namespaces));
        templates.chain([selection.targets(&namespaces)]).collect()
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
