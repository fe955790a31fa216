//! The trend of a load, extrapolated over the time that new pods take to start. Pure.
//!
//! Pods that are started now serve only when they are ready, and until then the load has changed. So the load is
//! extrapolated by its slope over the *horizon*: the least-squares slope of the last horizon, less twice its standard
//! error, so that noise is no trend. It is at most the slope of the latter half, so that the end of a rise is noticed
//! soon. It is never negative, so that a falling load is not forecast to fall further.
//!
//! Every forecast is compared with the load when it is due, beside the *naive* forecast of a constant load. The trend
//! acts only while the sum of its errors over the last [`JUDGED_HORIZONS`] is no larger than that of the naive one. A
//! forecast load counts until it was due: otherwise noise would remove pods while they start.
//!
//! Until all of that history was observed the trend is *learning*: it forecasts nothing, and nothing may scale in. So a
//! restart neither hastens a scale-in nor enlarges a change.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Horizons over which errors are summed.
pub const JUDGED_HORIZONS: i32 = 3;

/// The most samples within one horizon.
const SAMPLES: i64 = 20;

/// Memory of one load. At most about 120 numbers with their times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// Since when it has been observed without a gap of a horizon.
    since: Option<Timestamp>,
    /// The load within the last horizon.
    samples: VecDeque<(Timestamp, f64)>,
    /// Forecasts that are not due yet.
    pending: VecDeque<Guess>,
    /// Absolute errors of the trend and of the naive forecast within the validated time.
    errors: VecDeque<(Timestamp, f64, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Guess {
    due: Timestamp,
    trend: f64,
    naive: f64,
}

/// The state of the trend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outlook {
    /// Too few observations.
    Learning,
    /// Its errors are larger than those of a constant load.
    Unreliable,
    /// The highest load within the horizon; never less than the last one.
    Load(f64),
}

impl Trend {
    /// Adds the load at an instant, and returns the state. `horizon` is above zero.
    pub fn observe(&mut self, now: Timestamp, load: f64, horizon: SignedDuration) -> Outlook {
        let last = self.samples.back().map(|sample| sample.0);
        if last.is_none_or(|last| now.duration_since(last) > horizon) {
            *self = Self { since: Some(now), ..Self::default() };
        }
        if last.is_none_or(|last| cell(now, horizon) > cell(last, horizon)) {
            self.settle(now, load, horizon);
            self.samples.retain(|sample| now.duration_since(sample.0) <= horizon);
            self.samples.push_back((now, load));
            let (whole, latter) = (
                slope(&self.samples, now.saturating_sub(horizon).unwrap_or(now)),
                slope(&self.samples, now.saturating_sub(horizon / 2).unwrap_or(now)),
            );
            let slope = (whole.value - 2.0 * whole.error).min(latter.value).max(0.0);
            let trend = load + slope * horizon.as_secs_f64();
            self.pending.push_back(Guess {
                due: now.saturating_add(horizon).unwrap_or(now),
                trend,
                naive: load,
            });
        }
        self.outlook(now, load, horizon)
    }

    fn settle(&mut self, now: Timestamp, load: f64, horizon: SignedDuration) {
        while let Some(guess) = self.pending.front().filter(|guess| guess.due <= now) {
            self.errors.push_back((now, (guess.trend - load).abs(), (guess.naive - load).abs()));
            self.pending.pop_front();
        }
        self.errors.retain(|error| now.duration_since(error.0) <= horizon * JUDGED_HORIZONS);
    }

    fn outlook(&self, now: Timestamp, load: f64, horizon: SignedDuration) -> Outlook {
        // One horizon for the first slope, one until it was due, and those over which errors are summed.
        let seen = self.since.map_or(SignedDuration::ZERO, |since| now.duration_since(since));
        if seen < horizon * (JUDGED_HORIZONS + 2) {
            return Outlook::Learning;
        }
        let (trend, naive) =
            self.errors.iter().fold((0.0, 0.0), |(trend, naive), error| (trend + error.1, naive + error.2));
        if trend > naive {
            return Outlook::Unreliable;
        }
        let due = self.pending.iter().filter(|guess| guess.due > now && guess.trend > guess.naive);
        Outlook::Load(due.map(|guess| guess.trend).fold(load, f64::max))
    }
}

