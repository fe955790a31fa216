//! The contenders, and what of each can be set. Pure.

/// Who scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
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
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::HpaCpu,
        Self::HpaRate,
        Self::Keda,
        Self::Engine,
        Self::EngineForecast,
        Self::EngineSeason,
        Self::Foresight,
    ];

    /// The name that is shown.
    #[must_use]
    pub fn name(self) -> &'static str {
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

    /// Whether it decides by this engine.
    #[must_use]
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Engine | Self::EngineForecast | Self::EngineSeason)
    }

    /// Seconds between two decisions: the sync period of the HPA controller, and the tick of this operator.
    #[must_use]
    pub fn period(self) -> usize {
        if self.is_baseline() { 15 } else { 5 }
    }

    /// Whether it decides by the arithmetic of the HPA controller alone.
    #[must_use]
    pub fn is_baseline(self) -> bool {
        matches!(self, Self::HpaCpu | Self::HpaRate | Self::Keda)
    }
}

/// One way to set a contender. What a contender does not have is not read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Load that one pod should carry, as a share of what it could at most.
    pub target: f64,
    /// Relative distance from the target inside which nothing changes.
    pub tolerance: f64,
    /// Seconds of stabilization before fewer replicas.
    pub scale_down_window: i32,
    /// Seconds over which the request rate is an average.
    pub rate_window: i64,
    /// KEDA's polling interval in seconds.
    pub poll: usize,
    /// Seconds that the forecast looks ahead.
    pub horizon: i64,
}

impl Setting {
    /// What is set, in words.
    #[must_use]
    pub fn describe(&self, contender: Contender) -> String {
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
