//! Bytes that count against a budget until nobody uses them any more. No I/O.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes of each budget.
pub(crate) const TOTAL: usize = 48 * 1024 * 1024;

/// What all shares together may take.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Semaphore>);

/// A part of a budget; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Share(OwnedSemaphorePermit);

/// Bytes and what they count against.
#[derive(Debug)]
pub(crate) struct Counted<Bytes, Count> {
    pub(crate) bytes: Bytes,
    pub(crate) count: Count,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(TOTAL)))
    }

    /// None if so much is not left.
    pub(crate) fn take(&self, bytes: usize) -> Option<Share> {
        let bytes = u32::try_from(bytes).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(bytes).ok().map(Share)
    }

    #[cfg(test)]
    pub(crate) fn left(&self) -> usize {
        self.0.available_permits()
    }
}

impl Share {
    pub(crate) fn bytes(&self) -> usize {
        self.0.num_permits()
    }

    pub(crate) fn add(&mut self, Self(more): Self) {
        self.0.merge(more);
    }
}

impl<Bytes: AsRef<[u8]>, Count> AsRef<[u8]> for Counted<Bytes, Count> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}
