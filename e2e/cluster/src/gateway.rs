//! A Gateway of Gateway API: Traefik, built from the Go proxy, and the definitions of Gateway API's module. Runs go, buildah
//! and kubectl.
//!
//! It is no part of every cluster: it takes more than ten minutes to build, and few promises need it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::command::output;
use super::image::load_program;
use super::parts::{TRAEFIK, build_part, module};
use super::paths::{Cache, ClusterDir};

const IMAGE: &str = "localhost/traefik:v3.6.12";
const MODULE: &str = "sigs.k8s.io/gateway-api";

/// Namespace of Traefik and of its Gateway, which takes routes of all namespaces.
pub const NAMESPACE: &str = "gateway";
/// Name of the Gateway, of the Deployment and of the Service, whose port is 80.
pub const NAME: &str = "public";

/// Builds Traefik without a cluster.
///
/// # Errors
/// When the build fails; the sentence names the log.
pub fn build(cache: &Cache) -> Result<()> {
    build_part(cache, TRAEFIK)
}

/// Builds Traefik's image, and loads it into the cluster.
///
/// # Errors
/// When the build fails, or the cluster is down.
pub fn load_image(cache: &Cache, dir: &ClusterDir) -> Result<()> {
    build(cache)?;
    load_program(cache, dir, IMAGE, TRAEFIK)
}

/// The definitions of Gateway API's standard channel, as YAML documents.
///
/// # Errors
/// When the module cannot be read.
pub fn definitions() -> Result<String> {
    let mut download = Command::new("go");
    download.current_dir(module(TRAEFIK)).env("GOFLAGS", "").env("GOWORK", "off");
    let told = output(download.args(["mod", "download", "-json", MODULE]))?;
    let told: serde_json::Value = serde_json::from_str(&told).context("failed to read the answer of go")?;
    let folder = told["Dir"].as_str().context("go named no folder of the module")?;
    let folder = Path::new(folder).join("config/crd/standard");
    let mut texts = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))? {
        texts.push(fs::read_to_string(entry?.path())?);
    }
    Ok(texts.join("\n---\n"))
}

/// Traefik and its Gateway.
#[must_use]
pub fn manifests() -> String {
    include_str!("gateway.yaml").replace("IMAGE", IMAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_has_the_version_of_the_module() {
        let pinned = fs::read_to_string(module(TRAEFIK).join("go.mod")).unwrap();
        let (_, version) = IMAGE.rsplit_once(':').unwrap();
        assert!(pinned.contains(&format!("github.com/traefik/traefik/v3 {version}")), "{version}");
        assert!(pinned.contains(MODULE), "{MODULE}");
    }
}
