//! One component. Pure.

use super::app::{self, ComponentKey, Pod};
use super::declaration::Declaration;
use super::dependency::Callees;
use super::invalid::Problems;
use super::name::ComponentName;
use super::path::Path;
use super::provider::Provider;
use super::revision::Revision;
use super::{blue_green, cache, canary, cnpg, connections, database, rolling, route, scaling, worker};
use scalableapp_crds as api;
use scalableapp_engine::rollout::{blue_green::BlueGreen, canary::Canary};
use scalableapp_engine::stack;
use std::collections::BTreeMap;
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
    /// The app's caches.
    pub caches: &'a [app::UsedCache],
    /// Variables for the databases of the app.
    pub databases: &'a [api::EnvVar],
    /// What components may call.
    pub callees: &'a Callees,
    /// The databases of the app.
    pub declared_databases: &'a [api::Database],
}

impl Shared<'_> {
    /// The pods with what the app's caches and databases give them; `own` variables count more.
    fn given_to(&self, pod: Pod, own: &[api::EnvVar]) -> Pod {
        let is_given = |given: &&api::EnvVar| own.iter().all(|one| one.name != given.name);
        let databases = self.databases.iter().filter(is_given).cloned().collect();
        Pod { caches: self.caches.to_vec(), databases, ..pod }
    }

    /// The connection pool of a component, and the pods that read its size.
    fn pooled(
        &self,
        pod: Pod,
        written: Option<&api::ConnectionPool>,
        path: Path<'_>,
        problems: &mut Problems,
    ) -> (Pod, Option<stack::Pool>) {
        let pool = connections::pool(written, self.declared_databases, path, problems);
        (Pod { pool: pool.as_ref().map(|pool| pool.database.clone()), ..pod }, pool)
    }
}

/// How the revisions of a component follow each other; at most one of these.
#[derive(Default)]
struct DeclaredRollout<'a> {
    rolling: Option<&'a api::Rolling>,
    canary: Option<Canary>,
    blue_green: Option<BlueGreen>,
}

impl<'a> DeclaredRollout<'a> {
    fn of_service(written: &'a api::Service, path: Path<'_>, problems: &mut Problems) -> Self {
        let Some(rollout) = &written.rollout else { return Self::default() };
        let api::Rollout { rolling, canary, blue_green } = rollout;
        let declared = [rolling.is_some(), canary.is_some(), blue_green.is_some()];
        if declared.into_iter().filter(|one| *one).count() > 1 {
            problems.refuse(Path::Field(&path, "rollout"), "set at most one of rolling, canary, blueGreen");
        }
        Self {
            rolling: rolling.as_ref(),
            canary: canary::resolve(written, path, problems),
            blue_green: blue_green::resolve(written, path, problems),
        }
    }
}

/// Resolves a service, with its problems.
pub(super) fn of_service(written: &api::Service, shared: Shared<'_>, path: Path<'_>) -> app::Component {
    let mut problems = Problems::default();
    let declaration = Declaration::from(written);
    let pod = declaration.pod(shared.image, None, path, &mut problems);
    let pod = shared.given_to(pod, &written.env);
    let (pod, pool) = shared.pooled(pod, written.connection_pool.as_ref(), path, &mut problems);
    let scaling = scaling::of_service(written, path, &mut problems);
    shared.callees.check(&written.name, &written.calls, Path::Field(&path, "calls"), &mut problems);
    let rollout = DeclaredRollout::of_service(written, path, &mut problems);
    route::check(written.route.as_ref(), Path::Field(&path, "route"), &mut problems);
    let component =
        component(api::Tier::Service, declaration, rollout, (pod, scaling, pool), shared, path, problems);
    let component = shared.callees.called(component, &written.calls);
    app::Component { route: written.route.clone(), ..component }
}

/// Resolves a worker, with its problems.
pub(super) fn of_worker(written: &api::Worker, shared: Shared<'_>, path: Path<'_>) -> app::Component {
    let mut problems = Problems::default();
    let declaration = Declaration::from(written);
    let drain = worker::drain_seconds(written.drain.as_ref(), path, &mut problems);
    let pod = declaration.pod(shared.image, Some(drain), path, &mut problems);
    let pod = shared.given_to(pod, &written.env);
    let (pod, pool) = shared.pooled(pod, written.connection_pool.as_ref(), path, &mut problems);
    let scaling = scaling::of_worker(written, path, &mut problems);
    shared.callees.check(&written.name, &written.calls, Path::Field(&path, "calls"), &mut problems);
    let rolling = written.rollout.as_ref().and_then(|rollout| rollout.rolling.as_ref());
    let rollout = DeclaredRollout { rolling, ..DeclaredRollout::default() };
    let component =
        component(api::Tier::Worker, declaration, rollout, (pod, scaling, pool), shared, path, problems);
    let component = shared.callees.called(component, &written.calls);
    app::Component { backlog: written.scaling.backlog.as_ref().and_then(worker::source), ..component }
}

