//! What is measured of a node for the diagnosis, and the query that gives the same number for one component. Pure.

use jiff::SignedDuration;
use promql_parser::util::display_duration;
use scalableapp_engine::diagnose::quantity::{Quantity, Statistic};

/// A measure of a component, a database or a dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Requests per second.
    Requests,
    /// Median of the latency in seconds.
    LatencyP50,
    /// 90th percentile of the latency in seconds.
    LatencyP90,
    /// 99th percentile of the latency in seconds.
    LatencyP99,
    /// Share of answers with a status of 500 or more.
    Failures,
    /// Mean latency in seconds of calls to others.
    CallSeconds,
    /// Repeated calls per second.
    Retries,
    /// CPU as a share of the limit.
    CpuShare,
    /// CPU in cores.
    CpuCores,
    /// Memory as a share of the limit.
    MemoryShare,
    /// Memory of a pod in bytes.
    MemoryBytes,
    /// Connections of the pools that are in use.
    PoolInUse,
    /// Mean wait in seconds for a connection of the pool.
    PoolWait,
    /// Mean time in seconds of a statement.
    QuerySeconds,
    /// Sessions of a database.
    Connections,
    /// Sessions that a database admits.
    ConnectionLimit,
    /// Seconds by which replicas are behind.
    ReplicaLag,
    /// Share of reads that a cache does not answer.
    MissRatio,
    /// Evicted keys per second.
    Evictions,
    /// Jobs that wait.
    Backlog,
    /// Age of the oldest waiting job in seconds.
    OldestAge,
    /// Share of pods with an open circuit breaker.
    CircuitOpen,
    /// Replicas that are wanted and not granted.
    NotGranted,
}

