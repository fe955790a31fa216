//! A child that the API server refuses, in whatever way, is named in its words; everything else of the app goes on.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams, PostParams};
use kube::{Client, ResourceExt};
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::world::wait_until;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

use super::arena::Arena;
use super::tenant::{PATIENCE, Tenant};

/// `web` and `api` with so many replicas.
fn pair(replicas: i32) -> Value {
    let scaling = json!({"minReplicas": replicas, "maxReplicas": replicas});
    let service = |name: &str| json!({"name": name, "port": 80, "scaling": scaling});
    json!({"image": "shop:1", "services": [service("web"), service("api")]})
}

/// What is wrong with `web`, to be said in these words, and everything else of the app goes on.
async fn stops_no_other(arena: &Arena, tenant: &Tenant, spec: &Value, words: &str) -> Result<()> {
    tenant.apply("shop", spec).await?;
    let replicas = i32::try_from(spec["services"][1]["scaling"]["minReplicas"].as_i64().context("none")?)?;
    wait_until("the refusal is named", PATIENCE, async || {
        let ready = tenant.ready("shop").await?;
        let is_false = ready.status == ConditionStatus::False && ready.reason == "ChildRefused";
        ensure!(is_false && ready.message.contains(words), "{ready:?}");
        Ok(())
    })
    .await
    .with_context(|| format!("the operator says: {}", arena.operator.log()))?;
    wait_until("api is scaled", PATIENCE, async || {
        let found = tenant.replicas("api").await?;
        ensure!(found == vec![replicas], "{found:?}");
        Ok(())
    })
    .await?;
    let services = tenant.api::<Service>();
    services.delete("shop-api", &DeleteParams::default()).await?;
    wait_until("its Service is back", PATIENCE, async || {
        services.get("shop-api").await?;
        Ok(())
    })
    .await?;
    let events = tenant.events("shop").await?;
    ensure!(
        events.iter().any(|(reason, note)| reason == "ChildRefused" && note.contains(words)),
        "{events:#?}"
    );
    Ok(())
}

/// A sum over all the operator's writes, but for the Lease and events.
async fn writes(arena: &Arena) -> Result<f64> {
    let metrics = arena.operator.metrics().await?;
    let of_children = metrics.lines().filter(|line| {
        line.starts_with("scalableapp_api_writes_total{")
            && !line.contains("Lease")
            && !line.contains("Event")
    });
    Ok(of_children.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
}

#[tokio::test]
async fn one_refused_child_stops_no_other() -> Result<()> {
    let client = Client::try_default().await?;
    let mut arena = Arena::start(client.clone(), &[]).await?;
    let tenant = arena.tenant().await?;
    let tenant = Tenant::new(client, tenant);
    arena.leads().await?;

    // What the API server answers 500 to: a field that it does not have, and that is no slip of a known one.
    let mut unknown = pair(2);
    unknown["services"][0]["podTemplate"] = json!({"spec": {"wishes": ["a pony"]}});
    stops_no_other(&arena, &tenant, &unknown, "field not declared in schema").await?;
    let before = writes(&arena).await?;
    sleep(Duration::from_secs(30)).await;
    let written = writes(&arena).await? - before;
    println!("one refused child: {written} writes in 30 s");
    ensure!(written <= 8.0, "{written} writes in 30 s");

    tenant.apply("shop", &pair(2)).await?;
    tenant.is_ready("shop").await?;
    arena.end().await
}

/// Objects of the cluster that refuse what is written of `web` in one namespace.
struct Refusing {
    client: Client,
    name: String,
}

impl Refusing {
    /// A webhook that nobody answers for.
    async fn by_webhook(client: Client, namespace: &str) -> Result<Self> {
        let configuration = serde_json::from_value(json!({
            "metadata": {"name": namespace},
            "webhooks": [{
                "name": "nobody.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "failurePolicy": "Fail", "clientConfig": {"url": "https://127.0.0.1:1/"},
                "rules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["deployments"]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "objectSelector": {"matchLabels": {"scalableapp.dev/component": "web"}},
            }],
        }))?;
        let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
        api.create(&PostParams::default(), &configuration).await?;
        Ok(Self { client, name: namespace.to_owned() })
    }

    /// A policy that allows no PodDisruptionBudget of `web`.
    async fn by_policy(client: Client, namespace: &str) -> Result<Self> {
        let policy = serde_json::from_value(json!({
            "metadata": {"name": namespace},
            "spec": {
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": ["policy"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                    "resources": ["poddisruptionbudgets"],
                }]},
                "validations": [{"expression": "object.metadata.name != 'shop-web'", "message": "web has no budget"}],
            },
        }))?;
        let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
        policies.create(&PostParams::default(), &policy).await?;
        let binding = serde_json::from_value(json!({
            "metadata": {"name": namespace},
            "spec": {
                "policyName": namespace, "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
            },
        }))?;
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
        bindings.create(&PostParams::default(), &binding).await?;
        Ok(Self { client, name: namespace.to_owned() })
    }

    /// Takes them away: they are not the namespace's, and do not go with it.
    async fn end(self) -> Result<()> {
        let (name, params) = (self.name.as_str(), DeleteParams::default());
        let webhooks: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        let policies: Api<ValidatingAdmissionPolicy> = Api::all(self.client.clone());
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(self.client);
        let _ = webhooks.delete(name, &params).await;
        let _ = policies.delete(name, &params).await;
        let _ = bindings.delete(name, &params).await;
        Ok(())
    }
}

