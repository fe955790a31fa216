//! The memory of a component's scaling, and the part of it that survives a restart. Pure.
//!
//! A restart must neither hasten a scale-in nor enlarge a change. Recommendations are not kept: they start again with
//! the current replicas, so a scale-in waits one full stabilization window. Scale events are kept while a policy still
//! counts them. Where they must be merged, the result limits more, not less.

use crate::allot::connections::ConnectionsMemory;
use crate::allot::turns::TurnMemory;
use crate::app::decision::ComponentDecision;
use crate::app::ejection::EjectionMemory;
use crate::app::limits::RecentLimits;
use crate::bounds::circuit::CircuitMemory;
use crate::bounds::fallback::MissingSince;
use crate::bounds::ungranted::Tries;
use crate::diagnose::standing::DiagnosisMemory;
use crate::evidence::zero::Doubts;
use crate::forecast::ForecastMemory;
use crate::hpa::behavior::Behavior;
use crate::hpa::history::{History, ScaleEvent, seconds};
use crate::propose::cache::MemoryGrowth;
use crate::propose::evaluate::{LastGood, SignalMemory};
use crate::propose::latency::{LatencyMemory, LatencyStep};
use crate::propose::metric::{Metric, decimal};
use crate::propose::throughput::GrowthMemory;
use crate::propose::time_to_useful::TimeToUseful;
use crate::rollout::memory::{RolloutMemory, Trial};
use crate::rollout::rolling::{Revision, current_replicas};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use scalableapp_crds as api;
use scalableapp_crds::limits::SCALE_EVENTS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The memory of the decisions on an app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppMemory {
    /// The memory of each component, by name.
    pub components: BTreeMap<String, ComponentMemory>,
    /// The turns of the data tiers.
    pub turns: TurnMemory,
    /// The last measurements of the connections of each database, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub connections: BTreeMap<String, ConnectionsMemory>,
    /// What is said to be the bottleneck.
    #[serde(skip_serializing_if = "DiagnosisMemory::is_empty")]
    pub diagnosis: DiagnosisMemory,
}

/// The memory of one component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentMemory {
    /// Boxed, because a map reserves space for several.
    pub(crate) scaling: Box<Memory>,
    /// The decided replicas when the process started, and then those that it wrote. Replicas that were decided but not
    /// written are not included: scaling from them would exceed the policies.
    pub(crate) decided: Option<i32>,
    /// Whether they are known to have been written, so that different ones come from somebody else.
    pub(crate) is_written: bool,
    /// Whether there was no revision, and replicas of the next one were not written yet.
    pub(crate) begins: bool,
    /// Its rollouts, where a canary is declared.
    #[serde(default, skip_serializing_if = "RolloutMemory::is_empty")]
    pub(crate) rollout: RolloutMemory,
}

impl AppMemory {
    /// Removes the recommendations: nobody acted on them for a while.
    pub fn forget_recommendations(&mut self) {
        self.components.values_mut().for_each(ComponentMemory::forget_recommendations);
    }

    /// Remembers that the replicas of a decision were written; or that they may have been, unless it `is_certain`.
    pub fn commit(
        &mut self,
        component: &str,
        decision: &ComponentDecision,
        behavior: &Behavior,
        is_certain: bool,
    ) {
        let Some(memory) = self.components.get_mut(component) else { return };
        (memory.decided, memory.is_written, memory.begins) = (Some(decision.desired), is_certain, false);
        if let Some(change) = &decision.change {
            memory.record(change, behavior);
            self.turns.begin(component, change.at, memory.scaling.useful.expected());
        }
        if let Some(change) = &decision.memory {
            memory.scaling.signals.shards.grew(change.at);
        }
    }
}

impl ComponentMemory {
    /// The memory of a new process, from the status of a component, if there is one.
    #[must_use]
    pub fn restore(known: Option<&api::ComponentStatus>, now: Timestamp) -> Self {
        let persisted = known.and_then(|known| known.memory.as_ref());
        Self {
            scaling: Box::new(persisted.map(|memory| Memory::restore(memory, now)).unwrap_or_default()),
            decided: known.map(|known| known.desired),
            is_written: false,
            begins: false,
            rollout: known
                .and_then(|known| known.rollout.as_ref())
                .map(RolloutMemory::restore)
                .unwrap_or_default(),
        }
    }

    /// Removes the recommendations, so a scale-in waits one full stabilization window again.
    pub fn forget_recommendations(&mut self) {
        self.scaling.history.forget_recommendations();
    }

    /// Removes the memory of a metric: it has a new source, and its values may have another unit.
    pub fn forget_metric(&mut self, metric: &str) {
        self.scaling.forget_metric(metric);
    }

