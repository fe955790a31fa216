//! The scaling of the replicas of a Cluster of CloudNativePG. Pure.

use super::database::{check_replicas, running_queries};
use super::invalid::Problems;
use super::path::Path;
use super::scaling::Scaling;
use scalableapp_crds::ClusterReplicas;
use scalableapp_engine::hpa::behavior::Behavior;
use scalableapp_engine::stack::{ReadReplicas, Workload};
use std::collections::BTreeMap;

/// The scaling of the replicas of a Cluster.
pub(super) fn scaling(written: &ClusterReplicas, path: Path<'_>, problems: &mut Problems) -> Scaling {
    let (min_replicas, max_replicas) = (written.min, written.max);
    check_replicas((min_replicas, max_replicas), path, problems);
    let target = Path::Field(&path, "target");
    let metric =
        written.target.as_ref().map(|written| running_queries(&written.active_queries, target, problems));
    if metric.is_none() && min_replicas != max_replicas {
        let sentence = "set activeQueries, or make min and max equal for a fixed number of replicas";
        problems.refuse(target, sentence);
    }
    Scaling {
        min_replicas,
        max_replicas,
        workload: Workload::ReadReplicas(ReadReplicas { metrics: metric.into_iter().collect() }),
        queries: BTreeMap::new(),
        behavior: Behavior::default(),
        schedules: Vec::new(),
        fallback: None,
    }
}
