//! The Go programs of a cluster, their builds, and the cache of the results. Runs the Go compiler.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};

use super::lock;
use super::nodes::Nodes;
use super::paths::{CRATE_DIR, Cache};
use super::progress::step;

/// A Go module in `parts/` that pins one upstream project, and its programs.
#[derive(Debug)]
pub(super) struct Part {
    name: &'static str,
    /// `tool` builds the module's `tool` directives.
    packages: &'static str,
    tags: &'static str,
    ldflags: &'static str,
    /// Go names a program after its import path; if upstream uses another name, it is renamed.
    rename: Option<(&'static str, &'static str)>,
    programs: &'static [&'static str],
}

const STRIP: &str = "-s -w";

/// Parts that no cluster needs to come up.
pub(super) const CLOUD_NATIVE_PG: &str = "cloud_native_pg";
pub(super) const TRAEFIK: &str = "traefik";

/// Prefix of a build's folder until it is complete.
const UNFINISHED: &str = ".tmp";

/// The longest build comes first, so that it does not run alone at the end.
const PARTS: [Part; 11] = [
    Part {
        name: "kubernetes",
        packages: "tool",
        tags: "",
        // Without these the server and its clients report v0.0.0, and helm refuses charts by version.
        ldflags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.35.1 \
                  -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=35 \
                  -X k8s.io/client-go/pkg/version.gitVersion=v1.35.1",
        rename: None,
        programs: &[
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kube-proxy",
            "kubectl",
        ],
    },
    Part {
        name: "prometheus",
        packages: "tool",
        // Only Kubernetes discovery: another discovery's module is not available from the Go proxy.
        tags: "remove_all_sd,enable_kubernetes_sd,netgo",
        ldflags: "-s -w -X github.com/prometheus/common/version.Version=3.16.0",
        rename: None,
        programs: &["prometheus", "promtool"],
    },
    Part {
        name: "helm",
        packages: "tool",
        tags: "",
        ldflags: "-s -w -X helm.sh/helm/v4/internal/version.version=v4.3.1",
        rename: None,
        programs: &["helm"],
    },
    Part {
        name: "coredns",
        packages: "tool",
        tags: "",
        ldflags: STRIP,
        rename: None,
        programs: &["coredns"],
    },
    Part {
        name: "etcd",
        packages: "tool",
        tags: "",
        ldflags: STRIP,
        rename: Some(("server", "etcd")),
        programs: &["etcd"],
    },
    Part { name: "kwok", packages: "tool", tags: "", ldflags: STRIP, rename: None, programs: &["kwok"] },
    Part {
        name: "postgres_exporter",
        packages: "tool",
        tags: "",
        ldflags: "-s -w -X github.com/prometheus/common/version.Version=0.19.1",
        rename: None,
        programs: &["postgres_exporter"],
    },
    Part {
        name: "redis_exporter",
        packages: "tool",
        tags: "",
        ldflags: "-s -w -X main.BuildVersion=v1.88.0",
        rename: None,
        programs: &["redis_exporter"],
    },
    Part {
        name: CLOUD_NATIVE_PG,
        packages: "tool",
        tags: "",
        ldflags: STRIP,
        rename: None,
        programs: &["manager"],
    },
    Part {
        name: TRAEFIK,
        packages: "tool",
        tags: "",
        ldflags: "-s -w -X github.com/traefik/traefik/v3/pkg/version.Version=3.6.12",
        rename: None,
        programs: &["traefik"],
    },
    Part { name: "pause", packages: ".", tags: "", ldflags: STRIP, rename: None, programs: &["pause"] },
];

impl Part {
    pub(super) fn module(&self) -> PathBuf {
        module(self.name)
    }

    /// Twelve digits that change with the module's files or the build commands.
    fn key(&self) -> Result<String> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.module())
            .with_context(|| format!("failed to read the module of the part {}", self.name))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        files.sort();
        let mut hash = Sha256::new_with_prefix(format!("{self:?}"));
        for file in files {
            hash.update(fs::read(file)?);
        }
        Ok(short(&hash.finalize()))
    }

    fn folder(&self, cache: &Cache) -> Result<PathBuf> {
        Ok(cache.part(self.name, &self.key()?))
    }

    fn build(&self, cache: &Cache) -> Result<()> {
        let folder = self.folder(cache)?;
        fs::create_dir_all(cache.parts())?;
        let unfinished = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(cache.parts())?;
        let log_path = cache.build_log(self.name);
        let log = create_file(&log_path)?;
        let built = self
            .go(unfinished.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()
            .context("failed to start go: install Go and put it into PATH")?;
        if !built.success() {
            bail!("failed to build the part {}: read {}", self.name, log_path.display());
        }
        if let Some((from, to)) = self.rename {
            fs::rename(unfinished.path().join(from), unfinished.path().join(to))?;
        }
        // Only a complete folder gets the final name, so an interrupted build is never used.
        fs::rename(unfinished.keep(), &folder).context("failed to store a part in the cache")
    }

    fn go(&self, output: &Path) -> Command {
        let mut command = Command::new("go");
        command
            .current_dir(self.module())
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "")
            .env("GOWORK", "off")
            .args(["build", "-mod=readonly", "-buildvcs=false", "-trimpath"])
            .args(["-tags", self.tags, "-ldflags", self.ldflags, "-o"])
            .arg(output.join(""))
            .arg(self.packages);
        command
    }
}

