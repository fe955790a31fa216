//! What a load does every season, learned from its past, and whether that forecasts it. Pure.
//!
//! The past is split by STL (Cleveland, Cleveland, McRae and Terpenning, "STL: A Seasonal-Trend Decomposition Procedure
//! Based on Loess", 1990) into trend, season and remainder, robustly, so that the incident of one day is not expected on
//! the next. It is split on a logarithmic scale, because a day with more traffic than others has more of it at each hour.
//! What the season adds on that scale is the *curve*, and the load without it the *level*. A load is forecast as the level
//! of the last horizon and the curve of then, so that each day starts from its own level.
//!
//! It is judged before it has a say: each of the last seasons of the past is left out of a decomposition of those before
//! it, and for each of its instants what would have been forecast one horizon earlier is compared with what came. So are
//! two naive forecasts, the load of a season earlier (*seasonal-naive*) and a load that stays as it is. A curve has a say
//! only if it errs no more than the former over all these seasons, because days in a row may be alike by chance, and no
//! more than the latter in the last one, because a rise may have moved since.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use stlrs::Stl;

/// Values of one season. A whole number of minutes then has a step of whole quarters of a second.
pub const CELLS: usize = 240;

/// Seasons that are looked back at most.
pub const SEASONS: usize = 7;

/// Seasons that must be known: two to decompose, and one to judge by.
pub const LEAST_SEASONS: usize = DECOMPOSED + 1;

/// Seasons without which there is nothing to decompose.
const DECOMPOSED: usize = 2;

/// Seasons that are judged at most: as many as are known beside those that are decomposed. With fewer, days that are alike
/// by chance take the say away from a good curve sooner.
const JUDGED: usize = SEASONS - DECOMPOSED;

/// Values whose mean is what stays, and the level: noise counts less, as over the many samples of a horizon.
const LEVELS: usize = 4;

/// Share of the past that may be missing.
const MOST_MISSING: f64 = 0.1;

/// A load at equal steps of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// The instant of the last value: a multiple of the [`step`] since the epoch.
    pub until: Timestamp,
    /// The values, the oldest first; nothing where none was measured.
    pub values: Vec<Option<f64>>,
}

/// Why a past teaches nothing.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Unlearned {
    /// The load is not known for long enough.
    #[error("{0:.1} of {LEAST_SEASONS} seasons known")]
    TooShort(f64),
    /// Too much of it is missing.
    #[error("{0:.0}% of the history missing")]
    Gaps(f64),
    /// A value that no load has.
    #[error("history is implausible")]
    Implausible,
}

/// What a load does every season.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Season {
    /// Its length.
    pub length: SignedDuration,
    /// What it adds to the level of the load on the scale, for each cell; the first cell begins at a multiple of the length
    /// since the epoch. In thousandths, so that a record stays short.
    curve: Vec<i64>,
    /// The scale.
    scale: Scale,
    /// How well it forecast the last seasons.
    pub errors: Errors,
}

/// A logarithmic scale of loads. The mean load, in thousandths, is added to each, so that neither silence nor the noise of
/// a few requests becomes a large number: far below the mean a season adds, far above it it multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Scale(i64);

/// Mean absolute errors in thousandths of the load's unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors {
    /// Of the curve, over the seasons that were judged.
    pub curve: i64,
    /// Of the load of a season earlier, over the same.
    pub last_season: i64,
    /// Of the curve in the last season.
    pub lately: i64,
    /// Of a load that stays as it is, in the last season.
    pub stays: i64,
}

/// What is known of the seasons of a metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Seasonal {
    /// Its history is still being asked for.
    #[default]
    Awaited,
    /// Its history cannot be used, for a reason of a few words.
    Unusable(String),
    /// The season.
    Learned(Season),
}

/// Time between two values of the past.
pub fn step(length: SignedDuration) -> SignedDuration {
    length / CELLS as i32
}

impl Errors {
    /// Judges the last seasons of the values, each by those before it. `last` is the cell of the last value, and `ahead`
    /// the horizon in cells.
    fn of(scale: Scale, values: &[f64], last: usize, ahead: usize) -> Result<Self, Unlearned> {
        let judged = (values.len() / CELLS - DECOMPOSED).min(JUDGED);
        let seasons = (0..judged)
            .map(|later| scale.errors(&values[..values.len() - later * CELLS], last, ahead))
            .collect::<Result<Vec<[f64; 3]>, Unlearned>>()?;
        let mean = |which: usize| seasons.iter().map(|one| one[which]).sum::<f64>() / judged as f64;
        let [lately, _, stays] = seasons[0];
        let [curve, last_season, lately, stays] = [mean(0), mean(1), lately, stays].map(milli);
        Ok(Self { curve, last_season, lately, stays })
    }

    /// Whether the curve errs no more than either naive forecast.
    pub fn admit(self) -> bool {
        self.beats_last_season() && self.lately <= self.stays
    }

    /// Whether the curve errs no more than the load of a season earlier.
    pub(crate) fn beats_last_season(self) -> bool {
        self.curve <= self.last_season
    }
}

