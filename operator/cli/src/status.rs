//! The state of an app, from the object and the live measurements. Pure.

use jiff::Timestamp;
use kube::ResourceExt;
use scalableapp_crds::{
    ComponentStatus, Condition, ConditionStatus, LiveApp, LiveBacklog, LiveCache, LiveComponent, LiveMetric,
    Proposal, RolloutPhase, RolloutStatus, ScalableApp, ScalableAppStatus, ScalingOverride, Unreadable,
    condition_type,
};
use scalableapp_engine::reason::{self, Reason};
use serde::Serialize;

use crate::live::Unavailable;

/// The state of one app.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppStatus {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether it is up as declared.
    pub health: Health,
    /// Whether the status is of the object's newest generation, and the last read succeeded.
    pub up_to_date: bool,
    /// Time of the leader's measurement; `None` without live measurements.
    pub measured_at: Option<Timestamp>,
    /// Its components, in the order of the status.
    pub components: Vec<Component>,
    /// Bad conditions.
    pub deviations: Vec<Deviation>,
    /// Overrides that have not expired.
    pub overrides: Vec<Override>,
    /// The last decision of each component, the newest first.
    pub decisions: Vec<Decision>,
    /// Other notes, as sentences.
    pub notes: Vec<String>,
}

/// Whether an app is up as declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Health {
    /// The condition `Ready` is true for the object's newest generation.
    Ready,
    /// It is not, and the operator works on it.
    NotReady,
    /// It is not, and waiting does not help: the condition `Stalled` is true for the newest generation.
    Stalled,
}

/// The state of one component.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Requests per second; nothing if not measured.
    pub request_rate: Option<f64>,
    /// The 99th percentile of the latency in seconds; nothing if not measured.
    pub p99: Option<f64>,
    /// The use of a cache; nothing for other components, or if not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<LiveCache>,
    /// Pods that are ready.
    pub ready: i32,
    /// Desired replicas of the last decision.
    pub desired: i32,
    /// Why its spec is not applied, or else the last decision, as a sentence; empty before the first.
    pub reason: String,
    /// Where its canary is, as the status says it; nothing while none is in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<RolloutStatus>,
    /// The jobs of a pool of workers; nothing if not measured.
    pub backlog: Option<LiveBacklog>,
    /// Measurements of its metrics; `None` without live measurements.
    pub metrics: Vec<LiveMetric>,
}

/// A bad condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deviation {
    /// The condition's type.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: ConditionStatus,
    /// Reason, as one word.
    pub reason: String,
    /// Reason, as a sentence.
    pub message: String,
}

/// An override that has not expired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Override {
    /// Its name.
    pub name: String,
    /// Its state, as one word; empty until the operator has seen it.
    pub state: String,
    /// Author.
    pub by: String,
    /// End.
    pub until: Timestamp,
    /// Reason.
    pub reason: String,
}

/// A decision on a component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// When it was made.
    pub time: Timestamp,
    /// The component.
    pub component: String,
    /// Replicas before it.
    pub from: i32,
    /// Desired replicas.
    pub to: i32,
    /// Reason, as one word.
    pub reason: String,
    /// Reason, as a sentence.
    pub message: String,
    /// Each metric with its value, target and proposed replicas.
    pub evidence: Vec<String>,
}

impl AppStatus {
    /// Joins the object with the leader's measurements; without these it notes why they are missing.
    #[must_use]
    pub fn new(app: &ScalableApp, live: &Result<LiveApp, Unavailable>) -> Self {
        let status = app.status.clone().unwrap_or_default();
        let observed = app.status.as_ref().map_or(-1, |status| status.observed_generation);
        let up_to_date = observed >= app.metadata.generation.unwrap_or(0);
        let mut notes = Vec::new();
        // The leader has answered, even if it has not measured the app.
        let runs = matches!(live, Ok(_) | Err(Unavailable::NotMeasured));
        if observed < 0 && runs {
            let unwritten = "The operator runs and has not written the status of this app yet: kubectl events shows the reason.";
            notes.push(unwritten.to_owned());
        } else if observed < 0 {
            notes.push("The operator has not seen this app yet: check that it is running.".to_owned());
        } else if !up_to_date {
            notes.push("The operator has not seen the last change of this app yet.".to_owned());
        }
        notes.extend(live.as_ref().err().map(|why| sentence(&why.to_string())));
        notes.extend(app.spec.external_databases());
        let mut decisions: Vec<Decision> = status.components.iter().filter_map(Decision::last).collect();
        decisions.sort_by(|a, b| b.cmp(a));
        Self {
            namespace: app.namespace().unwrap_or_default(),
            name: app.name_any(),
            health: health(app),
            up_to_date,
            measured_at: live.as_ref().ok().map(|live| live.observed_at),
            components: status
                .components
                .iter()
                .map(|component| Component::new(component, live.as_ref().ok(), &status))
                .collect(),
            deviations: status
                .conditions
                .iter()
                .filter(|condition| deviates(condition))
                .map(Deviation::new)
                .collect(),
            overrides: Vec::new(),
            decisions,
            notes,
        }
    }

