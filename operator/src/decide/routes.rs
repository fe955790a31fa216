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
use scalableapp_crds::Route;
use scalableapp_engine::hpa::pod::{Ready, ReadyStatus};
use scalableapp_engine::rollout::Plan;
use scalableapp_engine::rollout::rolling::Revision;
use scalableapp_engine::rollout::weights::{CanaryShare, Weights, keep, weights};
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
enum Followed<'a> {
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
    view: View<'a>,
}

/// Divides the requests of each service with a route, and keeps pods in the plan that still get requests. Nothing is
/// divided while HTTPRoutes are not known.
pub(super) fn routes(
    app: &App,
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
        let routing = Routing { resolved, route, name: &name, found: found.as_deref(), view };
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
        let Self { resolved, route, name, found, view } = self;
        memory.note(found, name, view.now);
        let access = view.observed.routes.access;
        let unresolved = memory.unresolved.is_some_and(|since| is_long(since, view.now));
        one.state.route = problem(access, name, &route.parent_refs, found, unresolved);
        if access != Access::Listed {
            return None;
        }
        let revisions = self.revisions(one);
        let planned = plan.replicas.get_mut(resolved.name.as_str());
        let trial = one
            .state
            .canary()
            .map(|rollout| CanaryShare { revision: &rollout.canary, weight: rollout.weight });
        let mut weights = weights(one.state.desired, &revisions, planned.as_deref(), trial);
        shorten(&mut weights);
        if let Some(planned) = planned {
            let taken = match memory.followed(found) {
                Followed::None => Some(&weights),
                Followed::Known(taken) => Some(taken),
                Followed::Unknown => None,
            };
            let waits = keep(planned, one.state.desired, &revisions, taken, &weights);
            let is_late = memory.behind.is_some_and(|since| is_long(since, view.now));
            one.state.waits_for_gateway = (waits && is_late).then(|| name.to_owned());
        }
        let cached = found.map(|route| route.weights(name)).unwrap_or_default();
        Some(Routed { moves: cached != weights, referred: cached.into_keys().collect(), weights })
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
    fn followed(&self, found: Option<&CachedRoute>) -> Followed<'_> {
        if found.is_none_or(|route| route.part.status.parents.is_empty()) {
            return Followed::None;
        }
        self.taken.as_ref().map_or(Followed::Unknown, Followed::Known)
    }
}
