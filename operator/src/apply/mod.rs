//! From what should be to what is: every write that the operator sends, each inside the lease. I/O out.

pub mod app;
pub mod attempts;
pub mod children;
pub mod events;
pub mod failing;
pub mod fence;
pub mod record;
pub mod replicas;
pub mod status;
pub mod writer;

/// Field manager of the children's templates, labels and owner.
pub const MANAGER: &str = "scalableapp";
/// Field manager of `spec.replicas`, and of nothing else.
pub const SCALER: &str = "scalableapp-scaler";
/// Field manager of the epoch on Deployments of earlier revisions, whose templates are never applied again.
pub const FENCE: &str = "scalableapp-fence";
/// Field manager of the status of a ScalableApp or a ScalingOverride.
pub const REPORTER: &str = "scalableapp-status";
