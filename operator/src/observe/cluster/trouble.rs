//! The problem of a pod that is not ready, read from its status, with pod, container and revision. Pure.
//!
//! Events have more details (the volume, the answer to a probe), but a list of those of one pod reads all events of its
//! namespace from etcd. The sentences say where to look instead. Only for pods that do not exist they are read: `refusals.rs`.

use super::{replica, workload::Problem};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodCondition, Probe, Volume,
    VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use scalableapp_crds::{limits::clip, printable};
use scalableapp_engine::reason::{self, Reason};
use std::collections::BTreeSet;

/// Time for which a waiting pod is not reported.
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);
/// The same for a restarted container: after this time the kubelet treats it as healthy.
const RESTARTED_PATIENCE: SignedDuration = SignedDuration::from_mins(10);
/// Characters of what a container itself says about its end.
const LAST_WORDS: usize = 400;

/// The problem of a pod now, and its problem if nothing changes for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    now: Option<Problem>,
    later: Option<(Timestamp, Problem)>,
}

impl Trouble {
    /// The problem of a pod; `None` if it is ready, has ended or is being deleted.
    #[must_use]
    pub fn of(pod: &Pod) -> Option<Self> {
        let phase = pod.status.as_ref()?.phase.as_deref();
        let has_ended = matches!(phase, Some("Succeeded" | "Failed"));
        if has_ended || pod.metadata.deletion_timestamp.is_some() || is(pod, "Ready", "True") {
            return None;
        }
        Some(PodView(pod).trouble()).filter(|trouble| *trouble != Self::default())
    }

    /// The problem at an instant.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Option<&Problem> {
        let later = self.later.as_ref().filter(|(due, _)| *due <= now).map(|(_, problem)| problem);
        later.or(self.now.as_ref())
    }

    fn now(problem: Problem) -> Self {
        Self { now: Some(problem), later: None }
    }

    fn later(since: Option<Timestamp>, patience: SignedDuration, problem: Problem) -> Self {
        let due = since.and_then(|since| since.checked_add(patience).ok());
        Self { now: None, later: due.map(|due| (due, problem)) }
    }
}

fn condition<'a>(pod: &'a Pod, type_: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_)
}

fn is(pod: &Pod, type_: &str, status: &str) -> bool {
    condition(pod, type_).is_some_and(|condition| condition.status == status)
}

pub(super) fn since(pod: &Pod, type_: &str) -> Option<Timestamp> {
    Some(condition(pod, type_)?.last_transition_time.as_ref()?.0)
}

struct PodView<'a>(&'a Pod);

