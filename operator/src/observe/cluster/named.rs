//! A Cluster of CloudNativePG as an app that names it sees it: its replicas, what they must not fall below, and what stands
//! in the way of scaling them. Pure.

use super::access::Access;
use super::cached::{CachedWorkload, WorkloadPart};
use super::postgres::{CachedCluster, ClusterStatusPart};
use super::workload::{LiveRevision, Problem};
use crate::kinds::Kind;
use jiff::Timestamp;
use scalableapp_crds::limits::clip;
use scalableapp_crds::printable;
use scalableapp_engine::hpa::pod::{ByResource, Phase, Pod, Ready, ReadyStatus};
use scalableapp_engine::reason::{self, Reason};
use std::sync::Arc;

/// The phase of a Cluster of which nothing is in motion.
const HEALTHY: &str = "Cluster in healthy state";
/// The state of an instance that is active and ready.
const READY: &str = "healthy";
/// Characters of a phase that are shown.
const PHASE: usize = 128;

/// A Cluster as an app that names it sees it.
#[derive(Clone, Debug)]
pub struct NamedCluster {
    /// The cached Cluster, or what is known of Clusters.
    pub found: Result<Arc<CachedCluster>, Access>,
    /// An older app that scales the same one.
    pub scaled_by: Option<String>,
}

/// What stands in the way of scaling a Cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It is not known yet.
    Unknown,
    /// CloudNativePG is changing it.
    Busy(Problem),
    /// It stays until somebody acts.
    Lasting(Problem),
}

impl NamedCluster {
    /// What stands in the way of scaling the Cluster of this name, if anything.
    #[must_use]
    pub fn obstacle(&self, name: &str) -> Option<Obstacle> {
        let lasting = |reason: Reason, message: String| Some(Obstacle::Lasting(Problem { reason, message }));
        let cluster = match &self.found {
            Ok(cluster) => cluster,
            Err(Access::Unlisted) => return Some(Obstacle::Unknown),
            Err(Access::Off) => {
                let sentence =
                    "the operator was not told to use CloudNativePG: set cnpg.enabled of its chart";
                return lasting(reason::CLOUD_NATIVE_PG_MISSING, sentence.to_owned());
            }
            Err(Access::NotInstalled) => {
                let sentence =
                    "CloudNativePG is not installed: Kubernetes knows no Cluster of postgresql.cnpg.io";
                return lasting(reason::CLOUD_NATIVE_PG_MISSING, sentence.to_owned());
            }
            Err(Access::Forbidden) => {
                let sentence = "the operator may not read the Clusters of CloudNativePG: set cnpg.enabled of its chart, which gives it the right";
                return lasting(reason::CLOUD_NATIVE_PG_MISSING, sentence.to_owned());
            }
            Err(Access::Listed) => {
                let sentence =
                    format!("the Cluster {name} of CloudNativePG does not exist in this namespace");
                return lasting(reason::CLUSTER_NOT_FOUND, sentence);
            }
        };
        if let Some(other) = &self.scaled_by {
            let sentence = format!(
                "the app {other} scales the Cluster {name} already: remove readReplicas from one of them"
            );
            return lasting(reason::CLUSTER_SCALED_BY_OTHER_APP, sentence);
        }
        if let Some(why) = &cluster.unreadable {
            return lasting(reason::UNREADABLE, format!("the Cluster {name} cannot be read: {why}"));
        }
        motion(&cluster.part.status).map(|motion| {
            let message = format!("CloudNativePG reports of the Cluster {name}: {motion}");
            Obstacle::Busy(Problem { reason: reason::CLUSTER_BUSY, message })
        })
    }

    /// The replicas as the one live revision of the component, if the Cluster is there.
    #[must_use]
    pub fn revision(&self, hash: &str) -> Option<LiveRevision> {
        let cluster = self.found.as_ref().ok()?;
        let part = &cluster.part;
        let workload = CachedWorkload {
            metadata: cluster.metadata.clone(),
            part: WorkloadPart { scaled_by: part.scaled_by.clone(), ..WorkloadPart::default() },
            ..CachedWorkload::default()
        };
        Some(LiveRevision {
            hash: hash.to_owned(),
            kind: Kind::Cluster,
            replicas: replicas(part.spec.instances.unwrap_or(1)),
            pods: replicas(part.status.instances),
            refusal: None,
            ready: i32::try_from(ready(&part.status).count()).unwrap_or(i32::MAX),
            workload: Arc::new(workload),
        })
    }