#[tokio::test]
async fn what_others_refuse_stops_no_other() -> Result<()> {
    let client = Client::try_default().await?;
    let mut arena = Arena::start(client.clone(), &[]).await?;
    let (one, two) = (arena.tenant().await?, arena.tenant().await?);
    arena.leads().await?;

    let tenant = Tenant::new(client.clone(), one);
    tenant.apply("shop", &pair(1)).await?;
    tenant.is_ready("shop").await?;
    let webhook = Refusing::by_webhook(client.clone(), &tenant.namespace).await?;
    let outcome = stops_no_other(&arena, &tenant, &pair(2), "nobody.example.com").await;
    webhook.end().await?;
    outcome.context("a webhook that fails")?;
    // It is noticed without a change by anybody.
    tenant.is_ready("shop").await?;

    let tenant = Tenant::new(client.clone(), two);
    let policy = Refusing::by_policy(client, &tenant.namespace).await?;
    let outcome = async {
        tenant.is_budget_refused("shop-web").await?;
        stops_no_other(&arena, &tenant, &pair(2), "web has no budget").await?;
        let replicas = tenant.replicas("web").await?;
        ensure!(replicas == vec![2], "its Deployment goes on, too: {replicas:?}");
        Ok(())
    };
    let outcome = outcome.await;
    policy.end().await?;
    outcome.context("a policy that denies")?;
    arena.end().await
}

#[tokio::test]
async fn what_an_earlier_app_left_is_told_and_can_be_kept() -> Result<()> {
    let client = Client::try_default().await?;
    let mut arena = Arena::start(client.clone(), &[]).await?;
    let tenant = arena.tenant().await?;
    let tenant = Tenant::new(client, tenant);
    arena.leads().await?;
    tenant.apply("shop", &pair(2)).await?;
    tenant.is_ready("shop").await?;
    let before: Vec<_> = tenant.deployments().await?.iter().filter_map(ResourceExt::uid).collect();

    // Creation times are whole seconds: an app of the same second would be taken for the children's own.
    sleep(Duration::from_secs(1)).await;
    tenant.orphan("shop").await?;
    tenant.apply("shop", &pair(2)).await?;
    wait_until("what is left is named", PATIENCE, async || {
        let ready = tenant.ready("shop").await?;
        ensure!(
            ready.reason == "NameTaken" && ready.message.contains("kubectl delete deployment"),
            "{ready:?}"
        );
        Ok(())
    })
    .await?;
    tenant.adopt("shop").await?;
    tenant.is_ready("shop").await?;
    let after: Vec<_> = tenant.deployments().await?.iter().filter_map(ResourceExt::uid).collect();
    ensure!(before == after, "the Deployments were made anew");
    arena.end().await
}
