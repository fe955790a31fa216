//! One component. Pure.

use super::app::{self, ComponentKey, Pod};
use super::declaration::Declaration;
use super::invalid::Problems;
use super::name::ComponentName;
use super::path::Path;
use super::revision::Revision;
use super::{cache, rolling, scaling, worker};
use scalableapp_crds as api;
use scalableapp_engine::stack;
use std::sync::Arc;

/// The names and defaults that the components of an app share.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    /// Namespace of the app.
    pub namespace: &'a str,
    /// Name of the app.
    pub app: &'a str,
    /// Image of components without one of their own.
    pub image: Option<&'a str>,
    /// Names of the app's caches.
    pub caches: &'a [String],
}

/// Resolves a service, with its problems.
pub(super) fn of_service(written: &api::Service, shared: Shared<'_>, path: Path<'_>) -> app::Component {
    let mut problems = Problems::default();
    let declaration = Declaration::from(written);
    let pod = declaration.pod(shared.image, None, path, &mut problems);
    let pod = Pod { caches: shared.caches.to_vec(), ..pod };
    let scaling = scaling::of_service(written, path, &mut problems);
    component(
        api::Tier::Service,
        declaration,
        written.rollout.as_ref(),
        (pod, scaling),
        shared,
        path,
        problems,
    )
}

/// Resolves a worker, with its problems.
pub(super) fn of_worker(written: &api::Worker, shared: Shared<'_>, path: Path<'_>) -> app::Component {
    let mut problems = Problems::default();
    let declaration = Declaration::from(written);
    let drain = worker::drain_seconds(written.drain.as_ref(), path, &mut problems);
    let pod = declaration.pod(shared.image, drain, path, &mut problems);
    let pod = Pod { caches: shared.caches.to_vec(), ..pod };
    let scaling = scaling::of_worker(written, path, &mut problems);
    let rollout = written.rollout.as_ref();
    let component =
        component(api::Tier::Worker, declaration, rollout, (pod, scaling), shared, path, problems);
    let queues = written.scaling.backlog.as_ref().map(|backlog| backlog.queues.clone());
    app::Component { queues: queues.unwrap_or_default(), ..component }
}

/// Resolves a cache, with its problems.
pub(super) fn of_cache(written: &api::Cache, shared: Shared<'_>, path: Path<'_>) -> app::Component {
    let mut problems = Problems::default();
    let declaration = cache::declaration(written);
    let pod = cache::pod(written, declaration, path, &mut problems);
    let scaling = cache::scaling(written, path, &mut problems);
    component(api::Tier::Cache, declaration, None, (pod, scaling), shared, path, problems)
}

fn component(
    tier: api::Tier,
    written: Declaration<'_>,
    rollout: Option<&api::Rollout>,
    (pod, scaling): (Pod, scaling::Scaling),
    shared: Shared<'_>,
    path: Path<'_>,
    mut problems: Problems,
) -> app::Component {
    let key = ComponentKey::new(shared.namespace, shared.app, written.name);
    let name = ComponentName::resolve(written.name, Path::Field(&path, "name"), &mut problems);
    let revision = Revision::of(&pod, &written.probes.cloned().unwrap_or_default());
    let rolling = rolling::resolve(rollout, Path::Field(&path, "rollout"), &mut problems);
    let scaling::Scaling { workload, min_replicas, max_replicas, queries, behavior, schedules, fallback } =
        scaling;
    let declared = stack::Component {
        workload,
        min_replicas,
        max_replicas,
        schedules,
        fallback,
        behavior,
        revision: revision.to_string(),
        rolling,
    };
    app::Component {
        key,
        name,
        tier,
        pod,
        revision,
        declared: Arc::new(declared),
        queries,
        queues: Vec::new(),
        problems: problems.into_vec(),
    }
}
