//! How many calls run at the same time, and how many may wait for that. No I/O.

use std::sync::Arc;

use metrics::{Counter, Gauge, counter, gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// As many wait as may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// At most `limit` calls at a time and at most `queue` that wait for their turn.
#[derive(Debug, Clone)]
pub(crate) struct Bulkhead {
    /// One permit for each call that runs or waits.
    admission: Arc<Semaphore>,
    /// One permit for each call that runs; none where nobody may wait, because whoever is admitted there runs.
    running: Option<Arc<Semaphore>>,
    in_use: Gauge,
    rejected: Counter,
}

/// A place in the bulkhead, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _admitted: OwnedSemaphorePermit,
    _running: Option<OwnedSemaphorePermit>,
    in_use: Gauge,
}

impl Bulkhead {
    /// Its series carry `name`, and are shown from now on.
    pub(crate) fn new(name: &'static str, limit: usize, queue: usize) -> Self {
        gauge!("bulkhead_limit", "name" => name).set(limit as f64);
        let in_use = gauge!("bulkhead_in_use", "name" => name);
        in_use.set(0.0);
        let rejected = counter!("bulkhead_rejected_total", "name" => name);
        rejected.absolute(0);
        Self {
            admission: Arc::new(Semaphore::new(limit + queue)),
            running: (queue > 0).then(|| Arc::new(Semaphore::new(limit))),
            in_use,
            rejected,
        }
    }

    /// Waits for a place; a caller that goes away meanwhile gives up its turn.
    pub(crate) async fn enter(&self) -> Result<Place, Full> {
        let admitted = Arc::clone(&self.admission).try_acquire_owned().map_err(|_| self.reject())?;
        let running = match &self.running {
            // The semaphore is never closed.
            Some(running) => Some(Arc::clone(running).acquire_owned().await.map_err(|_| Full)?),
            None => None,
        };
        self.in_use.increment(1.0);
        Ok(Place { _admitted: admitted, _running: running, in_use: self.in_use.clone() })
    }

    fn reject(&self) -> Full {
        self.rejected.increment(1);
        Full
    }

    #[cfg(test)]
    pub(crate) fn places_left(&self) -> usize {
        self.admission.available_permits()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.in_use.decrement(1.0);
    }
}
