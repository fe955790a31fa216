//! The live diagnosis of one app: the verdict that is said, with the queries of its numbers and the headroom. Pure.

use crate::{
    decide::{ComponentPass, DecideMemory, Pass},
    observe::{
        measure::{Measure, NodePlace},
        snapshot::Samples,
        timeline::Timeline,
    },
    resolve::app::App,
};
use jiff::{SignedDuration, Timestamp};
use scalableapp_crds::{LiveDiagnosis, LiveEvidence, LiveHeadroom};
use scalableapp_engine::{
    diagnose::{
        standing::Bottleneck,
        verdict::{Intervention, Number},
    },
    reason,
};

/// Growth of the request rate over the history that is more than noise.
const GROWS: f64 = 1.1;
/// A headroom that lasts longer is not dated.
const FORESEEN: SignedDuration = SignedDuration::from_hours(24);

/// The diagnosis of an app after a pass.
pub(super) fn diagnosis(app: &App, memory: &DecideMemory, samples: &Samples, pass: &Pass) -> LiveDiagnosis {
    let (said, timeline) = (memory.diagnosis(), memory.timeline());
    let is_held = |one: &&ComponentPass| one.state.limited_by.contains(&reason::BOTTLENECK_ELSEWHERE);
    let shown = LiveDiagnosis {
        held: pass.components.iter().filter(is_held).map(|one| one.state.name.clone()).collect(),
        headroom: pass.components.iter().filter_map(|one| headroom(app, one, timeline)).collect(),
        history_seconds: timeline.length().as_secs_f64(),
        ..LiveDiagnosis::default()
    };
    let Some(bottleneck) = said.standing() else {
        let verdict = if said.is_judged() { reason::HEALTHY } else { reason::HISTORY_TOO_SHORT };
        let step = Intervention::Nothing;
        return LiveDiagnosis {
            verdict: verdict.name.to_owned(),
            message: verdict.sentence.to_owned(),
            advice: step.name().to_owned(),
            step: step.sentence().to_owned(),
            ..shown
        };
    };
    let Bottleneck { component, cause, advice, since, confidence, numbers, .. } = bottleneck;
    LiveDiagnosis {
        verdict: cause.name.to_owned(),
        component: component.clone(),
        message: bottleneck.message(),
        advice: advice.name().to_owned(),
        step: advice.sentence().to_owned(),
        since: Some(*since),
        confidence: Some(*confidence),
        evidence: numbers.iter().map(|number| evidence(app, number, timeline, samples)).collect(),
        ..shown
    }
}

fn evidence(app: &App, number: &Number, timeline: &Timeline, samples: &Samples) -> LiveEvidence {
    let Number { node, series, normal, value, .. } = number;
    let measure = Measure::named(series);
    let (namespace, name, window) = (app.namespace.as_str(), app.name.as_str(), samples.request_window());
    let place = NodePlace { namespace, app: name, node, window };
    LiveEvidence {
        component: node.clone(),
        measure: series.clone(),
        normal: *normal,
        at_begin: *value,
        now: measure.and_then(|measure| timeline.latest(node, measure)),
        query: measure.and_then(|measure| measure.query(&place)),
    }
}

/// What the metrics of a component do not ask for; `None` without a metric.
fn headroom(app: &App, pass: &ComponentPass, timeline: &Timeline) -> Option<LiveHeadroom> {
    let name = pass.state.name.as_str();
    let asked = pass.decision.as_ref()?.proposals.iter().filter_map(|one| one.replicas).max()?;
    let max = app.component(name)?.declared.max_replicas;
    let free_share = 1.0 - (f64::from(asked) / f64::from(max.max(1))).clamp(0.0, 1.0);
    let rates: Vec<(f64, f64)> = timeline.values(name, Measure::Requests).collect();
    let until = used_up(free_share, &rates);
    Some(LiveHeadroom { component: name.to_owned(), free_share, until })
}

/// When a free share is used up, if the load grows on as from the first to the last third of its history.
fn used_up(free_share: f64, rates: &[(f64, f64)]) -> Option<Timestamp> {
    let third = rates.len() / 3;
    let mean = |part: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| {
        part.iter().map(of).sum::<f64>() / part.len().max(1) as f64
    };
    let (first, last) = (rates.get(..third)?, rates.get(rates.len() - third..)?);
    let ((begun, before), (ended, now)) = (
        (mean(first, |one| one.0), mean(first, |one| one.1)),
        (mean(last, |one| one.0), mean(last, |one| one.1)),
    );
    let slope = (now - before) / (ended - begun);
    if third == 0 || before <= 0.0 || now < GROWS * before || free_share >= 1.0 || slope <= 0.0 {
        return None;
    }
    // The load that is carried in the end, as a multiple of the present one.
    let carried = 1.0 / (1.0 - free_share);
    let seconds = now * (carried - 1.0) / slope;
    let length = SignedDuration::try_from_secs_f64(seconds).ok().filter(|length| *length <= FORESEEN)?;
    Timestamp::from_second(rates.last()?.0 as i64).ok()?.checked_add(length).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headroom_is_dated_only_while_the_load_grows() {
        let dated = |growth: f64, free| {
            let load: Vec<_> =
                (0..90).map(|index| (f64::from(index) * 10.0, 100.0 + growth * f64::from(index))).collect();
            used_up(free, &load).map(|at| at.as_second())
        };
        assert_eq!(dated(0.0, 0.5), None);
        assert_eq!(dated(-0.5, 0.5), None);
        // From 174 requests per second twice as much is reached at a tenth of a request more in each second.
        let at = dated(1.0, 0.5).expect("a time");
        assert!((2500..=2700).contains(&at), "{at}");
        assert_eq!(dated(1.0, 0.0), Some(890), "nothing is free");
        assert_eq!(used_up(0.5, &[]), None);
    }
}
