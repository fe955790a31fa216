//! The HPA vectors: results of Kubernetes' own controller, compared with the functions that `decide` uses.
//!
//! `HPA_VECTORS` names another folder with `replicas.jsonl` and `behavior.jsonl`, plain or gzipped.
#![allow(clippy::expect_used, clippy::panic, reason = "clippy sees tests only in functions marked as such")]

use jiff::{SignedDuration, Timestamp};
use scalableapp_engine::hpa::behavior::Behavior;
use scalableapp_engine::hpa::combine::combine;
use scalableapp_engine::hpa::history::History;
use scalableapp_engine::hpa::pod::{
    ByResource, Container, Phase, Pod, PodSample, Ready, ReadyStatus, Resource,
};
use scalableapp_engine::hpa::range::Range;
use scalableapp_engine::hpa::scale::{Normalization, Outcome, Scaling, step};
use scalableapp_engine::hpa::signal::{
    PodMetric, PodTarget, PodTiming, Proposal, Series, SignalError, Tolerance, average_value, total_value,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Mismatches that are printed; the rest is only counted.
const PRINTED: usize = 50;

#[test]
fn hpa_vectors() {
    let folder = std::env::var_os("HPA_VECTORS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hpa-vectors"), PathBuf::from);
    let mut report = Report::default();
    let cases: Vec<Case> = load(&folder, "replicas");
    let sequences: Vec<Sequence> = load(&folder, "behavior");
    let matching_cases = cases.iter().filter(|case| case.matches(&mut report)).count();
    let matching_steps: usize = sequences.iter().map(|sequence| sequence.matching_steps(&mut report)).sum();
    let steps: usize = sequences.iter().map(|sequence| sequence.steps.len()).sum();

    // Straight to stderr, past the test harness, so that the last line is visible on success, too.
    let mut out = std::io::stderr().lock();
    for mismatch in report.mismatches.iter().take(PRINTED) {
        writeln!(out, "{mismatch}").expect("stderr is writable");
    }
    if report.mismatches.len() > PRINTED {
        writeln!(out, "... and {} more", report.mismatches.len() - PRINTED).expect("stderr is writable");
    }
    writeln!(
        out,
        "hpa_vectors: {matching_cases} of {} A cases and {matching_steps} of {steps} B steps in {} sequences match ({})",
        cases.len(),
        sequences.len(),
        folder.display()
    )
    .expect("stderr is writable");
    assert!(report.mismatches.is_empty(), "{} mismatches, listed above", report.mismatches.len());
}

#[derive(Default)]
struct Report {
    mismatches: Vec<String>,
}

impl Report {
    fn check(&mut self, place: &str, field: &str, want: &Value, got: &Value) -> bool {
        if want != got {
            self.mismatches.push(format!("{place} {field}: want {want}, got {got}"));
        }
        want == got
    }
}

fn load<T: for<'de> Deserialize<'de>>(folder: &Path, name: &str) -> Vec<T> {
    let plain = folder.join(format!("{name}.jsonl"));
    let zipped = folder.join(format!("{name}.jsonl.gz"));
    let mut text = String::new();
    let read = if plain.exists() {
        std::fs::File::open(&plain).and_then(|mut file| file.read_to_string(&mut text))
    } else {
        std::fs::File::open(&zipped)
            .and_then(|file| flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text))
    };
    if let Err(error) = read {
        panic!("failed to read {name}.jsonl or {name}.jsonl.gz in {}: {error}", folder.display());
    }
    let rows: Vec<T> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}")))
        .collect();
    assert!(!rows.is_empty(), "{name}.jsonl in {} holds no vector", folder.display());
    rows
}

/// The zero instant of a case or a sequence.
fn at(offset_ms: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a valid time") + SignedDuration::from_millis(offset_ms)
}

// Set A: one metric evaluation for each case.

#[derive(Deserialize)]
struct Case {
    id: String,
    kind: String,
    expect: Value,
    #[serde(flatten)]
    input: Value,
}

#[derive(Deserialize)]
struct MetricInput {
    resource: Option<String>,
    container: Option<String>,
    target: i64,
    current_replicas: i32,
    tolerance: BTreeMap<String, f64>,
    cpu_initialization_ms: i64,
    readiness_delay_ms: i64,
    pods: Vec<PodInput>,
    #[serde(default)]
    extra_metrics: Vec<i64>,
    #[serde(default)]
    values: Vec<i64>,
    #[serde(default)]
    metrics_error: bool,
}

