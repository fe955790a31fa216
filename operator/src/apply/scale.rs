//! Writes the replicas of one app, in the order of its plan. I/O out.

use super::{
    app::Leader, attempts::UNANSWERED, clusters, deletion_costs, failing::Failing, fence::is_fenced,
    memory::ApplyMemory, replicas, writer::WriteError,
};
use crate::{
    decide::{ComponentPass, DecideMemory, Pass},
    event::Event,
    kinds::Kind,
    observe::cluster::workload::LiveRevision,
    resolve::app::{App, Component},
    runtime::{clock, metrics},
};
use kube::ResourceExt;
use scalableapp_engine::{ComponentDecision, reason, rollout::ReplicaWrite};
use std::collections::BTreeMap;

/// A decided component whose replicas may be written, and the result.
struct Scaled<'a> {
    declared: &'a Component,
    decision: &'a ComponentDecision,
    /// Whether the plan has all decided replicas: some may wait for pods that leave.
    is_whole: bool,
    /// Remaining writes.
    left: usize,
    /// Whether a write happened, or may have. An uncertain one counts: if it is recorded in vain, the next change comes
    /// later; if it is not, it comes too early.
    may_have_happened: bool,
    error: Option<WriteError>,
}

/// Writes the replicas of the plan: over the whole app replicas grow before any shrink. The deletion costs of the pods of
/// a revision are written before it shrinks. A failed write is recorded, for
/// the report of the next pass, and blocks no other component. Returns whether a workload has changed since the
/// decision, or a write was unanswered; then the app must be decided again.
///
/// # Errors
/// [`WriteError::NotLeader`] only.
pub async fn scale(
    leader: Leader<'_>,
    app: &App,
    memory: &mut DecideMemory,
    ApplyMemory { failing, unpublished, .. }: &mut ApplyMemory,
    pass: &Pass,
) -> Result<bool, WriteError> {
    let of_pass = pass.components.iter().filter(|one| one.decision.is_some());
    let revisions = of_pass.clone().flat_map(|one| {
        one.state.revisions.iter().map(|live| (one.state.name.as_str(), live.hash.as_str(), live.replicas))
    });
    let steps = pass.plan.steps(revisions);
    let mut scaled = BTreeMap::new();
    for (declared, one) in of_pass.filter_map(|one| Some((app.component(&one.state.name)?, one))) {
        let Some(decision) = &one.decision else { continue };
        let name = one.state.name.as_str();
        let own = || steps.iter().filter(|step| step.component == name);
        let changing = |step| revision(one, step);
        let needs_fence =
            |live: &LiveRevision| live.kind != Kind::Cluster && !is_fenced(&live.workload, leader.epoch);
        if own().filter_map(changing).any(needs_fence) {
            failing.entry(name.to_owned()).or_default().await_fence(clock::wall());
            continue;
        }
        let left = own().count();
        let planned = pass.plan.replicas.get(name).map_or(0, |planned| planned.values().sum());
        let is_whole = planned >= decision.desired;
        let may_have_happened = left == 0 && is_whole;
        scaled.insert(name, Scaled { declared, decision, is_whole, left, may_have_happened, error: None });
    }
    let is_silent = write(leader, (memory, unpublished), pass, &steps, &mut scaled).await;
    Ok(settle(memory, failing, scaled)? || is_silent)
}

fn revision<'a>(pass: &'a ComponentPass, step: &ReplicaWrite<'_>) -> Option<&'a LiveRevision> {
    pass.state.revisions.iter().find(|live| live.hash == step.revision)
}

