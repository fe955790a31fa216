//! The overrides of an app that are in force at an instant, and their combination. Pure.

use jiff::Timestamp;
use kube::ResourceExt;
use scalableapp_crds::{ScalingOverride, ScalingOverrideSpec};
use scalableapp_engine::bounds::overrides::Overrides;
use scalableapp_engine::rollout::act::{Act, RolloutAct};
use std::collections::{BTreeMap, BTreeSet};

/// The overrides of one app that are in force. They are iterated once, for any number of components.
#[derive(Default)]
pub struct InForce<'a> {
    /// The one that pauses the app.
    pub pause: Option<&'a ScalingOverride>,
    of_all: Sum,
    of: BTreeMap<&'a str, Sum>,
    /// Those that act once on the rollout of a component.
    acts: BTreeMap<&'a str, Vec<&'a ScalingOverride>>,
    /// Those that hold rollouts.
    holds: Vec<&'a ScalingOverride>,
}

/// Several overrides together.
#[derive(Default)]
struct Sum {
    /// Those of at least one replica.
    overrides: Overrides,
    /// The first one of no replica. It counts only for a component that may have none.
    zero: Option<String>,
}

impl<'a> InForce<'a> {
    /// Selects those that are in force at an instant, for existing components. Of equal ones the first counts, so they
    /// must be in the order of their names.
    pub fn of(
        overrides: impl Iterator<Item = &'a ScalingOverride>,
        is_known: impl Fn(&str) -> bool,
        now: Timestamp,
    ) -> Self {
        let mut sum = Self::default();
        let counts =
            |one: &&ScalingOverride| now < one.spec.expires_at.0 && one.metadata.deletion_timestamp.is_none();
        for one in overrides.filter(counts) {
            if one.spec.pause.is_some() {
                sum.pause = sum.pause.or(Some(one));
            }
            if one.spec.is_of_rollouts() {
                sum.add_of_rollouts(one);
                continue;
            }
            match one.spec.component.as_deref() {
                None => add(&mut sum.of_all, one),
                Some(name) if is_known(name) => add(sum.of.entry(name).or_default(), one),
                Some(_) => {}
            }
        }
        sum
    }

    fn add_of_rollouts(&mut self, one: &'a ScalingOverride) {
        match one.spec.component.as_deref() {
            Some(component) if one.spec.acts_once() => self.acts.entry(component).or_default().push(one),
            _ if one.spec.hold_rollout.is_some() => self.holds.push(one),
            _ => {}
        }
    }

    /// The acts on the rollout of a component, oldest first.
    #[must_use]
    pub fn acts(&self, component: &str) -> Vec<Act> {
        let mut acts: Vec<_> = self.acts.get(component).into_iter().flatten().collect();
        // Of the same second the first by name.
        acts.sort_by_key(|one| one.metadata.creation_timestamp.as_ref().map(|time| time.0));
        acts.into_iter().filter_map(|one| act(one)).collect()
    }

    /// Who holds the rollout of a component, in words.
    #[must_use]
    pub fn rollout_hold(&self, component: &str) -> Option<String> {
        let concerns =
            |one: &&&ScalingOverride| one.spec.component.as_deref().is_none_or(|own| own == component);
        let one = self.holds.iter().find(concerns)?;
        let ScalingOverrideSpec { by, expires_at, reason, .. } = &one.spec;
        Some(format!("Override {} by {by} holds it until {}: {reason}", one.name_any(), expires_at.0))
    }

    /// The names of those that set a bound or hold this component.
    #[must_use]
    pub fn names(&self, component: &str, min_replicas: i32) -> BTreeSet<String> {
        let Overrides { hold, min, max } = self.component(component, min_replicas);
        hold.into_iter().chain(min.into_iter().chain(max).map(|(_, name)| name)).collect()
    }

    /// Their combination for one component: of several the tightest bounds count. No replica is one only for a component
    /// whose own `min_replicas` are 0.
    #[must_use]
    pub fn component(&self, name: &str, min_replicas: i32) -> Overrides {
        let own = self.of.get(name);
        let mut sum = self.of_all.overrides.clone();
        if let Some(Overrides { hold, min, max }) = own.map(|own| &own.overrides) {
            sum.hold = hold.clone().or(sum.hold);
            min.iter().for_each(|(min, name)| raise(&mut sum.min, *min, name));
            max.iter().for_each(|(max, name)| lower(&mut sum.max, *max, name));
        }
        let zero = self.of_all.zero.as_ref().or_else(|| own?.zero.as_ref());
        if let Some(name) = zero.filter(|_| min_replicas == 0) {
            lower(&mut sum.max, 0, name);
        }
        sum
    }
}

fn act(one: &ScalingOverride) -> Option<Act> {
    let ScalingOverrideSpec { promote, abort, retry, by, reason, .. } = &one.spec;
    let act = match (promote, abort, retry) {
        (Some(promote), ..) => RolloutAct::Promote { full: promote.full },
        (None, Some(_), _) => RolloutAct::Abort,
        (None, None, Some(_)) => RolloutAct::Retry,
        (None, None, None) => return None,
    };
    Some(Act { uid: one.uid()?, act, by: by.clone(), reason: reason.clone() })
}