#[derive(Deserialize)]
struct PodInput {
    n: usize,
    phase: String,
    deleting: bool,
    ready: Option<String>,
    ready_transition_ms: Option<i64>,
    start_ms: Option<i64>,
    containers: Vec<ContainerInput>,
    #[serde(default)]
    init_containers: Vec<ContainerInput>,
    pod_level_request: Option<i64>,
    metric: Option<SampleInput>,
}

#[derive(Deserialize)]
struct ContainerInput {
    name: String,
    request: Option<i64>,
    #[serde(default)]
    restartable: bool,
}

#[derive(Deserialize)]
struct SampleInput {
    value: i64,
    ts_ms: i64,
    window_ms: i64,
}

#[derive(Deserialize)]
struct CombineInput {
    spec_replicas: i32,
    metrics: Vec<CombinedMetric>,
}

#[derive(Deserialize)]
struct CombinedMetric {
    r#type: String,
    desired: Option<i32>,
}

impl Case {
    fn matches(&self, report: &mut Report) -> bool {
        let got = match self.kind.as_str() {
            "combine" => self.combined(),
            _ => self.proposed(),
        };
        let mut want = self.expect.clone();
        if let Some(error) = want.get_mut("error") {
            *error = error["class"].clone();
        }
        let fields = want.as_object().expect("an object").iter();
        fields.fold(true, |ok, (field, want)| {
            report.check(&self.id, field, want, got.get(field).unwrap_or(&Value::Null)) && ok
        })
    }

    fn combined(&self) -> Value {
        let input: CombineInput = serde_json::from_value(self.input.clone()).expect("a combine case");
        let combined = combine(input.spec_replicas, input.metrics.iter().map(|metric| metric.desired));
        let first_failed = input.metrics.iter().find(|metric| metric.desired.is_none());
        let scaling_active = match (combined.replicas, first_failed) {
            (None, Some(metric)) => {
                let source = if metric.r#type.ends_with("Metric") { "" } else { "Metric" };
                format!("False:FailedGet{}{source}", metric.r#type)
            }
            _ => "True:ValidMetricFound".to_owned(),
        };
        json!({
            "replicas": combined.replicas.unwrap_or(-1),
            "has_error": combined.invalid > 0,
            "scaling_active": scaling_active,
        })
    }

    fn proposed(&self) -> Value {
        let input: MetricInput = serde_json::from_value(self.input.clone()).expect("a metric case");
        match input.propose(&self.kind) {
            Ok(proposal) => {
                let mut got = json!({"replicas": proposal.replicas, "usage": proposal.usage});
                if let Some(utilization) = proposal.utilization {
                    got["utilization"] = json!(utilization);
                }
                got
            }
            Err(error) => json!({"error": class(&error)}),
        }
    }
}

fn class(error: &SignalError) -> &'static str {
    match error {
        SignalError::MetricsUnavailable => "metrics_unavailable",
        SignalError::NoPods => "no_pods",
        SignalError::NoReadyMetrics => "no_ready_metrics",
        SignalError::MissingRequest { .. } => "missing_request",
        SignalError::ContainerNotFound { .. } => "container_not_found",
        SignalError::NoMatchingRequests => "no_matching_requests",
    }
}

impl MetricInput {
    fn propose(&self, kind: &str) -> Result<Proposal, SignalError> {
        let tolerance = Tolerance { down: self.tolerance["down"], up: self.tolerance["up"] };
        // A custom per-pod metric follows the rules of memory.
        let resource = match self.resource.as_deref() {
            Some("cpu") => Resource::Cpu,
            _ => Resource::Memory,
        };
        let pods = self.pods(resource);
        let series = match kind {
            "object_value" | "object_average_value" => {
                Series::Object(self.values.first().copied().filter(|_| !self.metrics_error))
            }
            _ if self.metrics_error => Series::External(&[]),
            _ => Series::External(&self.values),
        };
        let target = match kind {
            "object_value" | "external_value" => {
                return total_value(series, self.target, self.current_replicas, &pods, tolerance);
            }
            "object_average_value" | "external_average_value" => {
                return average_value(series, self.target, self.current_replicas, tolerance);
            }
            "resource_utilization" => PodTarget::Utilization(self.target.try_into().expect("a percentage")),
            "resource_average_value" | "pods_average_value" => PodTarget::AverageValue(self.target),
            _ => panic!("unknown kind {kind}"),
        };
        PodMetric {
            now: at(0),
            pods: &pods,
            unlisted: &self.extra_metrics,
            available: !self.metrics_error,
            resource,
            container: self.container.as_deref(),
            target,
            current_replicas: self.current_replicas,
            tolerance,
            timing: PodTiming {
                cpu_initialization: SignedDuration::from_millis(self.cpu_initialization_ms),
                readiness_delay: SignedDuration::from_millis(self.readiness_delay_ms),
            },
        }
        .propose()
    }

