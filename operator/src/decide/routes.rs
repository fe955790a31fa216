//! The requests of services with a route: how they are divided between revisions, what stands in their way, and the pods
//! that stay until the gateway sends them none. Pure.

use super::ejection::is_ejected;
use super::memory::DecideMemory;
use super::pass::{ComponentPass, View};
use super::route_problem::problem;
use crate::names;
use crate::observe::cluster::access::Access;
use crate::observe::cluster::owner::Controlled;
use crate::observe::cluster::routes::CachedRoute;
use crate::resolve::app::{App, Component};
use jiff::{SignedDuration, Timestamp};
use scalableapp_crds::{RolloutPhase, RolloutStatus, Route, ScalableAppStatus};
use scalableapp_engine::hpa::pod::{Ready, ReadyStatus};
use scalableapp_engine::rollout::Plan;
use scalableapp_engine::rollout::rolling::Revision;
use scalableapp_engine::rollout::weights::{CanaryShare, Weights, all_to, keep, weights};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most Services of a rule of an HTTPRoute.
const MOST_SERVICES: usize = 16;
/// Time in which a gateway usually follows a change.
const USUAL: SignedDuration = SignedDuration::from_secs(10);

/// The requests of a service with a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routed {
    /// Weight of each revision, by its hash.
    pub weights: Weights,
    /// Revisions whose Services the cached HTTPRoute refers to.
    pub referred: BTreeSet<String>,
    /// Whether the cached HTTPRoute has other weights, or there is none.
    pub moves: bool,
}

/// What is known of the gateways of a service.
#[derive(Clone, Debug, Default)]
pub(super) struct RouteMemory {
    /// The weights that they followed last.
    taken: Option<Weights>,
    /// Since when one of them does not follow the HTTPRoute.
    behind: Option<Timestamp>,
    /// Since when one of them does not find what the HTTPRoute refers to.
    unresolved: Option<Timestamp>,
}

/// The weights that the gateways of a service follow.
enum FollowedWeights<'a> {
    /// No gateway sends requests.
    None,
    Known(&'a Weights),
    Unknown,
}

/// A service with a route.
#[derive(Clone, Copy)]
struct Routing<'a> {
    resolved: &'a Component,
    route: &'a Route,
    /// Name of its HTTPRoute.
    name: &'a str,
    /// Its cached HTTPRoute.
    found: Option<&'a CachedRoute>,
    /// The rollout in the status.
    known: Option<&'a RolloutStatus>,
    view: View<'a>,
}

/// Divides the requests of each service with a route, and keeps pods in the plan that still get requests. Nothing is
/// divided while HTTPRoutes are not known.
pub(super) fn routes(
    app: &App,
    known: Option<&ScalableAppStatus>,
    plan: &mut Plan,
    components: &mut [ComponentPass],
    view: View<'_>,
    memory: &mut DecideMemory,
) -> BTreeMap<String, Routed> {
    memory.routes.retain(|name, _| app.component(name).is_some_and(|one| one.route.is_some()));
    let mut routed = BTreeMap::new();
    for one in components {
        let Some(resolved) = app.component(&one.state.name).filter(|one| one.is_valid()) else { continue };
        let Some(route) = &resolved.route else { continue };
        let name = names::component(app.name.as_str(), resolved.name.as_str());
        let found = own_route(app, &name, view);
        let known = known.and_then(|known| known.component(&one.state.name)?.rollout.as_ref());
        let routing = Routing { resolved, route, name: &name, found: found.as_deref(), known, view };
        let memory = memory.routes.entry(one.state.name.clone()).or_default();
        if let Some(step) = routing.step(plan, one, memory) {
            routed.insert(one.state.name.clone(), step);
        }
    }
    routed
}

/// The cached HTTPRoute of this name, if it is the app's.
fn own_route(app: &App, name: &str, view: View<'_>) -> Option<Arc<CachedRoute>> {
    let is_it = |route: &&Arc<CachedRoute>| {
        route.metadata.name.as_deref() == Some(name)
            && route.controller_owner() == Some(app.uid.as_str())
            && route.metadata.deletion_timestamp.is_none()
    };
    view.observed.routes.routes.iter().find(is_it).map(Arc::clone)
}

