//! What a series measures, by the words of its name. Pure.

/// What a series measures. More is worse for all of them but [`Quantity::Requests`], [`Quantity::ConnectionLimit`],
/// [`Quantity::PoolSize`] and [`Quantity::ConcurrencyLimit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    /// Seconds until an answer, as the node itself measures it.
    Latency,
    /// Seconds until an answer of what the node calls.
    ClientLatency,
    /// Share or number of requests that fail.
    Failures,
    /// Requests in an interval.
    Requests,
    /// Calls with their repetitions, in an interval.
    Attempts,
    /// Repeated calls, in an interval.
    Retries,
    /// Calls that were given up, in an interval.
    TimeOuts,
    /// Whether a circuit breaker of the node is open.
    CircuitOpen,
    /// CPU use as a share of the limit.
    CpuShare,
    /// CPU use without a known limit.
    CpuUse,
    /// Share of periods in which the CPU was throttled, or time of it.
    CpuThrottling,
    /// Memory use as a share of the limit.
    MemoryShare,
    /// Memory use without a known limit.
    MemoryUse,
    /// Containers that were killed for lack of memory.
    OutOfMemory,
    /// Reads and writes of disks.
    Disk,
    /// Bytes, packets and sockets of the network.
    Network,
    /// CPU use of the machine below the node, as a share.
    MachineCpu,
    /// Memory use of the machine below the node, as a share.
    MachineMemory,
    /// Seconds or callers that wait for a connection of the pool.
    PoolWait,
    /// Connections of the pool that are in use.
    PoolInUse,
    /// Connections that the pool may hold.
    PoolSize,
    /// Connections of a database.
    Connections,
    /// Connections that a database allows.
    ConnectionLimit,
    /// Queries that a database runs at the same time.
    ActiveQueries,
    /// Seconds of a query.
    QueryTime,
    /// Sessions that wait for a lock, or the time of it.
    LockWait,
    /// Share of reads that a cache cannot answer.
    MissRatio,
    /// Keys that a cache removes for lack of memory, in an interval.
    Evictions,
    /// Seconds or bytes by which a replica is behind.
    ReplicaLag,
    /// Jobs that wait.
    Backlog,
    /// Age of the oldest waiting job in seconds.
    OldestAge,
    /// Requests in progress.
    InFlight,
    /// Requests that may be in progress.
    ConcurrencyLimit,
    /// Seconds or requests that wait until work on them begins.
    QueueTime,
    /// Replicas that are wanted and do not run: Pending pods, or pods that a quota refuses.
    PendingReplicas,
    /// Anything else; it may only serve as an anomaly.
    Other,
}

/// How the values of a series come from single requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Statistic {
    /// The mean.
    Mean,
    /// A quantile, in percent.
    Quantile(u8),
    /// The largest.
    Max,
    /// Their number: it grows with the requests.
    Count,
    /// Not told, or not applicable.
    Unknown,
}