/// The cell of an instant on the grid of the samples that count. A restart does not shift it.
pub(crate) fn cell(at: Timestamp, horizon: SignedDuration) -> i64 {
    at.as_second().div_euclid((horizon.as_secs() / SAMPLES).max(1))
}

/// A least-squares slope for each second, and its standard error.
#[derive(Clone, Copy, Default)]
struct Slope {
    value: f64,
    error: f64,
}

/// The slope over the samples from an instant on; 0 for fewer than three.
fn slope(samples: &VecDeque<(Timestamp, f64)>, from: Timestamp) -> Slope {
    let recent = || {
        let recent = samples.iter().filter(|sample| sample.0 >= from);
        recent.map(|sample| (sample.0.duration_since(from).as_secs_f64(), sample.1))
    };
    let count = recent().count() as f64;
    if count < 3.0 {
        return Slope::default();
    }
    let (sum_at, sum) = recent().fold((0.0, 0.0), |sums, (at, load)| (sums.0 + at, sums.1 + load));
    let (mean_at, mean) = (sum_at / count, sum / count);
    let moment = recent().map(|(at, load)| (at - mean_at) * (load - mean)).sum::<f64>();
    let spread = recent().map(|(at, _)| (at - mean_at).powi(2)).sum::<f64>();
    let value = moment / spread;
    let residual = |(at, load): (f64, f64)| (load - mean - value * (at - mean_at)).powi(2);
    Slope { value, error: (recent().map(residual).sum::<f64>() / (count - 2.0) / spread).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HORIZON: SignedDuration = SignedDuration::from_secs(100);

    /// The states after a load for each tick of 5 s.
    fn outlooks(load: impl Fn(i64) -> f64, seconds: i64) -> Vec<Outlook> {
        let mut trend = Trend::default();
        let at = |second| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second);
        (0..seconds).step_by(5).map(|second| trend.observe(at(second), load(second), HORIZON)).collect()
    }

    #[test]
    fn a_rising_load_is_carried_on_over_the_horizon() {
        let said = outlooks(|second| 100.0 + second as f64, 600);
        let Some(Outlook::Load(load)) = said.last() else { panic!("{said:?}") };
        assert!((load - (100.0 + 595.0 + 100.0)).abs() < 1e-6, "{load}");
    }

    #[test]
    fn until_it_was_judged_it_learns() {
        let said = outlooks(|second| 100.0 + second as f64, 600);
        assert!(said[..100].iter().all(|outlook| *outlook == Outlook::Learning));
        assert!(said[100..].iter().all(|outlook| matches!(outlook, Outlook::Load(_))));
    }

    #[test]
    fn a_falling_load_is_not_foretold_to_fall_further() {
        let said = outlooks(|second| 1000.0 - second as f64, 600);
        assert_eq!(said.last(), Some(&Outlook::Load(405.0)));
    }

    #[test]
    fn what_was_foretold_counts_until_it_was_due() {
        // A rise that ends at 700 s; the last forecast of a higher load was due at about 800 s.
        let said = outlooks(|second| 100.0 + second.min(700) as f64, 1000);
        let load = |second: i64| match said[second as usize / 5] {
            Outlook::Load(load) => load,
            other => panic!("{other:?}"),
        };
        assert!(load(760) > 850.0, "{}", load(760));
        assert!((load(850) - 800.0).abs() < 1.0, "{}", load(850));
    }

    #[test]
    fn a_trend_that_was_wrong_has_no_say() {
        // Up for 100 s and down for 100 s: at each turn the trend points the wrong way.
        let wave = |second: i64| (second % 200 - 100).abs() as f64 + 500.0;
        assert_eq!(outlooks(wave, 1000).last(), Some(&Outlook::Unreliable));
    }

    #[test]
    fn a_gap_begins_the_history_anew() {
        let mut trend = Trend::default();
        let at = |second| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second);
        let mut said = Outlook::Learning;
        for second in (0..600).step_by(5) {
            said = trend.observe(at(second), 5.0, HORIZON);
        }
        assert_eq!(said, Outlook::Load(5.0));
        assert_eq!(trend.observe(at(701), 5.0, HORIZON), Outlook::Learning);
    }
}