/// Resolves a cache, with its problems.
pub(super) fn of_cache(written: &api::Cache, shared: Shared<'_>, path: Path<'_>) -> app::Component {
    let mut problems = Problems::default();
    let declaration = cache::declaration(written);
    let pod = cache::pod(written, declaration, path, &mut problems);
    let scaling = cache::scaling(written, path, &mut problems);
    component(
        api::Tier::Cache,
        declaration,
        DeclaredRollout::default(),
        (pod, scaling, None),
        shared,
        path,
        problems,
    )
}

/// Resolves the read replicas of a database, with their problems; `None` if it has none. Problems of the primary are
/// those of the whole app.
pub(super) fn of_database(
    written: &api::Database,
    shared: Shared<'_>,
    path: Path<'_>,
    of_app: &mut Problems,
) -> Option<app::Component> {
    connections::check_limits(&written.postgres, path, of_app);
    let provider = Provider::checked(&written.postgres, path, of_app);
    let (primary, replicas) = match provider {
        Some(Provider::Streaming(primary, Some(replicas))) => (primary, replicas),
        Some(Provider::Cnpg(api::Cnpg { cluster_ref, read_replicas: Some(replicas) })) => {
            return Some(of_cluster(&written.name, &cluster_ref.name, replicas, shared, path));
        }
        _ => {
            ComponentName::resolve(&written.name, Path::Field(&path, "name"), of_app);
            return None;
        }
    };
    let mut problems = Problems::default();
    let at = Path::Field(&path, "postgres");
    let at = Path::Field(&at, "readReplicas");
    let script = database::Script::of(primary, replicas, at, &mut problems);
    let (command, env) = (script.command.clone(), script.env.clone());
    let declaration = Declaration {
        name: &written.name,
        image: Some(database::image(replicas, at, &mut problems)),
        command: &command,
        args: &[],
        env: &env,
        port: Some(database::POSTGRES),
        metrics_port: script.metrics_port,
        resources: replicas.resources.as_ref(),
        probes: None,
        pod_template: replicas.pod_template.as_ref(),
    };
    let pod = script.pod(declaration, replicas, at, &mut problems);
    let scaling = database::scaling(replicas, at, &mut problems);
    Some(component(
        api::Tier::Database,
        declaration,
        DeclaredRollout::default(),
        (pod, scaling, None),
        shared,
        path,
        problems,
    ))
}

/// Resolves the replicas of a Cluster of CloudNativePG, which have no pods of the operator.
fn of_cluster(
    name: &str,
    cluster: &str,
    replicas: &api::ClusterReplicas,
    shared: Shared<'_>,
    path: Path<'_>,
) -> app::Component {
    let mut problems = Problems::default();
    let at = Path::Field(&path, "postgres");
    let at = Path::Field(&at, "cnpg");
    let scaling = cnpg::scaling(replicas, Path::Field(&at, "readReplicas"), &mut problems);
    let pods = (Pod::default(), scaling, None);
    let written = Declaration::named(name);
    let component =
        component(api::Tier::Database, written, DeclaredRollout::default(), pods, shared, path, problems);
    app::Component { cluster: Some(cluster.to_owned()), ..component }
}

fn component(
    tier: api::Tier,
    written: Declaration<'_>,
    DeclaredRollout { rolling, canary, blue_green }: DeclaredRollout<'_>,
    (pod, scaling, pool): (Pod, scaling::Scaling, Option<stack::Pool>),
    shared: Shared<'_>,
    path: Path<'_>,
    mut problems: Problems,
) -> app::Component {
    let key = ComponentKey::new(shared.namespace, shared.app, written.name);
    let name = ComponentName::resolve(written.name, Path::Field(&path, "name"), &mut problems);
    let revision = Revision::of(&pod, &written.probes.cloned().unwrap_or_default());
    let rolling = rolling::resolve(rolling, Path::Field(&path, "rollout"), &mut problems);
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
        canary,
        blue_green,
        calls: Vec::new(),
        pool,
    };
    app::Component {
        key,
        name,
        tier,
        pod,
        revision,
        declared: Arc::new(declared),
        queries,
        backlog: None,
        breakers: BTreeMap::new(),
        route: None,
        cluster: None,
        problems: problems.into_vec(),
    }
}