    /// Adds the overrides of the app that have not expired.
    #[must_use]
    pub fn with_overrides(mut self, overrides: &[ScalingOverride], now: Timestamp) -> Self {
        let is_of_app = |one: &ScalingOverride| {
            one.spec.app == self.name && one.namespace().as_deref() == Some(self.namespace.as_str())
        };
        let concerns = |one: &&ScalingOverride| is_of_app(one) && now < one.spec.expires_at.0;
        self.overrides = overrides.iter().filter(concerns).map(Override::new).collect();
        self
    }
}

impl AppStatus {
    /// The state of an unreadable app. The operator cannot read it either.
    #[must_use]
    pub fn unreadable(app: &Unreadable) -> Self {
        Self {
            namespace: app.metadata.namespace.clone().unwrap_or_default(),
            name: app.metadata.name.clone().unwrap_or_default(),
            health: Health::Stalled,
            up_to_date: false,
            measured_at: None,
            components: Vec::new(),
            deviations: Vec::new(),
            overrides: Vec::new(),
            decisions: Vec::new(),
            notes: vec![format!("This ScalableApp cannot be read: {app}; correct it with kubectl edit.")],
        }
    }

    /// Marks the state as the last successful one: it must neither look current nor hide why there is no newer one.
    pub fn not_current(&mut self, why: &str) {
        self.health = Health::NotReady;
        self.up_to_date = false;
        self.notes = vec![sentence(why)];
    }
}

impl Component {
    fn new(component: &ComponentStatus, live: Option<&LiveApp>, status: &ScalableAppStatus) -> Self {
        let measured: Option<&LiveComponent> =
            live.and_then(|live| live.components.iter().find(|measured| measured.name == component.name));
        let last = || component.last_decision.as_ref().map(|decision| decision.message.clone());
        let recorded = || paused(status).map(str::to_owned).or_else(last);
        let said = || measured.map(|measured| measured.message.clone()).filter(|message| !message.is_empty());
        Self {
            name: component.name.clone(),
            request_rate: measured.and_then(|measured| measured.request_rate),
            p99: measured.and_then(|measured| measured.latency).and_then(|latency| latency.p99),
            cache: measured.and_then(|measured| measured.cache),
            ready: measured.map_or(component.ready, |measured| measured.ready),
            desired: measured.map_or(component.desired, |measured| measured.desired),
            reason: failure(&component.name, status).or_else(said).or_else(recorded).unwrap_or_default(),
            canary: component.rollout.clone().filter(|one| one.phase == RolloutPhase::Progressing),
            backlog: measured.and_then(|measured| measured.backlog),
            metrics: measured.map(|measured| measured.metrics.clone()).unwrap_or_default(),
        }
    }
}

impl Decision {
    fn last(component: &ComponentStatus) -> Option<Self> {
        let record = component.last_decision.as_ref()?;
        Some(Self {
            time: record.time.0,
            component: component.name.clone(),
            from: record.from,
            to: record.to,
            reason: record.reason.clone(),
            message: record.message.clone(),
            evidence: record.proposals.iter().map(evidence).collect(),
        })
    }
}

fn evidence(proposal: &Proposal) -> String {
    let Proposal { metric, value, target, replicas, reason: _ } = proposal;
    match replicas {
        Some(replicas) => format!("{metric} is {value}, target {target}: proposes {replicas}."),
        None => format!("{metric} proposes nothing: {value}, target {target}."),
    }
}

