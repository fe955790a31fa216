//! The contenders, and what of each can be set. Pure.

use fastrand::Rng;

/// Who scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// HorizontalPodAutoscaler on CPU utilization.
    HpaCpu,
    /// HorizontalPodAutoscaler on the request rate.
    HpaRate,
    /// KEDA's Prometheus trigger on the request rate, with values that it caches for its polling interval.
    Keda,
    /// This engine without a forecast.
    Engine,
    /// This engine with a forecast by the trend.
    EngineForecast,
    /// This engine with a forecast by the season, where there are earlier days.
    EngineSeason,
    /// The load is known beforehand: nobody can do better by following the load.
    Foresight,
}

impl Contender {
    pub(crate) const ALL: [Self; 7] = [
        Self::HpaCpu,
        Self::HpaRate,
        Self::Keda,
        Self::Engine,
        Self::EngineForecast,
        Self::EngineSeason,
        Self::Foresight,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HpaCpu => "HPA on CPU",
            Self::HpaRate => "HPA on request rate",
            Self::Keda => "KEDA on request rate",
            Self::Engine => "ScalableApp",
            Self::EngineForecast => "ScalableApp, trend",
            Self::EngineSeason => "ScalableApp, season",
            Self::Foresight => "(perfect foresight)",
        }
    }

    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Engine | Self::EngineForecast | Self::EngineSeason)
    }

    /// Seconds between two decisions: the sync period of the HPA controller, and the tick of this operator.
    pub(crate) fn period(self) -> usize {
        if self.is_baseline() { 15 } else { 5 }
    }

    pub(crate) fn is_baseline(self) -> bool {
        matches!(self, Self::HpaCpu | Self::HpaRate | Self::Keda)
    }
}

/// One way to set a contender. What a contender does not have is not read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Setting {
    /// Load that one pod should carry, as a share of what it could at most.
    pub(crate) target: f64,
    /// Relative distance from the target inside which nothing changes.
    pub(crate) tolerance: f64,
    /// Seconds of stabilization before fewer replicas.
    pub(crate) scale_down_window: i32,
    /// Seconds over which the request rate is an average.
    pub(crate) rate_window: i64,
    /// KEDA's polling interval in seconds.
    pub(crate) poll: usize,
    /// Seconds that the forecast looks ahead.
    pub(crate) horizon: i64,
}

const TARGETS: (f64, f64) = (0.35, 0.95);
const TOLERANCES: (f64, f64) = (0.0, 0.1);
const SCALE_DOWN_WINDOWS: [i32; 6] = [0, 30, 60, 120, 180, 300];
const RATE_WINDOWS: [i64; 4] = [20, 30, 60, 120];
const POLLS: [usize; 4] = [5, 10, 15, 30];
const HORIZONS: (f64, f64) = (30.0, 300.0);

impl Setting {
    /// Any setting.
    pub(crate) fn random(rng: &mut Rng) -> Self {
        Self {
            target: between(rng, TARGETS),
            tolerance: between(rng, TOLERANCES),
            scale_down_window: one_of(rng, &SCALE_DOWN_WINDOWS),
            rate_window: one_of(rng, &RATE_WINDOWS),
            poll: one_of(rng, &POLLS),
            horizon: between(rng, HORIZONS) as i64,
        }
    }

    /// A setting near this one: numbers move a little, and one of the choices is made anew.
    pub(crate) fn near(mut self, rng: &mut Rng) -> Self {
        let near = |value: f64, range: (f64, f64), rng: &mut Rng| {
            let reach = (range.1 - range.0) * 0.1;
            (value + between(rng, (-reach, reach))).clamp(range.0, range.1)
        };
        self.target = near(self.target, (TARGETS.0, TARGETS.1), rng);
        self.tolerance = near(self.tolerance, TOLERANCES, rng);
        self.horizon = near(self.horizon as f64, HORIZONS, rng) as i64;
        match rng.u32(0..4) {
            0 => self.scale_down_window = one_of(rng, &SCALE_DOWN_WINDOWS),
            1 => self.rate_window = one_of(rng, &RATE_WINDOWS),
            2 => self.poll = one_of(rng, &POLLS),
            _ => {}
        }
        self
    }

    /// What is set, in words.
    pub(crate) fn describe(&self, contender: Contender) -> String {
        let mut words = format!(
            "target {:.0}%, tolerance {:.3}, scale-down window {} s",
            self.target * 100.0,
            self.tolerance,
            self.scale_down_window
        );
        if contender != Contender::HpaCpu {
            words += &format!(", rate over {} s", self.rate_window);
        }
        if contender == Contender::Keda {
            words += &format!(", poll {} s", self.poll);
        }
        if matches!(contender, Contender::EngineForecast | Contender::EngineSeason) {
            words += &format!(", horizon {} s", self.horizon);
        }
        words
    }
}

fn between(rng: &mut Rng, range: (f64, f64)) -> f64 {
    range.0 + rng.f64() * (range.1 - range.0)
}

fn one_of<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())]
}