impl PodView<'_> {
    fn trouble(&self) -> Trouble {
        let Self(pod) = self;
        let status = pod.status.as_ref();
        let unschedulable = condition(pod, "PodScheduled")
            .filter(|one| one.status == "False" && one.reason.as_deref() == Some("Unschedulable"));
        if let Some(condition) = unschedulable {
            let words = condition.message.as_deref().unwrap_or("the scheduler gives no details");
            return Trouble::now(
                self.problem(reason::UNSCHEDULABLE, &format!("no node takes it: {}", lacks(words))),
            );
        }
        let spec = pod.spec.as_ref();
        let init = status.and_then(|status| status.init_container_statuses.as_deref()).unwrap_or_default();
        let init = init.iter().filter_map(|one| {
            let spec = spec.and_then(|spec| named(spec.init_containers.as_deref()?, &one.name));
            let is_sidecar = spec.is_some_and(|spec| spec.restart_policy.as_deref() == Some("Always"));
            if is_sidecar { self.container(one, spec) } else { self.init_container(one) }
        });
        let others = status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
        let others = others
            .iter()
            .filter_map(|one| self.container(one, spec.and_then(|spec| named(&spec.containers, &one.name))));
        // The first waiting container blocks the others. Failed ones are reported before waiting ones.
        let mut found: Vec<Trouble> = init.chain(others).collect();
        let first = found.iter().position(|trouble| trouble.now.is_some()).unwrap_or(0);
        if found.is_empty() { Trouble::default() } else { found.swap_remove(first) }
    }

    /// A container that must end before the next one starts.
    fn init_container(&self, status: &ContainerStatus) -> Option<Trouble> {
        let name = &status.name;
        if let Some(trouble) = self.not_created(status) {
            return Some(trouble);
        }
        let state = status.state.as_ref();
        let ended = state.and_then(|state| state.terminated.as_ref());
        if ended.is_some_and(|ended| ended.exit_code == 0) {
            return None;
        }
        if let Some(running) = state.and_then(|state| state.running.as_ref()) {
            let words = format!("init container {name} has not finished: {}", self.log(name, ""));
            let since = running.started_at.as_ref().map(|time| time.0);
            let later =
                Trouble::later(since, PATIENCE, self.problem(reason::INIT_CONTAINER_NOT_DONE, &words));
            return Some(Trouble { now: self.init_container_failed(status), ..later });
        }
        self.init_container_failed(status).map(Trouble::now)
    }

    fn init_container_failed(&self, status: &ContainerStatus) -> Option<Problem> {
        let code = last_end(status)?.exit_code;
        let name = &status.name;
        let words =
            format!("init container {name} fails with exit code {code}: {}", self.log(name, " --previous"));
        Some(self.problem(reason::INIT_CONTAINER_NOT_DONE, &words))
    }

    fn container(&self, status: &ContainerStatus, spec: Option<&Container>) -> Option<Trouble> {
        if let Some(trouble) = self.not_created(status) {
            return Some(trouble);
        }
        if status.ready {
            return None;
        }
        let now = (status.restart_count > 0).then(|| self.restarted(status, spec)).flatten();
        if now.is_some() && self.waits_for_primary(status) {
            return now.map(Trouble::now);
        }
        let patience = if now.is_some() { RESTARTED_PATIENCE } else { PATIENCE };
        let later = self
            .not_ready(status, spec)
            .map_or_else(Trouble::default, |(since, problem)| Trouble::later(since, patience, problem));
        Some(Trouble { now, ..later }).filter(|trouble| *trouble != Trouble::default())
    }

    /// An image that is missing, or a container that cannot be created.
    fn not_created(&self, status: &ContainerStatus) -> Option<Trouble> {
        let waiting = status.state.as_ref()?.waiting.as_ref()?;
        let (name, image) = (&status.name, &status.image);
        let words = |text: &str| waiting.message.clone().unwrap_or_else(|| text.to_owned());
        match waiting.reason.as_deref()? {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                let words = format!(
                    "image {image} of container {name} cannot be pulled: check its name and tag, and the pull secret"
                );
                Some(Trouble::now(self.problem(reason::IMAGE_PULL_FAILED, &words)))
            }
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                let words =
                    format!("container {name} cannot be created: {}", words("the kubelet gives no details"));
                Some(Trouble::now(self.problem(reason::CONTAINER_NOT_CREATED, &words)))
            }
            "ContainerCreating" | "PodInitializing" => {
                let Self(pod) = self;
                let since = since(pod, "PodScheduled")
                    .max(since(pod, "Initialized").filter(|_| is(pod, "Initialized", "True")));
                let words = if is(pod, "PodReadyToStartContainers", "False") {
                    self.waits_for_volumes()
                } else {
                    format!(
                        "image {image} of container {name} is still being pulled, or {}",
                        self.waits_for_volumes()
                    )
                };
                Some(Trouble::later(since, PATIENCE, self.problem(reason::CONTAINER_CREATING, &words)))
            }
            _ => None,
        }
    }

    fn waits_for_volumes(&self) -> String {
        let volumes = self.0.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
        let sources: Vec<String> = volumes.iter().filter_map(source).collect();
        let pod = self.name();
        let look = format!("see kubectl describe pod {pod}");
        if sources.is_empty() {
            return format!("its volumes or its network are not set up: {look}");
        }
        format!("its volumes are not mounted: check that {} exist, and {look}", sources.join(", "))
    }

    /// Why a container was restarted.
    fn restarted(&self, status: &ContainerStatus, spec: Option<&Container>) -> Option<Problem> {
        let ended = last_end(status)?;
        let (name, code) = (&status.name, ended.exit_code);
        let of_replica = replica::reason(self.0, code);
        if of_replica.is_some() && !self.waits_for_primary(status) {
            return None;
        }
        let (reason, words) = if ended.reason.as_deref() == Some("OOMKilled") {
            (reason::CONTAINER_CRASHES, "runs out of memory: raise its memory limit".to_owned())
        } else if let Some(probes) =
            spec.filter(|_| matches!(code, 0 | 137 | 143)).and_then(|spec| stops(spec, ended))
        {
            // Only the kubelet stops a container of a remaining pod by signals 15 and 9.
            let doubt = if code == 0 { ", or it ends by itself" } else { "" };
            (
                reason::PROBE_FAILS,
                format!("is stopped with exit code {code}: its probe ({probes}) fails{doubt}"),
            )
        } else if let Some(words) = last_words(ended, spec) {
            return Some(self.problem(of_replica.unwrap_or(reason::CONTAINER_CRASHES), &words));
        } else {
            let words = format!("keeps ending with exit code {code}: {}", self.log(name, " --previous"));
            (of_replica.unwrap_or(reason::CONTAINER_CRASHES), words)
        };
        Some(self.problem(reason, &format!("container {name} {words}")))
    }

    /// Whether a read replica that has told of its primary still waits for it.
    fn waits_for_primary(&self, status: &ContainerStatus) -> bool {
        let told = last_end(status).and_then(|ended| replica::reason(self.0, ended.exit_code));
        told.is_some() && status.started != Some(true)
    }

    /// Since when a container has run without being ready, and the failing probe.
    fn not_ready(
        &self,
        status: &ContainerStatus,
        spec: Option<&Container>,
    ) -> Option<(Option<Timestamp>, Problem)> {
        let running = status.state.as_ref()?.running.as_ref()?;
        let started = running.started_at.as_ref().map(|time| time.0);
        let (kind, probe) = match (&spec?.startup_probe, &spec?.readiness_probe) {
            (Some(startup), _) if status.started != Some(true) => ("startup", startup),
            (_, Some(readiness)) => ("readiness", readiness),
            _ => return None,
        };
        let name = &status.name;
        if let Some((reason, words)) = replica::not_ready(self.0, status) {
            let words = format!("{words}: {}", self.log(name, ""));
            return Some((started.max(since(self.0, "Ready")), self.problem(reason, &words)));
        }
        let mut words =
            format!("container {name} runs, and its {kind} probe ({}) does not succeed", action(probe));
        if probe.exec.is_some() {
            words = format!("{words}: {}", self.log(name, ""));
        }
        Some((started.max(since(self.0, "Ready")), self.problem(reason::PROBE_FAILS, &words)))
    }

    fn problem(&self, reason: Reason, words: &str) -> Problem {
        let revision = self.0.metadata.labels.as_ref().and_then(|labels| labels.get(crate::labels::REVISION));
        let revision = revision.map_or_else(String::new, |revision| format!(" of revision {revision}"));
        Problem { reason, message: format!("pod {}{revision}: {words}", self.name()) }
    }

    fn name(&self) -> &str {
        self.0.metadata.name.as_deref().unwrap_or_default()
    }

    fn log(&self, container: &str, which: &str) -> String {
        format!("read kubectl logs {} -c {container}{which}", self.name())
    }
}

