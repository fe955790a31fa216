//! Replicas that a policy of the cluster refuses are named in a condition, keep no other component from scaling, and are
//! tried again.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::world::{AuditLog, World, wait_until};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

/// The operator of the chart, as the API server knows it.
const OPERATOR: &str = "system:serviceaccount:scalableapp-system:scalableapp-operator";
const PATIENCE: Duration = Duration::from_secs(90);

/// No more than two replicas of `web` in this namespace.
fn policy(namespace: &str) -> String {
    format!(
        "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {namespace}}}
spec:
  matchConstraints:
    resourceRules:
    - {{apiGroups: [apps], apiVersions: [v1], operations: [UPDATE], resources: [deployments]}}
  validations:
  - expression: \"!object.metadata.name.startsWith('shop-web') || object.spec.replicas <= 2\"
    message: web may have two replicas
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {namespace}}}
spec:
  policyName: {namespace}
  validationActions: [Deny]
  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}}}
"
    )
}

/// `web` and `api`, each with so many replicas.
fn pair(world: &World, replicas: i32) -> Result<Value> {
    let mut app = world.shop(replicas, replicas, "1000")?;
    let services = app["spec"]["services"].as_array_mut().context("no services")?;
    let mut api = services[0].clone();
    api["name"] = json!("api");
    services.push(api);
    Ok(app)
}

async fn replicas(world: &World, component: &str) -> Result<Option<i32>> {
    let deployments = world.deployments().await?;
    let of_component = |one: &&Deployment| {
        one.labels().get("scalableapp.dev/component").is_some_and(|name| name == component)
    };
    let deployment = deployments.iter().find(of_component).context("no Deployment")?;
    Ok(deployment.spec.as_ref().and_then(|spec| spec.replicas))
}

async fn is_in_force(world: &World) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(world.client(), world.namespace());
    let web = world.deployments().await?.into_iter().find(|one| one.name_any().starts_with("shop-web"));
    let three = Patch::Merge(json!({"spec": {"replicas": 3}}));
    let tried = PatchParams { dry_run: true, ..PatchParams::default() };
    let answer = deployments.patch(&web.context("no Deployment")?.name_any(), &tried, &three).await;
    ensure!(answer.is_err(), "three replicas are accepted");
    Ok(())
}

/// Asks for a third replica of both, of which the policy refuses one.
async fn is_refused(world: &World, audit: &AuditLog) -> Result<()> {
    wait_until("the policy is in force", PATIENCE, async || is_in_force(world).await).await?;
    world.apply_app(&pair(world, 3)?).await?;
    let condition = wait_until("the policy is named", PATIENCE, async || {
        world.says("Ready", ConditionStatus::False, "ChildRefused").await
    })
    .await?;
    ensure!(condition.message.contains("web may have two replicas"), "{condition:?}");
    wait_until("api has three replicas and web two", PATIENCE, async || {
        let both = (replicas(world, "web").await?, replicas(world, "api").await?);
        ensure!(both == (Some(2), Some(3)), "{both:?}");
        Ok(())
    })
    .await?;

    let mark = audit.mark()?;
    sleep(Duration::from_secs(45)).await;
    let mut writes = audit.mutations_since(mark)?;
    writes
        .retain(|one| one.namespace == world.namespace() && one.user == OPERATOR && one.resource != "events");
    println!("refused replicas: {} writes in 45 s", writes.len());
    // Once or twice a status and the replicas, and the status once more for what was refused.
    ensure!((1..=8).contains(&writes.len()), "{writes:#?}");
    Ok(())
}

/// They are not the namespace's, and do not go with it.
async fn lift_policy(world: &World) -> Result<()> {
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(world.client());
    bindings.delete(world.namespace(), &DeleteParams::default()).await?;
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(world.client());
    policies.delete(world.namespace(), &DeleteParams::default()).await?;
    Ok(())
}

#[tokio::test]
async fn refused_replicas_stop_no_other() -> Result<()> {
    World::run("refused_replicas", async |world| {
        let audit = world.audit()?;
        world.apply_app(&pair(world, 2)?).await?;
        wait_until("the app is up", PATIENCE, async || world.is_up().await).await?;
        world.apply(&policy(world.namespace())).await?;
        let outcome = is_refused(world, audit).await;
        lift_policy(world).await?;
        outcome?;
        wait_until("web has three replicas too", PATIENCE, async || {
            ensure!(replicas(world, "web").await? == Some(3), "not yet");
            world.is_up().await
        })
        .await
    })
    .await
}
