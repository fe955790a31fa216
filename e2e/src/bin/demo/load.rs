//! The load of the demo: requests and then jobs, and the pods that send them. Talks to the cluster.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use scalableapp_cluster::tools::Tools;
use scalableapp_e2e::load::{Failed, Latency, Report};
use serde_json::{Value, json};

/// What one pod sends.
struct Sender {
    /// Name of the pod.
    pod: &'static str,
    path: &'static str,
    /// The body of a POST; a GET has none.
    post: Option<&'static str>,
    course: &'static [Stretch],
}

/// Low load, a rise, a plateau that needs five replicas, a fall, and time for the scale-in and the other two.
///
/// Each request costs 10 ms of CPU time: 90 of them in a second are nearly one core, and two cores are available.
const REQUESTS: Sender = Sender {
    pod: "load",
    path: "/work?ms=10",
    post: None,
    course: &[
        stretch(20, 5, 5),
        stretch(20, 5, 90),
        stretch(70, 90, 90),
        stretch(5, 90, 5),
        stretch(295, 5, 5),
    ],
};
/// Nothing until the service has its initial replicas again, and then a burst of jobs. Each comes twice, with the same
/// key, and is done once.
const JOBS: Sender = Sender {
    pod: "jobs",
    path: "/reports",
    post: Some(r#"{"from": "2020-01-01", "to": "2099-12-31"}"#),
    course: &[stretch(215, 0, 0), stretch(15, 200, 200)],
};
/// Payments that need three replicas. While the provider hangs most customers leave, and all come back.
const PAYMENTS: Sender = Sender {
    pod: "customers",
    path: "/payments",
    post: Some(r#"{"amount": 1250, "currency": "EUR"}"#),
    course: &[stretch(245, 0, 0), stretch(65, 45, 45), stretch(60, 8, 8), stretch(30, 45, 45)],
};
const SENDERS: [&Sender; 3] = [&REQUESTS, &JOBS, &PAYMENTS];
/// When the payment provider begins to hang and when it answers again, in seconds since the start of the load.
pub(crate) const OUTAGE: (u32, u32) = (300, 360);

/// A time in seconds, with the requests per second at its start and end.
struct Stretch {
    seconds: u32,
    from: u32,
    to: u32,
}

const fn stretch(seconds: u32, from: u32, to: u32) -> Stretch {
    Stretch { seconds, from, to }
}

/// Duration of the load, in seconds.
pub(crate) fn seconds() -> u32 {
    ends(REQUESTS.course).last().unwrap_or(0)
}

/// Number of the jobs, and when they begin, in seconds since the start of the load.
pub(crate) fn jobs() -> (u32, u32) {
    let number: u32 =
        JOBS.course.iter().map(|stretch| stretch.seconds * (stretch.from + stretch.to) / 4).sum();
    (number, JOBS.course.first().map_or(0, |quiet| quiet.seconds))
}

/// Corners of the offered load of all pods together: seconds since its start, and requests per second.
pub(crate) fn corners() -> Vec<(f64, f64)> {
    /// The load may jump where two stretches meet: a corner on each side.
    const BESIDE: f64 = 1e-9;
    let ends = SENDERS.iter().flat_map(|sender| ends(sender.course)).chain([0]);
    let times: BTreeSet<u32> = ends.collect();
    let offered = |at: f64| SENDERS.iter().map(|sender| rate_at(sender.course, at)).sum::<f64>();
    let corners = |at: u32| [-BESIDE, BESIDE].map(|beside| (f64::from(at), offered(f64::from(at) + beside)));
    times.into_iter().flat_map(corners).collect()
}

/// The end of each stretch, in seconds since the start of the load.
fn ends(course: &[Stretch]) -> impl Iterator<Item = u32> {
    course.iter().scan(0, |end, stretch| {
        *end += stretch.seconds;
        Some(*end)
    })
}

/// Requests per second; 0 before and after the course.
fn rate_at(course: &[Stretch], at: f64) -> f64 {
    let mut stretches = course.iter().zip(ends(course));
    let Some((stretch, end)) = stretches.find(|(_, end)| at < f64::from(*end)).filter(|_| at >= 0.0) else {
        return 0.0;
    };
    let share = 1.0 - (f64::from(end) - at) / f64::from(stretch.seconds);
    f64::from(stretch.from) + (f64::from(stretch.to) - f64::from(stretch.from)) * share
}

/// Starts the pods and waits until they run.
pub(crate) fn start(tools: &Tools, namespace: &str, service: &str) -> Result<()> {
    for Sender { pod, .. } in SENDERS {
        tools.kubectl(&["delete", "pod", pod, "-n", namespace, "--ignore-not-found", "--timeout=60s"])?;
    }
    for sender in SENDERS {
        tools.apply(&manifest(namespace, sender.pod, &arguments(sender, namespace, service)))?;
    }
    for Sender { pod, .. } in SENDERS {
        let running = ["--for=jsonpath={.status.phase}=Running", "--timeout=60s"];
        tools.kubectl(&[&["wait", "pod", pod, "-n", namespace], running.as_slice()].concat())?;
    }
    Ok(())
}

fn arguments(sender: &Sender, namespace: &str, service: &str) -> Vec<String> {
    let url = format!("http://{service}.{namespace}.svc:8080{}", sender.path);
    let mut arguments = vec!["--url".to_owned(), url, "--profile".to_owned(), profile(sender.course)];
    if let Some(body) = sender.post {
        arguments.extend(["--post", body, "--patience", "0"].map(str::to_owned));
    }
    arguments
}

/// Waits for the end of the requests and returns their counts.
pub(crate) fn report(tools: &Tools, namespace: &str) -> Result<Report> {
    let ended = ["--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s"];
    tools.kubectl(&[&["wait", "pod", REQUESTS.pod, "-n", namespace], ended.as_slice()].concat())?;
    let said = tools.kubectl(&["logs", REQUESTS.pod, "-n", namespace])?;
    let line = said.lines().rfind(|line| line.starts_with('{'));
    serde_json::from_str(line.context("the load generator printed no counts")?)
        .context("failed to read the load generator's counts")
}

/// The results of the requests, as a line.
pub(crate) fn summary(report: &Report) -> String {
    let Failed { shed, status, connect, timeout, reset, saturated } = report.failed;
    let kinds = [
        (shed, "shed"),
        (status, "answered with an error"),
        (connect, "without a connection"),
        (timeout, "not answered in time"),
        (reset, "cut off"),
        (saturated, "not sent"),
    ];
    let failed: String = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!(", {count} {kind}"))
        .collect();
    let Latency { p50, p99, .. } = report.latency_ms;
    let (sent, ok) = (report.sent, report.ok);
    format!(
        "load: {sent} requests, {ok} answered well{failed}; half within {p50:.0} ms, 99 % within {p99:.0} ms"
    )
}

fn manifest(namespace: &str, name: &str, arguments: &[String]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "activeDeadlineSeconds": seconds() + 60,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "load",
                "image": "localhost/scalableapp-load:dev",
                "imagePullPolicy": "Never",
                "args": arguments,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]}
                }
            }]
        }
    })
}