    /// The ready replicas as pods. The time of their readiness is not known.
    #[must_use]
    pub fn pods(&self) -> Vec<Pod> {
        let Ok(cluster) = &self.found else { return Vec::new() };
        let pod = |name: &str| Pod {
            name: name.into(),
            phase: Phase::Running,
            deleting: false,
            ready: Some(Ready { status: ReadyStatus::True, since: Timestamp::UNIX_EPOCH }),
            start: None,
            containers: [].into(),
            requests: ByResource::default(),
            usage: ByResource::default(),
        };
        ready(&cluster.part.status).map(pod).collect()
    }

    /// The replicas that synchronous replication needs.
    #[must_use]
    pub fn least(&self) -> i32 {
        self.found.as_ref().map_or(0, |cluster| least(cluster))
    }
}

/// The replicas that synchronous replication of a Cluster needs. CloudNativePG checks this on writes of the Cluster, but
/// not on those of its scale.
#[must_use]
pub fn least(cluster: &CachedCluster) -> i32 {
    let spec = &cluster.part.spec;
    let outside = |names: usize| i32::try_from(names).unwrap_or(i32::MAX);
    let synchronous = spec.postgresql.synchronous.as_ref().map_or(0, |one| {
        let others = one.standby_names_pre.len() + one.standby_names_post.len();
        one.number.saturating_sub(outside(others))
    });
    synchronous.max(spec.max_sync_replicas).max(spec.min_sync_replicas).max(0)
}

/// The replicas among these instances.
fn replicas(instances: i32) -> i32 {
    instances.saturating_sub(1).max(0)
}

/// The ready instances but for the primary.
fn ready(status: &ClusterStatusPart) -> impl Iterator<Item = &str> {
    let ready = status.instances_status.get(READY).into_iter().flatten();
    ready.map(String::as_str).filter(|name| *name != status.current_primary)
}

/// What CloudNativePG is doing with a Cluster; `None` while nothing is in motion.
fn motion(status: &ClusterStatusPart) -> Option<String> {
    if status.phase.is_empty() {
        return Some("nothing yet".to_owned());
    }
    if status.phase != HEALTHY {
        return Some(clip(&printable(&status.phase), PHASE).into_owned());
    }
    (status.current_primary != status.target_primary).then(|| "its primary changes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn named(status: &Value) -> NamedCluster {
        let cluster = json!({
            "metadata": {"name": "pg", "namespace": "shop", "generation": 3, "managedFields": [
                {"manager": "helm", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            ]},
            "spec": {"instances": 4},
            "status": status,
        });
        let cluster = serde_json::from_value(cluster).expect("a Cluster");
        NamedCluster { found: Ok(Arc::new(cluster)), scaled_by: None }
    }

    fn healthy() -> Value {
        json!({
            "instances": 3, "readyInstances": 3, "phase": HEALTHY, "currentPrimary": "pg-2", "targetPrimary": "pg-2",
            "instancesStatus": {"healthy": ["pg-1", "pg-2"], "replicating": ["pg-3"]},
        })
    }

    #[test]
    fn its_replicas_are_its_instances_without_the_primary() {
        let named = named(&healthy());
        let revision = named.revision("1a2b").expect("a revision");
        assert_eq!((revision.replicas, revision.pods, revision.ready), (3, 2, 1));
        assert_eq!(revision.workload.part.scaled_by.as_deref(), Some("helm"));
        assert_eq!(revision.workload.metadata.generation, Some(3));
        let pods: Vec<String> = named.pods().iter().map(|pod| pod.name.to_string()).collect();
        assert_eq!(pods, ["pg-1"]);
        assert_eq!(named.obstacle("pg"), None);
    }

    #[rstest]
    #[case(json!({}), "nothing yet")]
    #[case(json!({"phase": "Creating a new replica"}), "Creating a new replica")]
    #[case(json!({"phase": "a\u{1b}[2J"}), "a\\u{1b}[2J")]
    #[case(json!({"phase": HEALTHY, "currentPrimary": "pg-1", "targetPrimary": "pg-2"}), "its primary changes")]
    fn a_cluster_in_motion_is_busy_in_the_words_of_cloud_native_pg(
        #[case] status: Value,
        #[case] words: &str,
    ) {
        let Some(Obstacle::Busy(problem)) = named(&status).obstacle("pg") else { panic!("not busy") };
        assert_eq!(problem.message, format!("CloudNativePG reports of the Cluster pg: {words}"));
    }

    #[test]
    fn a_cluster_with_a_value_of_another_type_is_named() {
        let cluster = json!({"metadata": {"name": "pg", "namespace": "shop"}, "spec": {"instances": "two"}});
        let cluster = serde_json::from_value(cluster).expect("a placeholder");
        let named = NamedCluster { found: Ok(Arc::new(cluster)), scaled_by: None };
        let Some(Obstacle::Lasting(problem)) = named.obstacle("pg") else { panic!("no obstacle") };
        assert!(problem.message.starts_with("the Cluster pg cannot be read: "), "{}", problem.message);
    }
}
