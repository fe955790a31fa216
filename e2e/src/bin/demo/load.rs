//! The load of the demo: requests and then jobs, and the pods that send them. Talks to the cluster.

use anyhow::{Context, Result};
use scalableapp_cluster::tools::Tools;
use scalableapp_e2e::load::{Failed, Latency, Report};
use serde_json::{Value, json};

/// Low load, a rise, a plateau that needs five replicas, a fall, and time for the scale-in.
///
/// Each request costs 10 ms of CPU time: 90 of them in a second are nearly one core, and two cores are available.
const COURSE: [Stretch; 5] =
    [stretch(20, 5, 5), stretch(20, 5, 90), stretch(70, 90, 90), stretch(5, 90, 5), stretch(185, 5, 5)];
const PATH: &str = "/work?ms=10";
const POD: &str = "load";

/// Nothing until the service has its initial replicas again, and then a burst of jobs. Each comes twice, with the same
/// key, and is done once.
const JOBS: [Stretch; 2] = [stretch(215, 0, 0), stretch(15, 200, 200)];
const JOB: (&str, &str) = ("/reports", r#"{"from": "2020-01-01", "to": "2099-12-31"}"#);
const JOBS_POD: &str = "jobs";

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
    COURSE.iter().map(|stretch| stretch.seconds).sum()
}

/// Number of the jobs, and when they begin, in seconds since the start of the load.
pub(crate) fn jobs() -> (u32, u32) {
    let [quiet, burst] = &JOBS;
    (burst.seconds * burst.from / 2, quiet.seconds)
}

/// Corners of the offered load, that of the jobs included: seconds since its start, and requests per second.
pub(crate) fn corners() -> Vec<(f64, f64)> {
    let mut at = 0;
    let mut corners = Vec::new();
    for stretch in &COURSE {
        corners.push((f64::from(at), f64::from(stretch.from)));
        at += stretch.seconds;
        corners.push((f64::from(at), f64::from(stretch.to)));
    }
    let [quiet, burst] = &JOBS;
    let (begins, ends) = (quiet.seconds, quiet.seconds + burst.seconds);
    let rest = corners.pop();
    let base = COURSE.last().map_or(0, |stretch| stretch.to);
    for (at, more) in [(begins, 0), (begins, burst.from), (ends, burst.to), (ends, 0)] {
        corners.push((f64::from(at), f64::from(base + more)));
    }
    corners.extend(rest);
    corners
}

/// Starts the pods and waits until they run.
pub(crate) fn start(tools: &Tools, namespace: &str, service: &str) -> Result<()> {
    let url = |path: &str| format!("http://{service}.{namespace}.svc:8080{path}");
    let (path, job) = JOB;
    let profiles = [profile(&COURSE), profile(&JOBS)];
    let pods = [
        (POD, vec!["--url".to_owned(), url(PATH), "--profile".to_owned(), profiles[0].clone()]),
        (
            JOBS_POD,
            [
                ["--url", url(path).as_str()],
                ["--profile", &profiles[1]],
                ["--post", job],
                ["--patience", "0"],
            ]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        ),
    ];
    for (name, _) in &pods {
        tools.kubectl(&["delete", "pod", name, "-n", namespace, "--ignore-not-found", "--timeout=60s"])?;
    }
    for (name, arguments) in &pods {
        tools.apply(&pod(namespace, name, arguments))?;
    }
    for (name, _) in &pods {
        let running = ["--for=jsonpath={.status.phase}=Running", "--timeout=60s"];
        tools.kubectl(&[&["wait", "pod", name, "-n", namespace], running.as_slice()].concat())?;
    }
    Ok(())
}

/// Waits for the end of the requests and returns their counts.
pub(crate) fn report(tools: &Tools, namespace: &str) -> Result<Report> {
    let ended = ["--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s"];
    tools.kubectl(&[&["wait", "pod", POD, "-n", namespace], ended.as_slice()].concat())?;
    let said = tools.kubectl(&["logs", POD, "-n", namespace])?;
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

fn pod(namespace: &str, name: &str, arguments: &[String]) -> Value {
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
        let [requests, posts]: [Profile; 2] =
            [profile(&COURSE), profile(&JOBS)].map(|one| one.parse().unwrap());
        assert_eq!(requests.duration().as_secs(), u64::from(seconds()));
        assert!(posts.duration() < requests.duration());
        assert_eq!(posts.arrivals().count() as u32, 2 * jobs().0);
        let area = |pair: &[(f64, f64)]| (pair[1].0 - pair[0].0) * f64::midpoint(pair[0].1, pair[1].1);
        let offered: f64 = corners().windows(2).map(area).sum();
        let sent = requests.arrivals().count() + posts.arrivals().count();
        assert!((sent as f64 - offered).abs() <= 1.0, "{sent}, {offered}");
    }
}
