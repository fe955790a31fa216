//! What runs the jobs of one kind, and what it needs of the app. No I/O.

use futures::future::BoxFuture;

use super::lease::{JobError, Lease, Refused};
use super::webhook::Webhooks;
use crate::database::Database;

/// The state of the app, as far as jobs need it. Cloned for each run.
pub(crate) trait JobState: Clone + Send + Sync + 'static {
    /// Where the jobs are.
    fn database(&self) -> &Database;

    /// None without a key for webhooks: then none is sent.
    fn webhooks(&self) -> Option<&Webhooks>;
}

/// What runs jobs of one kind.
pub(crate) struct Work<S> {
    pub(crate) kind: &'static str,
    /// Computes first, and then commits its effect in one transaction with [`Lease::finish`].
    pub(crate) run: for<'a> fn(&'a S, &'a Lease) -> BoxFuture<'a, Result<(), JobError>>,
    /// What else changes in the transaction that ends a job as refused for good.
    pub(crate) refused: Option<Refused>,
}

// Derived, both would ask the same of `S`.
impl<S> Clone for Work<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Work<S> {}