    fn pods(&self, resource: Resource) -> Vec<Pod> {
        let entries = self.pods.iter().flat_map(|entry| std::iter::repeat_n(entry, entry.n));
        entries.enumerate().map(|(index, entry)| entry.pod(format!("p{index:05}"), resource)).collect()
    }
}

impl PodInput {
    fn pod(&self, name: String, resource: Resource) -> Pod {
        let sidecars = self.init_containers.iter().filter(|container| container.restartable);
        let sample = self.metric.as_ref().map(|sample| PodSample {
            milli: sample.value,
            at: at(sample.ts_ms),
            window: SignedDuration::from_millis(sample.window_ms),
        });
        Pod {
            name: name.into(),
            phase: match self.phase.as_str() {
                "Pending" => Phase::Pending,
                "Running" => Phase::Running,
                "Succeeded" => Phase::Succeeded,
                "Failed" => Phase::Failed,
                "Unknown" => Phase::Unknown,
                other => panic!("unknown phase {other}"),
            },
            deleting: self.deleting,
            ready: self.ready.as_deref().map(|status| Ready {
                status: match status {
                    "True" => ReadyStatus::True,
                    "False" => ReadyStatus::False,
                    "Unknown" => ReadyStatus::Unknown,
                    other => panic!("unknown readiness {other}"),
                },
                since: at(self.ready_transition_ms.expect("a transition time")),
            }),
            start: self.start_ms.map(at),
            containers: self
                .containers
                .iter()
                .chain(sidecars)
                .map(|container| Container {
                    name: container.name.clone(),
                    requests: only(resource, container.request),
                })
                .collect(),
            requests: only(resource, self.pod_level_request),
            usage: only(resource, sample),
        }
    }
}

fn only<T: Copy>(resource: Resource, value: Option<T>) -> ByResource<Option<T>> {
    match resource {
        Resource::Cpu => ByResource { cpu: value, memory: None },
        Resource::Memory => ByResource { cpu: None, memory: value },
    }
}

// Set B: the life of one HPA for each sequence.

#[derive(Deserialize)]
struct Sequence {
    id: String,
    downscale_stabilization_seconds: i32,
    spec: SpecInput,
    start_replicas: i32,
    steps: Vec<StepInput>,
}

#[derive(Clone, Deserialize)]
struct SpecInput {
    min: Option<i32>,
    max: i32,
    behavior: Option<scalableapp_crds::Behavior>,
    behavior_effective: Option<scalableapp_crds::Behavior>,
}

#[derive(Deserialize)]
struct StepInput {
    t_ms: i64,
    current: i32,
    proposed: Option<i32>,
    #[serde(default)]
    hand_edit: bool,
    set_spec: Option<SpecInput>,
    #[serde(default)]
    update_error: bool,
    out: BTreeMap<String, Value>,
}

/// An HPA's state between two steps.
struct Life {
    spec: SpecInput,
    behavior: Option<Behavior>,
    window_seconds: i32,
    history: History,
    replicas: i32,
    status_desired: i32,
    conditions: BTreeMap<&'static str, String>,
}

impl SpecInput {
    fn resolve(&self, window_seconds: i32, place: &str, report: &mut Report) -> Option<Behavior> {
        let resolve = |written: &scalableapp_crds::Behavior| {
            let mut behavior = Behavior::resolve(written).expect("a behavior");
            let down = written.scale_down.as_ref().and_then(|rules| rules.stabilization_window_seconds);
            behavior.scale_down.stabilization_window_seconds = down.unwrap_or(window_seconds);
            behavior
        };
        let [written, effective] =
            [&self.behavior, &self.behavior_effective].map(|b| b.as_ref().map(resolve));
        let [want, got] = [&effective, &written].map(|behavior| json!(format!("{behavior:?}")));
        report.check(place, "behavior_effective", &want, &got);
        written
    }
}

