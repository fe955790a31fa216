//! The overrides of an app that are in force at an instant, and their combination. Pure.

use jiff::Timestamp;
use scalableapp_crds::ScalingOverride;
use scalableapp_engine::bounds::overrides::Overrides;
use std::collections::{BTreeMap, BTreeSet};

/// The overrides of one app that are in force. They are iterated once, for any number of components.
#[derive(Default)]
pub struct InForce<'a> {
    /// The one that pauses the app.
    pub pause: Option<&'a ScalingOverride>,
    of_all: Sum,
    of: BTreeMap<&'a str, Sum>,
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
            match one.spec.component.as_deref() {
                None => add(&mut sum.of_all, one),
                Some(name) if is_known(name) => add(sum.of.entry(name).or_default(), one),
                Some(_) => {}
            }
        }
        sum
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