fn add(sum: &mut Sum, one: &ScalingOverride) {
    let name = one.metadata.name.as_deref().unwrap_or_default();
    let Sum { overrides, zero } = sum;
    if one.spec.hold.is_some() {
        overrides.hold.get_or_insert_with(|| name.to_owned());
    }
    let Some(bounds) = &one.spec.replicas else { return };
    if bounds.most() == Some(0) {
        zero.get_or_insert_with(|| name.to_owned());
        return;
    }
    bounds.least().iter().for_each(|min| raise(&mut overrides.min, *min, name));
    bounds.most().iter().for_each(|max| lower(&mut overrides.max, *max, name));
}

fn raise(bound: &mut Option<(i32, String)>, to: i32, by: &str) {
    if bound.as_ref().is_none_or(|(known, _)| to > *known) {
        *bound = Some((to, by.to_owned()));
    }
}

fn lower(bound: &mut Option<(i32, String)>, to: i32, by: &str) {
    if bound.as_ref().is_none_or(|(known, _)| to < *known) {
        *bound = Some((to, by.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::{Value, json};

    fn overrides(acts: &[Value]) -> Vec<ScalingOverride> {
        let one = |(index, act): (usize, &Value)| {
            let mut spec =
                json!({"app": "shop", "expiresAt": "2026-01-01T01:00:00Z", "by": "jane", "reason": "a test"});
            spec.as_object_mut().unwrap().extend(act.as_object().unwrap().clone());
            let object = json!({"metadata": {"name": format!("act-{index}")}, "spec": spec});
            serde_json::from_value(object).unwrap()
        };
        acts.iter().enumerate().map(one).collect()
    }

    fn at(time: &str) -> Timestamp {
        format!("2026-01-01T{time}Z").parse().unwrap()
    }

    #[test]
    fn of_several_overrides_the_tightest_bounds_count() {
        let acts = [
            json!({"replicas": {"min": 2, "max": 9}}),
            json!({"replicas": {"exact": 5}, "component": "web"}),
            json!({"replicas": {"min": 3}}),
        ];
        let overrides = overrides(&acts);
        let in_force = InForce::of(overrides.iter(), |name| name != "gone", at("00:00:00"));
        let web = in_force.component("web", 1);
        assert_eq!((web.min, web.max), (Some((5, "act-1".into())), Some((5, "act-1".into()))));
        let api = in_force.component("api", 1);
        assert_eq!((api.min, api.max), (Some((3, "act-2".into())), Some((9, "act-0".into()))));
    }

    #[test]
    fn no_replica_is_a_bound_of_components_that_may_have_none_alone() {
        let acts = [json!({"replicas": {"max": 4}}), json!({"replicas": {"exact": 0}})];
        let overrides = overrides(&acts);
        let in_force = InForce::of(overrides.iter(), |_| true, at("00:00:00"));
        assert_eq!(in_force.component("mail", 0).max, Some((0, "act-1".into())));
        assert_eq!(in_force.component("web", 1).max, Some((4, "act-0".into())));
        assert_eq!(in_force.component("web", 1).min, None);
    }

    #[test]
    fn acts_on_a_rollout_are_those_of_the_component_and_the_oldest_is_the_first() {
        let acts = [
            json!({"component": "web", "abort": {}}),
            json!({"component": "web", "promote": {"full": true}}),
            json!({"component": "web", "retry": {}}),
            json!({"component": "api", "abort": {}}),
            json!({"abort": {}}),
        ];
        let mut overrides = overrides(&acts);
        for (one, second) in overrides.iter_mut().zip([7, 3, 3, 1, 1]) {
            one.metadata.uid = Some(format!("uid-{}", one.name_any()));
            one.metadata.creation_timestamp =
                Some(Time(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)));
        }
        let acts = |now| InForce::of(overrides.iter(), |_| true, now).acts("web");
        let act = |name: &str, act| {
            let (by, reason) = ("jane".to_owned(), "a test".to_owned());
            Act { uid: format!("uid-{name}"), act, by, reason }
        };
        let expected = [
            act("act-1", RolloutAct::Promote { full: true }),
            act("act-2", RolloutAct::Retry),
            act("act-0", RolloutAct::Abort),
        ];
        assert_eq!(acts(at("00:00:00")), expected);
        assert_eq!(acts(at("01:00:00")), [], "they have expired");
    }

    #[test]
    fn a_held_rollout_says_who_holds_it_and_leaves_the_replicas_alone() {
        let acts = [json!({"component": "api", "holdRollout": {}}), json!({"holdRollout": {}})];
        let overrides = overrides(&acts);
        let in_force = InForce::of(overrides.iter(), |_| true, at("00:00:00"));
        let said = |name| format!("Override {name} by jane holds it until 2026-01-01T01:00:00Z: a test");
        assert_eq!(in_force.rollout_hold("api"), Some(said("act-0")));
        assert_eq!(in_force.rollout_hold("web"), Some(said("act-1")));
        assert_eq!(in_force.component("api", 1), Overrides::default());
        assert_eq!(InForce::of(overrides.iter(), |_| true, at("01:00:00")).rollout_hold("api"), None);
    }

    #[test]
    fn an_override_ends_at_its_time() {
        let overrides = overrides(&[json!({"hold": {}}), json!({"pause": {}})]);
        let says = |now| {
            let in_force = InForce::of(overrides.iter(), |_| true, now);
            (in_force.component("web", 1).hold, in_force.pause.is_some())
        };
        assert_eq!(says(at("00:59:59.999")), (Some("act-0".into()), true));
        assert_eq!(says(at("01:00:00")), (None, false));
    }
}
