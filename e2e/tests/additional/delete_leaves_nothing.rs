//! An app with every tier is deleted while it grows: no object of it is left in the namespace, and no slot, session or role
//! on the primary.

use super::stack::STACK_UP;
use anyhow::{Result, ensure};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams};
use kube::discovery::{Discovery, Scope, verbs};
use scalableapp_e2e::world::{Server, World, wait_until};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What the primary keeps for others: slots, sessions of replicas and locks of clones, and roles.
const ON_THE_PRIMARY: &str = "SELECT (SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_stat_replication), \
     (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), \
     (SELECT string_agg(rolname, ',' ORDER BY rolname) FROM pg_roles)";
/// These come and go without the app.
const OF_OTHERS: [&str; 3] = ["Event", "Lease", "PodMetrics"];

/// Kind and name of every object in the namespace.
async fn objects(world: &World) -> Result<BTreeSet<String>> {
    let mut objects = BTreeSet::new();
    let discovery = Discovery::new(world.client()).run_aggregated().await?;
    for (resource, capabilities) in discovery.groups().flat_map(|group| group.recommended_resources()) {
        let is_listed =
            capabilities.scope == Scope::Namespaced && capabilities.supports_operation(verbs::LIST);
        if !is_listed || OF_OTHERS.contains(&resource.kind.as_str()) {
            continue;
        }
        let api: Api<DynamicObject> = Api::namespaced_with(world.client(), world.namespace(), &resource);
        let named =
            |object: DynamicObject| format!("{} {}", resource.kind, object.metadata.name.unwrap_or_default());
        objects.extend(api.list(&ListParams::default()).await?.items.into_iter().map(named));
    }
    Ok(objects)
}

#[tokio::test]
async fn delete_leaves_nothing() -> Result<()> {
    World::run("delete_leaves_nothing", async |world| {
        world.start_servers(&[Server::Payments]).await?;
        let (before, primary) = (objects(world).await?, world.sql(ON_THE_PRIMARY).await?);
        let mut app = world.example("examples/stack.yaml")?;
        world.apply_app(&app).await?;
        wait_until("the stack is up", STACK_UP, async || world.is_up().await).await?;
        let there = objects(world).await?.len() - before.len();

        app["spec"]["caches"][0]["redis"]["shards"] = json!({"min": 3, "max": 4});
        let replicas = &mut app["spec"]["databases"][0]["postgres"]["readReplicas"];
        (replicas["min"], replicas["max"]) = (json!(3), json!(3));
        world.apply_app(&app).await?;
        wait_until("it grows", Duration::from_secs(30), async || {
            ensure!(world.pods_of("main").await?.len() > 1, "no read replica has come");
            Ok(())
        })
        .await?;
        world.apps().delete("shop", &DeleteParams::background()).await?;
        let begun = Instant::now();
        wait_until("nothing is left", Duration::from_secs(120), async || {
            let left: Vec<String> = objects(world).await?.difference(&before).cloned().collect();
            ensure!(left.is_empty(), "{left:?}");
            let now = world.sql(ON_THE_PRIMARY).await?;
            ensure!(now == primary, "slots, replicas, locks, roles: {now}, before: {primary}");
            Ok(())
        })
        .await?;
        println!("{there} objects were gone after {:.0} s, slots left: 0", begun.elapsed().as_secs_f64());
        Ok(())
    })
    .await
}
