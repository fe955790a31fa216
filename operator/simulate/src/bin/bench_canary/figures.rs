//! The figures: scenarios, what is counted of their ends, and the bounds. Pure.

use crate::course::{Brownout, End, Scenario};
use crate::traffic::{Clustering, ERRORS};

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counted {
    /// Rollouts that were aborted.
    Aborted,
    /// Rollouts that were aborted within so many seconds of the regression.
    AbortedWithin(u32),
    /// Rollouts that were promoted.
    Promoted,
    /// Rollouts that were promoted, each step in the slice in which the canary had so many requests.
    PromotedWith(u64),
}

/// What the share must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    pub(crate) fn is_met(self, share: f64) -> bool {
        match self {
            Self::AtMost(most) => share <= most,
            Self::AtLeast(least) => share >= least,
        }
    }
}

/// A row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) title: &'static str,
    pub(crate) scenario: Scenario,
    pub(crate) counted: Counted,
    /// `None`: it is printed as a trade-off.
    pub(crate) goal: Option<Goal>,
    /// Seconds that a step takes at least, if others than those that are asked for.
    pub(crate) step_seconds: Option<u32>,
    /// Rollouts, as a part of those that are asked for.
    pub(crate) part: f64,
    /// Weights of the steps, if others than those that are asked for.
    pub(crate) weights: Option<&'static [f64]>,
}

impl Counted {
    pub(crate) fn holds(self, scenario: &Scenario, end: &End) -> bool {
        match self {
            Self::Aborted => end.aborted.is_some(),
            Self::AbortedWithin(seconds) => {
                end.aborted.is_some_and(|at| at > scenario.from && at <= scenario.from + seconds)
            }
            Self::Promoted => end.promoted.is_some(),
            Self::PromotedWith(requests) => {
                end.promoted.is_some() && end.requests.iter().all(|of_step| *of_step < requests)
            }
        }
    }

    pub(crate) fn words(self) -> String {
        match self {
            Self::Aborted => "aborted".to_owned(),
            Self::AbortedWithin(seconds) => format!("found in {} min", seconds / 60),
            Self::Promoted => "promoted".to_owned(),
            Self::PromotedWith(requests) => format!("promoted by {requests} a step"),
        }
    }
}

const CLUSTERINGS: [Clustering; 5] = [
    Clustering::Independent,
    Clustering::Bursts(5.0),
    Clustering::Bursts(20.0),
    Clustering::Episodes(60.0),
    Clustering::Episodes(120.0),
];
const RATES: [f64; 4] = [1.0, 10.0, 100.0, 1000.0];

fn figure(title: &'static str, scenario: Scenario, counted: Counted, goal: Option<Goal>) -> Figure {
    Figure { title, scenario, counted, goal, step_seconds: None, part: 1.0, weights: None }
}

fn worse(requests_per_second: f64, clustering: Clustering) -> Scenario {
    Scenario { ratio: 5.0, ..Scenario::healthy(requests_per_second, clustering) }
}

/// All figures.
pub(crate) fn figures() -> Vec<Figure> {
    let mut all = Vec::new();
    let few = Some(Goal::AtMost(0.01));
    for clustering in CLUSTERINGS {
        for rate in RATES {
            all.push(figure("healthy", Scenario::healthy(rate, clustering), Counted::Aborted, few));
        }
    }
    all.extend(found());
    for rate in [10.0, 100.0, 1000.0] {
        let healthy = Scenario::healthy(rate, Clustering::Independent);
        let free = Scenario { errors: 0.0, slow: 0.0, ..healthy };
        let promoted = figure("no errors at all", free, Counted::PromotedWith(300), Some(Goal::AtLeast(1.0)));
        all.push(Figure { step_seconds: Some(0), part: 0.2, ..promoted });
    }
    for (kind, title) in [(Brownout::Errors, "shared brownout"), (Brownout::Breakers, "the same, breakers")] {
        for rate in [10.0, 100.0, 1000.0] {
            let healthy = Scenario::healthy(rate, Clustering::Independent);
            all.push(figure(title, Scenario { brownout: kind, ..healthy }, Counted::Aborted, few));
        }
    }
    for rate in [10.0, 100.0, 1000.0] {
        let healthy = Scenario::healthy(rate, Clustering::Independent);
        let masked = Scenario { masked: 5.0 * ERRORS, ..healthy };
        all.push(figure("failures masked", masked, Counted::Promoted, few));
    }
    for (rate, clustering) in [
        (1.0, Clustering::Independent),
        (1.0, Clustering::Bursts(20.0)),
        (10.0, Clustering::Bursts(20.0)),
        (100.0, Clustering::Episodes(120.0)),
    ] {
        all.push(figure("x5", worse(rate, clustering), Counted::Promoted, few));
    }
    for rate in [10.0, 100.0, 1000.0] {
        let healthy = Scenario::healthy(rate, Clustering::Independent);
        all.push(figure("healthy", healthy, Counted::Promoted, None));
    }
    all
}

/// The regressions that are to be found.
fn found() -> Vec<Figure> {
    let (ten, fifteen) = (Counted::AbortedWithin(600), Counted::AbortedWithin(900));
    let mut all = Vec::new();
    let mut add = |title, scenario, counted, goal: Option<f64>| {
        let figure = figure(title, scenario, counted, goal.map(Goal::AtLeast));
        all.push(Figure { part: 0.4, ..figure });
    };
    for rate in [10.0, 100.0, 1000.0] {
        add("x5", worse(rate, Clustering::Independent), ten, Some(0.95));
    }
    for seconds in [60.0, 120.0] {
        add("x5", worse(10.0, Clustering::Episodes(seconds)), fifteen, None);
        for rate in [100.0, 1000.0] {
            add("x5", worse(rate, Clustering::Episodes(seconds)), fifteen, Some(0.6));
        }
    }
    for (mean, rate) in [(5.0, 10.0), (5.0, 100.0), (20.0, 10.0), (20.0, 100.0)] {
        add("x5", worse(rate, Clustering::Bursts(mean)), fifteen, None);
    }
    // What smaller first steps cost.
    for weights in [&[0.05, 0.1, 0.25, 0.5] as &'static [f64], &[0.1, 0.25, 0.5]] {
        let title = if weights[0] < 0.1 { "x5, first step 5 %" } else { "x5, first step 10 %" };
        let small = figure(title, worse(10.0, Clustering::Independent), ten, None);
        all.push(Figure { part: 0.4, weights: Some(weights), ..small });
    }
    // Half an hour at one weight, so that the rules with a threshold still look when it comes.
    let late = Scenario { from: 900, ..worse(10.0, Clustering::Independent) };
    let late = figure("x5 from minute 15", late, fifteen, Some(Goal::AtLeast(0.85)));
    all.push(Figure { part: 0.4, step_seconds: Some(900), weights: Some(&[0.2, 0.2]), ..late });
    all
}