fn named<'a>(containers: &'a [Container], name: &str) -> Option<&'a Container> {
    containers.iter().find(|container| container.name == name)
}

/// How a container last ended; `None` if it never did.
fn last_end(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let ended =
        |state: &'_ Option<ContainerState>| state.as_ref().is_some_and(|state| state.terminated.is_some());
    let state = if ended(&status.state) { &status.state } else { &status.last_state };
    state.as_ref()?.terminated.as_ref()
}

/// What a container itself said about its end. The end of its log is not taken for it: it may differ each time.
fn last_words(ended: &ContainerStateTerminated, spec: Option<&Container>) -> Option<String> {
    let policy = spec?.termination_message_policy.as_deref();
    let words = ended.message.as_deref().filter(|_| policy.is_none_or(|policy| policy == "File"))?;
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    (!words.is_empty()).then(|| clip(&printable(&words), LAST_WORDS).into_owned())
}

/// The probes whose failure may have ended a container, in words; `None` if it ran for less time than a probe takes to
/// fail.
fn stops(spec: &Container, ended: &ContainerStateTerminated) -> Option<String> {
    let probes = || spec.startup_probe.iter().chain(&spec.liveness_probe);
    let fails_after = |probe: &Probe| {
        let number = |given: Option<i32>, default: i32| i64::from(given.unwrap_or(default));
        let tries = number(probe.failure_threshold, 3) - 1;
        // Products and sums of three 32-bit numbers fit 64 bits.
        let seconds = number(probe.initial_delay_seconds, 0) + number(probe.period_seconds, 10) * tries;
        SignedDuration::from_secs(seconds)
    };
    let ran = ended.finished_at.as_ref()?.0.duration_since(ended.started_at.as_ref()?.0);
    let soonest = probes().map(fails_after).min()?;
    let actions: BTreeSet<String> = probes().map(action).collect();
    (soonest <= ran).then(|| actions.into_iter().collect::<Vec<_>>().join(" or "))
}

