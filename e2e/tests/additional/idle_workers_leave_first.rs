//! Of five workers one is in the middle of a job. When four of them leave, it stays, and its job is not begun again.

use super::pool::{add_reports, has_workers, pool, slow_reports, with_workers};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use scalableapp_e2e::world::{World, wait_until};
use std::time::Duration;

const WORKERS: i32 = 5;
const COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The worker that runs the job, once Prometheus knows the jobs of each.
async fn busy_worker(world: &World) -> Result<String> {
    wait_until("Prometheus knows who is busy", Duration::from_secs(30), async || {
        let prometheus = world.prometheus("scalableapp-system", "scalableapp-prometheus:9090");
        let selector = format!("jobs_in_flight{{namespace=\"{}\",queue=\"reports\"}}", world.namespace());
        let known = prometheus.query(&selector).await?;
        let mut busy = known.iter().filter(|sample| sample.value > 0.0);
        let first = busy.next().context("nobody is busy")?;
        ensure!(known.len() == WORKERS as usize && busy.next().is_none(), "{known:?}");
        first.labels.get("pod").cloned().context("a series has no pod")
    })
    .await
}

#[tokio::test]
async fn idle_workers_leave_first() -> Result<()> {
    World::run("idle_workers_leave_first", async |world| {
        world.start_servers(&[]).await?;
        let variables = [("WORKER_CONCURRENCY", "1"), ("DATABASE_STATEMENT_TIMEOUT", "60s")];
        let app = pool(world, &variables)?;
        world.apply_app(&with_workers(&app, WORKERS)).await?;
        has_workers(world, WORKERS as usize).await?;
        slow_reports(world, Duration::from_secs(45)).await?;
        add_reports(world, 1).await?;
        let busy = busy_worker(world).await?;
        // The operator's next tick reads it, too.
        tokio::time::sleep(Duration::from_secs(6)).await;

        world.apply_app(&with_workers(&app, 1)).await?;
        let pods: Api<Pod> = Api::namespaced(world.client(), world.namespace());
        let of_pool = ListParams::default().labels("scalableapp.dev/component=reports");
        let (mut told, mut left) = (0, Vec::new());
        wait_until("four workers leave", Duration::from_secs(30), async || {
            let all = pods.list(&of_pool).await?.items;
            told = told.max(
                all.iter().filter(|pod| pod.annotations().get(COST).is_some_and(|cost| cost == "-1")).count(),
            );
            left = all
                .iter()
                .filter(|pod| pod.metadata.deletion_timestamp.is_none())
                .map(|pod| pod.name_any())
                .collect();
            ensure!(left.len() == 1, "{left:?} are left");
            Ok(())
        })
        .await?;
        println!(
            "idle_workers_leave_first: {told} workers were told to leave, {busy} was busy, {left:?} is left"
        );
        ensure!(left == [busy.clone()], "{busy} was busy, {left:?} is left");
        ensure!(told > 0, "nobody was told to leave");
        wait_until("the job is done", Duration::from_secs(60), async || {
            let done = world.sql("SELECT state, attempts FROM jobs.jobs").await?;
            ensure!(done == "done|1", "{done}");
            Ok(())
        })
        .await
    })
    .await
}
