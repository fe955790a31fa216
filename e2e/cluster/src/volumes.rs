//! The default StorageClass and its PersistentVolumes, which are folders of the node. Writes folders.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::paths::ClusterDir;

/// No provisioner creates more. A volume is used once: after its claim it stays `Released`, with its data.
const COUNT: usize = 64;

/// Nothing enforces it, so claims of usual sizes are bound.
const CAPACITY: &str = "100Gi";

const STORAGE_CLASS: &str = "local";

/// The folder of the volumes, in the cluster's own `/var/lib`.
const FOLDER: &str = "volumes";

/// The label by which a volume names its node.
pub(super) const NODE_LABEL: &str = "kubernetes.io/hostname";

/// Creates the folders. They are root's: a pod writes by its `fsGroup`, as on a disk of a cloud.
pub(super) fn create_folders(dir: &ClusterDir) -> Result<()> {
    let parent = dir.private("/var/lib").join(FOLDER);
    for name in names() {
        let folder = parent.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    }
    Ok(())
}

/// The StorageClass and the volumes as one manifest.
pub(super) fn manifest(dir: &ClusterDir) -> String {
    let mut items = vec![storage_class()];
    items.extend(names().map(|name| volume(&name, &dir.name)));
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

fn names() -> impl Iterator<Item = String> {
    (1..=COUNT).map(|number| format!("{STORAGE_CLASS}-{number:02}"))
}

fn storage_class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Retain",
    })
}

/// Of type `local` instead of `hostPath`, because only the former follows a pod's `fsGroup`.
fn volume(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "storageClassName": STORAGE_CLASS,
            "capacity": {"storage": CAPACITY},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": Path::new("/var/lib").join(FOLDER).join(name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{
                "matchExpressions": [{"key": NODE_LABEL, "operator": "In", "values": [node]}],
            }]}},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_volume_has_a_folder_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let dir = ClusterDir { name: "test".into(), root: root.path().to_owned() };
        create_folders(&dir).unwrap();
        let list: Value = serde_json::from_str(&manifest(&dir)).unwrap();
        let paths = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|item| item["spec"]["local"]["path"].as_str());
        let folders: std::collections::BTreeSet<_> = paths
            .map(|path| dir.private("/var/lib").join(path.strip_prefix("/var/lib/").unwrap()))
            .inspect(|folder| assert!(folder.is_dir(), "{}", folder.display()))
            .collect();
        assert_eq!(folders.len(), COUNT);
    }
}
