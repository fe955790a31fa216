//! Images: built from Containerfiles into archives in the cache, and imported into a cluster. Runs buildah and ctr.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::command::output;
use super::config::PAUSE_IMAGE;
use super::nodes::Nodes;
use super::parts::{build_all, program, short};
use super::paths::{CRATE_DIR, Cache, ClusterDir, repository};
use super::progress::step;
use super::servers::{self, Server};
use super::status::running_init;
use super::{base, packages};

/// An image to be built.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// Its `ARG BASE`, if it has one, is set to the base image.
    pub containerfile: PathBuf,
    /// The folder that `COPY` reads from.
    pub context: PathBuf,
    /// A full name such as `localhost/name:tag`.
    pub tag: String,
}

/// The images of our own programs and their Containerfiles, relative to the repository.
const PROJECT_IMAGES: [(&str, &str); 3] = [
    ("localhost/scalableapp-operator:dev", "operator/Containerfile"),
    ("localhost/app-template:dev", "app-template/Containerfile"),
    ("localhost/scalableapp-load:dev", "e2e/Containerfile"),
];

/// Images of one program of the parts each. A Containerfile has its program's name.
const CLUSTER_IMAGES: [(&str, &str); 3] = [
    (PAUSE_IMAGE, "pause"),
    ("localhost/coredns:v1.12.4", "coredns"),
    ("localhost/prometheus:v3.16.0", "prometheus"),
];
const EXPORTER_IMAGES: [(&str, &str); 2] = [
    ("localhost/postgres-exporter:v0.19.1", "postgres_exporter"),
    ("localhost/redis-exporter:v1.88.0", "redis_exporter"),
];

const BASE_IMAGE: &str = "localhost/scalableapp-base:bookworm";

/// Builds the images of every cluster, and returns their tags and archives. The pause image comes first.
pub(super) fn cluster_images(cache: &Cache) -> Result<Vec<(String, PathBuf)>> {
    CLUSTER_IMAGES
        .iter()
        .map(|(tag, name)| Ok(((*tag).to_owned(), build(cache, &of_program(cache, tag, name)?)?)))
        .collect()
}

fn of_program(cache: &Cache, tag: &str, name: &str) -> Result<BuildRequest> {
    let binary = program(cache, name)?;
    let context = binary.parent().context("a part has no folder")?.to_owned();
    Ok(BuildRequest { containerfile: containerfile(name), context, tag: tag.to_owned() })
}

/// The Containerfile of an image that is not one of our own programs.
fn containerfile(name: &str) -> PathBuf {
    Path::new(CRATE_DIR).join("images").join(format!("{name}.Containerfile"))
}

/// Builds the images of our own programs from the results of `cargo build --release`, and loads them.
///
/// # Errors
/// When a program has not been built, or the cluster is down.
pub fn load_project_images(cache: &Cache, dir: &ClusterDir) -> Result<()> {
    let repository = repository()?;
    for (tag, containerfile) in PROJECT_IMAGES {
        let containerfile = repository.join(containerfile);
        let request = BuildRequest { containerfile, context: repository.clone(), tag: tag.to_owned() };
        build_and_load(cache, dir, &request)?;
    }
    Ok(())
}

/// Builds the images of PostgreSQL and Redis from the installed packages, and of their exporters, and loads them.
///
/// # Errors
/// When a server is not installed, an exporter cannot be built, or the cluster is down.
pub fn load_server_images(cache: &Cache, dir: &ClusterDir) -> Result<()> {
    packages::ensure()?;
    build_all(cache, Nodes::Real)?;
    for Server { name, files } in servers::installed()? {
        let tag = format!("localhost/{name}:debian");
        let content = servers::digest(&files)?;
        let archive = build_folder(cache, &tag, name, &content, |root| servers::assemble(&files, root))?;
        tell_size(&tag, &archive)?;
        load(dir, &tag, &archive)?;
    }
    for (tag, name) in EXPORTER_IMAGES {
        build_and_load(cache, dir, &of_program(cache, tag, name)?)?;
    }
    Ok(())
}