impl Override {
    fn new(one: &ScalingOverride) -> Self {
        let conditions = one.status.iter().flat_map(|status| &status.conditions);
        let mut in_force = conditions.filter(|condition| condition.type_ == condition_type::IN_FORCE);
        Self {
            name: one.name_any(),
            state: in_force.next().map(|condition| condition.reason.clone()).unwrap_or_default(),
            by: one.spec.by.clone(),
            until: one.spec.expires_at.0,
            reason: one.spec.reason.clone(),
        }
    }
}

impl Deviation {
    fn new(condition: &Condition) -> Self {
        Self {
            type_: condition.type_.clone(),
            status: condition.status,
            reason: condition.reason.clone(),
            message: condition.message.clone(),
        }
    }
}

fn health(app: &ScalableApp) -> Health {
    if holding(app, condition_type::STALLED).is_some() {
        Health::Stalled
    } else if holding(app, condition_type::READY).is_some() {
        Health::Ready
    } else {
        Health::NotReady
    }
}

/// The condition of a type, if it is true for the object's newest generation.
pub(crate) fn holding<'a>(app: &'a ScalableApp, type_: &str) -> Option<&'a Condition> {
    app.status.as_ref()?.conditions.iter().find(|condition| {
        condition.type_ == type_
            && condition.status == ConditionStatus::True
            && condition.observed_generation >= app.metadata.generation.unwrap_or(0)
    })
}

/// Who pauses the app, in words; `None` without a pause.
fn paused(status: &ScalableAppStatus) -> Option<&str> {
    let is_pause = |condition: &&Condition| {
        condition.type_ == condition_type::SCALING_LIMITED && condition.reason == reason::PAUSED.name
    };
    status.conditions.iter().find(is_pause).map(|condition| condition.message.as_str())
}

/// Why the spec of a component is not applied, in words; `None` if the condition `Ready` names no cause.
///
/// The message has a part `NAME: SENTENCE` for each failed component. Its first part has the condition's reason. A
/// sentence may contain any text, so a later part counts only where a path of that component follows.
fn failure(component: &str, status: &ScalableAppStatus) -> Option<String> {
    let is_failed =
        |one: &&Condition| one.type_ == condition_type::READY && one.status == ConditionStatus::False;
    let ready = status.conditions.iter().find(is_failed)?;
    let known = FAILURES.iter().find(|one| one.name == ready.reason)?;
    let is_first = ready.message.strip_prefix(component).is_some_and(|rest| rest.starts_with(": "));
    let is_part = |(place, _): (usize, &str)| place == 0 || ready.message[..place].ends_with("; ");
    let is_invalid = || {
        let mut starts = LISTS.iter().map(|list| format!("{component}: {list}[{component}]"));
        starts.any(|start| ready.message.match_indices(&start).any(is_part))
    };
    let failure = if is_first { Some(known) } else { is_invalid().then_some(&reason::INVALID_SPEC) }?;
    Some(format!("{}: {}", failure.name, failure.sentence))
}

/// The lists of components in a spec, with which the path of a mistake begins.
const LISTS: [&str; 4] = ["services", "workers", "caches", "databases"];

/// Why the spec of a component is not applied.
const FAILURES: [Reason; 4] =
    [reason::INVALID_SPEC, reason::NAME_TAKEN, reason::CHILD_REFUSED, reason::CHILD_NOT_WRITTEN];

