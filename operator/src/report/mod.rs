//! From the result of a pass to status, conditions and events. Pure.

pub mod attention;
pub mod conditions;
pub mod events;
pub mod joined;
pub mod memory;
pub mod overrides;
pub mod rollouts;

use crate::decide::component_state::{ComponentState, Failure};
use conditions::Verdict;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use scalableapp_crds::limits::{self, Clip, clip};
use scalableapp_crds::{
    BottleneckStatus, ComponentStatus, RevisionStatus, ScalableAppSpec, ScalableAppStatus,
};
use scalableapp_engine::diagnose::standing::Bottleneck;
use scalableapp_engine::reason;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The result of a pass over an app, beside the known status.
pub struct StatusUpdate {
    generation: i64,
    /// `None` if the app failed as a whole: the components then stay as they were reported.
    stack: Option<StackUpdate>,
    conditions: Vec<(&'static str, Verdict)>,
    /// What is wrong with the app; the reported one stays where the app failed as a whole.
    bottleneck: Option<BottleneckStatus>,
}

struct StackUpdate {
    components: Vec<ComponentStatus>,
    replicas: String,
    limited_by: String,
}

impl StatusUpdate {
    /// `known` is the API server's status; `failure` concerns the app as a whole, for example an invalid spec.
    #[must_use]
    pub fn of(
        known: Option<&ScalableAppStatus>,
        generation: i64,
        components: &[&ComponentState],
        failure: Option<&Failure>,
    ) -> Self {
        let stack = failure.is_none().then(|| StackUpdate {
            components: components
                .iter()
                .take(limits::COMPONENTS)
                .map(|state| component(state, known).clip())
                .collect(),
            replicas: clip(&replicas(components), limits::APP_REPLICAS).into_owned(),
            limited_by: limited_by(known.map_or("", |known| known.limited_by.as_str()), components),
        });
        let conditions = known.map_or(&[][..], |known| &known.conditions);
        let conditions = conditions::verdicts(conditions, components, failure);
        Self { generation, stack, conditions, bottleneck: None }
    }

    /// For an app that was diagnosed: its bottleneck.
    #[must_use]
    pub fn with_bottleneck(mut self, bottleneck: Option<&Bottleneck>) -> Self {
        self.bottleneck = bottleneck.map(|one| {
            let Bottleneck { component, cause, advice, since, .. } = one;
            let status = BottleneckStatus {
                component: component.clone(),
                cause: cause.name.to_owned(),
                advice: advice.name().to_owned(),
                since: Time(*since),
                message: one.message(),
            };
            status.clip()
        });
        self
    }

    /// For a stack that is up: children of removed components that cannot be deleted.
    #[must_use]
    pub fn beside(mut self, leftover: Option<&Failure>) -> Self {
        if let Some(leftover) = leftover {
            conditions::leave(&mut self.conditions, leftover);
        }
        self
    }

    /// For a stack that is up: what becomes of databases that somebody else runs.
    #[must_use]
    pub fn with_external(mut self, spec: &ScalableAppSpec) -> Self {
        conditions::add(&mut self.conditions, spec.external_databases());
        self
    }

    /// The status after the pass. Unchanged conditions keep their times, so an unchanged status is equal to the known
    /// one.
    #[must_use]
    pub fn status(self, known: Option<&ScalableAppStatus>, now: Timestamp) -> ScalableAppStatus {
        let mut status = known.cloned().unwrap_or_default();
        status.observed_generation = self.generation;
        if let Some(StackUpdate { components, replicas, limited_by }) = self.stack {
            status.components = components
                .into_iter()
                .map(|said| {
                    let known = known.and_then(|status| status.component(&said.name));
                    keep(said, known)
                })
                .collect();
            (status.replicas, status.limited_by) = (replicas, limited_by);
            status.bottleneck = self.bottleneck;
        }
        conditions::set(&mut status.conditions, &self.conditions, self.generation, now);
        status
    }