impl Routing<'_> {
    fn step(self, plan: &mut Plan, one: &mut ComponentPass, memory: &mut RouteMemory) -> Option<Routed> {
        let Self { resolved, route, name, found, view, .. } = self;
        memory.note(found, name, view.now);
        let access = view.observed.routes.access;
        let unresolved = memory.unresolved.is_some_and(|since| is_long(since, view.now));
        one.state.route = problem(access, name, &route.parent_refs, found, unresolved);
        if access != Access::Listed {
            return None;
        }
        let revisions = self.revisions(one);
        let planned = plan.replicas.get_mut(resolved.name.as_str());
        let share = self.share(one, &revisions);
        let mut weights = one
            .state
            .rollout
            .as_ref()
            .and_then(|rollout| all_to(&rollout.active, &revisions))
            .unwrap_or_else(|| weights(one.state.desired, &revisions, planned.as_deref(), share));
        shorten(&mut weights);
        if let Some(planned) = planned {
            let taken = match memory.followed(found) {
                FollowedWeights::None => Some(&weights),
                FollowedWeights::Known(taken) => Some(taken),
                FollowedWeights::Unknown => None,
            };
            let waits = keep(planned, one.state.desired, &revisions, taken, &weights);
            let is_late = memory.behind.is_some_and(|since| is_long(since, view.now));
            one.state.waits_for_gateway = (waits && is_late).then(|| name.to_owned());
        }
        let cached = found.map(|route| route.weights(name)).unwrap_or_default();
        Some(Routed { moves: cached != weights, referred: cached.into_keys().collect(), weights })
    }

    /// What the declared revision gets while it is a canary, and once it was aborted while another one serves.
    fn share<'s>(self, one: &'s ComponentPass, revisions: &[Revision]) -> Option<CanaryShare<'s>>
    where
        Self: 's,
    {
        self.resolved.declared.canary.as_ref()?;
        let rollout = one.state.rollout.as_ref().or(self.known)?;
        let revision = one.state.target.as_str();
        let is_other = |other: &Revision| other.hash != revision && other.available.min(other.replicas) > 0;
        match rollout.phase {
            _ if rollout.canary != revision => None,
            RolloutPhase::Progressing => Some(CanaryShare { revision, weight: rollout.weight }),
            RolloutPhase::Aborted => {
                revisions.iter().any(is_other).then_some(CanaryShare { revision, weight: 0 })
            }
            RolloutPhase::Complete => None,
        }
    }

    /// The revisions with the pods that get requests. An ejected pod is ready and gets none.
    fn revisions(self, one: &ComponentPass) -> Vec<Revision> {
        let ejected = |hash: &str| {
            let pods = self.view.observed.pods_of(self.resolved.name.as_str());
            let ejected = pods.filter(|pod| {
                let is_ready = matches!(&pod.pod.ready, Some(Ready { status: ReadyStatus::True, .. }));
                is_ready
                    && pod.labels.revision.as_deref() == Some(hash)
                    && is_ejected(pod, self.resolved.tier)
            });
            i32::try_from(ejected.count()).unwrap_or(i32::MAX)
        };
        let revision = |hash: &str, replicas: i32, ready: i32| Revision {
            hash: hash.to_owned(),
            replicas,
            available: ready.saturating_sub(ejected(hash)).max(0),
            is_target: hash == one.state.target,
        };
        let live = one.state.revisions.iter();
        let live: Vec<Revision> = live.map(|live| revision(&live.hash, live.replicas, live.ready)).collect();
        // The Service of a revision exists before its Deployment.
        if live.is_empty() { vec![revision(&one.state.target, 0, 0)] } else { live }
    }
}

fn is_long(since: Timestamp, now: Timestamp) -> bool {
    now.duration_since(since) >= USUAL
}