    /// Adds a change of replicas. It belongs in the memory that is written together with the replicas, and in the
    /// memory of the process once that write has succeeded ([`AppMemory::commit`]).
    pub fn record(&mut self, change: &ScaleChange, behavior: &Behavior) {
        self.scaling.record(change, behavior);
    }

    /// The part for the status: scale events that a policy still counts, last valid values, the latency step, and a pool of
    /// workers before its last growth.
    #[must_use]
    pub fn persist(&self, now: Timestamp, behavior: &Behavior) -> api::ScalingMemory {
        self.scaling.persist(now, behavior)
    }

    /// The part for the status of what holds replicas. It changes without them, too.
    #[must_use]
    pub fn holds(&self) -> Vec<api::ReplicaHold> {
        self.scaling.circuits.persist()
    }

    /// The canary in progress.
    #[must_use]
    pub fn trial(&self) -> Option<&Trial> {
        self.rollout.trial()
    }

    /// Seconds from the request for a read replica until it is useful, as learnt from earlier ones.
    #[must_use]
    pub fn seconds_to_useful(&self) -> Option<i32> {
        self.scaling.useful.seconds()
    }

    /// The replicas of the last written decision, where different current ones can be told from it: an earlier process
    /// may have decided replicas without writing them.
    pub(crate) fn decided_replicas(&self, scaled_by_other: bool) -> Option<i32> {
        self.decided.filter(|_| self.is_written || scaled_by_other)
    }

    /// The replicas that scaling starts from. Without a revision, for example because the Deployment was deleted by
    /// hand, these are the replicas of the last decision. The next revision starts with one replica, which nobody
    /// decided, until others are written.
    pub(crate) fn current_replicas(&mut self, revisions: &[Revision]) -> i32 {
        self.begins |= revisions.is_empty();
        if self.begins { self.decided.unwrap_or(0) } else { current_replicas(revisions, self.decided) }
    }
}

/// The memory of the rules of one component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) history: History,
    #[serde(flatten)]
    pub(crate) signals: SignalMemory,
    #[serde(flatten)]
    pub(crate) forecasts: ForecastMemory,
    pub(crate) missing_since: MissingSince,
    pub(crate) limits: RecentLimits,
    #[serde(default, skip_serializing_if = "CircuitMemory::is_empty")]
    pub(crate) circuits: CircuitMemory,
    #[serde(default, skip_serializing_if = "EjectionMemory::is_empty")]
    pub(crate) ejections: EjectionMemory,
    #[serde(default, skip_serializing_if = "Tries::is_empty")]
    pub(crate) tries: Tries,
    #[serde(default, skip_serializing_if = "TimeToUseful::is_empty")]
    pub(crate) useful: TimeToUseful,
}

/// A change of replicas by a decision.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleChange {
    /// When it was decided.
    pub at: Timestamp,
    /// Replicas before.
    pub from: i32,
    /// Replicas after.
    pub to: i32,
    /// Set where latency alone caused it.
    pub latency_step: Option<LatencyStep>,
}

/// A growth of the memory of each shard of a cache by a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryChange {
    /// When it was decided.
    pub at: Timestamp,
    /// Bytes after.
    pub bytes: i64,
}

impl Memory {
    fn record(&mut self, change: &ScaleChange, behavior: &Behavior) {
        self.history.record_scale(behavior, change.at, change.from, change.to);
        if let Some(step) = &change.latency_step {
            self.signals.latency.step = Some(step.clone());
        }
        self.useful.changed(change.at, change.to.saturating_sub(change.from));
        if change.to > change.from {
            self.tries.grew(change.at);
        }
        if change.to < change.from {
            self.signals.backlogs.values_mut().for_each(|growth| growth.shrink(change.to));
        }
    }

    fn persist(&self, now: Timestamp, behavior: &Behavior) -> api::ScalingMemory {
        let counted = |events: &[ScaleEvent], period| {
            let recent = events.iter().filter(|event| now.duration_since(event.at) < seconds(period));
            let mut recent: Vec<(Timestamp, i32)> = recent.map(|event| (event.at, event.change)).collect();
            recent.sort_unstable();
            recent
        };
        let mut ups = counted(&self.history.ups, behavior.scale_up.longest_period_seconds());
        let mut downs = counted(&self.history.downs, behavior.scale_down.longest_period_seconds());
        merge_oldest(&mut ups, &mut downs);
        let is_known = |(_, growth): &(&String, &GrowthMemory)| **growth != GrowthMemory::default();
        let mut growths = self.signals.backlogs.iter().filter(is_known);
        let ups = ups.into_iter();
        let downs = downs.into_iter().map(|(at, change)| (at, -change));
        api::ScalingMemory {
            events: ups
                .chain(downs)
                .map(|(at, change)| api::ScaleEvent { time: MicroTime(next_microsecond(at)), change })
                .collect(),
            last_good: self.signals.last_good.iter().map(|(metric, good)| good.persist(metric)).collect(),
            latency_step: self.signals.latency.step.as_ref().map(LatencyStep::persist),
            growth: growths.next().map(|(metric, growth)| growth.persist(metric)),
            holds: self.circuits.persist(),
            seconds_to_useful: self.useful.seconds(),
        }
    }