    /// Whether [`Self::status`] would differ from the known one.
    #[must_use]
    pub fn is_news(&self, known: Option<&ScalableAppStatus>) -> bool {
        let Some(known) = known else { return true };
        let is_known = |stack: &StackUpdate| {
            let StackUpdate { components, replicas, limited_by } = stack;
            (replicas, limited_by, &self.bottleneck)
                == (&known.replicas, &known.limited_by, &known.bottleneck)
                && components.len() == known.components.len()
                && components
                    .iter()
                    .zip(&known.components)
                    .all(|(said, known)| !is_component_news(said, known))
        };
        known.observed_generation != self.generation
            || !self.stack.as_ref().is_none_or(is_known)
            || !conditions::are_set(&known.conditions, &self.conditions, self.generation)
    }

    /// A hash of it and of the version of the object whose status is known, for comparisons within this process; `None`
    /// where a decision or a memory is to be written.
    #[must_use]
    pub fn fingerprint(&self, version: Option<&str>) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        (version, self.generation, &self.conditions).hash(&mut hasher);
        if let Some(StackUpdate { components, replicas, limited_by }) = &self.stack {
            let said =
                self.bottleneck.as_ref().map(|one| (&one.component, &one.cause, one.since.0, &one.message));
            (replicas, limited_by, said).hash(&mut hasher);
            for said in components {
                let ComponentStatus {
                    name,
                    tier,
                    desired,
                    ready,
                    limited_by,
                    revisions,
                    rollout,
                    memory,
                    last_decision,
                } = said;
                let rollout = rollout.as_ref().map(|one| {
                    let begun = [&one.begun, &one.step_begun].map(|time| time.as_ref().map(|time| time.0));
                    let place = (
                        &one.stable,
                        &one.canary,
                        &one.active,
                        one.step,
                        one.steps,
                        one.weight,
                        &one.message,
                    );
                    (one.phase, begun, place, &one.earlier, &one.rejected, &one.acts)
                });
                if memory.is_some() || last_decision.is_some() {
                    return None;
                }
                (name, tier, desired, ready, limited_by, revisions, rollout).hash(&mut hasher);
            }
        }
        Some(hasher.finish())
    }
}

/// The result for a component, without the fields that stay from an earlier pass.
fn component(state: &ComponentState, known: Option<&ScalableAppStatus>) -> ComponentStatus {
    let mut revisions: Vec<RevisionStatus> = state
        .revisions
        .iter()
        .map(|revision| RevisionStatus {
            hash: revision.hash.clone(),
            replicas: revision.replicas,
            ready: revision.ready,
        })
        .collect();
    let place = |one: &RevisionStatus| one.hash != state.target;
    revisions.sort_by(|one, other| (place(one), &one.hash).cmp(&(place(other), &other.hash)));
    let undecided = known.filter(|_| !state.decided).and_then(|known| known.component(&state.name));
    let limited_by = undecided.map(|known| known.limited_by.clone());
    ComponentStatus {
        name: state.name.clone(),
        tier: state.tier,
        desired: state.desired,
        ready: state.ready(),
        limited_by: limited_by.unwrap_or_else(|| state.limited_by_names()),
        revisions,
        rollout: state.rollout.clone(),
        memory: state.memory.clone(),
        last_decision: state.record.clone(),
    }
}

/// Keeps the fields of an earlier pass that this one does not set.
fn keep(said: ComponentStatus, known: Option<&ComponentStatus>) -> ComponentStatus {
    let memory = said.memory.or_else(|| known?.memory.clone());
    let last_decision = said.last_decision.or_else(|| known?.last_decision.clone());
    let rollout = said.rollout.or_else(|| known?.rollout.clone());
    ComponentStatus { memory, last_decision, rollout, ..said }
}

fn is_component_news(said: &ComponentStatus, known: &ComponentStatus) -> bool {
    let ComponentStatus { name, tier, desired, ready, limited_by, revisions, rollout, memory, last_decision } =
        said;
    let is_said = (name, tier, desired, ready, limited_by, revisions)
        == (&known.name, &known.tier, &known.desired, &known.ready, &known.limited_by, &known.revisions);
    !is_said
        || (rollout.is_some() && *rollout != known.rollout)
        || (memory.is_some() && *memory != known.memory)
        || (last_decision.is_some() && *last_decision != known.last_decision)
}

