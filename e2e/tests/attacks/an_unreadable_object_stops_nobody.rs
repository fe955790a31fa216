//! An object with a time that the operator cannot hold, of each kind that it watches: other apps are served after a
//! restart, and what has no effect says so.

use anyhow::{Context, Result, ensure};
use kube::Client;
use serde_json::{Value, json};

use super::arena::Arena;
use super::objects::{Objects, app, labelled, serves};

#[tokio::test]
async fn an_unreadable_object_stops_nobody() -> Result<()> {
    let client = Client::try_default().await?;
    let mut arena = Arena::start(client.clone(), &[]).await?;
    let (attacker, victim) = (arena.tenant().await?, arena.tenant().await?);
    let objects = Objects::of(client.clone(), &attacker);
    objects.create("apis/scalableapp.dev/v1alpha1", "scalableapps", &app("bad")).await?;
    for (group, plural, object) in labelled(&|_| {}) {
        objects.create(group, plural, &object).await?;
    }
    let kinds = labelled(&|_| {}).into_iter().map(|(group, plural, _)| (group, plural, "attack"));
    for (group, plural, name) in kinds.chain([("apis/scalableapp.dev/v1alpha1", "scalableapps", "bad")]) {
        objects.give_a_time_of_the_year_9999(group, plural, name).await?;
    }
    let end = |time: &str| {
        json!({"metadata": {"name": "act"}, "spec": {"app": "bad", "hold": {}, "by": "jane", "reason": "a test",
            "expiresAt": time}})
    };
    let overrides = ("apis/scalableapp.dev/v1alpha1", "scalingoverrides");
    let refused = objects.create(overrides.0, overrides.1, &end("9999-12-31T23:59:59Z")).await;
    let refused = format!("{:#}", refused.err().context("an override without end was taken")?);
    ensure!(refused.contains("expiresAt must be a time before the year 9999"), "{refused}");
    // The API server takes more digits than a time has here.
    objects.create(overrides.0, overrides.1, &end("2036-01-01T00:00:00.1234567891Z")).await?;

    arena.restart(&[])?;
    arena.leads().await?;
    let others = Objects::of(client, &victim);
    others.create("apis/scalableapp.dev/v1alpha1", "scalableapps", &app("shop")).await?;
    serves(&others, "shop").await?;
    serves(&objects, "bad").await?;
    let said = |one: &Value| one.pointer("/status/conditions/0/reason").cloned();
    objects.until(overrides.0, overrides.1, "act", |act| said(act) == Some(json!("Unreadable"))).await?;
    arena.end().await
}
