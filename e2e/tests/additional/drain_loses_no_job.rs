//! Ten thousand jobs outlive ten scale-ins, a rollout, evictions of every worker as by the drain of a node, and a worker
//! that does not hear SIGTERM. Each is done once, and each pod that leaves has the time that the spec gives it.

use super::pool::{add_reports, has_workers, pool, slow_reports, with_workers};
use anyhow::{Context, Result, bail, ensure};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, EvictParams};
use kube::runtime::{WatchStreamExt, watcher};
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::world::{World, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const SCALE_INS: usize = 10;
const JOBS_EACH: usize = 1_000;
const JOBS: usize = SCALE_INS * JOBS_EACH;
const WORKERS: i32 = 4;
/// `drain.timeout`, and 5 seconds for the process to end.
const GRACE: i64 = 5 + 5;
/// Stops the worker's process, which hears no SIGTERM from then on. There is no such program in its own container.
const STOP: &str = "for of in /proc/[0-9]*; do read -r name <$of/comm && [ $name = app-template ] && kill -STOP ${of#/proc/}; done; true";

/// The grace period of each pod that left, by its name.
type Graces = Arc<Mutex<BTreeMap<String, i64>>>;

/// Notes the grace period of every worker that leaves, until it is dropped.
async fn note_graces(world: &World, graces: Graces) {
    let pods: Api<Pod> = Api::namespaced(world.client(), world.namespace());
    let config = watcher::Config::default().labels("scalableapp.dev/component=reports");
    let mut touched = pin!(watcher(pods, config).default_backoff().touched_objects());
    while let Some(event) = touched.next().await {
        let Ok(pod) = event else { continue };
        // A pod that is killed at its end has 0 in the last event.
        if let Some(grace) = pod.metadata.deletion_grace_period_seconds.filter(|grace| *grace > 0) {
            graces.lock().unwrap_or_else(PoisonError::into_inner).entry(pod.name_any()).or_insert(grace);
        }
    }
}

/// Evicts a pod as `kubectl drain` does: again while the disruption budget does not allow it.
async fn evict(pods: &Api<Pod>, name: &str) -> Result<()> {
    wait_until("the pod is evicted", Duration::from_secs(90), async || {
        match pods.evict(name, &EvictParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            answer => Ok(answer.map(drop)?),
        }
    })
    .await
}

/// Evicts every worker. One of them hears nothing, and is killed at the end of its time.
async fn drain_node(world: &World) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(world.client(), world.namespace());
    let workers = has_workers(world, WORKERS as usize).await?;
    let deaf = workers.first().context("there is no worker")?.name_any();
    wait_until("it runs jobs", Duration::from_secs(30), async || {
        let running =
            world.sql("SELECT count(DISTINCT worker) FROM jobs.jobs WHERE state = 'running'").await?;
        ensure!(running == WORKERS.to_string(), "{running} workers run jobs");
        Ok(())
    })
    .await?;
    world.exec(&deaf, "shell", &["sh", "-c", STOP]).await?;
    let begun = Instant::now();
    for pod in &workers {
        evict(&pods, &pod.name_any()).await?;
    }
    wait_until("the deaf worker is gone", Duration::from_secs(60), async || {
        ensure!(pods.get_opt(&deaf).await?.is_none(), "it is still there");
        Ok(())
    })
    .await?;
    println!("a worker that hears no SIGTERM was gone after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Ten scale-ins, a rollout and a drain, while there are jobs.
async fn disturb(world: &World, app: &Value) -> Result<()> {
    let mut app = app.clone();
    for number in 0..SCALE_INS {
        add_reports(world, JOBS_EACH).await?;
        world.apply_app(&with_workers(&app, WORKERS)).await?;
        has_workers(world, WORKERS as usize).await?;
        match number {
            3 => {
                let env = app["spec"]["workers"][0]["env"].as_array_mut().context("there is no env")?;
                env.push(json!({"name": "VERSION", "value": "2"}));
                world.apply_app(&with_workers(&app, WORKERS)).await?;
                wait_until("the new version runs", Duration::from_secs(120), async || {
                    world.is_up().await?;
                    world.says("RolloutProgressing", ConditionStatus::False, "RolledOut").await
                })
                .await?;
            }
            6 => drain_node(world).await?,
            _ => {}
        }
        has_workers(world, WORKERS as usize).await?;
        world.apply_app(&with_workers(&app, 1)).await?;
        has_workers(world, 1).await?;
    }
    world.apply_app(&with_workers(&app, WORKERS)).await
}

#[tokio::test]
async fn drain_loses_no_job() -> Result<()> {
    World::run("drain_loses_no_job", async |world| {
        world.start_servers(&[]).await?;
        let variables = [("WORKER_CONCURRENCY", "6"), ("WORKER_LEASE", "6s"), ("DATABASE_MAIN_POOL", "9")];
        let mut app = pool(world, &variables)?;
        let worker = &mut app["spec"]["workers"][0];
        worker["drain"] = json!({"timeout": "5s"});
        let pod = &mut worker["podTemplate"]["spec"];
        pod["shareProcessNamespace"] = json!(true);
        let shell =
            json!({"name": "shell", "image": world.images().postgres()?, "command": ["sleep", "infinity"]});
        pod["containers"].as_array_mut().context("the worker has no containers")?.push(shell);
        world.apply_app(&with_workers(&app, WORKERS)).await?;
        has_workers(world, WORKERS as usize).await?;
        slow_reports(world, Duration::from_millis(400)).await?;

        let graces = Graces::default();
        let begun = Instant::now();
        tokio::select! {
            () = note_graces(world, Arc::clone(&graces)) => bail!("the watch of the workers has ended"),
            disturbed = disturb(world, &app) => disturbed?,
        }
        wait_until("every job is done", Duration::from_secs(240), async || {
            let done = world.sql("SELECT count(*) FROM jobs.jobs WHERE state = 'done'").await?;
            ensure!(done == JOBS.to_string(), "{done} of {JOBS} jobs are done");
            Ok(())
        })
        .await?;
        let elapsed = begun.elapsed().as_secs_f64();
        let counts = world
            .sql(
                "SELECT count(*), count(DISTINCT job), (SELECT count(*) FROM jobs.jobs WHERE lost_leases > 0) \
                 FROM reports.reports",
            )
            .await?;
        let counts: Vec<usize> = counts.split('|').map(str::parse).collect::<Result<_, _>>()?;
        let [reports, jobs, leased_again] = counts[..] else { bail!("{counts:?}") };
        let (lost, doubled) = (JOBS - jobs, reports - jobs);
        println!("drain_loses_no_job: {JOBS} jobs in {elapsed:.0} s, lost: {lost}, doubled: {doubled}");
        let graces = graces.lock().unwrap_or_else(PoisonError::into_inner);
        println!("{} workers left, {leased_again} jobs were leased again", graces.len());
        ensure!(lost == 0 && doubled == 0, "{lost} jobs are lost, {doubled} are doubled");
        ensure!(leased_again > 0, "the worker that heard no SIGTERM held no job");
        let other: Vec<_> = graces.iter().filter(|(_, grace)| **grace != GRACE).collect();
        ensure!(other.is_empty() && graces.len() >= SCALE_INS * 3, "{} workers left, {other:?}", graces.len());
        Ok(())
    })
    .await
}
