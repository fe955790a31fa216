//! The HTTPRoutes of the apps, whose definition may be missing: nothing else waits for them. I/O in, by a watch.

use super::access::{Access, told};
use super::cached::CachedChild;
use super::caches::{Scope, Touched, reflect_optional};
use super::children::{Children, Siblings};
use crate::kinds::Kind;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher;
use scalableapp_crds::GatewayRef;
use scalableapp_engine::rollout::weights::Weights;
use serde::Deserialize;
use std::sync::{Arc, PoisonError, RwLock};

/// A cached HTTPRoute.
pub type CachedRoute = CachedChild<RoutePart>;

/// The condition of a Gateway that has a place for an HTTPRoute.
pub const ACCEPTED: &str = "Accepted";
/// The condition of a Gateway that finds what an HTTPRoute refers to.
pub const RESOLVED_REFS: &str = "ResolvedRefs";

/// The fields of an HTTPRoute that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RoutePart {
    /// The spec.
    pub spec: RouteSpecPart,
    /// The status.
    pub status: RouteStatusPart,
}

/// The fields of an HTTPRoute's spec that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RouteSpecPart {
    /// Its rules, of which the operator writes one.
    pub rules: Vec<RouteRulePart>,
}

/// The fields of a rule that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteRulePart {
    /// The Services that get the requests.
    pub backend_refs: Vec<BackendRefPart>,
}

/// The fields of a reference to a Service that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct BackendRefPart {
    /// Name of the Service.
    pub name: String,
    /// Its weight; `None` means 1.
    pub weight: Option<i32>,
}

/// The fields of an HTTPRoute's status that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RouteStatusPart {
    /// What each Gateway says.
    pub parents: Vec<RouteParentPart>,
}

/// What a Gateway says of an HTTPRoute.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteParentPart {
    /// The Gateway.
    pub parent_ref: Option<GatewayRef>,
    /// Its conditions.
    pub conditions: Vec<RouteCondition>,
}

/// The fields of a condition that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteCondition {
    /// Type of the condition.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The generation of the HTTPRoute that it is about.
    pub observed_generation: Option<i64>,
    /// Reason, as one word.
    pub reason: String,
    /// Reason, as a sentence.
    pub message: String,
}

/// The HTTPRoutes as an app with a route sees them.
#[derive(Clone, Debug, Default)]
pub struct ObservedRoutes {
    /// What is known of them.
    pub access: Access,
    /// Its own, in the order of their names.
    pub routes: Siblings<CachedRoute>,
}

/// The cache. Cheap to clone.
#[derive(Clone)]
pub struct Routes {
    children: Children<CachedRoute>,
    access: Arc<RwLock<Access>>,
}

impl Routes {
    /// Nothing is read.
    #[must_use]
    pub fn off() -> Self {
        let store = Writer::new(Kind::HttpRoute).as_reader();
        Self { children: Children::new(store, Kind::HttpRoute), access: Arc::default() }
    }

    /// What is known of them.
    #[must_use]
    pub fn access(&self) -> Access {
        *self.access.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of an app.
    #[must_use]
    pub fn of_app(&self, namespace: &str, app: &str) -> Siblings<CachedRoute> {
        self.children.of_app(namespace, app)
    }

    /// The one of this name.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<CachedRoute>> {
        self.children.get(namespace, name)
    }
}

fn note(known: &RwLock<Access>, event: &watcher::Result<watcher::Event<CachedRoute>>) {
    let Some(access) = told(event) else { return };
    let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
    if *known != access {
        tracing::info!(?access, "HTTPRoutes of Gateway API");
        *known = access;
    }
}

/// The cache of the HTTPRoutes, and the stream that fills it. The stream has no errors: a missing definition is no fault.
#[must_use]
pub fn reflect_routes(scope: &Scope) -> (Routes, Touched<CachedRoute>) {
    let access = Arc::new(RwLock::new(Access::Unlisted));
    let noting = Arc::clone(&access);
    let (children, touched) = reflect_optional(scope, Kind::HttpRoute, move |event| note(&noting, event));
    (Routes { children, access }, touched)
}

impl CachedChild<RoutePart> {
    /// Whether a Gateway that has answered before does not follow the newest generation yet.
    #[must_use]
    pub fn is_ahead_of_gateways(&self) -> bool {
        let conditions = self.part.status.parents.iter().flat_map(|parent| &parent.conditions);
        let accepted = conditions.filter(|one| one.type_ == ACCEPTED);
        accepted.filter_map(|one| one.observed_generation).any(|seen| Some(seen) < self.metadata.generation)
    }

    /// Whether a Gateway does not find what it refers to.
    #[must_use]
    pub fn has_unresolved_references(&self) -> bool {
        let mut conditions = self.part.status.parents.iter().flat_map(|parent| &parent.conditions);
        conditions.any(|one| one.type_ == RESOLVED_REFS && one.status == "False")
    }

    /// The weights of its Services, whose names begin with this text, by the rest of the name.
    #[must_use]
    pub fn weights(&self, start: &str) -> Weights {
        let services = self.part.spec.rules.iter().flat_map(|rule| &rule.backend_refs);
        let own = services.filter_map(|service| {
            let revision = service.name.strip_prefix(start)?.strip_prefix('-')?;
            Some((revision.to_owned(), service.weight.unwrap_or(1)))
        });
        own.collect()
    }
}
