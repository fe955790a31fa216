//! A ScalableApp in a test: applied from an example, its status, its Deployments. Talks to the API server.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use scalableapp_crds::{ComponentStatus, Condition, ConditionStatus, ScalableApp};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

use super::{World, wait_until};
use crate::CRATE_DIR;

/// The default example of tests.
const MINIMAL: &str = "examples/minimal.yaml";
/// Time limit for pods, on a node that many tests share.
const PATIENCE: Duration = Duration::from_secs(90);

impl World {
    /// An example of the repository, with the cluster's image, and with a small CPU request if it has one: the pods of
    /// all tests together have to fit on one node.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn example(&self, path: &str) -> Result<Value> {
        let file = Path::new(CRATE_DIR).join("..").join(path);
        let text = std::fs::read_to_string(&file).with_context(|| format!("failed to read {path}"))?;
        let text = self.with_server_images(&text)?;
        let mut app: Value =
            serde_saphyr::from_str(&text).with_context(|| format!("failed to read {path}"))?;
        app["spec"]["image"] = json!(self.images().app);
        let requests =
            ["/resources/requests/cpu", "/redis/cpu", "/postgres/readReplicas/resources/requests/cpu"];
        for list in ["services", "workers", "caches", "databases"] {
            let components = app["spec"].get_mut(list).and_then(Value::as_array_mut);
            for component in components.into_iter().flatten() {
                for request in requests {
                    if let Some(cpu) = component.pointer_mut(request) {
                        *cpu = json!("10m");
                    }
                }
            }
        }
        Ok(app)
    }

    /// `examples/minimal.yaml` with another scaling: `web` from `min` to `max` replicas at `per_replica` requests per
    /// second each.
    ///
    /// # Errors
    /// When the example cannot be read.
    pub fn shop(&self, min: i32, max: i32, per_replica: &str) -> Result<Value> {
        let mut app = self.example(MINIMAL)?;
        app["spec"]["services"][0]["scaling"] = json!({
            "minReplicas": min,
            "maxReplicas": max,
            "metrics": [{"name": "rps", "requestRate": {"perReplica": per_replica}}],
        });
        Ok(app)
    }

    /// `examples/shop.yaml` with these of its components, each with one replica.
    ///
    /// # Errors
    /// When the example cannot be read.
    pub fn shop_of(&self, components: &[&str]) -> Result<Value> {
        let mut app = self.example("examples/shop.yaml")?;
        for list in ["services", "workers"] {
            let all = app["spec"].get_mut(list).and_then(Value::as_array_mut);
            let all = all.context("the example has no such list")?;
            all.retain(|one| components.iter().any(|component| one["name"] == *component));
            for one in all {
                one["scaling"] = json!({"minReplicas": 1, "maxReplicas": 1});
            }
        }
        Ok(app)
    }

    /// Applies `shop` with `web` from one to three replicas with a target of 10 for the result of a query. There is no
    /// scale-down window, so a metric that wrongly counted as zero would remove replicas within seconds.
    ///
    /// # Errors
    /// As [`World::apply_app`].
    pub async fn scale_on_query(&self, query: &str) -> Result<()> {
        let mut app = self.shop(1, 3, "10")?;
        let scaling = &mut app["spec"]["services"][0]["scaling"];
        scaling["metrics"] = json!([{"name": "carts", "prometheus": {"query": query, "perReplica": "10"}}]);
        scaling["behavior"] = json!({"scaleDown": {"stabilizationWindowSeconds": 0}});
        self.apply_app(&app).await
    }

    /// Scales `web` of `shop` from one replica to three by load of this profile, which continues. `scale_down_window`
    /// keeps them afterwards.
    ///
    /// # Errors
    /// When they are not ready in time, and as [`World::apply_app`] and [`World::start_load`].
    pub async fn scale_out_by_load(
        &self,
        scale_down_window: Duration,
        profile: &str,
    ) -> Result<super::LoadPod<'_>> {
        let mut app = self.shop(1, 3, "10")?;
        app["spec"]["services"][0]["scaling"]["behavior"] =
            json!({"scaleDown": {"stabilizationWindowSeconds": scale_down_window.as_secs()}});
        self.apply_app(&app).await?;
        wait_until("the app is up", PATIENCE, async || self.is_up().await).await?;
        let load = self.load_web("/wait?ms=5", profile).await?;
        wait_until("the load is three ready replicas", PATIENCE, async || self.has_ready(3).await).await?;
        Ok(load)
    }

    /// Applies a ScalableApp.
    ///
    /// # Errors
    /// With the API server's own words when it is refused.
    pub async fn apply_app(&self, app: &Value) -> Result<()> {
        self.apply(&app.to_string()).await.map(drop)
    }

    /// The API of the namespace's ScalableApps.
    pub fn apps(&self) -> Api<ScalableApp> {
        Api::namespaced(self.client(), self.namespace())
    }

    /// The status of the component `web` of `shop`.
    ///
    /// # Errors
    /// When it has no status yet.
    pub async fn web(&self) -> Result<ComponentStatus> {
        let status = self.apps().get("shop").await?.status.context("there is no status yet")?;
        status
            .components
            .into_iter()
            .find(|component| component.name == "web")
            .context("web is not in the status")
    }

    /// A condition of `shop`.
    ///
    /// # Errors
    /// When it is not set yet.
    pub async fn condition(&self, type_: &str) -> Result<Condition> {
        let status = self.apps().get("shop").await?.status.context("there is no status yet")?;
        let mut conditions = status.conditions.into_iter();
        conditions
            .find(|condition| condition.type_ == type_)
            .with_context(|| format!("{type_} is not set yet"))
    }

    /// Succeeds if a condition of `shop` has this status and this reason.
    ///
    /// # Errors
    /// With the current condition.
    pub async fn says(&self, type_: &str, status: ConditionStatus, reason: &str) -> Result<Condition> {
        let condition = self.condition(type_).await?;
        ensure!(condition.status == status && condition.reason == reason, "{condition:?}");
        Ok(condition)
    }

    /// Succeeds if `shop` is up as declared, in the last applied generation.
    ///
    /// # Errors
    /// With the current condition.
    pub async fn is_up(&self) -> Result<()> {
        let app = self.apps().get("shop").await?;
        let observed = app.status.as_ref().map(|status| status.observed_generation);
        ensure!(observed == app.metadata.generation, "the operator has seen generation {observed:?} only");
        self.says("Ready", ConditionStatus::True, "UpAsDeclared").await.map(drop)
    }

    /// The Deployments of the namespace's apps, oldest first.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn deployments(&self) -> Result<Vec<Deployment>> {
        let api: Api<Deployment> = Api::namespaced(self.client(), self.namespace());
        let of_apps = ListParams::default().labels("scalableapp.dev/app");
        let mut deployments = api.list(&of_apps).await?.items;
        deployments.sort_by_key(|deployment| deployment.creation_timestamp().map(|time| time.0));
        Ok(deployments)
    }

    /// `spec.replicas` over all Deployments of the namespace's apps.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn replicas(&self) -> Result<i32> {
        let deployments = self.deployments().await?;
        let replicas = |deployment: &Deployment| deployment.spec.as_ref().and_then(|spec| spec.replicas);
        Ok(deployments.iter().filter_map(replicas).sum())
    }

    /// Succeeds if `spec.replicas` over all Deployments is this.
    ///
    /// # Errors
    /// With the current number.
    pub async fn has_replicas(&self, wanted: i32) -> Result<()> {
        let replicas = self.replicas().await?;
        ensure!(replicas == wanted, "{replicas} replicas");
        Ok(())
    }

    /// Succeeds if `web` has this many desired and ready replicas.
    ///
    /// # Errors
    /// With its current status.
    pub async fn has_ready(&self, replicas: i32) -> Result<()> {
        let web = self.web().await?;
        ensure!(web.desired == replicas && web.ready == replicas, "{web:?}");
        Ok(())
    }

    /// The pods of `web` that are not being deleted, of all revisions.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn web_pods(&self) -> Result<Vec<Pod>> {
        self.pods_of("web").await
    }

    /// The pods of a component that are not being deleted, of all revisions.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn pods_of(&self, component: &str) -> Result<Vec<Pod>> {
        let api: Api<Pod> = Api::namespaced(self.client(), self.namespace());
        let of_component = ListParams::default().labels(&format!("scalableapp.dev/component={component}"));
        let mut pods = api.list(&of_component).await?.items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(pods)
    }

    /// Starts load on this path of `web` of `shop`.
    ///
    /// # Errors
    /// As [`World::start_load`].
    pub async fn load_web(&self, path: &str, profile: &str) -> Result<super::LoadPod<'_>> {
        let url = format!("http://shop-web.{}.svc:8080{path}", self.namespace());
        self.start_load("load", &url, profile).await
    }
}
