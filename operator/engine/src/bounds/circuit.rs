//! The bounds of a component while a dependency of it is degraded, or callers of it are silent. Pure.
//!
//! An open circuit breaker answers calls at once, without the dependency. So its component needs less CPU than it will
//! need when the breaker closes, and what waits for the dependency does not go faster with more pods:
//!
//! 1. While a dependency is degraded, no replica of the caller is removed, and only metrics of its own work may add some:
//!    its request rate and its CPU. Latency, memory, backlogs and queries may rise because calls wait.
//! 2. A caller is silent while a dependency of it is degraded, or while none of its pods is ready. Its callees, and theirs,
//!    keep the replicas that they had before.
//! 3. Both last until the breakers are known to be closed, or the callers to be back, and for one [`window`] from then on.
//!
//! "Before" is the highest number of the last [`RECENT`] to twice that, because the load falls before a breaker is seen
//! open.

use crate::app::circuits::{Circuits, OfComponent, Voice};
use crate::app::subject::Subject;
use crate::bounds::Bound;
use crate::evidence::circuit::{CircuitCount, Standing};
use crate::propose::evaluate::Signal;
use crate::propose::metric::Target;
use crate::reason;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use scalableapp_crds as api;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Time for which the highest number of replicas is remembered, and up to twice as long.
const RECENT: SignedDuration = SignedDuration::from_secs(60);

/// The replicas to keep, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CircuitMemory {
    recent: Recent,
    /// By the name of the degraded dependency.
    dependencies: BTreeMap<String, Hold>,
    /// While callers are silent.
    callers: Option<Hold>,
}

/// Replicas that stay. Times are whole seconds, as they are in the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hold {
    since: Timestamp,
    /// The replicas: those before, or more if there were more since.
    replicas: i32,
    /// The most pods with an open breaker at the same time, and the pods that reported then.
    open: u32,
    of: u32,
    /// When the cause ended; `None` while it lasts.
    ended: Option<Timestamp>,
}

/// The highest number of replicas of the last minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Recent {
    since: Option<Timestamp>,
    highest: i32,
    before: i32,
}

/// What is known of a dependency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DependencyState {
    /// At least half of the pods that report have an open or half-open breaker, or had one when most of them last reported,
    /// or still half of the most that had one.
    Degraded {
        /// Since when, to the second.
        since: Timestamp,
        /// The most pods with an open breaker at the same time.
        open: u32,
        /// The pods that reported then.
        of: u32,
    },
    /// Too few pods report a state.
    Unknown,
    /// Only these pods have an open breaker.
    OpenOnSomePods(Vec<String>),
    /// More than half of the pods have a closed breaker and none an open one, or nobody calls it.
    Well,
    /// No pod has been ready for long enough to report.
    NotYet,
}

/// The minimum of a component from its own circuits and its callers, at most `max` for replicas from before.
pub(crate) fn floor(
    subject: &Subject<'_>,
    circuits: &Circuits<'_>,
    memory: &mut CircuitMemory,
    max: i32,
) -> Option<Bound> {
    let Some(of) = circuits.of_component(subject.name) else {
        *memory = CircuitMemory::default();
        return None;
    };
    memory.follow(subject, of, max);
    let current = subject.current_replicas;
    let kept = |hold: &Hold| current.max(hold.replicas.min(max));
    let callers = memory.callers.iter().map(|hold| of_callers(&of.callers, hold, kept(hold)));
    let unknown = of.calls.iter().filter_map(|(name, standing)| match standing {
        Standing::Unknown(count) if !memory.dependencies.contains_key(*name) => {
            Some(unknown(name, *count, current))
        }
        _ => None,
    });
    let (degraded, recovering): (Vec<_>, Vec<_>) =
        memory.dependencies.iter().partition(|(_, hold)| hold.ended.is_none());
    let dependencies = degraded.into_iter().chain(recovering);
    let dependencies = dependencies.map(|(name, hold)| of_dependency(name, hold, kept(hold)));
    dependencies.chain(callers).chain(unknown).reduce(|floor, other| floor.or_higher(Some(other)))
}

