//! The contenders and their settings. Pure.

/// An autoscaler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// HorizontalPodAutoscaler on CPU utilization.
    HpaCpu,
    /// HorizontalPodAutoscaler on the request rate.
    HpaRate,
    /// KEDA's Prometheus trigger on the request rate, with values that are cached for its polling interval.
    Keda,
    /// This engine without a forecast.
    Engine,
    /// The same without the short window of the request rate.
    EngineOneWindow,
    /// This engine with a forecast by the trend.
    EngineForecast,
    /// This engine with a forecast by the season, where there are earlier days.
    EngineSeason,
    /// An autoscaler that knows the load in advance: no contender can do better by following the load.
    Foresight,
}

impl Contender {
    /// All of them, in display order.
    pub const ALL: [Self; 8] = [
        Self::HpaCpu,
        Self::HpaRate,
        Self::Keda,
        Self::Engine,
        Self::EngineOneWindow,
        Self::EngineForecast,
        Self::EngineSeason,
        Self::Foresight,
    ];

    /// The display name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HpaCpu => "HPA on CPU",
            Self::HpaRate => "HPA on request rate",
            Self::Keda => "KEDA on request rate",
            Self::Engine => "ScalableApp",
            Self::EngineOneWindow => "ScalableApp, one window",
            Self::EngineForecast => "ScalableApp, trend",
            Self::EngineSeason => "ScalableApp, season",
            Self::Foresight => "(perfect foresight)",
        }
    }

    /// Whether it decides by this engine.
    #[must_use]
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Engine | Self::EngineOneWindow | Self::EngineForecast | Self::EngineSeason)
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

/// The setting of a contender. Fields that a contender does not have are ignored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Target load of one pod, as a share of its maximum.
    pub target: f64,
    /// Relative distance from the target within which nothing changes.
    pub tolerance: f64,
    /// Stabilization window for scaling down, in seconds.
    pub scale_down_window: i32,
    /// Averaging window of the request rate, in seconds.
    pub rate_window: i64,
    /// KEDA's polling interval in seconds.
    pub poll: usize,
    /// Horizon of the forecast, in seconds.
    pub horizon: i64,
}

impl Setting {
    /// The setting in words.
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