impl Sequence {
    fn matching_steps(&self, report: &mut Report) -> usize {
        let mut life = Life {
            spec: self.spec.clone(),
            behavior: self.spec.resolve(self.downscale_stabilization_seconds, &self.id, report),
            window_seconds: self.downscale_stabilization_seconds,
            history: History::default(),
            replicas: self.start_replicas,
            status_desired: 0,
            conditions: BTreeMap::new(),
        };
        let mut matching = 0;
        for (number, input) in self.steps.iter().enumerate() {
            let place = format!("{} step {number}", self.id);
            if let Some(spec) = &input.set_spec {
                life.spec = spec.clone();
                life.behavior = spec.resolve(life.window_seconds, &place, report);
            }
            if !input.hand_edit {
                report.check(&place, "current", &json!(input.current), &json!(life.replicas));
            }
            let got = life.step(input);
            matching += usize::from(input.out.iter().fold(true, |ok, (field, want)| {
                report.check(&place, field, want, got.get(field).unwrap_or(&Value::Null)) && ok
            }));
        }
        matching
    }
}

impl Life {
    fn step(&mut self, input: &StepInput) -> Value {
        let (now, current) = (at(input.t_ms), input.current);
        let scaling = Scaling {
            range: Range { min: self.spec.min.unwrap_or(1), max: self.spec.max },
            normalization: match &self.behavior {
                Some(behavior) => Normalization::Behavior(behavior),
                None => Normalization::Legacy { downscale_stabilization_seconds: self.window_seconds },
            },
        };
        let result = step(&scaling, &mut self.history, now, current, input.proposed);
        let normalized = result.outcome.normalized();
        self.set("AbleToScale", "True:SucceededGetScale".to_owned());
        match result.outcome {
            Outcome::Disabled => self.set("ScalingActive", "False:ScalingDisabled".to_owned()),
            Outcome::NoValidMetric => {
                self.set("ScalingActive", "False:FailedGetExternalMetric".to_owned());
            }
            Outcome::AboveMax | Outcome::BelowMin => {}
            _ => self.set("ScalingActive", "True:ValidMetricFound".to_owned()),
        }
        if let Some(normalized) = normalized {
            self.set("AbleToScale", format!("True:{:?}", normalized.stabilization));
            let limited = if normalized.is_limited() { "True" } else { "False" };
            self.set("ScalingLimited", format!("{limited}:{:?}", normalized.limitation));
        }

        let write = result.desired != current;
        let failed = result.outcome == Outcome::NoValidMetric || (write && input.update_error);
        self.replicas = if write && !failed { result.desired } else { current };
        if write && failed {
            self.set("AbleToScale", "False:FailedUpdateScale".to_owned());
        } else if write {
            self.set("AbleToScale", "True:SucceededRescale".to_owned());
            if let Some(behavior) = &self.behavior {
                self.history.record_scale(behavior, now, current, result.desired);
            }
        }
        if !failed {
            self.status_desired = self.replicas;
        }
        json!({
            "stabilized": normalized.map(|normalized| normalized.stabilized),
            "stabilize_reason": normalized.map(|normalized| format!("{:?}", normalized.stabilization)),
            "normalized": normalized.map(|normalized| normalized.replicas),
            "limited": normalized.map(|normalized| normalized.is_limited()),
            "limit_reason": normalized.map(|normalized| format!("{:?}", normalized.limitation)),
            "rescaled": write && !failed,
            "cause": write.then(|| cause(&result.outcome)),
            "error": failed,
            "status_current": current,
            "status_desired": self.status_desired,
            "conditions": self.conditions,
        })
    }

    fn set(&mut self, condition: &'static str, value: String) {
        self.conditions.insert(condition, value);
    }
}

fn cause(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::AboveMax => "above_max",
        Outcome::BelowMin => "below_min",
        Outcome::MetricAboveTarget(_) => "metric_above_target",
        Outcome::AllBelowTarget(_) => "all_below_target",
        Outcome::AtTarget(_) | Outcome::Disabled | Outcome::NoValidMetric => "none",
    }
}
