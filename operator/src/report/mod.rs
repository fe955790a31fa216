//! From a pass to what is said of it: status, conditions and events. Pure.

pub mod conditions;
pub mod happenings;
pub mod overrides;
pub mod standing;

use jiff::Timestamp;
use scalableapp_crds::{ComponentStatus, RevisionStatus, ScalableAppStatus, Tier};
use scalableapp_engine::reason;
use standing::{Failure, Standing};

/// The status of an app after a pass. What is said already keeps its times, so that saying it again changes nothing.
///
/// `before` is the status that is known; `failure` concerns the app as a whole, for example a spec that cannot be done,
/// and then the components stay as they were reported.
#[must_use]
pub fn status(
    before: Option<&ScalableAppStatus>,
    generation: i64,
    components: &[&Standing],
    failure: Option<&Failure>,
    now: Timestamp,
) -> ScalableAppStatus {
    let mut status = before.cloned().unwrap_or_default();
    status.observed_generation = generation;
    if failure.is_none() {
        status.components = components
            .iter()
            .map(|standing| {
                let known = before.and_then(|status| status.component(&standing.name));
                keep(said(standing, known), known)
            })
            .collect();
        status.replicas = replicas(components);
        status.limited_by = limited_by(&status.limited_by, components);
    }
    let verdicts = conditions::verdicts(&status.conditions, components, failure);
    conditions::set(&mut status.conditions, &verdicts, generation, now);
    status
}

/// Whether [`status`] of an app that did not fail as a whole would differ from the one that is known. Every pass over every
/// app asks this, so what is known is compared and not copied.
#[must_use]
pub fn is_news(before: Option<&ScalableAppStatus>, generation: i64, components: &[&Standing]) -> bool {
    let Some(status) = before else { return true };
    let differs = |(standing, now): (&&Standing, &ComponentStatus)| {
        standing.name != now.name || is_component_news(&said(standing, Some(now)), now)
    };
    status.observed_generation != generation
        || status.components.len() != components.len()
        || components.iter().zip(&status.components).any(differs)
        || status.replicas != replicas(components)
        || status.limited_by != limited_by(&status.limited_by, components)
        || !conditions::are_set(
            &status.conditions,
            &conditions::verdicts(&status.conditions, components, None),
            generation,
        )
}

/// What a pass says of a component, without what stays from an earlier one.
fn said(standing: &Standing, known: Option<&ComponentStatus>) -> ComponentStatus {
    let mut revisions: Vec<RevisionStatus> = standing
        .revisions
        .iter()
        .map(|revision| RevisionStatus {
            hash: revision.hash.clone(),
            replicas: revision.replicas,
            ready: revision.ready,
        })
        .collect();
    let place = |one: &RevisionStatus| one.hash != standing.target;
    revisions.sort_by(|one, other| (place(one), &one.hash).cmp(&(place(other), &other.hash)));
    revisions.truncate(5);
    ComponentStatus {
        name: standing.name.clone(),
        tier: Tier::Service,
        desired: standing.desired,
        ready: standing.ready(),
        limited_by: match known {
            Some(known) if !standing.decided => known.limited_by.clone(),
            _ => standing.limited_by_names(),
        },
        revisions,
        memory: standing.memory.clone(),
        last_decision: standing.record.clone(),
    }
}

/// Keeps what an earlier pass said and this one does not.
fn keep(said: ComponentStatus, known: Option<&ComponentStatus>) -> ComponentStatus {
    let memory = said.memory.or_else(|| known?.memory.clone());
    let last_decision = said.last_decision.or_else(|| known?.last_decision.clone());
    ComponentStatus { memory, last_decision, ..said }
}

fn is_component_news(said: &ComponentStatus, known: &ComponentStatus) -> bool {
    let ComponentStatus { name, tier, desired, ready, limited_by, revisions, memory, last_decision } = said;
    let is_said = (name, tier, desired, ready, limited_by, revisions)
        == (&known.name, &known.tier, &known.desired, &known.ready, &known.limited_by, &known.revisions);
    !is_said
        || (memory.is_some() && *memory != known.memory)
        || (last_decision.is_some() && *last_decision != known.last_decision)
}

/// Pods that are ready, and those that should be.
fn replicas(components: &[&Standing]) -> String {
    let sum = |of: fn(&Standing) -> i32| components.iter().map(|standing| of(standing)).sum::<i32>();
    format!("{}/{}", sum(Standing::ready), sum(|standing| standing.desired))
}

/// What limits the app; what is known until every component was decided.
fn limited_by(known: &str, components: &[&Standing]) -> String {
    if components.iter().any(|standing| standing.paused.is_some()) {
        return reason::PAUSED.name.to_owned();
    }
    if !components.iter().all(|standing| standing.decided) {
        return known.to_owned();
    }
    let limited: Vec<String> = components
        .iter()
        .filter(|standing| !standing.limited_by.is_empty())
        .map(|standing| format!("{}: {}", standing.name, standing.limited_by_names()))
        .collect();
    limited.join("; ").chars().take(256).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::workload::LiveRevision;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use scalableapp_crds::{DecisionRecord, ScalingMemory};
    use standing::Evidence;
    use std::sync::Arc;

    fn web() -> Standing {
        let (hash, target) = ("new".to_owned(), "new".to_owned());
        let revision = LiveRevision { hash, deployment: Arc::default(), replicas: 2, pods: 2, ready: 2 };
        Standing {
            name: "web".to_owned(),
            min: 2,
            decided: true,
            desired: 2,
            target,
            revisions: vec![revision],
            measured: Evidence::Fresh,
            ..Standing::default()
        }
    }

    #[test]
    fn news_is_what_would_change_the_status() {
        let problem = Failure { reason: reason::PODS_REFUSED, message: "why".to_owned() };
        let known = status(None, 1, &[&web()], None, Timestamp::UNIX_EPOCH);
        type Change = fn(&mut Standing, Failure);
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
            ("missing metric", |one, problem| one.measured = Evidence::Missing(problem)),
            ("undecided", |one, _| (one.decided, one.limited_by) = (false, vec![reason::MAX_REPLICAS])),
        ];
        let is_silent = |name| ["nothing", "problem of a stack that is up", "undecided"].contains(&name);
        for (name, change) in changes {
            let mut standing = web();
            change(&mut standing, problem.clone());
            let news = is_news(Some(&known), 1, &[&standing]);
            let after = status(Some(&known), 1, &[&standing], None, Timestamp::UNIX_EPOCH);
            assert_eq!((news, news), (after != known, !is_silent(name)), "{name}");
        }
        assert!(is_news(None, 1, &[&web()]) && is_news(Some(&known), 2, &[&web()]), "never said; a new spec");
        assert!(is_news(Some(&known), 1, &[]) && is_news(Some(&known), 1, &[&web(), &web()]), "components");
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
        let remembering = Standing { record: Some(record), memory: Some(ScalingMemory::default()), ..web() };
        let known = status(None, 1, &[&web()], None, Timestamp::UNIX_EPOCH);
        assert!(is_news(Some(&known), 1, &[&remembering]));
        let known = status(Some(&known), 1, &[&remembering], None, Timestamp::UNIX_EPOCH);
        assert!(!is_news(Some(&known), 1, &[&remembering]) && !is_news(Some(&known), 1, &[&web()]));
        let after = status(Some(&known), 1, &[&web()], None, Timestamp::UNIX_EPOCH);
        assert_eq!(after, known);
        assert!(after.components[0].last_decision.is_some() && after.components[0].memory.is_some());
    }
}
