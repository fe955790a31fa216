//! The season of a load, learned from its history, and whether it forecasts the load. Pure.
//!
//! STL (Cleveland, Cleveland, McRae and Terpenning, "STL: A Seasonal-Trend Decomposition Procedure Based on Loess",
//! 1990) splits the history into trend, season and remainder. It does so robustly, so the incident of one day is not
//! expected on the next, and on a logarithmic scale, because a day with more traffic than others has more of it at each
//! hour. On that scale the season adds the *curve*, and the load without it is the *level*. The forecast is the level
//! of the last horizon plus the curve at the forecast time, so each day starts from its own level.
//!
//! It is validated before it acts: each of the last seasons of the history is left out of a decomposition of those
//! before it, and is forecast instant by instant, one horizon ahead. The errors are compared with those of two naive
//! forecasts: the load of a season earlier (*seasonal-naive*) and a constant load. A curve acts only if its error is no
//! larger than that of the former over all these seasons, because days in a row may be alike by chance, and no larger
//! than that of the latter in the last season, because a rise may have moved since.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use stlrs::Stl;

/// Values of one season. A whole number of minutes then has a step of whole quarters of a second.
pub const CELLS: usize = 240;

/// The most seasons of history.
pub const SEASONS: usize = 7;

/// The fewest seasons of history: two to decompose, and one to validate.
pub const LEAST_SEASONS: usize = DECOMPOSED + 1;

/// The fewest seasons to decompose.
const DECOMPOSED: usize = 2;

/// The most validated seasons: as many as are known beside the decomposed ones. With fewer, days that are alike by
/// chance disable a good curve sooner.
const JUDGED: usize = SEASONS - DECOMPOSED;

/// Values whose mean is the constant load and the level: this averages noise, as over the many samples of a horizon.
const LEVELS: usize = 4;

/// The largest share of missing values.
const MOST_MISSING: f64 = 0.1;

/// A load at equal steps of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// The instant of the last value: a multiple of the [`step`] since the epoch.
    pub until: Timestamp,
    /// The values, the oldest first; `None` for missing ones.
    pub values: Vec<Option<f64>>,
}

/// Why a history is unusable.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Unlearned {
    /// The history is too short.
    #[error("{0:.1} of {LEAST_SEASONS} seasons known")]
    TooShort(f64),
    /// Too many values are missing.
    #[error("{0:.0}% of the history missing")]
    Gaps(f64),
    /// A value that is no load.
    #[error("history is implausible")]
    Implausible,
}

/// The season of a load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Season {
    /// Its length.
    pub length: SignedDuration,
    /// What it adds to the level on the scale, for each cell. The first cell begins at a multiple of the length since
    /// the epoch. In thousandths, so that a record stays short.
    curve: Vec<i64>,
    /// The scale.
    scale: Scale,
    /// Its errors in the last seasons.
    pub errors: Errors,
}

/// A logarithmic scale of loads. The mean load, in thousandths, is added to each load, so that neither silence nor the
/// noise of a few requests becomes a large number. Far below the mean a season adds, far above it it multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Scale(i64);

/// Mean absolute errors in thousandths of the load's unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors {
    /// Of the curve, over the validated seasons.
    pub curve: i64,
    /// Of the load of a season earlier, over the same seasons.
    pub last_season: i64,
    /// Of the curve in the last season.
    pub lately: i64,
    /// Of a constant load, in the last season.
    pub stays: i64,
}

/// State of a metric's season.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Seasonal {
    /// Its history is loading.
    #[default]
    Awaited,
    /// Its history is unusable, with the reason in a few words.
    Unusable(String),
    /// The season.
    Learned(Season),
}

/// Time between two values of the history.
pub fn step(length: SignedDuration) -> SignedDuration {
    length / CELLS as i32
}

impl Errors {
    /// Validates the last seasons of the values, each against those before it. `last` is the cell of the last value,
    /// and `ahead` the horizon in cells.
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

    /// Whether the error of the curve is no larger than that of either naive forecast.
    pub fn admit(self) -> bool {
        self.beats_last_season() && self.lately <= self.stays
    }

    /// Whether the error of the curve is no larger than that of the load of a season earlier.
    pub(crate) fn beats_last_season(self) -> bool {
        self.curve <= self.last_season
    }
}

impl Season {
    /// Learns the season of a load, to forecast it one horizon ahead.
    ///
    /// # Errors
    /// When the history is too short, has too many gaps, or is no load.
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

    /// The load at an instant, on the scale, without its season.
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

    /// Mean absolute errors in the last season of the values, which are on this scale: of a curve that is learned from
    /// those before it, of the load of a season earlier, and of a constant load.
    fn errors(self, values: &[f64], last: usize, ahead: usize) -> Result<[f64; 3], Unlearned> {
        let count = values.len();
        // The values that are left out end in the same cell.
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

/// The cell of an instant.
fn cell(at: Timestamp, length: SignedDuration) -> usize {
    let step = (step(length).as_millis() as i64).max(1);
    at.as_millisecond().div_euclid(step).rem_euclid(CELLS as i64) as usize
}

/// The values from the first known one on; each gap holds the value before it.
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
