//! The loops around the pipeline: one that follows objects, one that follows time. I/O.

pub mod live;
pub mod memory;
pub mod overrides;
pub mod reconcile;
pub mod roster;
mod status;
pub mod tick;

use crate::{
    apply::{events::Events, writer::Writer},
    observe::{
        cluster::{
            caches::{
                Cluster, GuardedApp, GuardedOverride, Touched, app_ref, overridden, reflect_children,
                reflect_overrides, reflect_written,
            },
            pods::SeenPod,
            seen::{Seen, SeenDeployment},
        },
        samples::SampleStore,
    },
    runtime::{decision_log::DecisionLog, lease::Leadership},
};
use futures::StreamExt;
use k8s_openapi::api::{
    core::v1::{Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Client, ResourceExt,
    runtime::{Controller, controller, reflector::ObjectRef},
};
use memory::Memories;
use std::{future::Future, sync::Arc};
use tokio::sync::mpsc;

/// Apps that may be reconciled at the same time.
const CONCURRENCY: u16 = 8;

/// What every pass uses.
pub struct Context {
    /// The caches of the API server.
    pub cluster: Cluster,
    /// The samples of Prometheus.
    pub samples: SampleStore,
    /// What sends writes.
    pub writer: Writer,
    /// What publishes events.
    pub events: Events,
    /// What is remembered of each app.
    pub memories: Memories,
    /// Where decisions are written with what they depended on.
    pub decisions: DecisionLog,
}

/// The watches and the caches that they fill.
pub struct Watches {
    /// The caches.
    pub cluster: Cluster,
    apps: Touched<GuardedApp>,
    overrides: Touched<GuardedOverride>,
    deployments: Touched<SeenDeployment>,
    services: Touched<Seen<Service>>,
    service_accounts: Touched<Seen<ServiceAccount>>,
    disruption_budgets: Touched<Seen<PodDisruptionBudget>>,
    network_policies: Touched<Seen<NetworkPolicy>>,
    pods: Touched<SeenPod>,
}

impl Watches {
    /// Watches that begin when the controller runs.
    #[must_use]
    pub fn new(client: &Client) -> Self {
        let (app_store, apps) = reflect_written(client.clone());
        let (override_store, overrides) = reflect_overrides(client.clone());
        let (deployment_store, deployments) = reflect_children(client.clone());
        let (service_store, services) = reflect_children(client.clone());
        let (service_account_store, service_accounts) = reflect_children(client.clone());
        let (disruption_budget_store, disruption_budgets) = reflect_children(client.clone());
        let (network_policy_store, network_policies) = reflect_children(client.clone());
        let (pod_store, pods) = reflect_children(client.clone());
        let cluster = Cluster {
            apps: app_store,
            overrides: override_store,
            deployments: deployment_store,
            services: service_store,
            service_accounts: service_account_store,
            disruption_budgets: disruption_budget_store,
            network_policies: network_policy_store,
            pods: pod_store,
        };
        Self {
            cluster,
            apps,
            overrides,
            deployments,
            services,
            service_accounts,
            disruption_budgets,
            network_policies,
            pods,
        }
    }
}

/// Follows objects until `shutdown`, and reconciles what `triggers` names. Ends when the reconciles under way have.
pub async fn run(
    context: Arc<Context>,
    watches: Watches,
    triggers: mpsc::Receiver<ObjectRef<GuardedApp>>,
    leadership: Leadership,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let triggers = futures::stream::unfold(triggers, |mut triggers| async {
        triggers.recv().await.map(|object| (object, triggers))
    });
    // A standby reconciles nothing, so that whoever begins to lead looks at everything once.
    let leading = futures::stream::unfold((leadership, false), |(leadership, leads)| async move {
        if leads {
            leadership.lost().await;
        }
        leadership.gained().await;
        Some(((), (leadership, true)))
    });
    Controller::for_stream(watches.apps, watches.cluster.apps.clone())
        .owns_stream(watches.deployments)
        .owns_stream(watches.services)
        .owns_stream(watches.service_accounts)
        .owns_stream(watches.disruption_budgets)
        .owns_stream(watches.network_policies)
        .watches_stream(watches.pods, |pod| app_of(&pod))
        .watches_stream(watches.overrides, |one| {
            overridden(&one).map(|(namespace, app)| app_ref(namespace, app))
        })
        .reconcile_on(triggers)
        .reconcile_all_on(leading)
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(shutdown)
        .run(reconcile::reconcile, reconcile::on_error, context)
        .for_each(|result| async {
            match result {
                Ok(_)
                | Err(controller::Error::ObjectNotFound(_) | controller::Error::ReconcilerFailed(..)) => {}
                Err(error) => tracing::warn!(%error, "a watch failed and will be taken up again"),
            }
        })
        .await;
}

/// The app of a pod, by its labels; a pod's owner is its ReplicaSet.
fn app_of(pod: &SeenPod) -> Option<ObjectRef<GuardedApp>> {
    let app = pod.labels.app.as_deref()?;
    Some(ObjectRef::new(app).within(&pod.namespace()?))
}
