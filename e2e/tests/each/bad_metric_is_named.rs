//! A query that returns nothing, no number, too much or what it may not see takes no replica away, and a condition says
//! what to change.

use anyhow::{Result, ensure};
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::world::{World, wait_until};
use std::time::Duration;

/// What a query may get wrong: the reason, and the words of the condition.
const FAULTS: [(&str, &str, &str); 4] = [
    ("sum(there_is_no_such_series)", "MetricAbsent", "the query returned no series"),
    ("vector(0) / vector(0)", "MetricImplausible", "the query returned NaN"),
    (
        r#"label_replace(vector(1), "a", "1", "", "") or label_replace(vector(2), "a", "2", "", "")"#,
        "MetricImplausible",
        "the query returned several series, wrap it in sum() so that it returns one",
    ),
    (r#"sum(up{namespace="kube-system"})"#, "MetricAbsent", "which the operator adds to every selector"),
];

#[tokio::test]
async fn bad_metric_is_named() -> Result<()> {
    World::run("bad_metric", async |world| {
        world.scale_on_query("vector(25)").await?;
        wait_until("25 carts at 10 each are three ready replicas", Duration::from_secs(120), async || {
            world.has_ready(3).await
        })
        .await?;
        for (query, reason, words) in FAULTS {
            world.scale_on_query(query).await?;
            wait_until(&format!("{query} is named"), Duration::from_secs(60), async || {
                let condition = world.says("MetricsAvailable", ConditionStatus::False, reason).await?;
                ensure!(condition.message.contains(words), "{condition:?}");
                Ok(())
            })
            .await?;
            world.has_replicas(3).await?;
            world.is_up().await?;
        }
        world.scale_on_query("vector(5)").await?;
        wait_until("5 carts are one replica", Duration::from_secs(60), async || world.has_replicas(1).await)
            .await
    })
    .await
}