/// A row: each word of it, or one of its alternatives, is in the name.
type Row = (&'static str, Quantity);

/// Words in names and what they mean. The first row that matches counts, so the special ones come first.
const WORDS: [Row; 56] = [
    ("circuit|breaker open|state|opened", Quantity::CircuitOpen),
    ("pending|unschedulable|unfulfilled|missing pods|replicas|containers", Quantity::PendingReplicas),
    ("quota denied|refused|exceeded", Quantity::PendingReplicas),
    ("pool|connection|connections wait|waiting|waiters|acquire|pending", Quantity::PoolWait),
    ("pool use|used|busy|borrowed|active", Quantity::PoolInUse),
    ("connections|connection use|used|busy|borrowed in", Quantity::PoolInUse),
    ("pool size|max|limit|capacity", Quantity::PoolSize),
    ("connections|connection max|limit|allowed", Quantity::ConnectionLimit),
    ("lock|locks wait|waits|waiting|time|blocked", Quantity::LockWait),
    ("active|running|slow queries|query|sessions|backends|statements", Quantity::ActiveQueries),
    ("query|queries|sql|db|database|statement time|latency|duration|seconds", Quantity::QueryTime),
    ("replica|replication|replay|standby|slave lag|delay|behind", Quantity::ReplicaLag),
    ("lag seconds|bytes|wal", Quantity::ReplicaLag),
    ("evicted|evictions|eviction", Quantity::Evictions),
    ("miss|misses ratio|rate|share|percent", Quantity::MissRatio),
    ("throttled|throttling|throttle", Quantity::CpuThrottling),
    ("oom|ooms|oomkilled|oomkills", Quantity::OutOfMemory),
    ("oldest age", Quantity::OldestAge),
    ("queue|queued|queueing|bulkhead time|wait|waiting|latency|duration|seconds", Quantity::QueueTime),
    ("backlog|queue|jobs depth|length|size|pending|waiting|messages|backlog", Quantity::Backlog),
    ("consumer|topic lag", Quantity::Backlog),
    ("timeout|timeouts", Quantity::TimeOuts),
    ("time outs", Quantity::TimeOuts),
    ("attempts|attempt", Quantity::Attempts),
    ("retries|retry", Quantity::Retries),
    ("concurrency|bulkhead|inflight|threads limit|max|capacity", Quantity::ConcurrencyLimit),
    ("inflight|concurrency|concurrent", Quantity::InFlight),
    ("in flight", Quantity::InFlight),
    ("active requests", Quantity::InFlight),
    (
        "client|outgoing|outbound|upstream|egress|external latency|duration|time|rt|rtt",
        Quantity::ClientLatency,
    ),
    ("error|errors|fail|failed|failure|failures|fault|faults", Quantity::Failures),
    ("5xx|500|exception|exceptions|drops|dropped|loss|rejected", Quantity::Failures),
    ("latency|latencies|duration|delay|rt|rtt|elapsed", Quantity::Latency),
    ("response|request|service|processing|answer|server time|seconds", Quantity::Latency),
    ("node|host|machine|vm cpu", Quantity::MachineCpu),
    ("node|host|machine|vm memory|mem|ram", Quantity::MachineMemory),
    ("cpu utilization|utilisation|util|share|percent|pct|ratio", Quantity::CpuShare),
    ("cpu|cores", Quantity::CpuUse),
    ("memory|mem|heap|ram utilization|utilisation|util|share|percent|pct|ratio", Quantity::MemoryShare),
    ("memory|mem|heap|ram|rss", Quantity::MemoryUse),
    ("workingset", Quantity::MemoryUse),
    ("disk|diskio|blkio|iops|fs|filesystem", Quantity::Disk),
    ("io|write|writes|read|reads bytes|time|wait|util|ops", Quantity::Disk),
    ("network|net|tcp|udp|socket|sockets|nic|packets|bandwidth", Quantity::Network),
    ("receive|transmit|rx|tx", Quantity::Network),
    ("max connections", Quantity::ConnectionLimit),
    ("connections|connection|backends|sessions", Quantity::Connections),
    (
        "requests|request|rps|qps|tps|workload|throughput|traffic|invocations|calls|hits|ops",
        Quantity::Requests,
    ),
    // The rest is what a name says with one word.
    ("backlog", Quantity::Backlog),
    ("queue", Quantity::Backlog),
    ("lag", Quantity::ReplicaLag),
    ("retried", Quantity::Retries),
    ("threads busy|active", Quantity::InFlight),
    ("saturation cpu", Quantity::CpuShare),
    ("load", Quantity::Requests),
    ("pending", Quantity::PendingReplicas),
];

/// Words of a share that falls when things get worse, and what its complement is.
const COMPLEMENTS: [Row; 2] = [
    ("success|successful|succeeded|availability|available|ok", Quantity::Failures),
    ("hit|hits|cachehit ratio|rate|share|percent|hit", Quantity::MissRatio),
];

/// What the name of a series says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Meaning {
    /// What it measures.
    pub quantity: Quantity,
    /// How it comes from single requests.
    pub statistic: Statistic,
    /// What its values are multiplied by: seconds and shares are kept.
    pub factor: f64,
    /// Whether the quantity is 1 minus the values.
    pub is_complement: bool,
}

