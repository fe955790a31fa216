//! Every reason that a decision can give: one word for machines, one sentence for people. Pure.

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

/// Written as its name.
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
    CREATED = "Created": "A new component starts with its fewest replicas.";
    METRIC_ABOVE_TARGET = "MetricAboveTarget": "At least one metric is above its target and asks for more replicas.";
    ALL_METRICS_BELOW_TARGET = "AllMetricsBelowTarget": "Every metric is below its target and asks for fewer replicas.";
    AT_TARGET = "AtTarget": "The metrics ask for the replicas that there are.";
    ABOVE_MAX_REPLICAS = "AboveMaxReplicas": "There were more replicas than maxReplicas allows.";
    BELOW_MIN_REPLICAS = "BelowMinReplicas": "There were fewer replicas than minReplicas asks for.";
    SCHEDULE = "Schedule": "A schedule asks for more replicas than would run without it.";
    FORECAST = "Forecast": "The forecast asks for more replicas than the metrics do, or did within the last minute.";
    FORECAST_LEARNING = "ForecastLearning": "The forecast has seen too little to be judged, so nothing scales in yet.";
    LAST_DECISION = "LastDecision": "Somebody else has lowered the replicas while a metric has no fresh evidence, so those of the last decision are restored.";
    FALLBACK = "Fallback": "A metric has been missing for long, so no fewer replicas run than the fallback asks for.";
    OVERRIDE = "Override": "An override asks for other bounds than the app's own.";
    HELD = "Held": "An override holds the replicas of the last decision.";
    FIXED_REPLICAS = "FixedReplicas": "No metric is declared, so minReplicas and the schedules alone decide.";

    // Why nothing is done for now.
    NO_VALID_METRIC = "NoValidMetric": "No metric has fresh evidence, so the replicas stay as they are.";
    SCALE_IN_NEEDS_ALL_METRICS = "ScaleInNeedsAllMetrics": "The metrics that have fresh evidence ask for fewer replicas, but one has none, and nothing scales in on missing evidence.";

    // What keeps the replicas from what is asked for.
    MAX_REPLICAS = "MaxReplicas": "More replicas are asked for than maxReplicas allows, or were within the last minute.";
    MIN_REPLICAS = "MinReplicas": "Fewer replicas are asked for than minReplicas allows, or were within the last minute.";
    SCALE_UP_LIMIT = "ScaleUpLimit": "The scale-up policies hold back replicas that are asked for, or did within the last minute.";
    SCALE_DOWN_LIMIT = "ScaleDownLimit": "The scale-down policies keep replicas that are no longer asked for, or did within the last minute.";
    SCALE_UP_STABILIZED = "ScaleUpStabilized": "A lower recommendation within the scale-up window holds replicas back, or did within the last minute.";
    SCALE_DOWN_STABILIZED = "ScaleDownStabilized": "A higher recommendation within the scale-down window keeps replicas, or did within the last minute.";
    WINDOW_INCOMPLETE = "WindowIncomplete": "A metric is an average over a time of which a part was not seen or not served, so nothing scales in until that is over.";

    // Why a metric has no say.
    METRIC_ABSENT = "MetricAbsent": "The metric has no sample, or not from every pod that should report.";
    METRIC_STALE = "MetricStale": "The metric's newest sample is too old to act on.";
    METRIC_IMPLAUSIBLE = "MetricImplausible": "The metric's value cannot be true: not a number, infinite, negative, or several values where one is expected.";
    ZERO_WHILE_SERVING = "ZeroWhileServing": "No request ends while some are being served: they hang, or they are not counted. For an hour nothing scales in on that.";
    REQUEST_MISSING = "RequestMissing": "Utilization is a share of the request, and a container of the pod has no request.";

    DELETING = "Deleting": "The app is being deleted: nothing of it is scaled or repaired any more.";
    PAUSED = "Paused": "An override pauses the app: nothing is written but its status.";

    // What a condition says of the stack.
    UP_AS_DECLARED = "UpAsDeclared": "Every component runs its declared version with at least minReplicas ready pods.";
    PODS_NOT_READY = "PodsNotReady": "A component has fewer ready pods than minReplicas asks for.";
    ROLLING_OUT = "RollingOut": "A new revision is taking over from the old one.";
    ROLLED_OUT = "RolledOut": "Every component runs one revision, the declared one.";
    CONVERGED = "Converged": "The declared state is reached; replicas above minReplicas are no part of it.";
    NOT_STALLED = "NotStalled": "Nothing needs a change by somebody.";
    INVALID_SPEC = "InvalidSpec": "The spec says something that cannot be done; what runs stays as it is.";
    UNREADABLE = "Unreadable": "The stored object cannot be read by this version of the operator.";
    TOO_LARGE = "TooLarge": "The stored object is larger than the operator reads; what runs stays as it is.";
    NAME_TAKEN = "NameTaken": "A child's name belongs to an object that is not part of this ScalableApp.";
    CHILD_REFUSED = "ChildRefused": "The API server refuses a child as the spec describes it, or its replicas.";
    CHILD_NOT_WRITTEN = "ChildNotWritten": "A child or its replicas cannot be written for now, for example because the API server does not answer; it is tried again.";
    PODS_REFUSED = "PodsRefused": "The API server refuses pods, for example because a quota is used up.";
    UNSCHEDULABLE = "Unschedulable": "No node takes a pod.";
    IMAGE_PULL_FAILED = "ImagePullFailed": "An image cannot be pulled.";
    CONTAINER_CREATING = "ContainerCreating": "A pod's containers are not created yet: a volume is not mounted, or an image is still being pulled.";
    INIT_CONTAINER_NOT_DONE = "InitContainerNotDone": "An init container fails or does not finish, so the pod's containers do not start.";
    CONTAINER_CRASHES = "ContainerCrashes": "A container keeps ending.";
    PROBE_FAILS = "ProbeFails": "A container runs, and one of its probes does not succeed.";
    CONTAINER_NOT_CREATED = "ContainerNotCreated": "A container cannot be created, for example because a Secret is missing.";
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded": "The pods of the declared revision did not become ready in time.";

    // What a condition says of the metrics and the limits.
    ALL_METRICS_FRESH = "AllMetricsFresh": "Every metric of every component has fresh evidence.";
    NO_METRICS = "NoMetrics": "No component declares a metric.";
    NOT_MEASURED_YET = "NotMeasuredYet": "The operator has not asked Prometheus about this app yet.";
    WITHIN_LIMITS = "WithinLimits": "No bound, policy or override keeps the replicas from what is asked for.";

    // What an override says of itself.
    IN_FORCE = "InForce": "The override acts upon the scaling of its app.";
    CLAMPED = "Clamped": "The override acts, but asks for more replicas than maxReplicas allows.";
    WITHOUT_EFFECT = "WithoutEffect": "The override's bounds change nothing: the app's own are as tight.";
    SUPERSEDED = "Superseded": "Other overrides are tighter, or pause the app; this one counts once they are over.";
    EXPIRED = "Expired": "The override's time is over.";
    APP_NOT_FOUND = "AppNotFound": "The override names an app that does not exist in its namespace.";
    COMPONENT_NOT_FOUND = "ComponentNotFound": "The override names a component that its app does not have.";

    // What an event says.
    SCALED = "Scaled": "The number of replicas was changed.";
    STATUS_NOT_WRITTEN = "StatusNotWritten": "The API server does not take the status of this object, and nothing scales before it does.";
    SCALED_BY_OTHER = "ScaledByOther": "Somebody else has changed the replicas of a child: remove the other scaler, or use a ScalingOverride.";
    CHILD_REVERTED = "ChildReverted": "Somebody's edit of a child was undone; change the ScalableApp instead.";
}

/// What keeps pods from being ready.
pub const PROBLEMS: [Reason; 8] = [
    PODS_REFUSED,
    UNSCHEDULABLE,
    IMAGE_PULL_FAILED,
    CONTAINER_CREATING,
    INIT_CONTAINER_NOT_DONE,
    CONTAINER_CRASHES,
    PROBE_FAILS,
    CONTAINER_NOT_CREATED,
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