/// As many weights as an HTTPRoute has room for: the largest.
fn shorten(weights: &mut Weights) {
    while weights.len() > MOST_SERVICES {
        let least = weights.iter().min_by_key(|(_, weight)| **weight).map(|(hash, _)| hash.clone());
        let Some(least) = least else { return };
        weights.remove(&least);
    }
}

impl RouteMemory {
    fn note(&mut self, found: Option<&CachedRoute>, name: &str, now: Timestamp) {
        let is_behind = found.is_some_and(CachedRoute::is_ahead_of_gateways);
        self.behind = is_behind.then(|| self.behind.unwrap_or(now));
        let is_unresolved = found.is_some_and(CachedRoute::has_unresolved_references);
        self.unresolved = is_unresolved.then(|| self.unresolved.unwrap_or(now));
        match found {
            None => self.taken = None,
            Some(found) if !is_behind => self.taken = Some(found.weights(name)),
            Some(_) => {}
        }
    }

    /// What is followed, after [`Self::note`].
    fn followed(&self, found: Option<&CachedRoute>) -> FollowedWeights<'_> {
        if found.is_none_or(|route| route.part.status.parents.is_empty()) {
            return FollowedWeights::None;
        }
        self.taken.as_ref().map_or(FollowedWeights::Unknown, FollowedWeights::Known)
    }
}

#[cfg(test)]
mod tests {
    use super::super::pass::{Pass, pass};
    use super::*;
    use crate::kinds::Kind;
    use crate::observe::cluster::caches::Observed;
    use crate::observe::cluster::routes::ObservedRoutes;
    use crate::observe::snapshot::Samples;
    use crate::resolve::resolve;
    use scalableapp_engine::reason;
    use serde_json::{Value, json};

