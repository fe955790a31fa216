//! A fleet during an outage of Prometheus, and after it.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::time::sleep;

use super::Fleet;
use super::rest::operator_user;
use crate::prometheus_stub::Asked;

/// The effect of an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// Apps that had fewer replicas at some time from its start until after its end.
    pub fell: usize,
    /// The queries in a time span of the same length just before it.
    pub asked_before: Asked,
    /// The queries in the time span after it.
    pub asked_after: Asked,
    /// Writes of the operator during it.
    pub writes_during: usize,
    /// Writes of the operator after it.
    pub writes_after: usize,
    /// Writes of the operator in the busiest second of both.
    pub busiest_second: u64,
}

impl Fleet {
    /// Stops Prometheus for `duration`, and continues to watch for `after`.
    ///
    /// # Errors
    /// When the stub cannot serve again, or the audit log cannot be read.
    pub async fn outage(&mut self, duration: Duration, after: Duration) -> Result<Outage> {
        let user = operator_user();
        let before = Instant::now();
        sleep(after).await;
        let asked_before = self.prometheus.asked_since(before);
        let (gone, mark) = (Instant::now(), self.audit.mark()?);
        self.prometheus.go()?;
        sleep(duration).await;
        let writes_during = self.writes_since(mark)?;
        let (back, mark_back) = (Instant::now(), self.audit.mark()?);
        self.prometheus.come_back()?;
        sleep(after).await;
        Ok(Outage {
            fell: self.replicas.fell_since(gone),
            asked_before,
            asked_after: self.prometheus.asked_since(back),
            writes_during,
            writes_after: self.writes_since(mark_back)?,
            busiest_second: self.audit.busiest_second_since(mark, &user)?,
        })
    }

    fn writes_since(&self, mark: crate::world::Mark) -> Result<usize> {
        let user = operator_user();
        Ok(self.audit.mutations_since(mark)?.iter().filter(|one| one.user == user).count())
    }
}