impl Meaning {
    /// The meaning of a series by its name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let words = words(name);
        let has =
            |row: &str| row.split(' ').all(|any| any.split('|').any(|word| words.iter().any(|w| w == word)));
        let found = |rows: &[Row]| rows.iter().find(|(row, _)| has(row)).map(|(_, quantity)| *quantity);
        let (quantity, is_complement) = match found(&COMPLEMENTS) {
            Some(quantity) => (quantity, true),
            None => (found(&WORDS).unwrap_or(Quantity::Other), false),
        };
        let is_time = matches!(
            quantity,
            Quantity::Latency
                | Quantity::ClientLatency
                | Quantity::PoolWait
                | Quantity::QueryTime
                | Quantity::QueueTime
        );
        let factor = if is_time && has("ms|msec|millis|milliseconds") {
            1e-3
        } else if is_time && has("us|micros|microseconds") {
            1e-6
        } else if has("percent|pct") {
            1e-2
        } else {
            1.0
        };
        let is_share = is_complement || has("share|ratio|rate|percent|pct");
        let statistic = match statistic(&words) {
            Statistic::Unknown if quantity == Quantity::Failures && !is_share => Statistic::Count,
            other => other,
        };
        Self { quantity, statistic, factor, is_complement }
    }
}

/// The words of a name in lower case, split at signs and at capitals.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for sign in name.chars() {
        let begins = !sign.is_alphanumeric() || (sign.is_uppercase() && was_lower);
        if begins {
            words.push(String::new());
        }
        was_lower = sign.is_lowercase();
        if sign.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(sign.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn statistic(words: &[String]) -> Statistic {
    let quantile = |word: &String| {
        let digits = word.strip_prefix('p').or(word.strip_prefix('q')).unwrap_or(word);
        let percent: u8 = digits.get(..2)?.parse().ok()?;
        let is_one = matches!(digits, "50" | "75" | "90" | "95" | "98" | "99" | "999");
        is_one.then_some(Statistic::Quantile(percent))
    };
    let named = |word: &String| match word.as_str() {
        "mean" | "avg" | "average" => Some(Statistic::Mean),
        "median" => Some(Statistic::Quantile(50)),
        "max" | "maximum" => Some(Statistic::Max),
        _ => quantile(word),
    };
    words.iter().find_map(named).unwrap_or(Statistic::Unknown)
}

impl Quantity {
    /// Whether a series counts events, of which most samples have none.
    pub(crate) fn counts_events(self) -> bool {
        matches!(
            self,
            Self::Failures
                | Self::TimeOuts
                | Self::Retries
                | Self::OutOfMemory
                | Self::Evictions
                | Self::CpuThrottling
                | Self::CircuitOpen
        )
    }

    /// Whether it says something about requests, so that without any of them it says nothing.
    pub(crate) fn is_of_requests(self) -> bool {
        matches!(self, Self::Latency | Self::ClientLatency)
    }

    /// Whether it is the use of a resource as a share of its limit.
    pub(crate) fn is_share(self) -> bool {
        matches!(self, Self::CpuShare | Self::MemoryShare | Self::MachineCpu | Self::MachineMemory)
    }

    /// Whether it is the use of a resource that could be short.
    pub(crate) fn is_resource(self) -> bool {
        matches!(
            self,
            Self::CpuShare
                | Self::CpuUse
                | Self::CpuThrottling
                | Self::MemoryShare
                | Self::MemoryUse
                | Self::Disk
                | Self::MachineCpu
                | Self::MachineMemory
        )
    }

    /// The smallest difference that matters in any system: a millisecond, a hundredth of a limit, half a percent of
    /// failures.
    pub(crate) fn smallest(self) -> f64 {
        match self {
            Self::Latency | Self::ClientLatency | Self::QueryTime | Self::QueueTime => 1e-3,
            Self::CpuShare | Self::MemoryShare | Self::MachineCpu | Self::MachineMemory | Self::MissRatio => {
                1e-2
            }
            Self::Failures => 5e-3,
            _ => 0.0,
        }
    }

    /// The ratio to normal from which growth may have an effect. Memory hardly varies, latency does.
    pub(crate) fn material(self) -> f64 {
        match self {
            Self::CpuShare | Self::MemoryShare | Self::MemoryUse | Self::MachineCpu | Self::MachineMemory => {
                1.2
            }
            _ => 1.25,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_known_sets_have_their_meaning() {
        for (name, quantity) in [
            ("cpu_utilization", Quantity::CpuShare),
            ("memory_utilization", Quantity::MemoryShare),
            ("node_cpu_utilization", Quantity::MachineCpu),
            ("latency_seconds", Quantity::Latency),
            ("latency_p90_seconds", Quantity::Latency),
            ("client_latency_p90_seconds", Quantity::ClientLatency),
            ("requests_per_second", Quantity::Requests),
            ("success_percent", Quantity::Failures),
            ("service_latency", Quantity::Latency),
            ("service_cpu", Quantity::CpuUse),
            ("service_mem", Quantity::MemoryUse),
            ("_error", Quantity::Failures),
            ("_workload", Quantity::Requests),
            ("latency-50", Quantity::Latency),
            ("latency-90", Quantity::Latency),
            ("cpu", Quantity::CpuUse),
            ("mem", Quantity::MemoryUse),
            ("load", Quantity::Requests),
            ("diskio", Quantity::Disk),
            ("socket", Quantity::Network),
            ("container-memory-working-set-bytes", Quantity::MemoryUse),
            ("availability", Quantity::Failures),
            ("ResponseTime", Quantity::Latency),
            ("db_client_connection_wait_time_seconds", Quantity::PoolWait),
            ("connections_in_use", Quantity::PoolInUse),
            ("max_connections", Quantity::ConnectionLimit),
            ("pg_connections", Quantity::Connections),
            ("cache_hit_ratio", Quantity::MissRatio),
            ("redis_evicted_keys_total", Quantity::Evictions),
            ("replication_lag_seconds", Quantity::ReplicaLag),
            ("jobs_queue_depth", Quantity::Backlog),
            ("jobs_oldest_age_seconds", Quantity::OldestAge),
            ("pending_pods", Quantity::PendingReplicas),
            ("retry_attempts_total", Quantity::Attempts),
            ("http_server_active_requests", Quantity::InFlight),
            ("payment_timeouts", Quantity::TimeOuts),
            ("cpu_throttled_share", Quantity::CpuThrottling),
            ("jvm_gc_pause", Quantity::Other),
        ] {
            assert_eq!(Meaning::of(name).quantity, quantity, "{name}");
        }
    }

    #[test]
    fn units_and_statistics_are_read_from_the_name() {
        assert_eq!(Meaning::of("latency_p99_ms").factor, 1e-3);
        assert_eq!(Meaning::of("latency_p99_ms").statistic, Statistic::Quantile(99));
        assert_eq!(Meaning::of("latency-50").statistic, Statistic::Quantile(50));
        assert_eq!(Meaning::of("LatencyAverage").statistic, Statistic::Mean);
        assert_eq!(Meaning::of("success_percent").factor, 1e-2);
        assert!(Meaning::of("success_percent").is_complement);
        assert_eq!(Meaning::of("errors").statistic, Statistic::Count);
        assert_eq!(Meaning::of("error_rate").statistic, Statistic::Unknown);
    }
}
