//! The forecast by season, and the forecasts that are not due yet. Pure.
//!
//! A rise that is no larger than the season's own mean error is ignored. A forecast load counts until it was due:
//! otherwise noise or the load of a moment would remove pods while they start. A restart loses these forecasts, so for
//! two horizons nothing may scale in: they were made within the last horizon, from levels of the one before.

use crate::forecast::season::Season;
use crate::forecast::trend::{Outlook, cell};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Memory of one load. At most about 40 numbers with their times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SeasonForecast {
    /// Since when it has been observed without a gap of a horizon.
    since: Option<Timestamp>,
    /// The loads of the last horizon. Their levels are computed with the current season, which is learned again from
    /// time to time.
    loads: VecDeque<(Timestamp, f64)>,
    /// When each load is due.
    pending: VecDeque<(Timestamp, f64)>,
}

impl SeasonForecast {
    /// Adds the load at an instant, and returns the forecast one. `horizon` is above zero.
    pub(crate) fn observe(
        &mut self,
        now: Timestamp,
        load: f64,
        season: &Season,
        horizon: SignedDuration,
    ) -> Outlook {
        let last = self.loads.back().map(|load| load.0);
        if last.is_none_or(|last| now.duration_since(last) > horizon) {
            *self = Self { since: Some(now), ..Self::default() };
        }
        self.pending.retain(|(due, _)| *due > now);
        if last.is_none_or(|last| cell(now, horizon) > cell(last, horizon)) {
            self.loads.retain(|load| now.duration_since(load.0) <= horizon);
            self.loads.push_back((now, load));
            let levels = self.loads.iter().map(|(at, load)| season.level(*at, *load));
            let level = levels.sum::<f64>() / self.loads.len() as f64;
            let forecast = season.forecast(now, level, horizon);
            if forecast > load + season.errors.curve as f64 / 1000.0 {
                self.pending.push_back((now.saturating_add(horizon).unwrap_or(now), forecast));
            }
        }
        if self.since.is_none_or(|since| now.duration_since(since) < horizon.saturating_mul(2)) {
            return Outlook::Learning;
        }
        Outlook::Load(self.pending.iter().map(|(_, load)| *load).fold(load, f64::max))
    }

    /// Removes the forecasts of a season that no longer acts.
    pub(crate) fn retract(&mut self) {
        self.pending.clear();
    }
}