/// The maximum of a component with a degraded dependency: no less than its minimum and its current replicas.
pub(crate) fn ceiling(
    subject: &Subject<'_>,
    signals: &[Signal<'_>],
    memory: &CircuitMemory,
    min: i32,
) -> Option<Bound> {
    let (name, _) = memory.dependencies.iter().find(|(_, hold)| hold.ended.is_none())?;
    let work = signals.iter().filter(|signal| shows_work(&signal.metric.target));
    let asked = work.filter_map(Signal::replicas).max().unwrap_or(0);
    let replicas = asked.max(subject.current_replicas).max(min);
    Some(Bound::new(replicas, reason::DEPENDENCY_DEGRADED, format!("the degraded dependency {name}")))
}

/// What is known of each dependency that a component calls.
pub(crate) fn dependencies(
    subject: &Subject<'_>,
    circuits: &Circuits<'_>,
    memory: &CircuitMemory,
) -> BTreeMap<String, DependencyState> {
    let state = |(name, standing): (&&str, &Standing)| {
        let hold = memory.dependencies.get(*name).filter(|hold| hold.ended.is_none());
        let state = match (hold, standing) {
            (Some(hold), _) => DependencyState::Degraded { since: hold.since, open: hold.open, of: hold.of },
            // Nothing is held before the component has replicas.
            (None, Standing::NotYet | Standing::Degraded(_)) => DependencyState::NotYet,
            (None, Standing::Unknown(_)) => DependencyState::Unknown,
            (None, Standing::OpenOnSomePods { pods }) => DependencyState::OpenOnSomePods(pods.clone()),
            (None, Standing::Well | Standing::NotCalled) => DependencyState::Well,
        };
        ((*name).to_owned(), state)
    };
    let of = circuits.of_component(subject.name);
    of.into_iter().flat_map(|of| &of.calls).map(state).collect()
}

/// Whether a metric rises only with the work that the component does itself.
pub(crate) fn shows_work(target: &Target) -> bool {
    match target {
        Target::RequestRate { .. } | Target::Cpu(_) => true,
        Target::Prometheus { .. }
        | Target::Memory(_)
        | Target::Latency { .. }
        | Target::Backlog(_)
        | Target::Evictions => false,
    }
}

fn of_dependency(name: &str, hold: &Hold, replicas: i32) -> Bound {
    if hold.ended.is_some() {
        let by = format!("the dependency {name}, which has just recovered");
        return Bound::new(replicas, reason::DEPENDENCY_RECOVERING, by);
    }
    let by = format!("the degraded dependency {name}");
    let measured = format!(" (open on up to {} of {} pods)", hold.open, hold.of);
    Bound { measured, ..Bound::new(replicas, reason::DEPENDENCY_DEGRADED, by) }
}

fn of_callers(callers: &Voice<'_>, hold: &Hold, replicas: i32) -> Bound {
    let by = match callers {
        Voice::Silent(names) => format!("the silent {}", names.join(", ")),
        _ if hold.ended.is_some() => "callers that have just come back".to_owned(),
        _ => "callers that were silent".to_owned(),
    };
    Bound::new(replicas, reason::CALLERS_SILENT, by)
}

fn unknown(name: &str, count: CircuitCount, replicas: i32) -> Bound {
    let by = format!("the unknown circuit of {name}");
    let measured = format!(" ({} of {} pods report)", count.known(), count.known() + count.unknown);
    Bound { measured, ..Bound::new(replicas, reason::CIRCUIT_UNKNOWN, by) }
}

/// How long replicas stay after the cause has ended: what was recommended meanwhile must have left the scale-down
/// stabilization window, and what was measured meanwhile must be stale.
fn window(subject: &Subject<'_>) -> SignedDuration {
    let seconds = subject.declared.behavior.scale_down.stabilization_window_seconds;
    SignedDuration::from_secs(seconds.into()).max(subject.max_age())
}

impl CircuitMemory {
    /// Whether there is nothing to remember.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a dependency is degraded, or was a short time ago.
    pub(crate) fn is_held(&self, dependency: &str) -> bool {
        self.dependencies.contains_key(dependency)
    }

    /// The most pods with an open breaker at the same time since this dependency is degraded; 0 where it is not.
    pub(crate) fn most_open(&self, dependency: &str) -> u32 {
        self.dependencies.get(dependency).filter(|hold| hold.ended.is_none()).map_or(0, |hold| hold.open)
    }

    /// Begins, raises and ends holds.
    fn follow(&mut self, subject: &Subject<'_>, of: &OfComponent<'_>, max: i32) {
        let (now, window) = (subject.now, window(subject));
        let recent = self.recent.note(now, subject.current_replicas);
        let replicas = recent.min(max).max(subject.current_replicas);
        let is_over = |hold: &Hold| hold.ended.is_some_and(|ended| now.duration_since(ended) >= window);
        self.dependencies.retain(|name, _| of.calls.contains_key(name.as_str()));
        for (name, standing) in &of.calls {
            match standing {
                Standing::Degraded(count) => {
                    let hold =
                        self.dependencies.entry((*name).to_owned()).or_insert(Hold::new(now, replicas));
                    hold.goes_on(subject.current_replicas);
                    if count.open > hold.open {
                        (hold.open, hold.of) = (count.open, count.known());
                    }
                }
                Standing::Well | Standing::OpenOnSomePods { .. } => {
                    if let Some(hold) = self.dependencies.get_mut(*name) {
                        hold.ends(now);
                    }
                }
                Standing::Unknown(_) | Standing::NotYet | Standing::NotCalled => {}
            }
        }
        self.dependencies.retain(|_, hold| !is_over(hold));
        match (&of.callers, &mut self.callers) {
            (Voice::Silent(_), callers) => {
                callers.get_or_insert(Hold::new(now, replicas)).goes_on(subject.current_replicas);
            }
            (Voice::Back, Some(hold)) => hold.ends(now),
            (Voice::NoCallers, callers) => *callers = None,
            (Voice::Unknown, _) | (Voice::Back, None) => {}
        }
        self.callers = self.callers.filter(|hold| !is_over(hold));
    }

    /// The part for the status.
    pub(crate) fn persist(&self) -> Vec<api::ReplicaHold> {
        let held = |dependency: Option<&String>, hold: &Hold| api::ReplicaHold {
            dependency: dependency.cloned(),
            since: Time(hold.since),
            replicas: hold.replicas,
            open: hold.open,
            of: hold.of,
            ended: hold.ended.map(Time),
        };
        let dependencies = self.dependencies.iter().map(|(name, hold)| held(Some(name), hold));
        dependencies.chain(self.callers.iter().map(|hold| held(None, hold))).collect()
    }

    /// The memory of a new process, from the status.
    pub(crate) fn restore(persisted: &[api::ReplicaHold], now: Timestamp) -> Self {
        let mut memory = Self::default();
        for one in persisted {
            let hold = Hold {
                since: one.since.0.min(now),
                replicas: one.replicas,
                open: one.open,
                of: one.of,
                ended: one.ended.as_ref().map(|ended| ended.0.min(now)),
            };
            match &one.dependency {
                Some(name) => drop(memory.dependencies.insert(name.clone(), hold)),
                None => memory.callers = Some(hold),
            }
        }
        memory
    }
}

impl Hold {
    fn new(now: Timestamp, replicas: i32) -> Self {
        Self { since: whole_second(now), replicas, open: 0, of: 0, ended: None }
    }

    /// The cause lasts, or is back.
    fn goes_on(&mut self, current_replicas: i32) {
        (self.replicas, self.ended) = (self.replicas.max(current_replicas), None);
    }

    fn ends(&mut self, now: Timestamp) {
        self.ended.get_or_insert(whole_second(now));
    }
}

impl Recent {
    /// Notes the current replicas, and returns the highest number of the last minutes.
    fn note(&mut self, now: Timestamp, replicas: i32) -> i32 {
        let age = self.since.map(|since| now.duration_since(since));
        if age.is_none_or(|age| age >= RECENT) {
            let before = if age.is_some_and(|age| age < RECENT * 2) { self.highest } else { replicas };
            *self = Self { since: Some(now), highest: replicas, before };
        }
        self.highest = self.highest.max(replicas);
        self.highest.max(self.before)
    }
}

fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
