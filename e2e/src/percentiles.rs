//! Percentiles of durations. Pure.

use std::fmt;
use std::time::Duration;

/// Percentiles of some durations; written as `p50 / p95 / max` in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentiles {
    /// Half of them were not longer.
    pub p50: Duration,
    /// 95 % of them were not longer.
    pub p95: Duration,
    /// The longest.
    pub max: Duration,
}

impl Percentiles {
    /// The percentiles by nearest rank; `None` without durations.
    #[must_use]
    pub fn of(mut durations: Vec<Duration>) -> Option<Self> {
        durations.sort_unstable();
        let at = |percent: usize| {
            durations.get((durations.len() * percent).div_ceil(100).checked_sub(1)?).copied()
        };
        Some(Self { p50: at(50)?, p95: at(95)?, max: at(100)? })
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p95, max] = [self.p50, self.p95, self.max].map(|one| one.as_secs_f64());
        f.pad(&format!("{p50:.2} / {p95:.2} / {max:.2}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let millis = |millis: u64| Duration::from_millis(millis);
        let percentiles = Percentiles::of((1..=50).rev().map(|index| millis(index * 100)).collect()).unwrap();
        assert_eq!(percentiles, Percentiles { p50: millis(2_500), p95: millis(4_800), max: millis(5_000) });
        assert_eq!(percentiles.to_string(), "2.50 / 4.80 / 5.00");
        assert_eq!(Percentiles::of(Vec::new()), None);
        assert_eq!(Percentiles::of(vec![millis(7)]).unwrap().p95, millis(7));
    }
}
