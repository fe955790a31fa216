//! Where a load is going: its trend, carried on for as long as new pods take to help. Pure.
//!
//! Pods that are started now serve only when they are ready, and until then the load has moved on. So the load is carried on
//! by its slope over the *horizon*: the least-squares slope of the last horizon less twice its standard error, so that
//! noise is no trend; but no more than the slope of the latter half, so that a rise that ends is noticed soon; and never
//! negative, so that a falling load is not forecast to fall further.
//!
//! Every forecast is kept until its time has come and is then compared with the load, beside the *naive* forecast that
//! the load stays as it is. The trend has a say only while the sum of its errors over the last [`JUDGED_HORIZONS`] is
//! no larger than the naive one's. What it said counts until its time has come: a pod that was started for a load does not
//! go before the load was due.
//!
//! Until all of that history was seen the trend is *learning*: it says nothing, and nothing may scale in. So what a
//! restart forgets neither hastens a scale-in nor widens a change.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How many horizons back the errors of forecasts count.
pub const JUDGED_HORIZONS: i32 = 3;

/// Samples that are looked at within one horizon, at most.
const SAMPLES: i64 = 20;

/// What is remembered of one load. At most about 120 numbers with their times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// Since when it was observed without a gap of a horizon.
    since: Option<Timestamp>,
    /// The load within the last horizon.
    samples: VecDeque<(Timestamp, f64)>,
    /// Forecasts whose time has not come.
    pending: VecDeque<Guess>,
    /// Absolute errors of the trend and of the naive forecast within the judged time.
    errors: VecDeque<(Timestamp, f64, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Guess {
    due: Timestamp,
    trend: f64,
    naive: f64,
}

/// What the trend says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outlook {
    /// Too little was seen.
    Learning,
    /// Its errors are larger than those of a load that stays as it is.
    Unreliable,
    /// The highest load that is due within the horizon; never less than the last one.
    Load(f64),
}

impl Trend {
    /// Adds the load at an instant, and says where it is going. `horizon` is above zero.
    pub fn observe(&mut self, now: Timestamp, load: f64, horizon: SignedDuration) -> Outlook {
        let last = self.samples.back().map(|sample| sample.0);
        if last.is_none_or(|last| now.duration_since(last) > horizon) {
            *self = Self { since: Some(now), ..Self::default() };
        }
        if last.is_none_or(|last| cell(now, horizon) > cell(last, horizon)) {
            self.settle(now, load, horizon);
            self.samples.retain(|sample| now.duration_since(sample.0) <= horizon);
            self.samples.push_back((now, load));
            let (whole, latter) =
                (slope(&self.samples, now - horizon), slope(&self.samples, now - horizon / 2));
            let slope = (whole.value - 2.0 * whole.error).min(latter.value).max(0.0);
            let trend = load + slope * horizon.as_secs_f64();
            self.pending.push_back(Guess { due: now + horizon, trend, naive: load });
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
        // One horizon for the first slope, one until it was due, and those over which errors count.
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

/// The place of an instant on the grid of those that count. A restart does not shift it.
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

    /// What the trend says after a load for each tick of 5 s.
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
