//! How fast apps follow a change of their metric.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::time::sleep_until;

use super::Fleet;
use crate::percentiles::Percentiles;
use crate::prometheus_stub::AppKey;
use crate::world::wait_until;

/// Time limit of an app, with any fault of Prometheus.
const PATIENCE: Duration = Duration::from_secs(180);

/// Since the change of an app's metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaction {
    /// Until `spec.replicas` first changed.
    pub first: Percentiles,
    /// Until it had the desired value.
    pub arrived: Percentiles,
}

impl Fleet {
    /// Sets the rate of some apps, each at a random moment within `spread`, so that every phase of the tick is covered,
    /// and waits until each has the desired replicas.
    ///
    /// # Errors
    /// When one of them does not reach them.
    pub async fn change(
        &self,
        apps: &[AppKey],
        rate: f64,
        wanted: i32,
        spread: Duration,
    ) -> Result<Reaction> {
        let begin = Instant::now();
        let mut turns: Vec<(Instant, &AppKey)> =
            apps.iter().map(|app| (begin + spread.mul_f64(fastrand::f64()), app)).collect();
        turns.sort();
        for (at, app) in &mut turns {
            sleep_until((*at).into()).await;
            *at = Instant::now();
            self.prometheus.set(app, rate);
        }
        wait_until("every app has the wanted replicas", PATIENCE, async || {
            let others: Vec<_> = apps.iter().filter(|app| self.replicas.of(app) != Some(wanted)).collect();
            ensure!(others.is_empty(), "{others:?} do not have {wanted}");
            Ok(())
        })
        .await
        .with_context(|| {
            let log = self.operator.as_ref().map(crate::operator::LocalOperator::log).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            lines[lines.len().saturating_sub(200)..].join("\n")
        })?;
        let (mut first, mut arrived) = (Vec::new(), Vec::new());
        for (set, app) in turns {
            let changes = self.replicas.changes_since(app, set);
            first.extend(changes.first().map(|(at, _)| *at - set));
            arrived.extend(changes.iter().find(|(_, replicas)| *replicas == wanted).map(|(at, _)| *at - set));
        }
        let none = "no app was changed";
        Ok(Reaction {
            first: Percentiles::of(first).context(none)?,
            arrived: Percentiles::of(arrived).context(none)?,
        })
    }
}
