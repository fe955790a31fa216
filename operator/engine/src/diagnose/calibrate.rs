//! What ordinary windows look like to the same rules: each of them is judged against the others. Pure.

use super::changes::{Changes, NOTICED};
use super::observation::Observation;
use super::quantity::Quantity;
use super::statistics::largest_ordinary;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Ordinary windows that are judged at most; more of them say the same.
const MOST: usize = 12;
/// Fewer say nothing about what is ordinary.
const FEWEST: usize = 3;

/// The changes in the judged window, and those in ordinary windows.
pub(crate) struct Calibrated {
    pub(crate) changes: Changes,
    pub(crate) windows: Vec<Changes>,
}

/// Judges a window, and up to twelve ordinary ones. A node that is noticed in ordinary windows must stand out from these.
pub(crate) fn calibrated(observation: &Observation) -> Calibrated {
    let frame = observation.frame();
    let mut changes = Changes::of(observation, &frame);
    let count = frame.normal.len();
    let step = count.div_ceil(MOST).max(1);
    let judged = if count < FEWEST { 0 } else { count };
    let mut windows: Vec<Changes> =
        (0..judged).step_by(step).map(|index| Changes::of(observation, &frame.left_out(index))).collect();
    let mut ordinary = BTreeMap::new();
    for node in changes.nodes() {
        for quantity in [Quantity::Latency, Quantity::ClientLatency, Quantity::Failures] {
            let mut growth: Vec<f64> = windows.iter().map(|window| window.raw(node, quantity)).collect();
            let largest = largest_ordinary(&mut growth);
            if largest > NOTICED {
                ordinary.insert((node.to_owned(), quantity), largest);
            }
        }
    }
    let ordinary = Rc::new(ordinary);
    for one in windows.iter_mut().chain([&mut changes]) {
        one.ordinary = Rc::clone(&ordinary);
    }
    Calibrated { changes, windows }
}

impl Calibrated {
    /// How loud ordinary windows are.
    pub(crate) fn ordinary_loudness(&self, loudness: impl Fn(&Changes) -> f64) -> f64 {
        largest_ordinary(&mut self.windows.iter().map(loudness).collect::<Vec<f64>>())
    }
}
