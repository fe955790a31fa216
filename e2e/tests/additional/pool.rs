//! A pool of workers whose jobs take a known time.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use scalableapp_e2e::world::{World, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

/// Each report takes this long: its row waits in the database.
pub(super) async fn slow_reports(world: &World, time: Duration) -> Result<()> {
    let statement = format!(
        "CREATE FUNCTION reports.wait() RETURNS trigger LANGUAGE plpgsql AS \
            $$ BEGIN PERFORM pg_sleep({}); RETURN NEW; END $$; \
         CREATE TRIGGER wait BEFORE INSERT ON reports.reports FOR EACH ROW EXECUTE FUNCTION reports.wait()",
        time.as_secs_f64()
    );
    world.sql(&statement).await.map(drop)
}

/// Adds jobs that make reports, as the service does.
pub(super) async fn add_reports(world: &World, count: usize) -> Result<()> {
    let statement = format!(
        "INSERT INTO jobs.jobs (id, queue, kind, payload, max_attempts, due_at) \
         SELECT gen_random_uuid(), 'reports', 'report', '{{\"from\": \"2020-01-01\", \"to\": \"2020-01-02\"}}', 5, now() \
         FROM generate_series(1, {count})"
    );
    world.sql(&statement).await.map(drop)
}

/// The pool of examples/workers.yaml with these variables.
pub(super) fn pool(world: &World, variables: &[(&str, &str)]) -> Result<Value> {
    let mut app = world.example("examples/workers.yaml")?;
    let worker = &mut app["spec"]["workers"][0];
    let env = variables.iter().map(|(name, value)| json!({"name": name, "value": value}));
    let env: Vec<Value> =
        env.chain([json!({"name": "WORKER_DRAIN", "value": "$(DRAIN_TIMEOUT)s"})]).collect();
    worker["env"] = json!(env);
    Ok(app)
}

/// The app with exactly this many workers.
pub(super) fn with_workers(app: &Value, replicas: i32) -> Value {
    let mut app = app.clone();
    app["spec"]["workers"][0]["scaling"] = json!({"minReplicas": replicas, "maxReplicas": replicas});
    app
}

/// Waits until the pool has this many pods, all of them ready, besides those that leave; returns them.
pub(super) async fn has_workers(world: &World, replicas: usize) -> Result<Vec<Pod>> {
    wait_until("the workers are ready", Duration::from_secs(90), async || {
        let pods = world.pods_of("reports").await?;
        let is_ready = |pod: &&Pod| {
            let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
            conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True")
        };
        let ready = pods.iter().filter(is_ready).count();
        ensure!(pods.len() == replicas && ready == replicas, "{ready} of {} pods are ready", pods.len());
        Ok(pods)
    })
    .await
    .context("the pool does not have its pods")
}