/// The Go module of a part.
pub(super) fn module(part: &str) -> PathBuf {
    Path::new(CRATE_DIR).join("parts").join(part)
}

/// The parts that a cluster of these nodes needs to come up.
pub(super) fn needed_by(nodes: Nodes) -> impl Iterator<Item = &'static Part> {
    PARTS.iter().filter(move |part| match nodes {
        Nodes::Real => !["kwok", CLOUD_NATIVE_PG, TRAEFIK].contains(&part.name),
        Nodes::Hollow => ["kubernetes", "helm", "etcd", "kwok"].contains(&part.name),
    })
}

/// Whether a part of a cluster is not built yet.
pub(super) fn any_missing(cache: &Cache, nodes: Nodes) -> Result<bool> {
    Ok(!missing(cache, needed_by(nodes))?.is_empty())
}

fn missing(cache: &Cache, parts: impl Iterator<Item = &'static Part>) -> Result<VecDeque<&'static Part>> {
    let mut missing = VecDeque::new();
    for part in parts {
        if !part.folder(cache)?.exists() {
            missing.push_back(part);
        }
    }
    Ok(missing)
}

/// Builds missing parts of a cluster, and links the cache's `bin` folder to the current ones.
///
/// # Errors
/// When Go is missing or a build fails; the sentence names the log.
pub fn build_all(cache: &Cache, nodes: Nodes) -> Result<()> {
    build_missing(cache, || missing(cache, needed_by(nodes)))?;
    link_programs(cache, nodes)
}

/// Builds a part that no cluster needs to come up, unless it is in the cache.
pub(super) fn build_part(cache: &Cache, name: &str) -> Result<()> {
    build_missing(cache, || missing(cache, PARTS.iter().filter(|part| part.name == name)))
}

fn build_missing(cache: &Cache, missing: impl Fn() -> Result<VecDeque<&'static Part>>) -> Result<()> {
    if !missing()?.is_empty() {
        let _held = lock::hold_parts(cache)?;
        sweep(cache)?;
        // Another command may have built them meanwhile.
        build(cache, missing()?)?;
    }
    Ok(())
}

/// Removes the results of interrupted builds.
fn sweep(cache: &Cache) -> Result<()> {
    let Ok(entries) = fs::read_dir(cache.parts()) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn build(cache: &Cache, missing: VecDeque<&'static Part>) -> Result<()> {
    let queue = Mutex::new(missing);
    std::thread::scope(|scope| {
        let lanes: Vec<_> =
            (0..lanes(available_memory())).map(|_| scope.spawn(|| build_queue(cache, &queue))).collect();
        lanes
            .into_iter()
            .try_for_each(|lane| lane.join().map_err(|_| anyhow!("a build ended unexpectedly"))?)
    })
}

fn build_queue(cache: &Cache, queue: &Mutex<VecDeque<&Part>>) -> Result<()> {
    loop {
        let next = queue.lock().map_err(|_| anyhow!("another build failed"))?.pop_front();
        let Some(part) = next else { return Ok(()) };
        step(&format!("parts: {}", part.name), || part.build(cache))?;
    }
}

/// Number of simultaneous builds. Two linkers of this size need 8 GiB.
fn lanes(available_bytes: u64) -> usize {
    if available_bytes >= 8 << 30 { 2 } else { 1 }
}

fn available_memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes =
        line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// The built program of this name.
pub(super) fn program(cache: &Cache, name: &str) -> Result<PathBuf> {
    let part = PARTS.iter().find(|part| part.programs.contains(&name));
    Ok(part.with_context(|| format!("no part builds {name}"))?.folder(cache)?.join(name))
}

fn link_programs(cache: &Cache, nodes: Nodes) -> Result<()> {
    fs::create_dir_all(cache.bin())?;
    for name in needed_by(nodes).flat_map(|part| part.programs) {
        let (link, unfinished) = (cache.bin().join(name), cache.bin().join(format!(".{name}")));
        let _ = fs::remove_file(&unfinished);
        symlink(program(cache, name)?, &unfinished)?;
        fs::rename(unfinished, link)?;
    }
    Ok(())
}

/// Creates a file and its folder.
pub(super) fn create_file(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    File::create(path).with_context(|| format!("failed to create {}", path.display()))
}

/// The first twelve hexadecimal digits of a hash.
pub(super) fn short(hash: &[u8]) -> String {
    hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_pinned_by_a_module_with_checksums() {
        for part in PARTS.iter().filter(|part| part.packages == "tool") {
            let module = fs::read_to_string(part.module().join("go.mod")).unwrap();
            assert!(module.contains("tool "), "{}", part.name);
            assert!(part.module().join("go.sum").exists(), "{}", part.name);
        }
    }

    #[test]
    fn a_key_changes_with_the_recipe() {
        let recipe =
            |ldflags| Part { ldflags, name: "pause", packages: ".", tags: "", rename: None, programs: &[] };
        assert_ne!(recipe("-s").key().unwrap(), recipe("-w").key().unwrap());
        assert_eq!(recipe("-s").key().unwrap().len(), 12);
    }

    #[test]
    fn two_builds_run_at_once_only_with_memory_for_both() {
        assert_eq!(lanes((8 << 30) - 1), 1);
        assert_eq!(lanes(8 << 30), 2);
    }
}
