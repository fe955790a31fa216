//! The API server refuses a bad manifest with the sentence that its author needs, and takes every good one.

use anyhow::{Context, Result, bail, ensure};
use hyper::{Request, header};
use scalableapp_crds::{GROUP, VERSION};
use scalableapp_e2e::CRATE_DIR;
use scalableapp_e2e::world::World;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn manifests(folder: &str) -> Result<Vec<(PathBuf, String)>> {
    let folder = Path::new(CRATE_DIR).join("../crds/tests/manifests").join(folder);
    let mut read = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))? {
        let path = entry?.path();
        read.push((path.clone(), fs::read_to_string(&path)?));
    }
    ensure!(!read.is_empty(), "{} is empty", folder.display());
    Ok(read)
}

/// The sentence that the API server says: its own for bounds of the schema, else that of the rule.
fn sentence(text: &str) -> Option<&str> {
    let line = |prefix: &str| text.lines().find_map(|line| line.strip_prefix(prefix));
    line("# server says: ").or_else(|| line("# says: "))
}

/// Sends a manifest as `kubectl create --dry-run=server` does, which is strict about fields that do not exist.
async fn try_to_create(world: &World, text: &str) -> Result<()> {
    let manifest: Value = serde_saphyr::from_str(text)?;
    let kind = manifest["kind"].as_str().context("no kind")?.to_lowercase();
    let path = format!("/apis/{GROUP}/{VERSION}/namespaces/{}/{kind}s", world.namespace());
    let request = Request::post(format!("{path}?dryRun=All&fieldValidation=Strict"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(serde_json::to_vec(&manifest)?)?;
    world.client().request::<Value>(request).await?;
    Ok(())
}

#[tokio::test]
async fn bad_manifest_is_refused_in_words() -> Result<()> {
    World::run("bad_manifest", async |world| {
        for (path, text) in manifests("bad")? {
            let sentence = sentence(&text).with_context(|| format!("{} says nothing", path.display()))?;
            let refusal = match try_to_create(world, &text).await {
                Ok(_) => bail!("{} was accepted", path.display()),
                Err(error) => format!("{error:#}"),
            };
            ensure!(refusal.contains(sentence), "{}: {refusal}", path.display());
        }
        for (path, text) in manifests("good")? {
            let created = try_to_create(world, &text).await;
            created.with_context(|| format!("{} was refused", path.display()))?;
        }
        Ok(())
    })
    .await
}
