//! All paths. Pure, but for one read of the environment.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The folder of the crate, with the parts' modules and the Containerfiles.
pub(super) const CRATE_DIR: &str = env!("CARGO_MANIFEST_DIR");

/// The repository of this build.
///
/// # Errors
/// When the crate is outside of one.
pub fn repository() -> Result<PathBuf> {
    Ok(Path::new(CRATE_DIR).ancestors().nth(2).context("the crate has no repository")?.to_owned())
}

/// The cache for all clusters: built parts, image archives, and the state of each cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$SCALABLEAPP_CACHE`, or `scalableapp` in the user's cache folder.
    ///
    /// # Errors
    /// When the folder is unknown, or is in a folder that a cluster replaces.
    pub fn from_env() -> Result<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = set("SCALABLEAPP_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("scalableapp")))
            .or_else(|| set("HOME").map(|dir| dir.join(".cache/scalableapp")))
            .context("no cache folder: set SCALABLEAPP_CACHE or HOME")?;
        Self::new(root)
    }

    pub(super) fn new(root: PathBuf) -> Result<Self> {
        if !root.is_absolute() {
            bail!(
                "the cache folder {} is a relative path: set SCALABLEAPP_CACHE to an absolute one",
                root.display()
            );
        }
        if let Some(hidden) = HIDDEN.iter().find(|hidden| root.starts_with(hidden)) {
            bail!(
                "the cache folder {} lies in {hidden}, which a cluster replaces by its own: set SCALABLEAPP_CACHE to a folder elsewhere",
                root.display()
            );
        }
        Ok(Self { root })
    }

    /// The cache folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Links to the current binary of each part: `kubectl`, `helm` and the others.
    pub fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// The folder of all parts.
    pub(super) fn parts(&self) -> PathBuf {
        self.root.join("parts")
    }

    /// The built binaries of one part with one recipe.
    pub fn part(&self, name: &str, key: &str) -> PathBuf {
        self.parts().join(format!("{name}-{key}"))
    }

    /// One image as an OCI archive.
    pub fn archive(&self, name: &str, key: &str) -> PathBuf {
        self.root.join("images").join(format!("{name}-{key}.tar"))
    }

    /// The output of a build.
    pub fn build_log(&self, name: &str) -> PathBuf {
        self.root.join("log").join(format!("{name}.log"))
    }

    /// The lock of the cluster of this name.
    pub fn lock(&self, name: &str) -> PathBuf {
        self.root.join("lock").join(name)
    }

    /// The lock for builds of parts. No cluster has this name.
    pub(super) fn parts_lock(&self) -> PathBuf {
        self.lock(".parts")
    }

    /// The state of the cluster of this name.
    pub fn cluster(&self, name: &str) -> ClusterDir {
        ClusterDir { name: name.to_owned(), root: self.root.join("clusters").join(name) }
    }
}

/// The machine's folders that a cluster replaces by its own, because programs have hard-coded paths in them.
pub(super) const HIDDEN: [&str; 3] = ["/run", "/var/lib", "/var/log"];

/// The state of one cluster. Once the cluster's processes have ended, its removal completes the deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDir {
    /// The cluster's name, which is also its node's name.
    pub name: String,
    /// The folder itself.
    pub root: PathBuf,
}

impl ClusterDir {
    /// The administrator's kubeconfig, for use on the machine.
    pub fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }

    /// The kubeconfig of a component, for use inside the cluster's network.
    pub(super) fn component_kubeconfig(&self, component: &str) -> PathBuf {
        self.root.join("etc").join(format!("{component}.kubeconfig"))
    }

    pub(super) fn etc(&self, file: &str) -> PathBuf {
        self.root.join("etc").join(file)
    }

    pub(super) fn pki(&self, file: &str) -> PathBuf {
        self.root.join("pki").join(file)
    }

    /// The log of a component or of process 1 (`init`).
    pub fn log(&self, component: &str) -> PathBuf {
        self.root.join("log").join(format!("{component}.log"))
    }

    /// The API server's audit log: one JSON object a line.
    pub fn audit_log(&self) -> PathBuf {
        self.root.join("log/audit.jsonl")
    }

    /// The machine's process id of the cluster's process 1, and its start time.
    pub(super) fn init_pid(&self) -> PathBuf {
        self.root.join("init.pid")
    }

    /// Process 1's report of its components, as JSON.
    pub(super) fn components(&self) -> PathBuf {
        self.root.join("components.json")
    }

    /// Records which archive was last imported under a tag.
    pub(super) fn imported(&self, tag: &str) -> PathBuf {
        self.root.join("imported").join(tag.replace(['/', ':'], "_"))
    }

    pub(super) fn containerd_root(&self) -> PathBuf {
        self.root.join("containerd")
    }

    pub(super) fn etcd_data(&self) -> PathBuf {
        self.root.join("etcd")
    }

    /// The cluster's own content of a replaced folder of the machine, except `/run`, which is in memory.
    pub(super) fn private(&self, hidden: &str) -> PathBuf {
        self.root.join("private").join(hidden.trim_start_matches('/').replace('/', "-"))
    }

    /// The cluster's cgroup, relative to the root of each hierarchy.
    pub fn cgroup(&self) -> String {
        format!("{CGROUP_PARENT}/{}", self.name)
    }
}

/// The parent of all clusters' cgroups.
pub(super) const CGROUP_PARENT: &str = "/scalableapp-e2e";

/// A cluster's name is a DNS label, because it is the node's name and a folder's.
///
/// # Errors
/// With the allowed characters.
pub fn check_name(name: &str) -> Result<String> {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let edges = name.starts_with('-') || name.ends_with('-');
    if name.is_empty() || name.len() > 30 || edges || !name.chars().all(inside) {
        bail!(
            "the cluster name '{name}' must be 1 to 30 lower-case letters, digits or '-', and begin and end with none of the latter"
        );
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_that_the_cluster_would_hide_is_refused_with_the_variable_to_set() {
        for root in ["/var/lib/cache", "/run", "/var/log/x"] {
            let error = Cache::new(root.into()).unwrap_err().to_string();
            assert!(error.contains("SCALABLEAPP_CACHE"), "{error}");
        }
        assert!(Cache::new("/var/library".into()).is_ok());
        assert!(Cache::new("relative".into()).is_err());
    }

    #[test]
    fn a_cluster_name_is_a_dns_label() {
        assert!(check_name("scalableapp").is_ok());
        for bad in ["", "-a", "a-", "A", "a/b", "a.b", "../x", &"a".repeat(31)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn two_clusters_share_no_path() {
        let cache = Cache::new("/cache".into()).unwrap();
        let (a, b) = (cache.cluster("a"), cache.cluster("b"));
        assert_ne!(a.root, b.root);
        assert_ne!(a.cgroup(), b.cgroup());
        assert_ne!(cache.lock("a"), cache.lock("b"));
    }
}