/// Ready and desired pods.
fn replicas(components: &[&ComponentState]) -> String {
    let sum = |of: fn(&ComponentState) -> i32| components.iter().map(|state| of(state)).sum::<i32>();
    format!("{}/{}", sum(ComponentState::ready), sum(|state| state.desired))
}

/// The limits of the app; the known ones until every component was decided.
fn limited_by(known: &str, components: &[&ComponentState]) -> String {
    if components.iter().any(|state| state.paused.is_some()) {
        return reason::PAUSED.name.to_owned();
    }
    let valid = conditions::valid(components);
    if !valid.iter().all(|state| state.is_settled()) {
        return known.to_owned();
    }
    let limited: Vec<String> = valid
        .iter()
        .filter_map(|state| {
            let shortage = state.shortage().map(|shortage| shortage.reason.name);
            // Pods that are not granted are a shortage, and limit the replicas.
            let limits =
                state.limited_by.iter().map(|reason| reason.name).filter(|name| Some(*name) != shortage);
            let names: Vec<&str> = shortage.into_iter().chain(limits).collect();
            (!names.is_empty()).then(|| format!("{}: {}", state.name, names.join(", ")))
        })
        .collect();
    clip(&limited.join("; "), limits::APP_LIMITED_BY).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::component_state::MetricsState;
    use crate::kinds::Kind;
    use crate::observe::cluster::workload::LiveRevision;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use scalableapp_crds::{DecisionRecord, ScalingMemory};
    use scalableapp_engine::diagnose::verdict::Intervention;
    use std::sync::Arc;

    fn said_of(
        known: Option<&ScalableAppStatus>,
        generation: i64,
        components: &[&ComponentState],
    ) -> StatusUpdate {
        StatusUpdate::of(known, generation, components, None)
    }

    fn status(known: Option<&ScalableAppStatus>, components: &[&ComponentState]) -> ScalableAppStatus {
        said_of(known, 1, components).status(known, Timestamp::UNIX_EPOCH)
    }

    fn is_news(known: Option<&ScalableAppStatus>, generation: i64, components: &[&ComponentState]) -> bool {
        said_of(known, generation, components).is_news(known)
    }

    fn web() -> ComponentState {
        let (hash, target) = ("new".to_owned(), "new".to_owned());
        let revision = LiveRevision {
            hash,
            kind: Kind::Deployment,
            workload: Arc::default(),
            replicas: 2,
            pods: 2,
            ready: 2,
            refusal: None,
        };
        ComponentState {
            name: "web".to_owned(),
            min: 2,
            decided: true,
            desired: 2,
            target,
            revisions: vec![revision],
            measured: MetricsState::Fresh,
            ..ComponentState::default()
        }
    }

    #[test]
    fn an_external_database_is_told_of_once_all_else_is_up() {
        let spec: ScalableAppSpec = serde_json::from_value(serde_json::json!({
            "services": [{"name": "web", "image": "shop:1", "port": 8080}],
            "databases": [{"name": "main", "postgres": {"external": {"primary": {"secretRef": {"name": "rds"}}}}}],
        }))
        .expect("a spec");
        let message = |state: &ComponentState| {
            let said = said_of(None, 1, &[state]).with_external(&spec);
            let status = said.status(None, Timestamp::UNIX_EPOCH);
            assert!(!said_of(Some(&status), 1, &[state]).with_external(&spec).is_news(Some(&status)));
            status.conditions.iter().find(|one| one.type_ == "Ready").expect("Ready").message.clone()
        };
        let sentence =
            "Somebody else runs the database main: the operator runs no pods of it and scales nothing.";
        assert!(message(&web()).ends_with(&format!(". {sentence}")), "{}", message(&web()));
        let mut down = web();
        down.revisions[0].ready = 0;
        assert!(!message(&down).contains(sentence));
    }

    #[test]
    fn news_is_what_would_change_the_status() {
        let problem = Failure { reason: reason::PODS_REFUSED, message: "why".to_owned() };
        let known = status(None, &[&web()]);
        type Change = fn(&mut ComponentState, Failure);
        let changes: [(&str, Change); 11] = [
            ("nothing", |_, _| {}),
            ("name", |one, _| one.name = "api".to_owned()),
            ("desired", |one, _| one.desired = 3),
            ("ready", |one, _| one.revisions[0].ready = 1),
            ("revision", |one, _| one.revisions[0].hash = "old".to_owned()),
            ("limit", |one, _| one.limited_by = vec![reason::MAX_REPLICAS]),
            ("pause", |one, _| (one.decided, one.paused) = (false, Some("jane".to_owned()))),
            ("problem of a stack that is up", |one, problem| one.problem = Some(problem)),
            ("failure", |one, problem| one.failure = Some(problem)),
            ("missing metric", |one, problem| one.measured = MetricsState::Missing(problem)),
            ("undecided", |one, _| (one.decided, one.limited_by) = (false, vec![reason::MAX_REPLICAS])),
        ];
        let is_silent = |name| ["nothing", "problem of a stack that is up", "undecided"].contains(&name);
        for (name, change) in changes {
            let mut state = web();
            change(&mut state, problem.clone());
            let news = is_news(Some(&known), 1, &[&state]);
            let after = status(Some(&known), &[&state]);
            assert_eq!((news, news), (after != known, !is_silent(name)), "{name}");
            let fingerprint = |state| said_of(Some(&known), 1, &[state]).fingerprint(Some("1"));
            assert!(!news || fingerprint(&state) != fingerprint(&web()), "{name}");
        }
        assert!(is_news(None, 1, &[&web()]) && is_news(Some(&known), 2, &[&web()]), "never said; a new spec");
        assert!(is_news(Some(&known), 1, &[]) && is_news(Some(&known), 1, &[&web(), &web()]), "components");
    }

    #[test]
    fn a_bottleneck_is_news_once_and_goes() {
        let bottleneck = Bottleneck {
            component: "main".to_owned(),
            cause: reason::DATABASE_SLOW,
            advice: Intervention::Query,
            since: Timestamp::UNIX_EPOCH,
            confidence: 0.8,
            numbers: Vec::new(),
            deciding: String::new(),
        };
        let known = status(None, &[&web()]);
        let said = |known: &ScalableAppStatus, bottleneck: Option<&Bottleneck>| {
            said_of(Some(known), 1, &[&web()]).with_bottleneck(bottleneck)
        };
        assert!(said(&known, Some(&bottleneck)).is_news(Some(&known)));
        let print = |bottleneck| said(&known, bottleneck).fingerprint(Some("1"));
        assert_ne!(print(Some(&bottleneck)), print(None));
        let named = said(&known, Some(&bottleneck)).status(Some(&known), Timestamp::UNIX_EPOCH);
        assert_eq!(named.bottleneck.as_ref().map(|one| one.cause.as_str()), Some("DatabaseSlow"));
        assert!(!said(&named, Some(&bottleneck)).is_news(Some(&named)));
        assert!(said(&named, None).is_news(Some(&named)));
        assert_eq!(said(&named, None).status(Some(&named), Timestamp::UNIX_EPOCH), known);
    }

    #[test]
    fn a_decision_and_a_memory_are_news_once_and_stay() {
        let record = DecisionRecord {
            time: Time(Timestamp::UNIX_EPOCH),
            from: 1,
            to: 2,
            reason: String::new(),
            message: String::new(),
            proposals: Vec::new(),
            stages: Vec::new(),
        };
        let remembering =
            ComponentState { record: Some(record), memory: Some(ScalingMemory::default()), ..web() };
        let known = status(None, &[&web()]);
        assert!(is_news(Some(&known), 1, &[&remembering]));
        assert_eq!(said_of(Some(&known), 1, &[&remembering]).fingerprint(None), None);
        let known = status(Some(&known), &[&remembering]);
        assert!(!is_news(Some(&known), 1, &[&remembering]) && !is_news(Some(&known), 1, &[&web()]));
        let after = status(Some(&known), &[&web()]);
        assert_eq!(after, known);
        assert!(after.components[0].last_decision.is_some() && after.components[0].memory.is_some());
    }
}
