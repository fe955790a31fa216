//! Every reason of a decision: one word for programs, one sentence for people. Pure.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A reason: `name` for conditions and events, `sentence` for the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason {
    /// One word in PascalCase.
    pub name: &'static str,
    /// One sentence.
    pub sentence: &'static str,
}

/// Serialized as its name.
impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = all().find(|reason| reason.name == name);
        known.ok_or_else(|| D::Error::custom(format!("\"{name}\" is no reason that this version knows")))
    }
}

macro_rules! reasons {
    ($($constant:ident = $name:literal: $sentence:literal;)*) => {
        $(#[doc = $sentence] pub const $constant: Reason = Reason { name: $name, sentence: $sentence };)*

        /// All reasons, in the order of the documentation.
        pub fn all() -> impl Iterator<Item = Reason> {
            [$($constant),*].into_iter()
        }
    };
}

reasons! {
    // Why the replicas are what they are.
    CREATED = "Created": "A new component starts with its minimum replicas.";
    METRIC_ABOVE_TARGET = "MetricAboveTarget": "At least one metric is above its target, so more replicas are needed.";
    RECENT_RATE_ABOVE_TARGET = "RecentRateAboveTarget": "The request rate of the last seconds is above its target beyond what noise explains, so more replicas are needed than its average asks for.";
    ALL_METRICS_BELOW_TARGET = "AllMetricsBelowTarget": "Every metric is below its target, so fewer replicas are needed.";
    AT_TARGET = "AtTarget": "The metrics need the current replicas, within the tolerance.";
    ABOVE_MAX_REPLICAS = "AboveMaxReplicas": "The current replicas were above maxReplicas.";
    BELOW_MIN_REPLICAS = "BelowMinReplicas": "The current replicas were below minReplicas.";
    SCHEDULE = "Schedule": "A schedule keeps more replicas than would be needed without it.";
    FORECAST = "Forecast": "The forecast needs more replicas than the metrics do, or did within the last minute.";
    FORECAST_LEARNING = "ForecastLearning": "The forecast has too little history to be judged, so nothing scales in yet.";
    LAST_DECISION = "LastDecision": "Replicas were lowered outside of the operator; those of the last decision are restored.";
    FALLBACK = "Fallback": "A metric has been missing for longer than fallback.after, so at least fallback.replicas run.";
    OVERRIDE = "Override": "An override sets tighter bounds than the app's own.";
    HELD = "Held": "An override holds the replicas of the last decision.";
    FIXED_REPLICAS = "FixedReplicas": "No metric is declared, so minReplicas and the schedules decide alone.";

    // Why nothing is done at present.
    NO_VALID_METRIC = "NoValidMetric": "No metric has fresh evidence, so the replicas stay as they are.";
    SCALE_IN_NEEDS_ALL_METRICS = "ScaleInNeedsAllMetrics": "The metrics with fresh evidence need fewer replicas, but another metric has none. Nothing scales in on missing evidence.";

    // What limits the recommendation.
    MAX_REPLICAS = "MaxReplicas": "More replicas than maxReplicas are needed, or were within the last minute.";
    MIN_REPLICAS = "MinReplicas": "Fewer replicas than minReplicas are needed, or were within the last minute.";
    SCALE_UP_LIMIT = "ScaleUpLimit": "The scale-up policies delay replicas that are needed, or did within the last minute.";
    SCALE_DOWN_LIMIT = "ScaleDownLimit": "The scale-down policies keep replicas that are not needed, or did within the last minute.";
    SCALE_UP_STABILIZED = "ScaleUpStabilized": "A lower recommendation within the scale-up stabilization window delays replicas, or did within the last minute.";
    SCALE_DOWN_STABILIZED = "ScaleDownStabilized": "A higher recommendation within the scale-down stabilization window keeps replicas, or did within the last minute.";
    WINDOW_INCOMPLETE = "WindowIncomplete": "The averaging window of a metric is incomplete: it has a gap, a counter was reset, or all pods are new. Nothing scales in until it is complete.";
    KEYS_ARE_EVICTED = "KeysAreEvicted": "A cache evicts keys, so none of its shards leaves.";
    PRIMARY_HAS_NO_ROOM = "PrimaryHasNoRoom": "A read replica waits for a WAL sender or a replication slot of the primary, so no further one is added.";
    CONNECTION_BUDGET = "ConnectionBudget": "The database has too few free connections for more pods. Use smaller pools, raise maxConnections of the server, or lower the reserve.";
    THROUGHPUT_DOES_NOT_RISE = "ThroughputDoesNotRise": "The throughput of the workers has not risen with their number, so the pool does not grow further. Look for a poison job, a lock or a slow dependency.";
    WAITS_FOR_TURN = "WaitsForTurn": "Another cache or other read replicas of the app change. They change one after another, so these replicas stay until that change has its effect, for at most 5 minutes, or 15 where read replicas are known to take that long.";
    DEPENDENCY_DEGRADED = "DependencyDegraded": "The circuit breakers of a dependency are open on at least half of the pods that report. No replica is removed, and none is added because calls wait.";
    DEPENDENCY_RECOVERING = "DependencyRecovering": "The circuit breakers of a dependency were open a short time ago. The replicas stay for one scale-down stabilization window.";
    CALLERS_SILENT = "CallersSilent": "A caller of the component has an open circuit breaker, or no ready pod. The replicas stay until it has been back for one scale-down stabilization window.";
    CIRCUIT_UNKNOWN = "CircuitUnknown": "Too few pods report the state of a circuit breaker, so nothing scales in. Check that they export it, and the name of the breaker.";
    BOTTLENECK_ELSEWHERE = "BottleneckElsewhere": "Requests wait for what is named in status.bottleneck. No replica is added because they wait; the request rate and the CPU may still add some.";
    SYNCHRONOUS_REPLICAS = "SynchronousReplicas": "Synchronous replication of the database needs these replicas, so that its writes are confirmed.";

    // Why a metric is invalid.
    METRIC_ABSENT = "MetricAbsent": "The metric has no sample, or lacks samples of pods that should report.";
    METRIC_STALE = "MetricStale": "The newest sample of the metric is too old to act on.";
    METRIC_IMPLAUSIBLE = "MetricImplausible": "The value cannot be true: it is not a number, infinite, negative, or one of several where one is expected.";
    ZERO_WHILE_SERVING = "ZeroWhileServing": "The request rate is zero while requests are in flight: they hang, or they are not counted. Nothing scales in on such a zero for an hour.";
    REQUEST_MISSING = "RequestMissing": "Utilization is a share of the resource request, and a container of the pod has no request.";

    CLOUD_NATIVE_PG_MISSING = "CloudNativePGMissing": "CloudNativePG is not installed, or the operator may not use it, so its databases are not scaled.";
    CLUSTER_NOT_FOUND = "ClusterNotFound": "The Cluster of CloudNativePG that a database names does not exist.";
    CLUSTER_SCALED_BY_OTHER_APP = "ClusterScaledByOtherApp": "An older app scales the Cluster of CloudNativePG that a database names.";
    CLUSTER_BUSY = "ClusterBusy": "CloudNativePG is changing the Cluster, so nothing scales it meanwhile.";

    GATEWAY_API_MISSING = "GatewayAPIMissing": "Gateway API is not installed, or the operator may not use it, so the route of a service has no effect.";
    ROUTE_PENDING = "RoutePending": "No gateway has answered for the HTTPRoute of a service yet.";
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted": "A Gateway does not accept the HTTPRoute of a service, or does not find its Services.";
    GATEWAY_BEHIND = "GatewayBehind": "A gateway does not follow the HTTPRoute of a service, so pods that it may still send requests to stay.";

    DELETING = "Deleting": "The app is being deleted: nothing of it is scaled or repaired any more.";
    PAUSED = "Paused": "An override pauses the app: only its status is written.";

    // Conditions of the stack.
    UP_AS_DECLARED = "UpAsDeclared": "Every component runs its declared version with at least minReplicas ready pods.";
    PODS_NOT_READY = "PodsNotReady": "A component has fewer ready pods than minReplicas.";
    ROLLING_OUT = "RollingOut": "A new revision is taking over from the old one.";
    ROLLED_OUT = "RolledOut": "Every component runs one revision, the declared one.";
    CONVERGED = "Converged": "The declared state is reached.";
    NOT_STALLED = "NotStalled": "The operator goes on by itself; Ready says what is not up.";
    INVALID_SPEC = "InvalidSpec": "The spec is invalid; what runs stays as it is.";
    UNREADABLE = "Unreadable": "This version of the operator cannot read the stored object.";
    TOO_LARGE = "TooLarge": "The stored object is larger than the operator reads; what runs stays as it is.";
    NAME_TAKEN = "NameTaken": "An object that does not belong to this ScalableApp has the name of a child.";
    CHILD_REFUSED = "ChildRefused": "The API server refuses a child or its replicas.";
    CHILD_NOT_WRITTEN = "ChildNotWritten": "A child or its replicas could not be written, for example because the API server did not answer. The write is retried.";
    PODS_REFUSED = "PodsRefused": "The API server refuses pods, for example because a quota is used up.";
    UNSCHEDULABLE = "Unschedulable": "The scheduler finds no node for a pod.";
    IMAGE_PULL_FAILED = "ImagePullFailed": "An image cannot be pulled.";
    CONTAINER_CREATING = "ContainerCreating": "The containers of a pod are not created yet: a volume is not mounted, or an image is being pulled.";
    INIT_CONTAINER_NOT_DONE = "InitContainerNotDone": "An init container fails or does not finish, so the containers of the pod do not start.";
    CONTAINER_CRASHES = "ContainerCrashes": "A container keeps exiting.";
    PROBE_FAILS = "ProbeFails": "A container runs, and one of its probes fails.";
    CONTAINER_NOT_CREATED = "ContainerNotCreated": "A container cannot be created, for example because a Secret is missing.";
    PRIMARY_NOT_USABLE = "PrimaryNotUsable": "A read replica cannot use the primary as it is: its settings, a role or the Secret must be changed.";
    PRIMARY_UNREACHABLE = "PrimaryUnreachable": "The primary does not answer a read replica that is of no use without it.";
    REPLICA_NOT_COPIED = "ReplicaNotCopied": "A read replica is being cloned, waits until another one is cloned, or catches up with the primary.";
    REPLICA_BEHIND = "ReplicaBehind": "A read replica has left the read Service, because it does not follow the primary closely enough.";
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded": "The pods of the declared revision did not become ready in time.";
    CANARY_PROGRESSING = "CanaryProgressing": "A new revision gets a part of the requests. The message says which step, and what it waits for.";
    BLUE_GREEN_PROGRESSING = "BlueGreenProgressing": "A new revision runs beside the stable one, before or after the switch. The message says which step, and what it waits for.";
    BLUE_GREEN_ABORTED = "BlueGreenAborted": "The new revision was aborted, and the stable one has all requests. Change the spec, or ask for another try.";
    CANARY_ABORTED = "CanaryAborted": "The new revision was aborted, and the stable one has all requests. Change the spec, or ask for another try.";

    // Conditions of metrics and limits.
    ALL_METRICS_FRESH = "AllMetricsFresh": "Every metric of every component has fresh evidence.";
    NO_METRICS = "NoMetrics": "No component declares a metric.";
    NOT_MEASURED_YET = "NotMeasuredYet": "The operator has not queried Prometheus for this app yet.";
    WITHIN_LIMITS = "WithinLimits": "No bound, policy or override limits the replicas.";
    DEPENDENCIES_WELL = "DependenciesWell": "No circuit breaker is open.";
    CIRCUIT_OPEN_ON_SOME_PODS = "CircuitOpenOnSomePods": "A circuit breaker is open on less than half of the pods: the problem is theirs, not that of the dependency.";

    // Conditions of an override.
    IN_FORCE = "InForce": "The override is in force.";
    CLAMPED = "Clamped": "The override is in force, up to maxReplicas.";
    WITHOUT_EFFECT = "WithoutEffect": "The bounds of the override change nothing: the app's own are as tight.";
    ACTED = "Acted": "The override acts once, and it has acted.";
    WITHOUT_CANARY = "WithoutCanary": "The override acts once on a canary, and there was none that it could act on.";
    SUPERSEDED = "Superseded": "Another override is tighter, or pauses the app. This one takes effect when that one ends.";
    EXPIRED = "Expired": "The override has expired.";
    APP_NOT_FOUND = "AppNotFound": "The override names an app that does not exist in its namespace.";
    COMPONENT_NOT_FOUND = "ComponentNotFound": "The override names a component that its app does not have.";

    // Verdicts of a diagnosis.
    HEALTHY = "Healthy": "Neither latency nor failures are above normal.";
    HISTORY_TOO_SHORT = "HistoryTooShort": "Too little of latency or failures was measured since the operator started, so nothing is diagnosed.";
    UNKNOWN = "Unknown": "Two causes are too close; the message names the measurement that would decide.";
    NOT_A_SCALING_PROBLEM = "NotAScalingProblem": "Latency or failures grew, and no resource did. Look at the last change of the code.";
    CPU_SATURATED = "CpuSaturated": "CPU use is near its limit, or far above what the requests explain.";
    CPU_THROTTLED = "CpuThrottled": "The CPU limit is reached within single periods.";
    MEMORY_SATURATED = "MemorySaturated": "Memory use is near its limit, far above normal, or containers were killed for it.";
    DISK_SATURATED = "DiskSaturated": "Reads and writes of the disk are far above what the requests explain.";
    NETWORK_SATURATED = "NetworkSaturated": "Traffic or sockets are far above what the requests explain. Look for a leak, or for who sends it.";
    POOL_TOO_SMALL = "PoolTooSmall": "Requests wait for a connection of the pool while the database is as fast as before.";
    CONNECTIONS_EXHAUSTED = "ConnectionsExhausted": "The database has no connections left.";
    DATABASE_SLOW = "DatabaseSlow": "Queries take longer, so they hold their connections longer.";
    LOCK_WAIT = "LockWait": "Sessions of the database wait for a lock.";
    CACHE_MISSES = "CacheMisses": "The cache answers fewer reads than before.";
    REPLICA_LAG = "ReplicaLag": "Read replicas are behind their primary.";
    BACKLOG_GROWS = "BacklogGrows": "Jobs wait longer than before.";
    DEPENDENCY_FAILS = "DependencyFails": "The circuit breaker of a dependency is open.";
    EXTERNAL_LATENCY = "ExternalLatency": "Time passes in a dependency or in the network, outside of what the operator scales.";
    QUEUEING = "Queueing": "Requests wait for their turn, or are more than before, while no resource is used up.";
    CAPACITY_NOT_GRANTED = "CapacityNotGranted": "Replicas are wanted and do not run, for example because of a quota.";
    SUSTAINED_OVERLOAD = "SustainedOverload": "Repeated calls keep the load high, and fewer requests succeed than before.";

    // Events.
    SCALED = "Scaled": "The replicas were changed.";
    CANARY_STEP = "CanaryStep": "A canary begins its next step.";
    BLUE_GREEN_STEP = "BlueGreenStep": "A blue-green rollout begins its next step.";
    BLUE_GREEN_SWITCHED = "BlueGreenSwitched": "All requests go to another revision.";
    BLUE_GREEN_PROMOTED = "BlueGreenPromoted": "The new revision of a blue-green rollout is now the stable one.";
    CANARY_PROMOTED = "CanaryPromoted": "A canary is now the stable revision.";
    STATUS_NOT_WRITTEN = "StatusNotWritten": "The API server refuses the status of this object. Nothing scales before it is written.";
    STATUS_REDUCED = "StatusReduced": "The API server refuses the full status of this object, so a reduced one is written. Check that the CRDs match the operator's version.";
    SCALED_BY_OTHER = "ScaledByOther": "Replicas of a child were changed outside of the operator: remove the other scaler, or use a ScalingOverride.";
    MEMORY_NOT_GIVEN = "MemoryNotGiven": "The cluster does not give a shard of a cache its memory in place. A larger declared memory needs a larger node, or a restart where the API server cannot resize pods. Instead of growing, the cache adds shards.";
    POD_EJECTED = "PodEjected": "Only this pod of its service has an open circuit breaker, so it gets no requests. It returns when its breaker is closed, and is replaced if it stays open.";
    POD_RETURNED = "PodReturned": "This pod gets requests again.";
    POD_REPLACED = "PodReplaced": "The circuit breaker of this pod stayed open while those of its peers are closed, so it is replaced.";
    CANARY_POD_REPLACED = "CanaryPodReplaced": "A canary looks worse because of this pod alone. The pod is replaced, and the revision is judged by the others.";
    PASSWORD_RENEWED = "PasswordRenewed": "The Secret of a cache was missing and is created again, with another password. Pods that do not follow the file with the password use the cache again after a restart.";
    DELETION_COST_NOT_WRITTEN = "DeletionCostNotWritten": "The annotation by which idle workers leave first could not be written, so Kubernetes chooses the pods that leave.";
    CHILD_REVERTED = "ChildReverted": "An edit of a child was undone; change the ScalableApp instead.";
}

/// Problems that keep pods from being ready.
pub const PROBLEMS: [Reason; 13] = [
    PODS_REFUSED,
    UNSCHEDULABLE,
    IMAGE_PULL_FAILED,
    CONTAINER_CREATING,
    INIT_CONTAINER_NOT_DONE,
    CONTAINER_CRASHES,
    PROBE_FAILS,
    CONTAINER_NOT_CREATED,
    PRIMARY_NOT_USABLE,
    PRIMARY_UNREACHABLE,
    PRIMARY_HAS_NO_ROOM,
    REPLICA_NOT_COPIED,
    REPLICA_BEHIND,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_words_and_sentences_are_sentences() {
        let names: BTreeSet<_> = all().map(|reason| reason.name).collect();
        assert_eq!(names.len(), all().count());
        for reason in all() {
            assert!(
                reason.name.len() <= 64 && reason.name.chars().all(char::is_alphanumeric),
                "{}",
                reason.name
            );
            assert!(reason.name.starts_with(char::is_uppercase), "{}", reason.name);
            assert!(reason.sentence.ends_with('.'), "{}", reason.sentence);
        }
    }
}