/// The source of a volume, where that may be missing.
fn source(volume: &Volume) -> Option<String> {
    let must = |optional: Option<bool>| optional != Some(true);
    if let Some(source) = volume.config_map.as_ref().filter(|source| must(source.optional)) {
        return Some(format!("ConfigMap {}", source.name));
    }
    if let Some(source) = volume.secret.as_ref().filter(|source| must(source.optional)) {
        return Some(format!("Secret {}", source.secret_name.as_deref().unwrap_or_default()));
    }
    let mut projected = volume.projected.iter().flat_map(|one| one.sources.iter().flatten());
    let secret = |source: &VolumeProjection| {
        let secret = source.secret.as_ref().filter(|source| must(source.optional))?;
        Some(format!("Secret {}", secret.name))
    };
    if let Some(source) = projected.find_map(secret) {
        return Some(source);
    }
    let claim = volume.persistent_volume_claim.as_ref()?;
    Some(format!("PersistentVolumeClaim {}", claim.claim_name))
}

/// The action of a probe.
fn action(probe: &Probe) -> String {
    let port = |port: &IntOrString| match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    };
    if let Some(get) = &probe.http_get {
        return format!("GET {} on port {}", get.path.as_deref().unwrap_or("/"), port(&get.port));
    }
    if let Some(socket) = &probe.tcp_socket {
        return format!("TCP port {}", port(&socket.port));
    }
    match &probe.grpc {
        Some(grpc) => format!("gRPC port {}", grpc.port),
        None => "its command".to_owned(),
    }
}

