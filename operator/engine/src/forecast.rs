//! The floor that a forecast of the load asks for. Pure.
//!
//! Loads that do not depend on the number of replicas can be foretold: the request rate and the result of a query. The
//! replicas for the load that is due within the horizon are computed as the metric's own, with the same tolerance. They
//! only ever raise the floor, so that a wrong forecast costs money and never an outage.

use crate::bounds::Bound;
use crate::decide::Input;
use crate::evaluate::{Signal, Vote};
use crate::memory::Memory;
use crate::metric::{Target, decimal};
use crate::reason;
use crate::sample::judge;
use crate::signal::{Series, average_value};
use crate::trend::Outlook;
use jiff::SignedDuration;

/// What the forecasts say together.
pub(crate) struct Foresight {
    /// The floor, where it is above what the metric itself asks for.
    pub(crate) floor: Option<Bound>,
    /// What each metric's forecast says, in words; nothing where none is asked for.
    pub(crate) effect: Option<String>,
}

/// Adds the loads of this instant to what is remembered, and says where they are going.
pub(crate) fn foresee(input: &Input<'_>, signals: &[Signal<'_>], memory: &mut Memory) -> Foresight {
    let Some(horizon) = input.forecast else {
        memory.trends.clear();
        return Foresight { floor: None, effect: None };
    };
    let mut floor: Option<Bound> = None;
    let mut effects = Vec::new();
    for signal in signals {
        let Some((load, per_replica)) = load(input, signal) else { continue };
        let name = &signal.metric.name;
        let outlook = memory.trends.entry(name.clone()).or_default().observe(input.now, load, horizon);
        let own = signal.vote.proposal().map_or(0, |proposal| proposal.replicas);
        let (replicas, effect) = match outlook {
            Outlook::Learning => (input.current_replicas, "learning, no scale-in yet".to_owned()),
            Outlook::Unreliable => (own, "errs more than \"stays as it is\", no say".to_owned()),
            Outlook::Load(foretold) => {
                let replicas = replicas(input, foretold, per_replica).unwrap_or(own);
                (replicas, format!("{replicas} for {} in {}", value(foretold), within(horizon)))
            }
        };
        effects.push(format!("{name}: {effect}"));
        let reason = if outlook == Outlook::Learning { reason::FORECAST_LEARNING } else { reason::FORECAST };
        let raised = Bound { replicas, reason, by: format!("forecast of {name}") };
        if replicas > own {
            floor = Some(match floor {
                Some(floor) => floor.or_higher(Some(raised)),
                None => raised,
            });
        }
    }
    let effect = if effects.is_empty() { "no fresh load to foretell".to_owned() } else { effects.join("; ") };
    Foresight { floor, effect: Some(effect) }
}

/// The total load behind a signal and what one replica should carry, in thousandths.
fn load(input: &Input<'_>, signal: &Signal<'_>) -> Option<(f64, i64)> {
    let (Target::RequestRate { per_replica } | Target::Prometheus { per_replica }) = signal.metric.target
    else {
        return None;
    };
    if !matches!(signal.vote, Vote::Asks(_)) {
        return None;
    }
    let reading = input.readings.get(&signal.metric.name);
    Some((judge(reading, input.now, input.max_sample_age).ok()?.value, per_replica))
}

fn replicas(input: &Input<'_>, load: f64, per_replica: i64) -> Option<i32> {
    let milli = [(load * 1000.0).round() as i64];
    let (current, tolerance) = (input.current_replicas, input.behavior.tolerance());
    average_value(Series::External(&milli), per_replica, current, tolerance).ok().map(|one| one.replicas)
}

fn value(load: f64) -> String {
    decimal((load * 10.0).round() as i64 * 100)
}

fn within(horizon: SignedDuration) -> String {
    format!("{} s", horizon.as_secs())
}
