//! The running queries of the replicas of a Cluster of CloudNativePG, as the exporter in each instance counts them. Pure.
//!
//! Its series have no label of the app, so they are found by the names of the pods, `<cluster>-<number>`. Without a
//! running query there is no series of sessions, so another one says which replicas reported.

use crate::observe::query_plan::CustomQuery;
use crate::resolve::app::Component;

/// Whether an instance is a replica, 1 or 0.
const IN_RECOVERY: &str = "cnpg_pg_replication_in_recovery";
/// Sessions by state.
const SESSIONS: &str = "cnpg_backends_total";
/// Users of CloudNativePG itself.
const OWN_USERS: &str = "postgres|streaming_replica|cnpg_metrics_exporter";
/// Seconds after which a sample counts for nothing: such as one of an instance that is gone.
const STALE: u32 = 90;

/// The queries for a component with a Cluster: the running queries of its replicas, and how many replicas reported.
#[must_use]
pub fn queries(component: &Component) -> Option<(CustomQuery, CustomQuery)> {
    let cluster = component.cluster.as_ref()?;
    let of = |text: String| CustomQuery { namespace: component.key.namespace.clone(), text };
    // The name of a Cluster is a DNS label: none of its characters has a meaning in a regular expression.
    let pods = format!("pod=~\"{cluster}-[0-9]+\"");
    let reported = format!("{IN_RECOVERY}{{{pods}}}");
    let replicas = format!("max by (pod) ({reported} and timestamp({reported}) > time() - {STALE}) == 1");
    let sessions = format!("{SESSIONS}{{{pods},state=\"active\",usename!~\"{OWN_USERS}\"}}");
    // Copies of a series count once.
    let sessions = format!("max by (pod, datname, usename, application_name) ({sessions})");
    let running = format!("sum({sessions} and on (pod) ({replicas})) or 0 * count({replicas})");
    Some((of(running), of(format!("count({replicas})"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::prometheus::promql::confine;
    use crate::resolve::resolve;
    use serde_json::json;

    #[test]
    fn the_queries_of_a_cluster_may_be_sent_and_read_its_own_namespace_alone() {
        let replicas = json!({"min": 1, "max": 5, "target": {"activeQueries": 8}});
        let cnpg = json!({"clusterRef": {"name": "shop-pg"}, "readReplicas": replicas});
        let app = serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "shop", "uid": "1"},
            "spec": {
                "services": [{"name": "web", "image": "shop:1", "port": 8080}],
                "databases": [{"name": "main", "postgres": {"cnpg": cnpg}}],
            },
        }));
        let app = resolve(&app.expect("an app")).expect("no problem");
        assert_eq!(queries(&app.components[0]), None);
        let (running, reporting) = queries(&app.components[1]).expect("queries");
        let confined = [running, reporting].map(|query| {
            let confined = confine(&query.text, &query.namespace, &[]).expect("a query that may be sent");
            assert_eq!(
                confined.matches('{').count(),
                confined.matches("namespace=\"shop\"").count(),
                "{confined}"
            );
            confined
        });
        insta::assert_snapshot!(confined.join("\n"));
    }
}