fn profile(course: &[Stretch]) -> String {
    let written =
        course.iter().map(|stretch| format!("{}s@{}..{}", stretch.seconds, stretch.from, stretch.to));
    written.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use scalableapp_e2e::load::Profile;

    #[test]
    fn failed_requests_are_told_by_their_kind() {
        let mut report = Report { sent: 9, ok: 9, ..Report::default() };
        assert!(summary(&report).starts_with("load: 9 requests, 9 answered well; half"));
        report = Report { ok: 7, failed: Failed { status: 2, ..Failed::default() }, ..report };
        assert!(summary(&report).contains("7 answered well, 2 answered with an error; half"));
    }

    #[test]
    fn load_generators_are_told_the_course_that_the_picture_shows() {
        let profiles: Vec<Profile> =
            SENDERS.iter().map(|sender| profile(sender.course).parse().unwrap()).collect();
        assert!(profiles.iter().all(|one| one.duration().as_secs() <= u64::from(seconds())));
        assert_eq!(profiles[1].arrivals().count() as u32, 2 * jobs().0);
        let area = |pair: &[(f64, f64)]| (pair[1].0 - pair[0].0) * f64::midpoint(pair[0].1, pair[1].1);
        let offered: f64 = corners().windows(2).map(area).sum();
        let sent: usize = profiles.iter().map(|one| one.arrivals().count()).sum();
        assert!((sent as f64 - offered).abs() <= 1.0, "{sent}, {offered}");
    }

    #[test]
    fn the_offered_load_is_the_sum_of_all_pods() {
        let corners = corners();
        let at = |time: u32| -> Vec<f64> {
            let here = corners.iter().filter(|corner| corner.0 == f64::from(time));
            here.map(|corner| corner.1.round()).collect()
        };
        assert_eq!(at(0), [0.0, 5.0]);
        assert_eq!(at(215), [5.0, 205.0]);
        assert_eq!(at(310), [50.0, 13.0]);
        assert_eq!(at(seconds()), [5.0, 0.0]);
    }
}