/// Builds an image of a built program of the parts, and loads it.
pub(super) fn load_program(cache: &Cache, dir: &ClusterDir, tag: &str, name: &str) -> Result<()> {
    build_and_load(cache, dir, &of_program(cache, tag, name)?)
}

/// The archive is not compressed, so this is the image's size on a node.
fn tell_size(tag: &str, archive: &Path) -> Result<()> {
    println!("{tag} has {:.1} MB", fs::metadata(archive)?.len() as f64 / 1e6);
    Ok(())
}

/// Builds an image unless the cache has it, and loads it into the cluster.
///
/// # Errors
/// When the build fails or the cluster is down.
pub fn build_and_load(cache: &Cache, dir: &ClusterDir, request: &BuildRequest) -> Result<()> {
    packages::ensure()?;
    let archive = build(cache, request)?;
    tell_size(&request.tag, &archive)?;
    load(dir, &request.tag, &archive)
}

/// Loads an OCI archive. The tags are those in the archive, and must be full names.
///
/// # Errors
/// When the cluster is down or the archive is invalid.
pub fn load_archive(dir: &ClusterDir, archive: &Path) -> Result<()> {
    let archive = archive.canonicalize().with_context(|| format!("failed to find {}", archive.display()))?;
    import(dir, &archive)
}

/// Loads our archive under its tag, unless the cluster has it.
pub(super) fn load(dir: &ClusterDir, tag: &str, archive: &Path) -> Result<()> {
    let (record, content) = (dir.imported(tag), archive.as_os_str().as_encoded_bytes());
    if fs::read(&record).is_ok_and(|recorded| recorded == content) {
        return Ok(());
    }
    step(&format!("images: load {tag}"), || import(dir, archive))?;
    fs::create_dir_all(record.parent().context("the record has no folder")?)?;
    Ok(fs::write(record, content)?)
}

/// containerd is reached in the cluster's own mounts, with the usual path of its socket.
fn import(dir: &ClusterDir, archive: &Path) -> Result<()> {
    let Some(pid) = running_init(dir) else {
        bail!("cluster {} is down: bring it up with 'cluster up' first", dir.name);
    };
    output(
        Command::new("nsenter")
            .args(["--target", &pid.to_string(), "--mount", "--pid", "--net"])
            .args(["ctr", "--namespace", "k8s.io", "images", "import"])
            .arg(archive),
    )
    .map(drop)
}

/// Builds an image unless the cache has one of the same content, and returns its archive.
pub(super) fn build(cache: &Cache, request: &BuildRequest) -> Result<PathBuf> {
    let text = fs::read_to_string(&request.containerfile)
        .with_context(|| format!("failed to read {}", request.containerfile.display()))?;
    let base = if text.contains("ARG BASE") { Some(base_archive(cache)?) } else { None };
    let mut hash = Sha256::new_with_prefix(&text);
    hash.update(base.as_deref().unwrap_or(Path::new("")).as_os_str().as_encoded_bytes());
    for source in copied(&text) {
        let path = request.context.join(source);
        let content = fs::read(&path).with_context(|| {
            let file = request.containerfile.display();
            format!(
                "{file} copies {}, which cannot be read: build it first (cargo build --release)",
                path.display()
            )
        })?;
        hash.update(content);
    }
    let archive = cache.archive(&file_name(&request.tag), &short(&hash.finalize()));
    if !archive.exists() {
        step(&format!("images: build {}", request.tag), || run_build(request, base.as_deref(), &archive))?;
    }
    Ok(archive)
}

fn base_archive(cache: &Cache) -> Result<PathBuf> {
    build_folder(cache, BASE_IMAGE, "base", include_bytes!("base.rs"), base::assemble)
}

