//! Names that the operator writes on objects: keys of labels and annotations, and field managers. No I/O.

/// Name of the app.
pub const APP: &str = "scalableapp.dev/app";
/// Name of the component.
pub const COMPONENT: &str = "scalableapp.dev/component";
/// Kind of the component.
pub const TIER: &str = "scalableapp.dev/tier";
/// Revision of a Deployment and its pods.
pub const REVISION: &str = "scalableapp.dev/revision";

/// Label selector of the children and pods of all apps.
pub const MANAGED: &str = "app.kubernetes.io/managed-by=scalableapp";

/// Label of a Deployment with the epoch of the leader that applied it. A new leader's first apply changes it, and with
/// it the resourceVersion that a late write of the old leader carries. It is not an annotation, because annotations of
/// a Deployment count as a new generation and are copied to ReplicaSets.
pub const EPOCH: &str = "scalableapp.dev/epoch";

/// Annotation of a pod by which Kubernetes chooses, among ready pods, which one leaves first: that of the lowest cost. A
/// pod without it costs 0.
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Field manager of the children's templates, labels and owners.
pub const MANAGER: &str = "scalableapp";
/// Field manager of `spec.replicas` of workloads and of the deletion cost of pods, and of no other field.
pub const SCALER: &str = "scalableapp-scaler";
/// Field manager of the epoch on Deployments of earlier revisions, whose templates are never applied again.
pub const FENCE: &str = "scalableapp-fence";
/// Field manager of the status of a ScalableApp or a ScalingOverride.
pub const REPORTER: &str = "scalableapp-status";