/// A condition of an unknown type has no right or wrong status, and is omitted.
fn deviates(condition: &Condition) -> bool {
    let expected = match condition.type_.as_str() {
        condition_type::READY | condition_type::METRICS_AVAILABLE => ConditionStatus::True,
        condition_type::RECONCILING
        | condition_type::STALLED
        | condition_type::SCALING_LIMITED
        | condition_type::DEPENDENCY_DEGRADED
        | condition_type::ROLLOUT_PROGRESSING => ConditionStatus::False,
        _ => return false,
    };
    condition.status != expected
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), characters.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    fn condition(type_: &str, status: ConditionStatus) -> Condition {
        Condition {
            type_: type_.to_owned(),
            status,
            observed_generation: 1,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            reason: "R".to_owned(),
            message: "m".to_owned(),
        }
    }

    /// The health of an app of this generation, with conditions of the first one that are true.
    fn health_at(generation: i64, types: &[&str]) -> Health {
        let app = json!({"metadata": {"name": "shop", "generation": generation}, "spec": {"services": []}});
        let mut app: ScalableApp = serde_json::from_value(app).unwrap();
        let conditions = types.iter().map(|type_| condition(type_, ConditionStatus::True)).collect();
        app.status = Some(ScalableAppStatus { conditions, ..ScalableAppStatus::default() });
        health(&app)
    }

    #[test]
    fn what_an_older_generation_was_does_not_count() {
        assert_eq!(health_at(1, &["Ready"]), Health::Ready);
        assert_eq!(health_at(2, &["Ready"]), Health::NotReady);
        assert_eq!(health_at(1, &["Stalled"]), Health::Stalled);
        assert_eq!(health_at(2, &["Stalled"]), Health::NotReady, "the fix is not seen yet");
        assert_eq!(health_at(1, &[]), Health::NotReady);
    }

    #[test]
    fn a_database_that_somebody_else_runs_is_said_to_be_so() {
        let external = json!({"external": {"primary": {"secretRef": {"name": "rds"}}}});
        let app: ScalableApp = serde_json::from_value(json!({
            "metadata": {"name": "shop"},
            "spec": {"services": [], "databases": [{"name": "main", "postgres": external}]},
        }))
        .unwrap();
        let notes = AppStatus::new(&app, &Err(Unavailable::NotMeasured)).notes;
        let note =
            "Somebody else runs the database main: the operator runs no pods of it and scales nothing.";
        assert_eq!(notes.last().map(String::as_str), Some(note));
    }

    #[test]
    fn stalled_is_not_waited_for() {
        assert_eq!(health_at(1, &["Ready", "Stalled"]), Health::Stalled);
    }

    /// The text in the row of `component` while `Ready` is false with this reason and this message.
    fn row(component: &str, reason: &str, message: &str) -> String {
        let mut ready = condition("Ready", ConditionStatus::False);
        (ready.reason, ready.message) = (reason.to_owned(), message.to_owned());
        let status = ScalableAppStatus { conditions: vec![ready], ..ScalableAppStatus::default() };
        failure(component, &status).unwrap_or_default()
    }

    #[test]
    fn an_invalid_component_says_so_in_its_row_and_no_other_does() {
        let invalid = "InvalidSpec: The spec is invalid; what runs stays as it is.";
        let of_two = "web: services[web].port: set one; web: no name; api: services[api].probes: set one";
        for (component, said) in [("web", invalid), ("api", invalid), ("worker", ""), ("we", ""), ("b", "")] {
            assert_eq!(row(component, "InvalidSpec", of_two), said, "{component}");
        }
        for list in ["workers", "caches", "databases"] {
            let second = format!("web: services[web].port: set one; api: {list}[api].name: set one");
            assert_eq!(row("api", "InvalidSpec", &second), invalid, "{list}");
        }
        let after_another = "web: the API server refuses it; api: services[api].port: set one";
        assert!(row("web", "ChildRefused", after_another).starts_with("ChildRefused: "));
        assert_eq!(row("api", "ChildRefused", after_another), invalid);
    }

    #[test]
    fn words_in_a_sentence_are_not_taken_for_a_component() {
        let quoted = "web: services[web].image: \"x; api: 1\" is no image, nor is \"api: services[api]\"";
        assert_eq!(row("api", "InvalidSpec", quoted), "");
        assert_eq!(row("web", "PodsNotReady", "web: 1 of at least 2 pods are ready"), "");
    }

    #[test]
    fn a_condition_deviates_by_its_own_polarity() {
        let deviating = |type_, status| deviates(&condition(type_, status));
        assert!(deviating("Ready", ConditionStatus::False) && !deviating("Ready", ConditionStatus::True));
        assert!(deviating("Stalled", ConditionStatus::True) && !deviating("Stalled", ConditionStatus::False));
        assert!(deviating("ScalingLimited", ConditionStatus::Unknown));
        assert!(!deviating("OfALaterVersion", ConditionStatus::Unknown));
    }
}
