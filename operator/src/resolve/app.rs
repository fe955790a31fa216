//! The resolved app, which every later stage reads instead of the spec. Pure.

use super::database::Reader;
use super::invalid::Invalid;
use super::name::{AppName, ComponentName};
use super::probe::Probes;
use super::revision::Revision;
use crate::kinds::Kind;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use scalableapp_crds::{
    BacklogQueries, CacheEngine, CircuitSource, EnvVar, Eviction, PodTemplate, Resources, Route, ScalableApp,
    Tier,
};
use scalableapp_engine::evidence::circuit::CircuitState;
use scalableapp_engine::stack::{self, Stack};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Name of the container's port for the Service.
pub const HTTP_PORT: &str = "http";
/// Name of the container's port for PostgreSQL.
pub const POSTGRES_PORT: &str = "postgresql";
/// End of the variable with the address of a database's read replicas.
pub const READ_HOST: &str = "_READ_HOST";
/// Name of the container's port for `/metrics`, where it is another one.
pub const METRICS_PORT: &str = "metrics";

/// A resolved app. A mistake in one component does not affect the others.
#[derive(Clone, Debug, PartialEq)]
pub struct App {
    /// Its name.
    pub name: AppName,
    /// Its namespace, and that of all its children.
    pub namespace: String,
    /// Its `metadata.uid`.
    pub uid: String,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// The `metadata.generation` that was resolved.
    pub generation: i64,
    /// Its components, in the order of the spec.
    pub components: Vec<Component>,
    /// The input of decisions on its components.
    pub stack: Stack,
}

impl App {
    /// The component of this name.
    #[must_use]
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components.iter().find(|component| component.name.as_str() == name)
    }

    /// The problems of its components, in the order of the spec.
    pub fn problems(&self) -> impl Iterator<Item = &Invalid> {
        self.components.iter().flat_map(|component| &component.problems)
    }

    /// The controlling owner of each child, so that the garbage collector deletes it together with the app.
    #[must_use]
    pub fn owner_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: ScalableApp::api_version(&()).into_owned(),
            kind: ScalableApp::kind(&()).into_owned(),
            name: self.name.to_string(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }
}

/// Key of a component among those of all apps; clones share one string.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentKey(Arc<ComponentPath>);

/// The parts of the key.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentPath {
    /// Namespace of the app.
    pub namespace: String,
    /// Name of the app.
    pub app: String,
    /// Name of the component.
    pub component: String,
}

impl ComponentKey {
    /// The key of a component.
    #[must_use]
    pub fn new(namespace: &str, app: &str, component: &str) -> Self {
        let (namespace, app, component) = (namespace.to_owned(), app.to_owned(), component.to_owned());
        Self(Arc::new(ComponentPath { namespace, app, component }))
    }
}

impl Deref for ComponentKey {
    type Target = ComponentPath;

    fn deref(&self) -> &ComponentPath {
        &self.0
    }
}

impl fmt::Display for ComponentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.app, self.component)
    }
}

/// A resolved component.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Its key.
    pub key: ComponentKey,
    /// Its name.
    pub name: ComponentName,
    /// Its kind.
    pub tier: Tier,
    /// The declaration of its pods.
    pub pod: Pod,
    /// Name of the pods' content: the same revision always means the same pods.
    pub revision: Revision,
    /// The input of decisions: replicas, metrics, and the rollout of a new revision.
    pub declared: Arc<stack::Component>,
    /// The custom query of each metric that has one, by the name of the metric. It is as the user wrote it, so it must
    /// be confined to the app's namespace before it is sent.
    pub queries: BTreeMap<String, String>,
    /// Where the backlog of a worker is measured; `None` without one.
    pub backlog: Option<BacklogSource>,
    /// The circuit breakers of its pods, by the name of the dependency.
    pub breakers: BTreeMap<String, Breaker>,
    /// The Gateways that pass requests on to it; `None` without a route.
    pub route: Option<Route>,
    /// The Cluster of CloudNativePG whose replicas these are; `None` for all other components, which have pods of their
    /// own. It has no children.
    pub cluster: Option<String>,
    /// Its problems. With any problem the rest is a placeholder, which must not be used.
    pub problems: Vec<Invalid>,
}

/// Where the backlog of a worker is measured.
#[derive(Clone, Debug, PartialEq)]
pub enum BacklogSource {
    /// Queues, by the series of the jobs contract.
    Queues(Vec<String>),
    /// Queries as the user wrote them, like [`Component::queries`].
    Queries(BacklogQueries),
}

