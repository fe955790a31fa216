//! One tenant: a namespace, its apps, and what the operator has made of them. Talks to the API server.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource, ResourceExt};
use scalableapp_crds::{Condition, ConditionStatus, ScalableApp, condition_type};
use scalableapp_e2e::world::wait_until;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::time::Duration;

/// Nothing of one app takes so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A tenant of [`super::arena::Arena::tenant`].
pub struct Tenant {
    /// Its namespace.
    pub namespace: String,
    client: Client,
}

impl Tenant {
    /// The tenant of this namespace, with an administrator's rights.
    pub fn new(client: Client, namespace: String) -> Self {
        Self { namespace, client }
    }

    /// Its objects of one kind.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Applies an app of this spec, and returns its generation.
    pub async fn apply(&self, name: &str, spec: &Value) -> Result<i64> {
        let app = json!({
            "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp", "metadata": {"name": name}, "spec": spec,
        });
        let params = PatchParams::apply("tenant").force();
        let applied = self.api::<ScalableApp>().patch(name, &params, &Patch::Apply(&app)).await?;
        applied.metadata.generation.context("no generation")
    }

    /// `Ready` of the newest generation.
    pub async fn ready(&self, name: &str) -> Result<Condition> {
        let app = self.api::<ScalableApp>().get(name).await?;
        let status = app.status.context("no status")?;
        let ready = status.conditions.into_iter().find(|one| one.type_ == condition_type::READY);
        let ready = ready.context("no condition Ready")?;
        ensure!(
            Some(ready.observed_generation) == app.metadata.generation,
            "{ready:?} is of another generation"
        );
        ensure!(ready.observed_generation == status.observed_generation, "{ready:?} is not of the status");
        Ok(ready)
    }

    /// Waits until an app is up as declared.
    pub async fn is_ready(&self, name: &str) -> Result<()> {
        wait_until("the app is ready", PATIENCE, async || {
            let ready = self.ready(name).await?;
            ensure!(ready.status == ConditionStatus::True, "{ready:?}");
            Ok(())
        })
        .await
    }

    /// The Deployments of all its apps.
    pub async fn deployments(&self) -> Result<Vec<Deployment>> {
        Ok(self.api().list(&ListParams::default()).await?.items)
    }

    /// Replicas of each Deployment of a component.
    pub async fn replicas(&self, component: &str) -> Result<Vec<i32>> {
        let deployments = self.deployments().await?;
        let label = "scalableapp.dev/component";
        let of_component =
            deployments.iter().filter(|one| one.labels().get(label).is_some_and(|name| name == component));
        Ok(of_component.filter_map(|one| one.spec.as_ref()?.replicas).collect())
    }

    /// Reason and note of each event of an app.
    pub async fn events(&self, name: &str) -> Result<Vec<(String, String)>> {
        let events = self.api::<Event>().list(&ListParams::default()).await?;
        let of_app = events.items.into_iter().filter(|event| {
            event.regarding.as_ref().is_some_and(|regarding| regarding.name.as_deref() == Some(name))
        });
        Ok(of_app.map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default())).collect())
    }

    /// Deletes an app without its children.
    pub async fn orphan(&self, name: &str) -> Result<()> {
        let apps = self.api::<ScalableApp>();
        apps.delete(name, &DeleteParams::orphan()).await?;
        wait_until("the app is gone and its children have no owner", PATIENCE, async || {
            ensure!(apps.get_opt(name).await?.is_none(), "it is still there");
            let deployments = self.deployments().await?;
            ensure!(deployments.iter().all(|one| one.owner_references().is_empty()), "it still owns them");
            Ok(())
        })
        .await
    }

    /// Gives everything in the namespace that carries an app's label to the app.
    pub async fn adopt(&self, name: &str) -> Result<()> {
        let uid = self.api::<ScalableApp>().get(name).await?.uid().context("no uid")?;
        self.adopt_all::<Deployment>(name, &uid).await?;
        self.adopt_all::<Service>(name, &uid).await?;
        self.adopt_all::<ServiceAccount>(name, &uid).await?;
        self.adopt_all::<NetworkPolicy>(name, &uid).await?;
        self.adopt_all::<PodDisruptionBudget>(name, &uid).await
    }

    async fn adopt_all<K>(&self, name: &str, uid: &str) -> Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let selected = ListParams::default().labels(&format!("scalableapp.dev/app={name}"));
        for object in self.api::<K>().list(&selected).await? {
            let owner = json!({"metadata": {"ownerReferences": [{
                "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp", "name": name, "uid": uid,
                "controller": true,
            }]}});
            self.api::<K>().patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(owner)).await?;
        }
        Ok(())
    }

    /// Waits until a PodDisruptionBudget of this name is refused.
    pub async fn is_budget_refused(&self, name: &str) -> Result<()> {
        let budget: PodDisruptionBudget =
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"minAvailable": 1}}))?;
        let tried = PostParams { dry_run: true, ..PostParams::default() };
        wait_until("the policy is in force", PATIENCE, async || {
            ensure!(self.api().create(&tried, &budget).await.is_err(), "the budget is accepted");
            Ok(())
        })
        .await
    }
}