impl Season {
    /// Learns the season of a load, to forecast it a horizon ahead.
    ///
    /// # Errors
    /// When the past is too short, has too many gaps, or is no load.
    pub fn learn(past: &Past, length: SignedDuration, horizon: SignedDuration) -> Result<Self, Unlearned> {
        let loads = complete(&past.values)?;
        let scale = Scale::of(&loads);
        let values: Vec<f64> = loads.iter().map(|load| scale.up(*load)).collect();
        let last = cell(past.until, length);
        let ahead = (horizon.as_secs_f64() / step(length).as_secs_f64()).ceil().max(1.0) as usize;
        let errors = Errors::of(scale, &values, last, ahead)?;
        let curve = curve(&values, last)?.into_iter().map(milli).collect();
        Ok(Self { length, curve, scale, errors })
    }

    /// The load, on the scale, without what the season adds to it at an instant.
    pub(crate) fn level(&self, at: Timestamp, load: f64) -> f64 {
        self.scale.up(load) - self.at(at) / 1000.0
    }

    /// The highest load within the horizon, for a level.
    pub(crate) fn forecast(&self, now: Timestamp, level: f64, horizon: SignedDuration) -> f64 {
        let cells = (horizon.as_secs_f64() / step(self.length).as_secs_f64()).ceil() as i32;
        let instants = (1..=cells).map(|ahead| now + (step(self.length) * ahead).min(horizon));
        self.scale.down(level + instants.map(|at| self.at(at)).fold(f64::NEG_INFINITY, f64::max) / 1000.0)
    }

    /// The curve at an instant, in thousandths, linear between two cells.
    fn at(&self, at: Timestamp) -> f64 {
        let (cell, step) = (cell(at, self.length), step(self.length).as_millis() as i64);
        let value = |cell: usize| self.curve.get(cell % CELLS).map_or(0.0, |value| *value as f64);
        let share = at.as_millisecond().rem_euclid(step) as f64 / step as f64;
        value(cell) * (1.0 - share) + value(cell + 1) * share
    }
}

impl Scale {
    fn of(loads: &[f64]) -> Self {
        Self(milli(loads.iter().sum::<f64>() / loads.len() as f64).max(1))
    }

    fn up(self, load: f64) -> f64 {
        (load + self.0 as f64 / 1000.0).ln()
    }

    fn down(self, value: f64) -> f64 {
        (value.exp() - self.0 as f64 / 1000.0).max(0.0)
    }

    /// Mean absolute errors in the last season of the values, which are on this scale, of a curve that knows those before
    /// it, of the load of a season earlier, and of a load that stays.
    fn errors(self, values: &[f64], last: usize, ahead: usize) -> Result<[f64; 3], Unlearned> {
        let count = values.len();
        // What is left out ends in the same cell.
        let curve = curve(&values[..count - CELLS], last)?;
        let first_cell = last + 1 + CELLS - count % CELLS;
        let at = |index: usize| curve[(first_cell + index) % CELLS];
        let mut sums = [0.0; 3];
        for due in count - CELLS..count {
            let from = due - ahead.min(CELLS);
            let recent = from + 1 - LEVELS..=from;
            let stays = values[recent.clone()].iter().sum::<f64>() / LEVELS as f64;
            let level = stays - recent.map(at).sum::<f64>() / LEVELS as f64;
            let forecast = [level + at(due), values[due - CELLS], stays];
            for (sum, forecast) in sums.iter_mut().zip(forecast) {
                *sum += (self.down(forecast) - self.down(values[due])).abs();
            }
        }
        Ok(sums.map(|sum| sum / CELLS as f64))
    }
}

/// The cell of a season that an instant is in.
fn cell(at: Timestamp, length: SignedDuration) -> usize {
    let step = (step(length).as_millis() as i64).max(1);
    at.as_millisecond().div_euclid(step).rem_euclid(CELLS as i64) as usize
}

/// The values from the first that is known on, the gaps filled with what was known before.
fn complete(values: &[Option<f64>]) -> Result<Vec<f64>, Unlearned> {
    let first = values.iter().position(Option::is_some).unwrap_or(values.len());
    let known = &values[first..];
    if known.len() < LEAST_SEASONS * CELLS {
        return Err(Unlearned::TooShort(known.len() as f64 / CELLS as f64));
    }
    let missing = known.iter().filter(|value| value.is_none()).count() as f64 / known.len() as f64;
    if missing > MOST_MISSING {
        return Err(Unlearned::Gaps(missing * 100.0));
    }
    if known.iter().flatten().any(|value| !(0.0..=1e12).contains(value)) {
        return Err(Unlearned::Implausible);
    }
    let mut last = 0.0;
    Ok(known
        .iter()
        .map(|value| {
            last = value.unwrap_or(last);
            last
        })
        .collect())
}

/// What the last season of the values adds to their level, by cell. `last` is the cell of the last value.
fn curve(values: &[f64], last: usize) -> Result<Vec<f64>, Unlearned> {
    let split = Stl::params().robust(true).fit(values, CELLS).map_err(|_| Unlearned::Implausible)?;
    let mut season = split.seasonal()[values.len() - CELLS..].to_vec();
    season.rotate_right((last + 1) % CELLS);
    Ok(season)
}

fn milli(value: f64) -> i64 {
    (value * 1000.0).round() as i64
}
