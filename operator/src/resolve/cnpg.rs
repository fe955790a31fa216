//! The scaling of the replicas of a Cluster of CloudNativePG. Pure.

use super::database::ACTIVE_QUERIES;
use super::invalid::Problems;
use super::metric::above_zero;
use super::path::Path;
use super::scaling::Scaling;
use scalableapp_crds::ClusterReplicas;
use scalableapp_engine::hpa::behavior::Behavior;
use scalableapp_engine::propose::metric::{Metric, Target};
use scalableapp_engine::stack::{ReadReplicas, Workload};
use std::collections::BTreeMap;

/// The most replicas.
const MOST_REPLICAS: i32 = 100;

/// The scaling of the replicas of a Cluster.
pub(super) fn scaling(written: &ClusterReplicas, path: Path<'_>, problems: &mut Problems) -> Scaling {
    let (min_replicas, max_replicas) = (written.min, written.max);
    if !(1..=MOST_REPLICAS).contains(&min_replicas) {
        problems.refuse(Path::Field(&path, "min"), format!("use 1 to {MOST_REPLICAS}"));
    }
    if !(min_replicas..=MOST_REPLICAS).contains(&max_replicas) {
        problems
            .refuse(Path::Field(&path, "max"), format!("use at most {MOST_REPLICAS}, and no less than min"));
    }
    let metric = written.target.as_ref().map(|target| {
        let path = Path::Field(&path, "target");
        let per_replica = above_zero(&target.active_queries, "activeQueries", path, problems);
        Metric { name: ACTIVE_QUERIES.to_owned(), target: Target::Prometheus { per_replica } }
    });
    if metric.is_none() && min_replicas != max_replicas {
        let sentence = "set activeQueries, or make min and max equal for a fixed number of replicas";
        problems.refuse(Path::Field(&path, "target"), sentence);
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
