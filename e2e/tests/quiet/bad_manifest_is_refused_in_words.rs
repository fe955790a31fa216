//! The API server refuses a bad manifest with the sentence that its author needs, and takes every good one.

use anyhow::{Context, Result, bail, ensure};
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use scalableapp_crds::ScalableApp;
use scalableapp_e2e::cluster::paths::CRATE_DIR;
use scalableapp_e2e::world::World;
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

#[tokio::test]
async fn bad_manifest_is_refused_in_words() -> Result<()> {
    World::run("bad_manifest", async |world| {
        let resource = ApiResource::erase::<ScalableApp>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(world.client(), world.namespace(), &resource);
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        for (path, text) in manifests("bad")? {
            let sentence = sentence(&text).with_context(|| format!("{} says nothing", path.display()))?;
            let refusal = match api.create(&dry_run, &serde_saphyr::from_str(&text)?).await {
                Ok(_) => bail!("{} was accepted", path.display()),
                Err(error) => error.to_string(),
            };
            ensure!(refusal.contains(sentence), "{}: {refusal}", path.display());
        }
        for (path, text) in manifests("good")? {
            let created = api.create(&dry_run, &serde_saphyr::from_str(&text)?).await;
            created.with_context(|| format!("{} was refused", path.display()))?;
        }
        Ok(())
    })
    .await
}
