//! Computing without stalling the reactor, and saying no in time. No I/O.
//!
//! A request that computes on an async worker keeps every other request of that worker waiting, the probes of
//! the kubelet among them. Here computations run on threads of their own, no more of them than there are
//! CPUs; a bounded number waits, and the rest is refused at once, while the caller can still go elsewhere.

use tokio::task::{JoinError, spawn_blocking};

use crate::resilience::{Bulkhead, Full};

/// Why a computation was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CpuPoolError {
    /// As many wait as may wait.
    #[error("all CPU workers are busy and their queue is full")]
    Full,
    /// The computation panicked, or the process is ending.
    #[error("failed to finish the computation: {0}")]
    Lost(#[from] JoinError),
}

/// At most `workers` computations at a time and at most `queue` that wait for their turn.
#[derive(Debug, Clone)]
pub(crate) struct CpuPool(Bulkhead);

impl CpuPool {
    pub(crate) fn new(workers: usize, queue: usize) -> Self {
        Self(Bulkhead::new("cpu", workers, queue))
    }

    /// Runs `compute` when a worker is free.
    ///
    /// A caller that goes away while it waits gives up its place; one that goes away later does not stop the
    /// computation, which therefore keeps its place until it ends.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        compute: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CpuPoolError> {
        let place = self.0.enter().await.map_err(|Full| CpuPoolError::Full)?;
        let computed = spawn_blocking(move || {
            let _held = place;
            compute()
        });
        Ok(computed.await?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_free_worker_serves_again() {
        let pool = CpuPool::new(1, 1);
        let (finish, wait) = mpsc::channel::<()>();
        let running = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(move || wait.recv().is_ok()).await }
        });
        let queued = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(|| true).await }
        });
        while pool.0.places_left() > 0 {
            tokio::task::yield_now().await;
        }

        assert!(matches!(pool.run(|| true).await, Err(CpuPoolError::Full)));

        finish.send(()).unwrap();
        assert!(running.await.unwrap().unwrap());
        assert!(queued.await.unwrap().unwrap());
        assert!(pool.run(|| true).await.unwrap());
    }

    #[tokio::test]
    async fn a_panic_gives_its_worker_back() {
        let pool = CpuPool::new(1, 0);
        assert!(matches!(pool.run(|| panic!("on purpose")).await, Err(CpuPoolError::Lost(_))));
        assert_eq!(pool.run(|| 7).await.unwrap(), 7);
    }
}