/// Builds an image of a folder that `fill` writes, unless the cache has one of the same content.
pub(super) fn build_folder(
    cache: &Cache,
    tag: &str,
    name: &str,
    content: &[u8],
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let containerfile = containerfile(name);
    let mut hash = Sha256::new_with_prefix(fs::read(&containerfile)?);
    hash.update(content);
    let archive = cache.archive(&file_name(tag), &short(&hash.finalize()));
    if !archive.exists() {
        step(&format!("images: build {tag}"), || {
            let context = tempfile::tempdir()?;
            // The folder becomes the image's root, which the container's user must be able to read.
            fs::set_permissions(context.path(), Permissions::from_mode(0o755))?;
            fill(context.path())?;
            let request =
                BuildRequest { containerfile, context: context.path().to_owned(), tag: tag.to_owned() };
            run_build(&request, None, &archive)
        })?;
    }
    Ok(archive)
}

/// Each build has its own store, which is deleted with it, so only the archive remains on the machine.
fn run_build(request: &BuildRequest, base: Option<&Path>, archive: &Path) -> Result<()> {
    let folder = archive.parent().context("the archive has no folder")?;
    fs::create_dir_all(folder)?;
    let store = tempfile::tempdir_in(folder)?;
    let unfinished = store.path().join("image.tar");
    let mut buildah = Command::new("buildah");
    buildah.arg("--root").arg(store.path().join("root")).arg("--runroot").arg(store.path().join("run"));
    buildah.args(["--storage-driver", "vfs", "build", "--isolation", "chroot", "--format", "oci"]);
    if let Some(base) = base {
        buildah.args(["--build-arg", &format!("BASE=oci-archive:{}", base.display())]);
    }
    buildah.arg("--file").arg(&request.containerfile);
    buildah.arg("--tag").arg(format!("oci-archive:{}:{}", unfinished.display(), request.tag));
    output(buildah.arg(&request.context))?;
    fs::rename(unfinished, archive).context("failed to store an image in the cache")
}

/// The files of the context that a Containerfile copies.
fn copied(containerfile: &str) -> impl Iterator<Item = &str> {
    containerfile.lines().filter_map(|line| line.strip_prefix("COPY ")).flat_map(|arguments| {
        let words: Vec<&str> = arguments.split_whitespace().filter(|word| !word.starts_with("--")).collect();
        let sources = words.len().saturating_sub(1);
        words.into_iter().take(sources)
    })
}

fn file_name(tag: &str) -> String {
    tag.replace(['/', ':'], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_has_its_containerfile() {
        for (tag, containerfile) in PROJECT_IMAGES {
            assert!(repository().unwrap().join(containerfile).is_file(), "{tag}");
        }
        let programs = CLUSTER_IMAGES.iter().chain(&EXPORTER_IMAGES).map(|(_, name)| *name);
        for name in ["base", "cloud_native_pg", "postgres", "redis", "traefik"].into_iter().chain(programs) {
            assert!(containerfile(name).is_file(), "{name}");
        }
    }

    #[test]
    fn the_files_that_a_containerfile_copies_are_found() {
        let text = "ARG BASE=debian\nFROM ${BASE}\nCOPY --chown=1:1 a b/c /bin/\n# COPY no\nCOPY d /d\n";
        assert_eq!(copied(text).collect::<Vec<_>>(), ["a", "b/c", "d"]);
    }

    #[test]
    fn a_binary_that_was_not_built_is_named_with_the_command_that_builds_it() {
        let context = tempfile::tempdir().unwrap();
        let cache_dir = tempfile::tempdir().unwrap();
        let containerfile = context.path().join("Containerfile");
        fs::write(&containerfile, "FROM scratch\nCOPY target/release/x /x\n").unwrap();
        let request =
            BuildRequest { containerfile, context: context.path().to_owned(), tag: "localhost/x:1".into() };
        let cache = Cache::new(cache_dir.path().to_owned()).unwrap();
        let error = build(&cache, &request).unwrap_err().to_string();
        assert!(error.contains("target/release/x") && error.contains("cargo build --release"), "{error}");
    }
}
