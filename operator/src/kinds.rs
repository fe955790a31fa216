//! The kinds of children: their names in the API, and the order in which they are applied. A new kind is a row here, a
//! part of `render` and a line in the chart's role. No I/O.

use kube::{Resource, core::DynamicResourceScope};

/// A kind of child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The identity of the pods. It comes first, because pods need it.
    ServiceAccount,
    /// The files of the pods: settings that may change while they run, or a script.
    ConfigMap,
    /// The password of a cache. It is only created: never listed, watched, read, changed or pruned.
    Secret,
    /// The address of the pods.
    Service,
    /// How many pods may be evicted at once.
    PodDisruptionBudget,
    /// Who may connect to the pods.
    NetworkPolicy,
    /// The pods of a revision of a service or a worker. Workloads come last.
    Deployment,
    /// The pods of a cache or of read replicas, each with a stable name.
    StatefulSet,
    /// The way of requests from Gateways to a service. Its definition may be missing, so nothing waits for its watch.
    HttpRoute,
    /// A database of CloudNativePG, which is somebody else's: never created, changed or deleted, but for its scale.
    Cluster,
}

struct Row {
    name: &'static str,
    group: &'static str,
    plural: &'static str,
}

impl Kind {
    /// The watched kinds of children that every cluster has, in the order in which they are applied.
    pub const ALL: [Self; 7] = [
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Service,
        Self::PodDisruptionBudget,
        Self::NetworkPolicy,
        Self::Deployment,
        Self::StatefulSet,
    ];

    const fn row(self) -> Row {
        let (name, group, plural) = match self {
            Self::ServiceAccount => ("ServiceAccount", "", "serviceaccounts"),
            Self::ConfigMap => ("ConfigMap", "", "configmaps"),
            Self::Secret => ("Secret", "", "secrets"),
            Self::Service => ("Service", "", "services"),
            Self::PodDisruptionBudget => ("PodDisruptionBudget", "policy", "poddisruptionbudgets"),
            Self::NetworkPolicy => ("NetworkPolicy", "networking.k8s.io", "networkpolicies"),
            Self::Deployment => ("Deployment", "apps", "deployments"),
            Self::StatefulSet => ("StatefulSet", "apps", "statefulsets"),
            Self::HttpRoute => ("HTTPRoute", "gateway.networking.k8s.io", "httproutes"),
            Self::Cluster => ("Cluster", "postgresql.cnpg.io", "clusters"),
        };
        Row { name, group, plural }
    }

    /// Whether it runs pods, so that its replicas are scaled and its status is read.
    #[must_use]
    pub const fn is_workload(self) -> bool {
        matches!(self, Self::Deployment | Self::StatefulSet)
    }

    /// Its name, for example `Deployment`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Its API group, empty for the core group.
    #[must_use]
    pub const fn group(self) -> &'static str {
        self.row().group
    }

    /// Its version.
    #[must_use]
    pub const fn version(self) -> &'static str {
        "v1"
    }

    /// Its name in URLs and roles, for example `deployments`.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        self.row().plural
    }
}

/// Objects of a kind that is known at run time only.
pub trait OfKind: Resource<DynamicType = Kind, Scope = DynamicResourceScope> {}

impl<K: Resource<DynamicType = Kind, Scope = DynamicResourceScope>> OfKind for K {}
