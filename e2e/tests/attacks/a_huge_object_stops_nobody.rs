//! Objects of more than a megabyte, of each kind that is watched and with free JSON: the operator stays within the memory
//! that the chart gives it, serves others, and says which app is too large.

use anyhow::{Context, Result, ensure};
use kube::Client;
use serde_json::{Map, Value, json};

use super::arena::Arena;
use super::objects::{Objects, app, labelled, serves};

/// The chart's limit.
const LIMIT_KIB: u64 = 128 * 1024;

#[tokio::test]
async fn a_huge_object_stops_nobody() -> Result<()> {
    let client = Client::try_default().await?;
    let mut arena = Arena::start(client.clone(), &[]).await?;
    let (attacker, victim) = (arena.tenant().await?, arena.tenant().await?);
    let objects = Objects::of(client.clone(), &attacker);
    let apps = ("apis/scalableapp.dev/v1alpha1", "scalableapps");
    for (name, change) in huge_apps() {
        let mut huge = app(&name);
        change(&mut huge);
        objects.create(apps.0, apps.1, &huge).await.with_context(|| name)?;
    }
    let labels: Map<String, Value> = (0..60_000).map(|index| (format!("l{index}"), json!(""))).collect();
    let more_labels = |object: &mut Value| {
        object["metadata"]["labels"].as_object_mut().into_iter().for_each(|map| map.extend(labels.clone()));
    };
    for (group, plural, mut object) in labelled(&more_labels) {
        for index in 0..4 {
            object["metadata"]["name"] = json!(format!("attack-{index}"));
            objects.create(group, plural, &object).await?;
        }
    }

    arena.restart(&[])?;
    arena.leads().await?;
    let others = Objects::of(client, &victim);
    others.create(apps.0, apps.1, &app("shop")).await?;
    serves(&others, "shop").await?;
    for (name, reason) in [("volumes", "TooLarge"), ("values-0", "InvalidSpec")] {
        let says = |app: &Value| {
            let conditions =
                app.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
            conditions.into_iter().any(|one| one["type"] == "Ready" && one["reason"] == reason)
        };
        objects.until(apps.0, apps.1, name, says).await?;
    }
    // The API server takes longer than a write may for the status of an object with so many labels.
    objects.is_told("labels", "TooLarge").await?;
    let peak = peak_kib(arena.operator.id())?;
    println!("peak {peak} KiB");
    ensure!(peak < LIMIT_KIB, "the operator took {peak} KiB");
    arena.end().await
}

/// An app as it is made huge.
type Change = Box<dyn Fn(&mut Value)>;

fn huge_apps() -> Vec<(String, Change)> {
    fn volumes(app: &mut Value, volumes: &[Value]) {
        app["spec"]["services"][0]["podTemplate"] = json!({"spec": {"volumes": volumes}});
    }
    let mut apps: Vec<(String, Change)> = vec![
        ("volumes".to_owned(), Box::new(|app| volumes(app, &vec![json!({}); 400_000]))),
        (
            "labels".to_owned(),
            Box::new(|app| {
                let labels: Map<String, Value> =
                    (0..100_000).map(|index| (format!("l{index}"), json!(""))).collect();
                app["metadata"]["labels"] = Value::Object(labels);
            }),
        ),
    ];
    // As large as is read.
    for index in 0..10 {
        let values: Change = Box::new(|app| volumes(app, &vec![json!({"a": 1}); 30_000]));
        apps.push((format!("values-{index}"), values));
    }
    apps
}

/// The most memory that a process has had.
fn peak_kib(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("it has ended")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
