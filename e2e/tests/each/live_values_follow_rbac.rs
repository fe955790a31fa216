//! Whoever may read an app reads its live measurements, and nobody else: no other user, and no pod.

use anyhow::{Result, ensure};
use hyper::Request;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, PostParams};
use kube::client::Body;
use scalableapp_cluster::chart::OPERATOR_NAMESPACE;
use scalableapp_crds::live_path;
use scalableapp_e2e::operator::OPERATOR;
use scalableapp_e2e::world::{World, wait_until};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn live_values_follow_rbac() -> Result<()> {
    World::run("live_values_follow_rbac", async |world| {
        world.apply_app(&world.shop(1, 2, "10")?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let reader = format!("system:serviceaccount:{}:reader", world.namespace());
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": world.namespace()}],
        }))?;
        let bindings: Api<RoleBinding> = Api::namespaced(world.client(), world.namespace());
        bindings.create(&PostParams::default(), &binding).await?;
        let path = live_path(world.namespace(), "shop");
        wait_until("a reader of the namespace reads them", Duration::from_secs(30), async || {
            let code = asked(world, &reader, &path).await?;
            ensure!(code == 200, "the answer is {code}");
            Ok(())
        })
        .await?;
        let stranger = format!("system:serviceaccount:{}:stranger", world.namespace());
        ensure!(asked(world, &stranger, &path).await? == 403, "somebody without a role reads them");
        let elsewhere = asked(world, &reader, &live_path("kube-system", "shop")).await?;
        ensure!(elsewhere == 403, "the reader's right holds in another namespace: {elsewhere}");

        // What a pod may try, which has no certificate of the front proxy.
        let earlier = format!("/v1/apps/{}/shop", world.namespace());
        let (live, http) = (format!("https:{OPERATOR}:live"), format!("{OPERATOR}:http"));
        for (service, path) in [(&live, &path), (&http, &path), (&http, &earlier)] {
            let answer = world.service_get(OPERATOR_NAMESPACE, service, path).await;
            ensure!(answer.is_err(), "{service} shows {path} to everybody: {answer:?}");
        }
        Ok(())
    })
    .await
}

/// How the API server answers this user.
async fn asked(world: &World, user: &str, path: &str) -> Result<u16> {
    let request = Request::get(path).header("Impersonate-User", user).body(Body::empty())?;
    Ok(world.client().send(request).await?.status().as_u16())
}
