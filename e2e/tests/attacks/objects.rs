//! Objects as a tenant writes them, read and written as JSON: some hold what no type here can. Talks to the API server.

use anyhow::{Context, Result, ensure};
use kube::Client;
use scalableapp_e2e::world::wait_until;
use serde_json::{Value, json};
use std::time::Duration;

/// The objects of one namespace.
pub struct Objects {
    client: Client,
    namespace: String,
}

impl Objects {
    /// Those of this namespace.
    pub fn of(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned() }
    }

    /// Creates an object of a group, for example `apis/apps/v1`.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn create(&self, group: &str, plural: &str, object: &Value) -> Result<Value> {
        let mut object = object.clone();
        object["apiVersion"] = json!(group.trim_start_matches("apis/").trim_start_matches("api/"));
        object["kind"] = json!(kind(plural));
        self.send("POST", &self.path(group, plural, ""), Some(&object)).await
    }

    /// Reads an object.
    ///
    /// # Errors
    /// When there is none.
    pub async fn get(&self, group: &str, plural: &str, name: &str) -> Result<Value> {
        self.send("GET", &self.path(group, plural, name), None).await
    }

    /// Replaces an object by one with a time in it that is within the year 9999 in UTC, and not everywhere.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn give_a_time_of_the_year_9999(&self, group: &str, plural: &str, name: &str) -> Result<()> {
        let time = "9999-12-31T23:59:59Z";
        let replace = async || {
            let mut object = self.get(group, plural, name).await?;
            let fields = object["metadata"]["managedFields"].as_array_mut().context("no managed fields")?;
            fields.iter_mut().for_each(|fields| fields["time"] = json!(time));
            // The API server puts back times where nothing else has changed, and sets that of the one who writes.
            object["metadata"]["annotations"] = json!({"attack": "1"});
            let path = format!("{}?fieldManager=attacker", self.path(group, plural, name));
            let replaced = self.send("PUT", &path, Some(&object)).await?;
            let fields = replaced["metadata"]["managedFields"].to_string();
            ensure!(fields.contains(time), "it is not kept: {fields}");
            Ok(())
        };
        wait_until("the time is kept", Duration::from_secs(20), replace).await
    }

    /// Waits for an object.
    ///
    /// # Errors
    /// When it is not so in time; with what it is.
    pub async fn until(
        &self,
        group: &str,
        plural: &str,
        name: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<()> {
        wait_until(&format!("{name} is as it should be"), Duration::from_secs(60), async || {
            let object = self.get(group, plural, name).await?;
            let status = object["status"].to_string();
            ensure!(is_so(&object), "its status is {}", status.chars().take(2000).collect::<String>());
            Ok(())
        })
        .await
    }

    /// Waits until an app's `Ready`, or an event, has this reason.
    ///
    /// # Errors
    /// When none comes in time.
    pub async fn is_told(&self, name: &str, reason: &str) -> Result<()> {
        wait_until(&format!("{name} is told {reason}"), Duration::from_secs(120), async || {
            let app = self.get("apis/scalableapp.dev/v1alpha1", "scalableapps", name).await?;
            if app["status"]["conditions"][0]["reason"] == reason {
                return Ok(());
            }
            let events = self.get("apis/events.k8s.io/v1", "events", "").await?;
            let events = events["items"].as_array().cloned().unwrap_or_default();
            let is_told =
                events.iter().any(|one| one["regarding"]["name"] == name && one["reason"] == reason);
            ensure!(is_told, "{} events, none of them this", events.len());
            Ok(())
        })
        .await
    }

    fn path(&self, group: &str, plural: &str, name: &str) -> String {
        format!("/{group}/namespaces/{}/{plural}/{name}", self.namespace).trim_end_matches('/').to_owned()
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let request = hyper::Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/json").body(body)?;
        self.client.request(request).await.with_context(|| format!("{method} {path}"))
    }
}

fn kind(plural: &str) -> &'static str {
    match plural {
        "scalableapps" => "ScalableApp",
        "scalingoverrides" => "ScalingOverride",
        "deployments" => "Deployment",
        "services" => "Service",
        "serviceaccounts" => "ServiceAccount",
        "poddisruptionbudgets" => "PodDisruptionBudget",
        "networkpolicies" => "NetworkPolicy",
        _ => "Pod",
    }
}

/// An app of one replica.
pub fn app(name: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {"image": "shop:1", "services": [{"name": "web", "port": 8080}]},
    })
}

/// Waits until the app has its Deployment.
///
/// # Errors
/// When it does not come in time.
pub async fn serves(objects: &Objects, app: &str) -> Result<()> {
    wait_until(&format!("{app} has a Deployment"), Duration::from_secs(60), async || {
        let all = objects.get("apis/apps/v1", "deployments", "").await?;
        let prefix = format!("{app}-web-");
        let names = all["items"].as_array().into_iter().flatten();
        let mut names = names.filter_map(|one| one["metadata"]["name"].as_str());
        ensure!(names.any(|name| name.starts_with(&prefix)), "there is none");
        Ok(())
    })
    .await
}

/// One object of each kind of children and pods with the operator's label, by group and plural, as `change` makes it.
pub fn labelled(change: &dyn Fn(&mut Value)) -> Vec<(&'static str, &'static str, Value)> {
    let pod = json!({"containers": [{"name": "a", "image": "a"}]});
    let selector = json!({"matchLabels": {"attack": "1"}});
    let template = json!({"metadata": {"labels": {"attack": "1"}}, "spec": pod});
    let deployment = json!({"replicas": 0, "selector": selector, "template": template});
    let specs = [
        ("apis/apps/v1", "deployments", deployment),
        ("api/v1", "services", json!({"ports": [{"port": 80}]})),
        ("api/v1", "serviceaccounts", Value::Null),
        ("apis/policy/v1", "poddisruptionbudgets", json!({"selector": selector})),
        ("apis/networking.k8s.io/v1", "networkpolicies", json!({"podSelector": selector})),
        ("api/v1", "pods", json!({"containers": [{"name": "a", "image": "a"}], "schedulerName": "nobody"})),
    ];
    let object = |(group, plural, spec): (&'static str, &'static str, Value)| {
        let mut object = json!({
            "metadata": {"name": "attack", "labels": {"app.kubernetes.io/managed-by": "scalableapp"}},
        });
        if !spec.is_null() {
            object["spec"] = spec;
        }
        change(&mut object);
        (group, plural, object)
    };
    specs.into_iter().map(object).collect()
}
