//! A cache with TLS gets more and less memory without a restart, and recovers from the loss of its Secret, while the app
//! uses it.

use super::stack::{STACK_UP, component_is_ready, stack};
use anyhow::{Context, Result, ensure};
use hyper::Request;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use scalableapp_e2e::world::{Server, World, wait_until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SHARD: &str = "shop-sessions-0";
const MIB: u64 = 1 << 20;
/// Time for the kubelet to update files and limits, and for the exporter to be scraped.
const PATIENCE: Duration = Duration::from_secs(240);

fn certificate(world: &World) -> Result<Value> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate whose issuer has its own name for one that signed itself.
    authority.distinguished_name.push(DnType::CommonName, "the tests' authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let name = format!("*.shop-sessions.{}.svc", world.namespace());
    let server = CertificateParams::new([name])?.signed_by(&key, &authority)?;
    let data = json!({"tls.crt": server.pem(), "tls.key": key.serialize_pem(), "ca.crt": authority.pem()});
    Ok(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cache-tls"}, "stringData": data}))
}

fn with_memory(app: &Value, memory: &str) -> Value {
    let mut app = app.clone();
    let redis = &mut app["spec"]["caches"][0]["redis"];
    redis["shards"] = json!({"min": 1, "max": 1});
    redis["memory"] = json!(memory);
    redis["tls"] = json!({"secretRef": {"name": "cache-tls"}});
    app
}

/// Uid and restarts of the shard, its limit, and the memory of its data.
async fn shard(world: &World) -> Result<(String, i32, String, u64)> {
    let pods: Api<Pod> = Api::namespaced(world.client(), world.namespace());
    let pod = pods.get(SHARD).await?;
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let status = statuses.context("no status")?.iter().find(|one| one.name == "sessions");
    let status = status.context("no status of the server")?;
    let limits = status.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let limit = limits.and_then(|limits| limits.get("memory")).context("no limit")?.0.clone();
    let client = "redis-cli --tls --cacert /etc/scalableapp/tls/ca.crt CONFIG GET maxmemory";
    let answer = world.exec(SHARD, "sessions", &["sh", "-c", client]).await?;
    let data = answer.lines().last().context("no answer")?.parse()?;
    Ok((pod.uid().unwrap_or_default(), status.restart_count, limit, data))
}

/// Waits until the shard has this memory, and was not restarted.
async fn has_memory(world: &World, uid: &str, mib: u64) -> Result<()> {
    let begun = Instant::now();
    wait_until("the shard has its memory", PATIENCE, async || {
        let (_, _, limit, data) = shard(world).await?;
        let has = [format!("{mib}Mi"), (mib * MIB).to_string()].contains(&limit);
        ensure!(has && data == mib * MIB * 72 / 100, "limit {limit}, data {data}");
        Ok(())
    })
    .await?;
    let (now, restarts, ..) = shard(world).await?;
    ensure!(now == uid && restarts == 0, "the shard was restarted");
    println!("memory of a shard in place, {mib} MiB: {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Waits until the app begins and finds a session in the cache.
async fn is_used(world: &World) -> Result<()> {
    wait_until("the app has sessions", PATIENCE, async || {
        let visit = async |cookie: Option<&str>| {
            let request = Request::post("/visits").header("content-type", "application/json");
            let request =
                cookie.into_iter().fold(request, |request, cookie| request.header("cookie", cookie));
            world.call("services/shop-web:8080", request.body("{}".to_owned())?).await
        };
        let first = visit(None).await?;
        first.has(200)?;
        let cookie = first.headers["set-cookie"].to_str()?.split(';').next().context("no cookie")?.to_owned();
        let count = visit(Some(&cookie)).await?.json(200)?["count"].clone();
        ensure!(count == 2, "visit {count}");
        Ok(())
    })
    .await
}

async fn lose_secret(world: &World) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(world.client(), world.namespace());
    let of_app = ListParams::default().labels("scalableapp.dev/component=sessions");
    let secret = secrets.list(&of_app).await?.items.first().context("no Secret")?.name_any();
    secrets.delete(&secret, &DeleteParams::default()).await?;
    let pods: Api<Pod> = Api::namespaced(world.client(), world.namespace());
    pods.delete(SHARD, &DeleteParams::default()).await?;
    let begun = Instant::now();
    wait_until("the Secret is there again", PATIENCE, async || {
        secrets.get(&secret).await?;
        Ok(())
    })
    .await?;
    println!("deleted Secret created again: {:.0} s", begun.elapsed().as_secs_f64());
    component_is_ready(world, "sessions", 1).await
}

#[tokio::test]
async fn cache_changes_while_it_runs() -> Result<()> {
    World::run("cache_changes_while_it_runs", async |world| {
        world.start_servers(&[Server::Payments]).await?;
        world.apply(&certificate(world)?.to_string()).await?;
        let app = stack(world)?;
        world.apply_app(&with_memory(&app, "64Mi")).await?;
        wait_until("the stack is up", STACK_UP, async || world.is_up().await).await?;
        world.stock_shop().await?;
        is_used(world).await?;
        let (uid, ..) = shard(world).await?;
        world.apply_app(&with_memory(&app, "96Mi")).await?;
        has_memory(world, &uid, 96).await?;
        world.apply_app(&with_memory(&app, "48Mi")).await?;
        has_memory(world, &uid, 48).await?;
        lose_secret(world).await?;
        is_used(world).await
    })
    .await
}