    /// The memory of a new process, from the status. Times that another machine's clock dates later than now count as
    /// now. Otherwise they would limit scaling for longer than their period.
    fn restore(persisted: &api::ScalingMemory, now: Timestamp) -> Self {
        let (ups, downs): (Vec<_>, Vec<_>) = persisted.events.iter().partition(|event| event.change > 0);
        let events = |events: Vec<&api::ScaleEvent>| {
            let restored = |event: &api::ScaleEvent| ScaleEvent {
                change: event.change.saturating_abs(),
                at: event.time.0.min(now),
                outdated: false,
                restored: true,
            };
            events.into_iter().map(restored).collect()
        };
        let good = |good: &api::LastGood| {
            Some((
                good.metric.clone(),
                LastGood { milli: good.value.milli().ok()?, at: good.time.0.min(now) },
            ))
        };
        Self {
            history: History {
                recommendations: Vec::new(),
                ups: events(ups),
                downs: events(downs),
                restored: true,
                blind: None,
            },
            signals: SignalMemory {
                last_good: persisted.last_good.iter().filter_map(good).collect(),
                latency: LatencyMemory {
                    baselines: BTreeMap::new(),
                    step: persisted.latency_step.as_ref().map(LatencyStep::restore),
                },
                doubts: Doubts::default(),
                backlogs: persisted
                    .growth
                    .iter()
                    .map(|growth| (growth.metric.clone(), GrowthMemory::restore(growth)))
                    .collect(),
                shards: MemoryGrowth::default(),
            },
            forecasts: ForecastMemory::default(),
            missing_since: MissingSince::default(),
            limits: RecentLimits::default(),
            circuits: CircuitMemory::restore(&persisted.holds, now),
            ejections: EjectionMemory::default(),
            tries: Tries::default(),
            useful: TimeToUseful::restore(persisted.seconds_to_useful),
        }
    }

    fn forget_metric(&mut self, metric: &str) {
        self.keep(|name| name != metric);
    }

    /// Removes metrics that are no longer declared.
    pub(crate) fn forget_undeclared(&mut self, metrics: &[Metric]) {
        self.keep(|name| metrics.iter().any(|metric| metric.name == name));
    }

    /// Keeps the memory of some metrics, and removes that of all others.
    fn keep(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.signals.retain(&is_kept);
        self.forecasts.retain(&is_kept);
        self.missing_since.retain(&is_kept);
    }
}

/// Merges the oldest events of the direction with more of them until all fit. The later time counts, so the sum within
/// any period never becomes smaller.
fn merge_oldest(ups: &mut Vec<(Timestamp, i32)>, downs: &mut Vec<(Timestamp, i32)>) {
    while ups.len() + downs.len() > SCALE_EVENTS {
        let fuller = if ups.len() >= downs.len() { &mut *ups } else { &mut *downs };
        let (_, change) = fuller.remove(0);
        if let Some((_, merged)) = fuller.first_mut() {
            *merged = merged.saturating_add(change);
        }
    }
}

/// The status holds microseconds; rounded up, so that an event never leaves its period earlier.
fn next_microsecond(at: Timestamp) -> Timestamp {
    at.round(TimestampRound::new().smallest(Unit::Microsecond).mode(RoundMode::Ceil)).unwrap_or(at)
}

impl LastGood {
    fn persist(&self, metric: &str) -> api::LastGood {
        let value = api::Quantity(decimal(self.milli));
        api::LastGood { metric: metric.to_owned(), value, time: Time(self.at) }
    }
}

impl LatencyStep {
    fn persist(&self) -> api::LatencyStep {
        api::LatencyStep {
            metric: self.metric.clone(),
            time: Time(self.at),
            replicas: self.replicas,
            // In seconds, rounded down: a step must not seem effective because of rounding.
            before: api::Quantity(decimal(self.before / 1000)),
        }
    }

    fn restore(persisted: &api::LatencyStep) -> Self {
        Self {
            metric: persisted.metric.clone(),
            at: persisted.time.0,
            replicas: persisted.replicas,
            // An unreadable value counts as a step without effect.
            before: persisted.before.milli().map_or(0, |milli| milli.saturating_mul(1000)),
        }
    }
}
