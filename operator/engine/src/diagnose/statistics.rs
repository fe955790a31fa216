//! Medians, deviations, and the change of a series against its normal values. Pure.

use super::observation::{Frame, Span};
use super::quantity::Quantity;

/// Scales a median absolute deviation to the standard deviation of a normal distribution.
const MAD_TO_DEVIATION: f64 = 1.4826;
/// Standard error of a median against that of a mean.
const MEDIAN_ERROR: f64 = 1.25;
/// Samples of a window that count as independent, at most: neighbouring samples are alike.
const INDEPENDENT: usize = 4;
/// How many deviations the largest difference between ordinary windows is.
const ORDINARY: f64 = 1.5;
/// Differences below this share of the normal value are noise in any system.
const NOISE: f64 = 0.05;
/// Fewer normal samples than these say nothing.
const FEWEST: usize = 3;

/// The middle value; 0 of none. It orders the values.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match (values.len() % 2, values.get(half)) {
        (_, None) => 0.0,
        (0, Some(upper)) => f64::midpoint(values[half - 1], *upper),
        (_, Some(middle)) => *middle,
    }
}

/// A series in the judged window, against normal operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Level in normal operation.
    pub normal: f64,
    /// Level in the judged window.
    pub value: f64,
    /// Mean in the judged window: it sees what lasts for less than half of it.
    pub mean: f64,
    /// Difference that is ordinary.
    pub spread: f64,
    /// Whether a value differs from any other.
    pub varies: bool,
}

impl Change {
    /// The change of a series; `None` without samples in the window, or with too few normal ones.
    #[must_use]
    pub fn of(samples: &[(f64, f64)], frame: &Frame, quantity: Quantity) -> Option<Self> {
        let within = |span: &Span| {
            samples.iter().filter(|(at, _)| span.contains(*at)).map(|(_, value)| *value).collect()
        };
        let mut window: Vec<f64> = within(&frame.window);
        let blocks: Vec<Vec<f64>> = frame.normal.iter().map(within).collect();
        let mut normal: Vec<f64> = blocks.concat();
        if window.is_empty() || normal.len() < FEWEST {
            return None;
        }
        let first = normal[0];
        let varies = window.iter().chain(&normal).any(|value| *value != first);
        let counted = window.len().min(INDEPENDENT);
        let level = |values: &mut [f64]| {
            if quantity.counts_events() {
                values.iter().sum::<f64>() / values.len() as f64
            } else {
                median(values)
            }
        };
        let mean = window.iter().sum::<f64>() / window.len() as f64;
        let (value, usual) = (level(&mut window), level(&mut normal));
        let mut deviations: Vec<f64> = normal.iter().map(|one| (one - usual).abs()).collect();
        let noise = MAD_TO_DEVIATION * median(&mut deviations) * MEDIAN_ERROR / (counted as f64).sqrt();
        let between = between_blocks(blocks, usual, level);
        let scale = if usual == 0.0 { value.abs() } else { usual.abs() };
        let spread = noise.max(between / ORDINARY).max(NOISE * scale + quantity.smallest());
        Some(Self { normal: usual, value, mean, spread, varies })
    }

    /// How many ordinary differences the value is above normal; negative below it.
    #[must_use]
    pub fn z(&self) -> f64 {
        if self.spread > 0.0 { (self.value - self.normal) / self.spread } else { 0.0 }
    }

    /// The value as a multiple of the normal one, at least 0 and at most 1000.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        let floor = self.spread * 0.1;
        if self.value <= 0.0 { 0.0 } else { (self.value / self.normal.max(floor)).min(1000.0) }
    }
}

/// The largest difference between an ordinary window and all of them. A window may have the end of an earlier incident.
fn between_blocks(blocks: Vec<Vec<f64>>, usual: f64, level: impl Fn(&mut [f64]) -> f64) -> f64 {
    let filled = blocks.into_iter().filter(|block| !block.is_empty());
    let mut differences: Vec<f64> = filled.map(|mut block| (level(&mut block) - usual).abs()).collect();
    if differences.len() < 2 {
        return 0.0;
    }
    largest_ordinary(&mut differences)
}

/// The largest value without the most extreme tenth; of three or more, one at least is left out. 0 of none.
pub(crate) fn largest_ordinary(values: &mut [f64]) -> f64 {
    values.sort_by(|a, b| b.total_cmp(a));
    let left_out = (values.len() / 10).max(usize::from(values.len() > 2));
    values.get(left_out).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::observation::Observation;

    fn observed(values: &[f64], window: &[f64]) -> Option<Change> {
        let normal = Span { from: 0.0, until: values.len() as f64 - 0.5 };
        let window_span = Span { from: values.len() as f64, until: (values.len() + window.len()) as f64 };
        let observation = Observation { window: window_span, normal: vec![normal], ..Observation::default() };
        let frame = observation.frame();
        let samples: Vec<(f64, f64)> =
            values.iter().chain(window).enumerate().map(|(at, value)| (at as f64, *value)).collect();
        Change::of(&samples, &frame, Quantity::Latency)
    }

    #[test]
    fn an_outlier_in_normal_operation_changes_nothing() {
        let quiet = observed(&[0.1, 0.11, 0.1, 0.09, 0.1, 0.1], &[0.3, 0.3]).unwrap();
        let spiky = observed(&[0.1, 0.11, 0.1, 0.09, 9.0, 0.1], &[0.3, 0.3]).unwrap();
        assert_eq!(quiet.normal, spiky.normal);
        assert!(quiet.z() > 10.0, "{quiet:?}");
    }

    #[test]
    fn what_ordinary_windows_do_is_no_change() {
        let change = observed(&[0.1, 0.1, 0.3, 0.3, 0.1, 0.1, 0.3, 0.3], &[0.3, 0.3]).unwrap();
        assert!(change.z() < 2.0, "{change:?}");
    }

    #[test]
    fn too_little_is_not_judged() {
        assert_eq!(observed(&[0.1, 0.1], &[0.3]), None);
        assert_eq!(observed(&[0.1, 0.1, 0.1], &[]), None);
    }
}
