//! What was measured, and whether it may be acted on. Pure.

pub(crate) mod exact;
pub mod recorded;
pub mod sample;
pub mod zero;

use crate::forecast::season::Seasonal;
use crate::hpa::pod::{Pod, PodSample, Resource};
use jiff::SignedDuration;
use sample::Reading;
use std::borrow::Cow;

/// What was measured until one moment: the same question always gets the same answer.
///
/// A decision reads what it needs, so that a record of what was read is all that it depended on ([`recorded`]).
pub trait Evidence {
    /// The age up to which a sample is fresh.
    fn max_age(&self) -> SignedDuration;

    /// What the query of a component's metric returned; nothing where it was not answered.
    fn reading(&self, component: &str, metric: &str) -> Option<Cow<'_, Reading>>;

    /// The newest sample of a pod's usage; nothing where not every container was measured.
    fn usage(&self, pod: &Pod, resource: Resource) -> Option<PodSample>;

    /// What is known of the season of a component's metric; nothing while its history is awaited.
    fn season(&self, component: &str, metric: &str) -> Option<Cow<'_, Seasonal>>;
}
