//! The observed app, writes in flight included. Pure.

use crate::hpa::pod::Pod;
use crate::reason::Reason;
use crate::rollout::rolling::Revision;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The observed components, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The observed components.
    pub components: BTreeMap<String, Observed>,
}

/// An observed component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Observed {
    /// Its live revisions, oldest first.
    pub revisions: Vec<Revision>,
    /// Existing replicas: the sum of `status.replicas` over the live revisions.
    pub existing_replicas: i32,
    /// The pods of all live revisions, without usage. Pods that have ended do not count.
    pub pods: Vec<Pod>,
    /// Those of them that get no requests, because they are not in the Service.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub ejected: BTreeSet<String>,
    /// Hash of the revision that alone gets requests, because the Service selects it; `None` where all do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selected: Option<String>,
    /// Whether another field manager wrote the replicas.
    pub scaled_by_other: bool,
    /// Replicas that were written to a revision but are not in the cache yet, by the revision's hash.
    pub unshown: BTreeMap<String, i32>,
    /// Why pods of a revision are not granted by the cluster, by the revision's hash; empty where all are.
    pub ungranted: BTreeMap<String, Reason>,
    /// Memory of the shards of a cache; `None` for other components.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard_memory: Option<ShardMemory>,
    /// Why it is not decided; `None` where it is.
    pub undecided: Option<Undecided>,
}

/// Memory of the shards of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardMemory {
    /// Bytes that each shard is to have.
    pub bytes: i64,
    /// Whether every shard has them.
    pub is_given: bool,
    /// Whether the cluster refuses more for now.
    pub is_refused: bool,
}

/// Why a component is not decided. It still counts for what is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Undecided {
    /// An override pauses the app.
    Paused,
    /// Its declaration is invalid.
    InvalidSpec,
    /// The cache does not show the last write.
    WriteNotShown,
    /// Prometheus was not queried yet.
    NotMeasured,
    /// A write failed a short time ago.
    WriteFailed,
    /// Its replicas are somebody else's object, which cannot be scaled now.
    NotScalable,
}

impl Undecided {
    /// Whether its metrics are ignored meanwhile, so that earlier recommendations are no longer valid.
    pub(crate) fn forgets_recommendations(self) -> bool {
        matches!(self, Self::Paused | Self::InvalidSpec | Self::NotScalable)
    }
}

impl Observed {
    /// Declared replicas of all revisions, the surge of a rollout included.
    pub(crate) fn planned_pods(&self) -> i32 {
        self.revisions.iter().fold(0, |sum, revision| sum.saturating_add(revision.replicas))
    }

    /// Whether the declared revision has still to take over.
    pub(crate) fn is_rolling(&self) -> bool {
        let has_target = self.revisions.iter().any(|revision| revision.is_target);
        let has_others = self.revisions.iter().any(|revision| !revision.is_target && revision.replicas > 0);
        has_others || (!has_target && !self.revisions.is_empty())
    }

    /// The pods that count in what is shared: of each revision the higher of what the cache shows and what was written, or
    /// the pods that live if they are more, and the pods that are being deleted.
    #[must_use]
    pub fn pods_in_use(&self) -> i32 {
        let written = |hash: &str| self.unshown.get(hash).copied().unwrap_or(0);
        let shown = self.revisions.iter().map(|one| one.replicas.max(written(&one.hash)));
        let is_shown = |hash: &str| self.revisions.iter().any(|one| one.hash == hash);
        let others = self.unshown.iter().filter(|(hash, _)| !is_shown(hash)).map(|(_, replicas)| *replicas);
        let planned = shown.chain(others).fold(0, i32::saturating_add);
        let (terminating, living): (Vec<&Pod>, Vec<&Pod>) =
            self.pods.iter().filter(|pod| !pod.phase.has_ended()).partition(|pod| pod.deleting);
        let count = |pods: Vec<&Pod>| i32::try_from(pods.len()).unwrap_or(i32::MAX);
        planned.max(count(living)).saturating_add(count(terminating))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hpa::pod::{ByResource, Phase};

    fn revision(hash: &str, replicas: i32) -> Revision {
        Revision { hash: hash.to_owned(), replicas, available: 0, is_target: false }
    }

    fn pod(deleting: bool, phase: Phase) -> Pod {
        Pod {
            name: "web".into(),
            phase,
            deleting,
            ready: None,
            start: None,
            containers: [].into(),
            requests: ByResource::default(),
            usage: ByResource::default(),
        }
    }

    #[test]
    fn a_write_that_the_cache_does_not_show_counts_with_the_higher_of_both_and_the_terminating_pods() {
        let shown = Observed { revisions: vec![revision("a", 4)], ..Observed::default() };
        assert_eq!(shown.pods_in_use(), 4);
        let unshown = |replicas| BTreeMap::from([("a".to_owned(), replicas)]);
        assert_eq!(Observed { unshown: unshown(6), ..shown.clone() }.pods_in_use(), 6, "it grows");
        assert_eq!(Observed { unshown: unshown(2), ..shown.clone() }.pods_in_use(), 4, "it shrinks");
        let pods = vec![pod(true, Phase::Running), pod(false, Phase::Running), pod(true, Phase::Failed)];
        assert_eq!(Observed { pods, ..shown.clone() }.pods_in_use(), 5);
        let living = vec![pod(false, Phase::Running); 6];
        assert_eq!(
            Observed { pods: living, ..shown.clone() }.pods_in_use(),
            6,
            "they are still to be deleted"
        );
        let of_another = BTreeMap::from([("b".to_owned(), 3)]);
        assert_eq!(Observed { unshown: of_another, ..shown }.pods_in_use(), 7, "its Deployment is not shown");
    }
}