/// How a circuit breaker is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// From the metrics of the pods.
    Exported {
        /// What exports it.
        source: CircuitSource,
        /// Its name there.
        name: String,
    },
    /// By a query.
    Query(BreakerQuery),
}

/// A query for the state of the breaker of each pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerQuery {
    /// As the user wrote it, like [`Component::queries`].
    pub text: String,
    /// What a value in thousandths means.
    pub states: BTreeMap<i64, CircuitState>,
}

impl Component {
    /// Kind of its workload.
    #[must_use]
    pub fn workload_kind(&self) -> Kind {
        match self.tier {
            _ if self.cluster.is_some() => Kind::Cluster,
            Tier::Service | Tier::Worker => Kind::Deployment,
            Tier::Cache | Tier::Database => Kind::StatefulSet,
        }
    }

    /// Whether it has children of this kind.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        match kind {
            _ if self.cluster.is_some() => false,
            Kind::ServiceAccount | Kind::PodDisruptionBudget | Kind::NetworkPolicy => true,
            Kind::Service => self.pod.port.is_some(),
            Kind::ConfigMap => {
                self.pod.reader.is_some() || self.pod.cache.is_some() || self.pod.has_settings()
            }
            Kind::Secret => self.tier == Tier::Cache,
            Kind::HttpRoute => self.route.is_some(),
            Kind::Deployment | Kind::StatefulSet | Kind::Cluster => kind == self.workload_kind(),
        }
    }

    /// Whether its pods use the app's caches and databases.
    #[must_use]
    pub fn is_consumer(&self) -> bool {
        matches!(self.tier, Tier::Service | Tier::Worker)
    }

    /// Whether it has no problem.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Pod {
    /// Whether the pods read files with what is decided while they run: shards of caches, addresses of read replicas, and
    /// the size of their connection pool.
    #[must_use]
    pub fn has_settings(&self) -> bool {
        !self.caches.is_empty() || self.pool.is_some() || self.read_hosts().next().is_some()
    }

    /// The addresses of the read replicas of the app's databases, by variable.
    pub fn read_hosts(&self) -> impl Iterator<Item = &EnvVar> {
        self.databases.iter().filter(|one| one.name.ends_with(READ_HOST))
    }
}

/// The user's declaration of a component's pods.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pod {
    /// Image of the component's container.
    pub image: String,
    /// Entry point; empty for the image's own.
    pub command: Vec<String>,
    /// Arguments; empty for the image's own.
    pub args: Vec<String>,
    /// Environment, in order, because a variable may refer to an earlier one.
    pub env: Vec<EnvVar>,
    /// Port of the container; `None` for a worker.
    pub port: Option<i32>,
    /// Port of `/metrics`; it may equal `port`.
    pub metrics_port: Option<i32>,
    /// CPU and memory.
    pub resources: Resources,
    /// Health probes.
    pub probes: Probes,
    /// Seconds from SIGTERM until the pod is killed; `None` for the default of its tier.
    pub drain_seconds: Option<u32>,
    /// The server of a shard; `None` for other components.
    pub cache: Option<Cache>,
    /// The app's caches, whose shards and passwords a service or a worker gets.
    pub caches: Vec<UsedCache>,
    /// Variables for the databases of the app, which the user's own may refer to.
    pub databases: Vec<EnvVar>,
    /// The database of which the pods read the size of their pool; `None` without one.
    pub pool: Option<String>,
    /// What only the pods of read replicas have; `None` for all others.
    pub reader: Option<Reader>,
    /// Any other part of a PodTemplateSpec, in canonical form and without fields that the operator owns.
    pub template: PodTemplate,
}

/// A cache as its consumers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedCache {
    /// Its name.
    pub name: String,
    /// The Secret with the certificate of its authority; `None` without TLS.
    pub tls: Option<String>,
}

/// The server of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// The software.
    pub engine: CacheEngine,
    /// Image of the exporter.
    pub exporter_image: String,
    /// Memory of a shard in bytes. Its script gives 72 percent of it to the data.
    pub memory: i64,
    /// Bytes up to which its memory grows; the same where it does not.
    pub max_memory: i64,
    /// Which keys leave.
    pub eviction: Eviction,
    /// Clients that may be connected; `None` for the server's own default.
    pub max_clients: Option<i32>,
    /// The Secret with its certificate; `None` without TLS.
    pub tls: Option<String>,
}
