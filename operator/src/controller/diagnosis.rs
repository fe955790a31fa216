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
use scalableapp_crds::{LiveDiagnosis, LiveEvidence, LiveHeadroom};
use scalableapp_engine::{
    diagnose::{
        headroom::used_up,
        standing::Bottleneck,
        verdict::{Intervention, Number},
    },
    reason,
};

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