/// The scheduler's reasons without their counts, which change with every node.
fn lacks(words: &str) -> String {
    let Some((_, reasons)) = words.split_once("nodes are available: ") else { return words.to_owned() };
    let reasons = reasons.split(". ").next().unwrap_or(reasons).trim_end_matches('.');
    let uncounted = |one: &str| one.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').to_owned();
    let reasons: BTreeSet<String> = reasons.split(", ").map(uncounted).collect();
    reasons.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const START: &str = "2026-01-01T00:00:00Z";

    fn after(seconds: i64) -> Timestamp {
        START.parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(seconds)
    }

    fn condition(type_: &str, status: &str) -> Value {
        json!({"type": type_, "status": status, "lastTransitionTime": START})
    }

    /// A pod as the kubelet reports it before anything runs; `status` is merged over that.
    fn pod(status: &Value) -> Pod {
        let mut pod = json!({
            "metadata": {"name": "web-1", "labels": {"scalableapp.dev/revision": "r2"}},
            "spec": {
                "initContainers": [
                    {"name": "migrate", "image": "tool:1"},
                    {"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"},
                ],
                "containers": [{
                    "name": "web", "image": "web:1",
                    "startupProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1, "failureThreshold": 60},
                    "livenessProbe": {"httpGet": {"path": "/livez", "port": 80}},
                    "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
                }],
                "volumes": [
                    {"name": "config", "configMap": {"name": "settings"}},
                    {"name": "more", "configMap": {"name": "extra", "optional": true}},
                    {"name": "tls", "secret": {"secretName": "cert"}},
                ],
            },
            "status": {
                "phase": "Pending",
                "conditions": [
                    condition("PodScheduled", "True"), condition("Initialized", "True"), condition("Ready", "False"),
                ],
            },
        });
        for (key, value) in status.as_object().expect("fields") {
            pod["status"][key] = value.clone();
        }
        serde_json::from_value(pod).expect("a pod")
    }

    fn container(name: &str, restarts: i32, state: &Value, last: &Value) -> Value {
        json!({"name": name, "image": format!("{name}:1"), "imageID": "", "ready": false, "restartCount": restarts,
            "state": state, "lastState": last})
    }

    fn web(restarts: i32, state: &Value, last: &Value) -> Value {
        json!({"phase": "Running", "containerStatuses": [container("web", restarts, state, last)]})
    }

    /// With an init container and a sidecar before it.
    fn init(migrate: &Value, proxy: &Value) -> Value {
        let waiting = json!({"waiting": {"reason": "PodInitializing"}});
        json!({
            "initContainerStatuses": [container("migrate", 0, migrate, &json!({})), container("proxy", 0, proxy, &json!({}))],
            "containerStatuses": [container("web", 0, &waiting, &json!({}))],
        })
    }

    fn waiting(reason: &str) -> Value {
        json!({"waiting": {"reason": reason, "message": "in its words"}})
    }

    fn ended(code: i32, reason: &str) -> Value {
        ran(0, code, reason)
    }

    fn ran(seconds: i64, code: i32, reason: &str) -> Value {
        json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": START, "finishedAt": after(seconds)}})
    }

    fn says(message: &str) -> Value {
        json!({"terminated": {"exitCode": 1, "reason": "Error", "message": message}})
    }

    fn running() -> Value {
        json!({"running": {"startedAt": START}})
    }

    /// The reason and the words after pod and revision, now and after a while.
    fn told(status: &Value, seconds: i64) -> Option<(&'static str, String)> {
        let trouble = Trouble::of(&pod(status))?;
        let Problem { reason, message } = trouble.at(after(seconds))?;
        let words = message.strip_prefix("pod web-1 of revision r2: ").expect("pod and revision");
        Some((reason.name, words.to_owned()))
    }

    #[test]
    fn what_has_failed_is_told_at_once_with_pod_container_and_revision() {
        let crash = waiting("CrashLoopBackOff");
        let proxy_crashes = json!({"initContainerStatuses": [
            container("migrate", 0, &ended(0, "Completed"), &json!({})),
            container("proxy", 3, &crash, &ended(1, "Error")),
        ]});
        let probe = "its probe (GET /livez on port 80 or GET /ready on port http) fails";
        let ends = "container web keeps ending with exit code";
        for (status, reason, words) in [
            (init(&waiting("ImagePullBackOff"), &json!({})), "ImagePullFailed",
                "image migrate:1 of container migrate cannot be pulled: check its name and tag, and the pull secret".to_owned()),
            (init(&ended(0, "Completed"), &waiting("ErrImagePull")), "ImagePullFailed",
                "image proxy:1 of container proxy cannot be pulled: check its name and tag, and the pull secret".to_owned()),
            (init(&ended(1, "Error"), &json!({})), "InitContainerNotDone",
                "init container migrate fails with exit code 1: read kubectl logs web-1 -c migrate --previous".to_owned()),
            (proxy_crashes, "ContainerCrashes",
                "container proxy keeps ending with exit code 1: read kubectl logs web-1 -c proxy --previous".to_owned()),
            (web(0, &waiting("CreateContainerConfigError"), &json!({})), "ContainerNotCreated",
                "container web cannot be created: in its words".to_owned()),
            (web(2, &crash, &ended(1, "Error")), "ContainerCrashes",
                format!("{ends} 1: read kubectl logs web-1 -c web --previous")),
            (web(2, &crash, &says("The primary's wal_level\tis minimal:\nset it to replica.\u{1b}[2J\n")), "ContainerCrashes",
                r"The primary's wal_level is minimal: set it to replica.\u{1b}[2J".to_owned()),
            (web(2, &crash, &says(" \n")), "ContainerCrashes",
                format!("{ends} 1: read kubectl logs web-1 -c web --previous")),
            (web(2, &running(), &ended(137, "OOMKilled")), "ContainerCrashes",
                "container web runs out of memory: raise its memory limit".to_owned()),
            (web(2, &running(), &ran(60, 143, "Error")), "ProbeFails",
                format!("container web is stopped with exit code 143: {probe}")),
            (web(2, &crash, &ran(61, 0, "Completed")), "ProbeFails",
                format!("container web is stopped with exit code 0: {probe}, or it ends by itself")),
            (web(2, &crash, &ran(1, 0, "Completed")), "ContainerCrashes",
                format!("{ends} 0: read kubectl logs web-1 -c web --previous")),
        ] {
            assert_eq!(told(&status, 0), Some((reason, words)), "{status}");
        }
    }

    #[test]
    fn what_a_container_says_about_its_end_is_told_in_part_and_the_end_of_its_log_is_not() {
        let status = web(2, &running(), &says(&"the primary is gone ".repeat(200)));
        let (_, words) = told(&status, 0).expect("a problem");
        assert!(words.chars().count() <= 400 && words.ends_with('…'), "{words}");
        let mut pod = pod(&status);
        let policy = Some("FallbackToLogsOnError".to_owned());
        pod.spec.as_mut().expect("a spec").containers[0].termination_message_policy = policy;
        let told = Trouble::of(&pod).and_then(|trouble| trouble.at(after(0)).cloned()).expect("a problem");
        assert!(told.message.ends_with("read kubectl logs web-1 -c web --previous"), "{}", told.message);
    }

    /// The words of a read replica; `ready` is since when it is not ready, in seconds.
    fn of_replica(status: &Value, ready: i64, seconds: i64) -> Option<(&'static str, String)> {
        let mut pod = pod(status);
        let labels = pod.metadata.labels.as_mut().expect("labels");
        labels.insert(crate::labels::TIER.to_owned(), "database".to_owned());
        let conditions = pod.status.as_mut().expect("a status").conditions.as_mut().expect("conditions");
        let condition = conditions.iter_mut().find(|one| one.type_ == "Ready").expect("a condition");
        condition.last_transition_time =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(after(ready)));
        let trouble = Trouble::of(&pod)?;
        let Problem { reason, message } = trouble.at(after(seconds))?;
        let words = message.strip_prefix("pod web-1 of revision r2: ").expect("pod and revision");
        Some((reason.name, words.to_owned()))
    }

    #[test]
    fn a_read_replica_tells_of_its_primary_until_that_is_found_usable() {
        for (code, reason) in [
            (1, "ContainerCrashes"),
            (10, "PrimaryNotUsable"),
            (11, "PrimaryUnreachable"),
            (12, "PrimaryHasNoRoom"),
        ] {
            let said = json!({"terminated": {"exitCode": code, "reason": "Error", "message": "The primary is away.\n"}});
            let mut status = web(1, &running(), &said);
            status["containerStatuses"][0]["started"] = json!(false);
            let told = Some((reason, "The primary is away.".to_owned()));
            assert_eq!(of_replica(&status, 0, 0), told);
            if code > 1 {
                assert_eq!(of_replica(&status, 0, 100_000), told, "as long as it waits");
                status["containerStatuses"][0]["started"] = json!(true);
                assert_eq!(of_replica(&status, 0, 29), None, "the primary is usable again");
            }
            let words = of_replica(&status, 0, 600).map(|(reason, _)| reason);
            assert_eq!(words, Some(if code > 1 { "ReplicaNotCopied" } else { "PrimaryUnreachable" }));
        }
    }

    #[test]
    fn a_read_replica_that_is_cloned_looks_other_than_one_that_has_served() {
        let mut status = web(0, &running(), &json!({}));
        status["containerStatuses"][0]["started"] = json!(true);
        assert_eq!(of_replica(&status, 0, 29), None);
        let (reason, words) = of_replica(&status, 0, 30).expect("a problem");
        assert_eq!(reason, "ReplicaNotCopied");
        assert!(words.ends_with("or catches up: read kubectl logs web-1 -c web"), "{words}");
        let (reason, words) = of_replica(&status, 60, 90).expect("a problem");
        assert_eq!(reason, "ReplicaBehind");
        assert!(words.starts_with("it is behind the primary by more than maxLag"), "{words}");
    }

    #[test]
    fn a_secret_that_a_pod_may_wait_for_is_named_in_whichever_volume_it_is() {
        let volume = |sources: Value| -> Volume {
            serde_json::from_value(json!({"name": "primary", "projected": {"sources": sources}}))
                .expect("a volume")
        };
        let must = json!({"secret": {"name": "shop-db"}});
        let may = json!({"secret": {"name": "more", "optional": true}});
        assert_eq!(source(&volume(json!([may, must]))), Some("Secret shop-db".to_owned()));
        assert_eq!(source(&volume(json!([may]))), None);
    }

    #[test]
    fn what_only_waits_is_told_after_a_while() {
        let not_mounted = json!({
            "conditions": [condition("PodReadyToStartContainers", "False"), condition("PodScheduled", "True")],
            "containerStatuses": [container("web", 0, &waiting("ContainerCreating"), &json!({}))],
        });
        let mut starting = web(0, &running(), &json!({}));
        let mut started = starting.clone();
        starting["containerStatuses"][0]["started"] = json!(false);
        started["containerStatuses"][0]["started"] = json!(true);
        let volumes = "check that ConfigMap settings, Secret cert exist, and see kubectl describe pod web-1";
        for (status, reason, words) in [
            (not_mounted, "ContainerCreating", format!("its volumes are not mounted: {volumes}")),
            (
                web(0, &waiting("ContainerCreating"), &json!({})),
                "ContainerCreating",
                format!(
                    "image web:1 of container web is still being pulled, or its volumes are not mounted: {volumes}"
                ),
            ),
            (
                init(&running(), &json!({})),
                "InitContainerNotDone",
                "init container migrate has not finished: read kubectl logs web-1 -c migrate".to_owned(),
            ),
            (
                starting,
                "ProbeFails",
                "container web runs, and its startup probe (GET /ready on port http) does not succeed"
                    .to_owned(),
            ),
            (
                started,
                "ProbeFails",
                "container web runs, and its readiness probe (GET /ready on port http) does not succeed"
                    .to_owned(),
            ),
        ] {
            assert_eq!((told(&status, 29), told(&status, 30)), (None, Some((reason, words))), "{status}");
        }
    }

    #[test]
    fn what_no_node_takes_is_told_without_counts_that_change_with_every_node() {
        let told = |message: &str| {
            let scheduled = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message});
            told(&json!({"conditions": [scheduled]}), 0)
        };
        let words = |words: &str| Some(("Unschedulable", format!("no node takes it: {words}")));
        let lacks = "0/3 nodes are available: 1 node(s) had untolerated taint {a: b}, 2 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.";
        assert_eq!(told(lacks), words("Insufficient cpu, node(s) had untolerated taint {a: b}"));
        assert_eq!(told("0/9 nodes are available: 9 Insufficient cpu."), words("Insufficient cpu"));
        assert_eq!(told("no nodes available to schedule pods"), words("no nodes available to schedule pods"));
    }

    #[test]
    fn a_restarted_container_is_told_as_one_until_the_kubelet_takes_it_for_sound() {
        let mut status = web(3, &running(), &ended(1, "Error"));
        status["containerStatuses"][0]["started"] = json!(true);
        let reason = |seconds| told(&status, seconds).map(|(reason, _)| reason);
        assert_eq!(
            [reason(30), reason(599), reason(600)],
            [Some("ContainerCrashes"), Some("ContainerCrashes"), Some("ProbeFails")]
        );
    }

    #[test]
    fn a_pod_that_is_ready_has_ended_or_is_going_has_no_trouble() {
        let crash = web(2, &waiting("CrashLoopBackOff"), &ended(1, "Error"));
        assert!(Trouble::of(&pod(&crash)).is_some());
        for change in [
            |status: &mut Value| status["conditions"] = json!([condition("Ready", "True")]),
            |status: &mut Value| status["phase"] = json!("Failed"),
            |status: &mut Value| status["phase"] = json!("Succeeded"),
        ] {
            let mut status = crash.clone();
            change(&mut status);
            assert_eq!(Trouble::of(&pod(&status)), None, "{status}");
        }
        let mut going = pod(&crash);
        going.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(after(0)));
        assert_eq!(Trouble::of(&going), None);
    }
}