    const OWNERS: &str = r#"[{"apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp", "name": "shop",
        "uid": "1", "controller": true}]"#;

    fn owners() -> Value {
        serde_json::from_str(OWNERS).expect("owners")
    }

    fn app(replicas: i32, rollout: &Value) -> App {
        let app = json!({
            "metadata": {"name": "shop", "namespace": "shop", "uid": "1", "generation": 1},
            "spec": {"services": [{
                "name": "web", "image": "shop:2", "port": 8080, "metricsPort": 9090, "rollout": rollout,
                "scaling": {"minReplicas": replicas, "maxReplicas": replicas},
                "route": {"parentRefs": [{"name": "public", "namespace": "edge"}]},
            }]},
        });
        resolve(&serde_json::from_value(app).expect("an app")).expect("no problem")
    }

    fn target(app: &App) -> String {
        app.components[0].revision.to_string()
    }

    /// Deployments of these revisions, replicas and ready pods.
    fn deployments(revisions: &[(&str, i32, i32)]) -> Observed {
        let deployment = |(revision, replicas, ready): &(&str, i32, i32)| {
            let deployment = json!({
                "metadata": {"name": format!("shop-web-{revision}"), "labels": {
                    "scalableapp.dev/app": "shop", "scalableapp.dev/component": "web",
                    "scalableapp.dev/revision": revision,
                }, "ownerReferences": owners()},
                "spec": {"replicas": replicas}, "status": {"replicas": replicas, "readyReplicas": ready},
            });
            Arc::new(serde_json::from_value(deployment).expect("a Deployment"))
        };
        let all = Arc::new(revisions.iter().map(deployment).collect());
        let routes = ObservedRoutes { access: Access::Listed, ..ObservedRoutes::default() };
        Observed { workloads: [(Kind::Deployment, all)].into(), routes, ..Observed::default() }
    }

    /// An HTTPRoute of generation 7 with these weights, of which the gateway has seen this generation.
    fn http_route(weights: &[(&str, i32)], seen: i64, conditions: &Value) -> Arc<CachedRoute> {
        let service = |(revision, weight): &(&str, i32)| json!({"name": format!("shop-web-{revision}"), "weight": weight});
        let services: Vec<Value> = weights.iter().map(service).collect();
        let mut conditions = conditions.clone();
        for condition in conditions.as_array_mut().expect("conditions") {
            condition["observedGeneration"] = json!(seen);
        }
        let parents =
            json!([{"parentRef": {"name": "public", "namespace": "edge"}, "conditions": conditions}]);
        let parents = if conditions == json!([]) { json!([]) } else { parents };
        let route = json!({
            "metadata": {"name": "shop-web", "namespace": "shop", "generation": 7, "ownerReferences": owners(),
                "labels": {"scalableapp.dev/app": "shop", "scalableapp.dev/component": "web"}},
            "spec": {"rules": [{"backendRefs": services}]},
            "status": {"parents": parents},
        });
        Arc::new(serde_json::from_value(route).expect("an HTTPRoute"))
    }

    fn accepted() -> Value {
        json!([{"type": "Accepted", "status": "True"}, {"type": "ResolvedRefs", "status": "True"}])
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn passed(app: &App, observed: &Observed, second: i64, memory: &mut DecideMemory) -> Pass {
        pass(app, None, View::new(observed, &Samples::default(), at(second)), memory)
    }

    fn map(list: &[(&str, i32)]) -> BTreeMap<String, i32> {
        list.iter().map(|(hash, number)| ((*hash).to_owned(), *number)).collect()
    }

    #[test]
    fn pods_that_a_gateway_may_still_send_requests_to_stay() {
        let app = app(1, &Value::Null);
        let new = target(&app);
        let mut observed = deployments(&[("old", 1, 1), (&new, 1, 1)]);
        let mut memory = DecideMemory::default();
        let mut planned = |route, second| {
            observed.routes.routes = Arc::new(vec![route]);
            let pass = passed(&app, &observed, second, &mut memory);
            (pass.plan.replicas["web"]["old"], pass.routes["web"].moves, pass.components[0].state.clone())
        };
        let (old, moves, _) = planned(http_route(&[("old", 1), (&new, 0)], 7, &accepted()), 0);
        assert_eq!((old, moves), (1, true), "the requests move first");
        let moved = [("old", 0), (&*new, 1)];
        let (old, moves, state) = planned(http_route(&moved, 6, &accepted()), 1);
        assert_eq!((old, moves, state.waits_for_gateway), (1, false, None), "the gateway has not seen it");
        let (old, _, state) = planned(http_route(&moved, 6, &accepted()), 20);
        assert_eq!((old, state.waits_for_gateway.as_deref()), (1, Some("shop-web")), "and is late");
        assert_eq!(planned(http_route(&moved, 7, &accepted()), 21).0, 0);
        assert_eq!(planned(http_route(&moved, 0, &json!([])), 22).0, 0, "no gateway has answered");
    }

    #[test]
    fn a_new_process_lets_no_pod_go_before_the_gateway_has_seen_the_route() {
        let app = app(1, &Value::Null);
        let new = target(&app);
        let mut observed = deployments(&[("old", 1, 1), (&new, 1, 1)]);
        observed.routes.routes = Arc::new(vec![http_route(&[("old", 0), (&new, 1)], 6, &accepted())]);
        let pass = passed(&app, &observed, 0, &mut DecideMemory::default());
        assert_eq!(pass.plan.replicas["web"]["old"], 1);
    }

    #[test]
    fn a_canary_gets_its_weight_and_an_aborted_one_nothing() {
        let canary = json!({"canary": {"steps": [{"weight": 5}]}});
        let app = app(20, &canary);
        let new = target(&app);
        let observed = deployments(&[("old", 20, 20), (&new, 1, 1)]);
        let weights = |phase: &str| {
            let rejected =
                if phase == "Aborted" { json!([{"hash": new, "message": "bad"}]) } else { json!([]) };
            let rollout = json!({"phase": phase, "stable": "old", "canary": new, "step": 1, "steps": 1, "weight": 5,
                "begun": "2026-01-01T00:00:00Z", "rejected": rejected});
            let status = json!({"components": [{"name": "web", "tier": "service", "desired": 20, "ready": 21,
                "rollout": rollout}]});
            let status: ScalableAppStatus = serde_json::from_value(status).expect("a status");
            let samples = Samples::default();
            let view = View::new(&observed, &samples, at(0));
            let pass = pass(&app, Some(&status), view, &mut DecideMemory::default());
            (pass.routes["web"].weights.clone(), pass.plan.replicas["web"][&new])
        };
        assert_eq!(weights("Progressing"), (map(&[("old", 95), (&new, 5)]), 1), "one pod carries 5%");
        assert_eq!(weights("Aborted").0, map(&[("old", 100), (&new, 0)]));
    }

    #[test]
    fn an_ejected_pod_gets_no_requests_and_counts_for_nothing() {
        let app = app(2, &Value::Null);
        let new = target(&app);
        let mut observed = deployments(&[("old", 1, 1), (&new, 1, 1)]);
        let pod = json!({
            "metadata": {"name": "a", "labels": {"scalableapp.dev/app": "shop", "scalableapp.dev/component": "web",
                "scalableapp.dev/revision": new, "pod-template-hash": "1"}, "ownerReferences": [{"apiVersion": "apps/v1",
                "kind": "ReplicaSet", "name": format!("shop-web-{new}-1"), "uid": "2", "controller": true}]},
            "status": {"phase": "Running", "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        });
        observed.pods = Arc::new(vec![Arc::new(serde_json::from_value(pod).expect("a pod"))]);
        let pass = passed(&app, &observed, 0, &mut DecideMemory::default());
        assert_eq!(pass.routes["web"].weights, map(&[("old", 1), (&new, 0)]));
    }

    #[test]
    fn what_stands_in_the_way_of_requests_is_said_in_the_words_of_the_gateway() {
        let app = app(1, &Value::Null);
        let new = target(&app);
        let mut memory = DecideMemory::default();
        let mut said = |access, route: Option<Arc<CachedRoute>>, second| {
            let mut observed = deployments(&[(&new, 1, 1)]);
            observed.routes = ObservedRoutes { access, routes: Arc::new(route.into_iter().collect()) };
            let pass = passed(&app, &observed, second, &mut memory);
            let problem = pass.components[0].state.route.clone();
            problem.map(|problem| (problem.reason, problem.message))
        };
        let weights = [(&*new, 100)];
        let route = |conditions: Value| Some(http_route(&weights, 7, &conditions));
        let reason = |said: Option<(reason::Reason, String)>| said.map(|(reason, _)| reason);
        assert_eq!(said(Access::Unlisted, None, 0), None);
        assert_eq!(reason(said(Access::NotInstalled, None, 0)), Some(reason::GATEWAY_API_MISSING));
        assert_eq!(reason(said(Access::Forbidden, None, 0)), Some(reason::GATEWAY_API_MISSING));
        let (pending, words) = said(Access::Listed, route(json!([])), 0).expect("a problem");
        assert_eq!(pending, reason::ROUTE_PENDING);
        assert!(words.contains("check that Gateway public in namespace edge exists"), "{words}");
        let refused = json!([{"type": "Accepted", "status": "False", "reason": "NotAllowedByListeners",
            "message": "namespace shop\u{1b}[2J"}]);
        let (refused, words) = said(Access::Listed, route(refused), 0).expect("a problem");
        assert_eq!(refused, reason::ROUTE_NOT_ACCEPTED);
        let expected = "Gateway public in namespace edge does not accept HTTPRoute shop-web: NotAllowedByListeners: \
            namespace shop\\u{1b}[2J";
        assert_eq!(words, expected);
        assert_eq!(said(Access::Listed, route(accepted()), 0), None);
        let unresolved = || {
            route(json!([{"type": "Accepted", "status": "True"},
                {"type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound", "message": "no Service"}]))
        };
        assert_eq!(said(Access::Listed, unresolved(), 1), None, "it has just learnt of the Service");
        let (unresolved, words) = said(Access::Listed, unresolved(), 20).expect("a problem");
        assert_eq!(unresolved, reason::ROUTE_NOT_ACCEPTED);
        assert!(words.ends_with("refers to: BackendNotFound: no Service"), "{words}");
    }
}
