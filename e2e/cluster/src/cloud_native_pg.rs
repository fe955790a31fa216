//! CloudNativePG: its operator, built from the Go proxy, and the manifests of its module. Runs go, buildah and kubectl.
//!
//! It is no part of every cluster: it takes minutes to build, and a single promise needs it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::command::output;
use super::image::{build_folder, load};
use super::packages;
use super::parts::{CLOUD_NATIVE_PG, build_part, module, program};
use super::paths::{Cache, ClusterDir};
use super::servers;

const IMAGE: &str = "localhost/cloudnative-pg:1.30.0";
const MODULE: &str = "github.com/cloudnative-pg/cloudnative-pg";
/// The image in the manifests, which CloudNativePG's own releases replace, too.
const PLACEHOLDER: &str = "controller:latest";

/// Builds the operator's image, and loads it into the cluster.
///
/// # Errors
/// When the build fails, or the cluster is down.
pub fn load_image(cache: &Cache, dir: &ClusterDir) -> Result<()> {
    packages::ensure()?;
    build_part(cache, CLOUD_NATIVE_PG)?;
    let manager = program(cache, "manager")?;
    // Its folder has the name of its content.
    let content = manager.as_os_str().as_encoded_bytes().to_owned();
    let archive = build_folder(cache, IMAGE, CLOUD_NATIVE_PG, &content, |root| assemble(&manager, root))?;
    load(dir, IMAGE, &archive)
}

/// The operator looks for the programs of its instances in `/operator`, one for each architecture, and calls itself
/// `/manager`.
fn assemble(manager: &Path, root: &Path) -> Result<()> {
    let folder = root.join("operator");
    fs::create_dir_all(&folder)?;
    let name = format!("manager_{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
    fs::copy(manager, folder.join(&name))?;
    Ok(symlink(Path::new("operator").join(name), root.join("manager"))?)
}

/// The manifests of the operator, in its namespace `cnpg-system`, with the image of [`load_image`].
///
/// # Errors
/// When the module cannot be read, or kubectl fails.
pub fn manifests(cache: &Cache) -> Result<String> {
    let folder = sources()?.join("config/default");
    let rendered = output(Command::new(cache.bin().join("kubectl")).arg("kustomize").arg(folder))?;
    let text = rendered.replace(PLACEHOLDER, IMAGE);
    Ok(text.replace("imagePullPolicy: Always", "imagePullPolicy: Never"))
}

/// The major version of PostgreSQL in the cluster's image, which a Cluster has to name.
///
/// # Errors
/// When PostgreSQL is not installed.
pub fn postgres_major() -> Result<u32> {
    Ok(servers::postgres_version()?.parse()?)
}

/// The folder of the module, which go downloads unless it has it.
fn sources() -> Result<PathBuf> {
    let mut download = Command::new("go");
    download.current_dir(module(CLOUD_NATIVE_PG)).env("GOFLAGS", "").env("GOWORK", "off");
    let told = output(download.args(["mod", "download", "-json", MODULE]))?;
    let told: serde_json::Value = serde_json::from_str(&told).context("failed to read the answer of go")?;
    Ok(told["Dir"].as_str().context("go named no folder of the module")?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_has_the_program_of_its_instances_under_both_names() {
        let folder = tempfile::tempdir().unwrap();
        let manager = folder.path().join("built");
        fs::write(&manager, "a program").unwrap();
        let root = folder.path().join("root");
        assemble(&manager, &root).unwrap();
        assert_eq!(fs::read_to_string(root.join("manager")).unwrap(), "a program");
        assert_eq!(fs::read_dir(root.join("operator")).unwrap().count(), 1);
    }

    #[test]
    fn the_image_has_the_version_of_the_module() {
        let pinned = fs::read_to_string(module(CLOUD_NATIVE_PG).join("go.mod")).unwrap();
        let (_, version) = IMAGE.rsplit_once(':').unwrap();
        assert!(pinned.contains(&format!("{MODULE} v{version}")), "{version}");
    }
}
