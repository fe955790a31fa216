//! A Prometheus that answers with errors, or too late, takes no replica away, and a condition says which of the two it is.

use anyhow::{Context, Result, ensure};
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::operator::LocalOperator;
use scalableapp_e2e::prometheus_stub::{PrometheusStub, Trouble};
use scalableapp_e2e::world::{World, wait_until};
use serde_json::json;
use std::time::Duration;

/// Short times, so that the test need not wait for the defaults.
const TIMES: [&str; 6] = ["--tick", "2s", "--prometheus-timeout", "1s", "--staleness", "20s"];

const ERRORS: Trouble = Trouble { delay: Duration::ZERO, failing: 1.0 };
const LATE: Trouble = Trouble { delay: Duration::from_secs(30), failing: 0.0 };

#[tokio::test]
async fn prometheus_fault_is_named() -> Result<()> {
    World::apart("prometheus_fault_is_named", faults).await
}

async fn faults(world: &World) -> Result<()> {
    let prometheus = PrometheusStub::start()?;
    let shop = (world.namespace().to_owned(), "shop".to_owned());
    prometheus.set(&shop, 25.0);
    let directory = tempfile::tempdir()?;
    let kubeconfig = std::env::var_os("KUBECONFIG").context("set KUBECONFIG to the cluster's")?;
    let operator = LocalOperator::start(
        "faults",
        kubeconfig.as_ref(),
        world.namespace(),
        &prometheus.url(),
        directory.path(),
        &[&TIMES[..], &["--namespaces", world.namespace()]].concat(),
    )?;
    let mut app = world.shop(1, 3, "10")?;
    // Without this window a missing metric that counted as zero would take replicas within seconds.
    app["spec"]["services"][0]["scaling"]["behavior"] =
        json!({"scaleDown": {"stabilizationWindowSeconds": 0}});
    world.apply_app(&app).await?;
    wait_until("three replicas are ready", Duration::from_secs(90), async || {
        let web = world.web().await?;
        ensure!(web.desired == 3 && web.ready == 3, "{web:?}: {}", operator.log());
        Ok(())
    })
    .await?;
    for (trouble, words) in [(ERRORS, "it answered 500"), (LATE, "within 1s")] {
        prometheus.set_trouble(trouble);
        wait_until(&format!("\"{words}\" is said"), Duration::from_secs(90), async || {
            let condition = world.says("MetricsAvailable", ConditionStatus::False, "MetricStale").await?;
            ensure!(condition.message.contains(words), "{condition:?}");
            Ok(())
        })
        .await?;
        ensure!(world.replicas().await? == 3, "{} replicas", world.replicas().await?);
        world.says("Ready", ConditionStatus::True, "UpAsDeclared").await?;
    }
    prometheus.set(&shop, 5.0);
    prometheus.set_trouble(Trouble::default());
    wait_until("what Prometheus says again is one replica", Duration::from_secs(60), async || {
        ensure!(world.replicas().await? == 1, "{} replicas", world.replicas().await?);
        world.says("MetricsAvailable", ConditionStatus::True, "AllMetricsFresh").await.map(drop)
    })
    .await
}
