//! The minimum replicas for the forecast load. Pure.
//!
//! Loads that do not depend on the number of replicas can be forecast: the request rate and the result of a query. They
//! are forecast by their season where one is declared, otherwise by their trend. The replicas for the load within the
//! horizon are computed as for the metric itself, with the same tolerance. A forecast only raises the minimum, so a
//! wrong one costs money but never causes an outage.

pub mod season;
mod season_forecast;
pub mod trend;

use crate::app::subject::Subject;
use crate::bounds::Bound;
use crate::hpa::signal::average_of_total;
use crate::propose::evaluate::Signal;
use crate::propose::metric::{Target, decimal};
use crate::reason;
use jiff::SignedDuration;
use season::Seasonal;
use season_forecast::SeasonForecast;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use trend::{Outlook, Trend};

/// How the load is forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// How far it looks ahead, above zero.
    pub horizon: SignedDuration,
    /// Length of the season; `None` for a forecast by trend.
    pub season: Option<SignedDuration>,
}

/// Memory of the forecast loads, by the name of the metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ForecastMemory {
    /// The trend of each load.
    trends: BTreeMap<String, Trend>,
    /// Forecasts by season.
    #[serde(rename = "foretold")]
    by_season: BTreeMap<String, SeasonForecast>,
}

impl ForecastMemory {
    /// Removes the metrics that are not kept.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.trends.retain(|metric, _| is_kept(metric));
        self.by_season.retain(|metric, _| is_kept(metric));
    }

    /// Removes what belongs to another kind of forecast.
    fn forget_others(&mut self, forecast: Option<Forecast>) {
        if forecast.is_none_or(|forecast| forecast.season.is_some()) {
            self.trends.clear();
        }
        if forecast.is_none_or(|forecast| forecast.season.is_none()) {
            self.by_season.clear();
        }
    }
}

/// The forecasts of all loads together.
pub(crate) struct ForecastResult {
    /// The minimum, where it is above the metric's own proposal.
    pub(crate) floor: Option<Bound>,
    /// Each metric's forecast in words; `None` without one.
    pub(crate) effect: Option<String>,
}

/// Adds the current loads to the memory, and returns their forecasts.
pub(crate) fn forecast(
    subject: &Subject<'_>,
    signals: &[Signal<'_>],
    memory: &mut ForecastMemory,
) -> ForecastResult {
    memory.forget_others(subject.declared.forecast());
    let Some(forecast) = subject.declared.forecast() else {
        return ForecastResult { floor: None, effect: None };
    };
    let mut floor: Option<Bound> = None;
    let mut effects = Vec::new();
    for signal in signals {
        let Some((load, per_replica)) = load(signal) else { continue };
        let name = &signal.metric.name;
        let (outlook, why) = match forecast.season {
            None => by_trend(subject, name, load, forecast.horizon, memory),
            Some(_) => by_season(subject, name, load, forecast.horizon, memory),
        };
        let own = signal.result.proposal().map_or(0, |proposal| proposal.replicas);
        let (replicas, effect) = match outlook {
            Outlook::Learning => (subject.current_replicas, format!("{why}, no scale-in yet")),
            Outlook::Unreliable => (own, format!("{why}, not used")),
            Outlook::Load(load) => {
                let replicas = replicas(subject, load, per_replica).unwrap_or(own);
                (replicas, format!("{replicas} for {} in {}{why}", value(load), within(forecast.horizon)))
            }
        };
        effects.push(format!("{name}: {effect}"));
        let reason = if outlook == Outlook::Learning { reason::FORECAST_LEARNING } else { reason::FORECAST };
        let raised = Bound::new(replicas, reason, format!("forecast of {name}"));
        if replicas > own {
            floor = Some(match floor {
                Some(floor) => floor.or_higher(Some(raised)),
                None => raised,
            });
        }
    }
    let effect = if effects.is_empty() { "no fresh load to forecast".to_owned() } else { effects.join("; ") };
    ForecastResult { floor, effect: Some(effect) }
}

fn by_trend(
    subject: &Subject<'_>,
    metric: &str,
    load: f64,
    horizon: SignedDuration,
    memory: &mut ForecastMemory,
) -> (Outlook, String) {
    let outlook = memory.trends.entry(metric.to_owned()).or_default().observe(subject.now, load, horizon);
    let why = match outlook {
        Outlook::Learning => "learning",
        Outlook::Unreliable => "its error is larger than that of a constant load",
        Outlook::Load(_) => "",
    };
    (outlook, why.to_owned())
}

fn by_season(
    subject: &Subject<'_>,
    metric: &str,
    load: f64,
    horizon: SignedDuration,
    memory: &mut ForecastMemory,
) -> (Outlook, String) {
    let by_season = memory.by_season.entry(metric.to_owned()).or_default();
    let season = subject.season(metric);
    let season = match season.as_deref() {
        None | Some(Seasonal::Awaited) => return (Outlook::Learning, "its history is loading".to_owned()),
        Some(Seasonal::Unusable(why)) => {
            by_season.retract();
            return (Outlook::Unreliable, why.clone());
        }
        Some(Seasonal::Learned(season)) => season,
    };
    let errors = season.errors;
    let (own, last_season) = (decimal(errors.curve), decimal(errors.last_season));
    if !errors.admit() {
        by_season.retract();
        let why = if errors.beats_last_season() {
            let (lately, stays) = (decimal(errors.lately), decimal(errors.stays));
            format!("error {lately} in the last season, of a constant load {stays}")
        } else {
            format!("error {own}, of last season's load {last_season}")
        };
        return (Outlook::Unreliable, why);
    }
    match by_season.observe(subject.now, load, season, horizon) {
        Outlook::Load(load) => {
            (Outlook::Load(load), format!(", error {own}, of last season's load {last_season}"))
        }
        _ => (Outlook::Learning, "learning".to_owned()),
    }
}

/// The total load behind a signal and the target per replica, in thousandths.
fn load(signal: &Signal<'_>) -> Option<(f64, i64)> {
    match signal.metric.target {
        Target::RequestRate { per_replica } | Target::Prometheus { per_replica } => {
            Some((signal.load?, per_replica))
        }
        _ => None,
    }
}

fn replicas(subject: &Subject<'_>, load: f64, per_replica: i64) -> Option<i32> {
    let (current, tolerance) = (subject.current_replicas, subject.declared.behavior.tolerance());
    average_of_total(load, per_replica, current, tolerance).ok().map(|one| one.replicas)
}

fn value(load: f64) -> String {
    decimal(((load * 10.0).round() as i64).saturating_mul(100))
}

fn within(horizon: SignedDuration) -> String {
    format!("{} s", horizon.as_secs())
}