/// Sends the writes, until another process leads or a write is unanswered; returns whether the latter happened.
async fn write(
    leader: Leader<'_>,
    (memory, unpublished): (&mut DecideMemory, &mut Vec<Event>),
    pass: &Pass,
    steps: &[ReplicaWrite<'_>],
    scaled: &mut BTreeMap<&str, Scaled<'_>>,
) -> bool {
    let mut unanswered = 0;
    for step in steps {
        let Some(one) = scaled.get_mut(step.component).filter(|one| one.error.is_none()) else { continue };
        let component = pass.components.iter().find(|one| one.state.name == step.component);
        let Some(live) = component.and_then(|component| revision(component, step)) else { continue };
        if let Err(error) = write_costs(leader, pass, step, unpublished).await {
            one.error = Some(error);
            break;
        }
        let written = match live.kind {
            Kind::Cluster => clusters::scale(leader, &live.workload, step.to).await,
            kind => replicas::scale(leader.writer, kind, &live.workload, step.to).await,
        };
        match written {
            Ok(workload) => {
                let generation = workload.metadata.generation;
                let written = (step.revision, step.to);
                memory.await_write(step.component, &workload.name_any(), generation, written);
                one.may_have_happened = true;
                one.left -= 1;
            }
            Err(error) => {
                one.may_have_happened |= error.may_have_happened();
                unanswered += u32::from(matches!(error, WriteError::TimedOut { .. }));
                let is_last = matches!(error, WriteError::NotLeader { .. });
                one.error = Some(error);
                if is_last || unanswered >= UNANSWERED {
                    break;
                }
            }
        }
    }
    unanswered >= UNANSWERED
}

/// Writes the deletion costs for a step. A failure is told and stops nothing, because leaving pods end their jobs.
async fn write_costs(
    leader: Leader<'_>,
    pass: &Pass,
    step: &ReplicaWrite<'_>,
    unpublished: &mut Vec<Event>,
) -> Result<(), WriteError> {
    let key = (step.component.to_owned(), step.revision.to_owned());
    let Some(changes) = pass.costs.get(&key) else { return Ok(()) };
    if let Some(error) = deletion_costs::write(leader.writer, changes).await? {
        let reason = reason::DELETION_COST_NOT_WRITTEN;
        let note = format!("{}: {} {}", step.component, reason.sentence, error.words());
        unpublished.push(Event { warning: true, reason: reason.name, action: "ScaleIn", note });
    }
    Ok(())
}

/// Records the results of the writes.
fn settle(
    memory: &mut DecideMemory,
    failing: &mut BTreeMap<String, Failing>,
    scaled: BTreeMap<&str, Scaled<'_>>,
) -> Result<bool, WriteError> {
    let (mut again, mut not_leader) = (false, None);
    for (name, one) in scaled {
        let Scaled { declared, decision, is_whole, left, may_have_happened, error } = one;
        if may_have_happened {
            memory.commit(declared, decision, left == 0 && is_whole);
            metrics::decided(decision.current, decision.desired);
        }
        match error {
            Some(error @ WriteError::NotLeader { .. }) => not_leader = Some(error),
            Some(WriteError::Conflict { .. }) => again = true,
            // It was not sent.
            None if left > 0 => again = true,
            error => {
                let written = error.map_or(Ok(()), Err);
                failing.entry(name.to_owned()).or_default().scaled(&written, clock::wall());
            }
        }
    }
    not_leader.map_or(Ok(again), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decide::View,
        observe::{cluster::caches::Observed, snapshot::Samples},
        resolve::resolve,
    };
    use jiff::Timestamp;
    use serde_json::json;

    /// What is remembered of an app whose component grows from 1 to 5, after this became of its writes: whether the
    /// decision was committed, whether a failure is remembered, and whether the app is decided again.
    fn settled(
        left: usize,
        may_have_happened: bool,
        error: Option<WriteError>,
    ) -> (bool, bool, Result<bool, ()>) {
        let app = serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "shop", "uid": "1", "generation": 1},
            "spec": {"services": [{
                "name": "web", "image": "shop:1", "port": 80, "scaling": {"minReplicas": 5, "maxReplicas": 5},
            }]},
        }));
        let app = resolve(&app.expect("an app")).expect("no problem");
        let (observed, samples) = (Observed::default(), Samples::default());
        let view = View::new(&observed, &samples, Timestamp::UNIX_EPOCH);
        let mut memory = DecideMemory::default();
        let pass = crate::decide::pass(&app, None, view, &mut memory);
        let decision = pass.components[0].decision.as_ref().expect("a decision");
        let declared = &app.components[0];
        let one = Scaled { declared, decision, is_whole: true, left, may_have_happened, error };
        let mut failing = BTreeMap::new();
        let again = settle(&mut memory, &mut failing, BTreeMap::from([("web", one)])).map_err(|_| ());
        // Without a Deployment the last decision that was committed is where scaling starts.
        let pass = crate::decide::pass(&app, None, view, &mut memory);
        let current = pass.components[0].decision.as_ref().expect("a decision").current;
        let is_failing = failing.get("web").is_some_and(|one: &Failing| one.due().is_some());
        (current == 5, is_failing, again)
    }

    #[test]
    fn what_may_have_been_written_is_remembered_and_what_was_not_tried_is_not() {
        let timed_out = || Some(WriteError::TimedOut { kind: "Deployment" });
        let refused = || Some(WriteError::Refused { kind: "Deployment", message: "no".to_owned() });
        assert_eq!(settled(0, true, None), (true, false, Ok(false)), "all was written");
        assert_eq!(settled(1, true, None), (true, false, Ok(true)), "nothing answered before its last write");
        assert_eq!(
            settled(1, false, None),
            (false, false, Ok(true)),
            "nothing answered before its first write"
        );
        assert_eq!(settled(1, true, timed_out()), (true, true, Ok(false)));
        assert_eq!(settled(1, false, refused()), (false, true, Ok(false)));
        let (is_committed, is_failing, again) =
            settled(1, true, Some(WriteError::NotLeader { kind: "Deployment" }));
        assert_eq!(
            (is_committed, is_failing, again),
            (true, false, Err(())),
            "one write came before the next leader"
        );
    }
}