/// Name, quantity and statistic of a measure.
type Meaning = (&'static str, Quantity, Statistic);

impl Measure {
    fn row(self) -> Meaning {
        use Statistic::Unknown;
        match self {
            Self::Requests => ("requests_per_second", Quantity::Requests, Unknown),
            Self::LatencyP50 => ("latency_p50_seconds", Quantity::Latency, Statistic::Quantile(50)),
            Self::LatencyP90 => ("latency_p90_seconds", Quantity::Latency, Statistic::Quantile(90)),
            Self::LatencyP99 => ("latency_p99_seconds", Quantity::Latency, Statistic::Quantile(99)),
            Self::Failures => ("failure_share", Quantity::Failures, Unknown),
            Self::CallSeconds => ("call_seconds", Quantity::ClientLatency, Statistic::Mean),
            Self::Retries => ("retries_per_second", Quantity::Retries, Unknown),
            Self::CpuShare => ("cpu_share_of_limit", Quantity::CpuShare, Unknown),
            Self::CpuCores => ("cpu_cores", Quantity::CpuUse, Unknown),
            Self::MemoryShare => ("memory_share_of_limit", Quantity::MemoryShare, Unknown),
            Self::MemoryBytes => ("memory_bytes_per_pod", Quantity::MemoryUse, Unknown),
            Self::PoolInUse => ("pool_connections_in_use", Quantity::PoolInUse, Unknown),
            Self::PoolWait => ("pool_wait_seconds", Quantity::PoolWait, Statistic::Mean),
            Self::QuerySeconds => ("query_seconds", Quantity::QueryTime, Statistic::Mean),
            Self::Connections => ("connections", Quantity::Connections, Unknown),
            Self::ConnectionLimit => ("connection_limit", Quantity::ConnectionLimit, Unknown),
            Self::ReplicaLag => ("replica_lag_seconds", Quantity::ReplicaLag, Unknown),
            Self::MissRatio => ("cache_miss_ratio", Quantity::MissRatio, Unknown),
            Self::Evictions => ("evictions_per_second", Quantity::Evictions, Unknown),
            Self::Backlog => ("waiting_jobs", Quantity::Backlog, Unknown),
            Self::OldestAge => ("oldest_job_seconds", Quantity::OldestAge, Unknown),
            Self::CircuitOpen => ("open_circuit_share", Quantity::CircuitOpen, Unknown),
            Self::NotGranted => ("replicas_not_granted", Quantity::PendingReplicas, Unknown),
        }
    }

    /// All measures.
    pub const ALL: [Self; 23] = [
        Self::Requests,
        Self::LatencyP50,
        Self::LatencyP90,
        Self::LatencyP99,
        Self::Failures,
        Self::CallSeconds,
        Self::Retries,
        Self::CpuShare,
        Self::CpuCores,
        Self::MemoryShare,
        Self::MemoryBytes,
        Self::PoolInUse,
        Self::PoolWait,
        Self::QuerySeconds,
        Self::Connections,
        Self::ConnectionLimit,
        Self::ReplicaLag,
        Self::MissRatio,
        Self::Evictions,
        Self::Backlog,
        Self::OldestAge,
        Self::CircuitOpen,
        Self::NotGranted,
    ];

    /// The measure of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// Its name, with the unit.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// What it is for a diagnosis.
    #[must_use]
    pub fn quantity(self) -> Quantity {
        self.row().1
    }

    /// How it comes from single requests.
    #[must_use]
    pub fn statistic(self) -> Statistic {
        self.row().2
    }

    /// A query for the same number of one node, without the checks of the operator's own; `None` where the number comes from
    /// the API server, or from a query that the app declares.
    #[must_use]
    pub fn query(self, of: &NodePlace<'_>) -> Option<String> {
        let NodePlace { namespace, app, node, window, .. } = of;
        let window = display_duration(&window.unsigned_abs());
        let all = |series: &str, more: &str| {
            format!("{series}{{namespace=\"{namespace}\",scalableapp=\"{app}\"{more}}}")
        };
        let own = |series: &str, more: &str| all(series, &format!(",component=\"{node}\"{more}"));
        let rate = |selector: String| format!("sum(rate({selector}[{window}]))");
        let quantile = |quantile: &str| {
            let buckets = own("http_server_request_duration_seconds_bucket", "");
            format!("histogram_quantile({quantile}, sum by (le) (rate({buckets}[{window}])))")
        };
        let requests = |more: &str| rate(own("http_server_request_duration_seconds_count", more));
        let mean = |series: &str, more: &str| {
            let of = |part: &str| rate(own(&format!("{series}_{part}"), more));
            format!("{} / {}", of("sum"), of("count"))
        };
        Some(match self {
            Self::Requests => requests(""),
            Self::LatencyP50 => quantile("0.5"),
            Self::LatencyP90 => quantile("0.9"),
            Self::LatencyP99 => quantile("0.99"),
            Self::Failures => {
                format!("{} / {}", requests(",http_response_status_code=~\"5..\""), requests(""))
            }
            Self::CallSeconds => mean("http_client_request_duration_seconds", ""),
            Self::Retries => rate(own("retry_attempts_total", ",outcome!=\"denied\"")),
            Self::CpuCores => {
                format!("sum(rate({}[2m]))", of.kubelet("container_cpu_usage_seconds_total"))
            }
            Self::MemoryBytes => {
                format!("avg(sum by (pod) ({}))", of.kubelet("container_memory_working_set_bytes"))
            }
            Self::PoolInUse => {
                format!("sum({})", own("db_client_connection_count", ",db_client_connection_state=\"used\""))
            }
            Self::PoolWait => mean("db_client_connection_wait_time_seconds", ""),
            // Of the components with a pool of this database.
            Self::QuerySeconds => {
                let series = |part: &str| format!("db_client_operation_duration_seconds_{part}");
                let of = |part| rate(all(&series(part), ",db_system_name!~\"redis|memcached\""));
                format!("{} / {}", of("sum"), of("count"))
            }
            Self::Connections => {
                let sessions = all("db_server_connections", &format!(",database=\"{node}\""));
                format!("sum(max by (owner) ({sessions}))")
            }
            Self::ConnectionLimit => {
                format!("min({})", all("db_server_connections_max", &format!(",database=\"{node}\"")))
            }
            Self::ReplicaLag => format!("max({})", own("db_replica_lag_seconds", "")),
            Self::MissRatio => {
                let of = |what: &str| rate(own(&format!("redis_keyspace_{what}_total"), ""));
                format!("{} / ({} + {})", of("misses"), of("hits"), of("misses"))
            }
            Self::Evictions => rate(own("redis_evicted_keys_total", "")),
            // The limits come from the API server.
            Self::CpuShare | Self::MemoryShare => return None,
            Self::Backlog | Self::OldestAge | Self::CircuitOpen | Self::NotGranted => return None,
        })
    }
}

/// One node, and the averaging window of its requests.
#[derive(Clone, Copy, Debug)]
pub struct NodePlace<'a> {
    /// Namespace of the app.
    pub namespace: &'a str,
    /// Name of the app.
    pub app: &'a str,
    /// Name of the component, the database or the dependency.
    pub node: &'a str,
    /// Averaging window.
    pub window: SignedDuration,
}

impl NodePlace<'_> {
    /// A selector for the containers. Pods of a Deployment have its hash, those of a StatefulSet a number: `web` is not
    /// `web-admin`.
    fn kubelet(&self, series: &str) -> String {
        let Self { namespace, app, node, .. } = self;
        let pods = format!("{app}-{node}-([0-9a-f]{{10}}-.+|[0-9]+)");
        format!("{series}{{namespace=\"{namespace}\",pod=~\"{pods}\",container!=\"\"}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_measure_has_a_name_of_its_own_and_a_query_that_prometheus_reads() {
        let names: BTreeSet<&str> = Measure::ALL.iter().map(|one| one.name()).collect();
        assert_eq!(names.len(), Measure::ALL.len());
        let window = SignedDuration::from_secs(60);
        let place = NodePlace { namespace: "shop", app: "shop", node: "web", window };
        let memory = Measure::MemoryBytes.query(&place).expect("a query");
        assert!(memory.contains("pod=~\"shop-web-([0-9a-f]{10}-.+|[0-9]+)\""), "{memory}");
        for measure in Measure::ALL {
            assert_eq!(Measure::named(measure.name()), Some(measure));
            if let Some(query) = measure.query(&place) {
                promql_parser::parser::parse(&query).unwrap_or_else(|error| panic!("{query}: {error}"));
            }
        }
    }
}
