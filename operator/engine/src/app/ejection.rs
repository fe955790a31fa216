//! Pods that leave their Service because they alone see a circuit breaker open. Pure.
//!
//! A breaker that less than half of the pods see open is a problem of these pods: their way to the dependency is broken.
//! Such a pod gets no requests while its peers do the work, as an endpoint that Envoy's outlier detection ejects:
//!
//! 1. It leaves after its breaker was open for [`Ejection::after`](crate::stack::Ejection), and returns once its breaker
//!    is closed, at the earliest after four times that. Each further time the wait doubles, because a pod without calls
//!    may close its breaker without any success.
//! 2. At most a third of the pods leave, and one that is ready stays. If more had to, none does: what many pods see is no
//!    problem of one.
//! 3. A pod that is bad for [`Ejection::replace_after`](crate::stack::Ejection) while all of its peers are well is
//!    replaced. The next one waits for as long, and for twice that each further time.
//!
//! A dependency of which too little is known changes nothing. While one is degraded, and for as long after as it holds
//! replicas, all pods return.

use crate::app::circuits::{Circuits, OfComponent};
use crate::app::subject::Subject;
use crate::bounds::circuit::CircuitMemory;
use crate::evidence::circuit::{CircuitReading, Standing, fresh_state};
use crate::hpa::pod::Pod;
use crate::input::Input;
use crate::stack::{self, Workload};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// One in so many pods may leave.
const SHARE: usize = 3;
/// The earliest return of a pod, as a multiple of the time after which it leaves.
const STAYS_OUT: i64 = 4;
/// The least time that a pod stays out.
const LEAST_OUT: SignedDuration = SignedDuration::from_secs(10);
/// The most doublings of a wait.
const DOUBLINGS: u32 = 6;
/// Time without a bad pod after which the next replacement waits no longer than the first.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// The pods of a service that get no requests, and the one to replace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ejected {
    /// Their names, each with the dependency whose breaker is open.
    pub pods: BTreeMap<String, String>,
    /// The one of them to replace.
    pub replace: Option<String>,
}

/// The pods that had an open breaker alone, and the replacements. A new process begins without: then a pod that is out
/// stays so until its breaker is known to be closed, and is replaced later.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EjectionMemory {
    pods: BTreeMap<String, BadPod>,
    replacing: Option<Replacing>,
    /// Replacements in a row.
    replaced: u32,
    /// Until then no other pod is replaced.
    until: Option<Timestamp>,
}

/// A pod with an open breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BadPod {
    dependency: String,
    /// When its breaker was first seen open.
    since: Timestamp,
    /// Since when it is open this time; `None` while it is closed.
    open: Option<Timestamp>,
    /// Since when it is closed; `None` while it is not.
    well: Option<Timestamp>,
    /// Since when the pod is to get no requests; `None` while it gets some.
    out: Option<Timestamp>,
    /// How often it has left.
    times: u32,
}

/// The pod that is being replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Replacing {
    pod: String,
    /// The time until the next replacement.
    wait: SignedDuration,
}

/// What is known of a pod.
enum PodVerdict<'a> {
    /// Its breaker for this dependency is open, and those of most of its peers are closed.
    Bad(&'a str),
    /// Too little is known.
    Unclear,
    /// Its breakers are closed.
    Well,
    /// What it sees is a problem of a dependency, or was a short time ago.
    Shared,
}

/// A component whose pods may leave.
struct Peers<'a> {
    now: Timestamp,
    max_age: SignedDuration,
    dependencies: &'a BTreeMap<String, stack::Dependency>,
    of: &'a OfComponent<'a>,
    held: &'a CircuitMemory,
    readings: BTreeMap<&'a str, Cow<'a, CircuitReading>>,
    living: Vec<&'a Pod>,
    ejected: &'a BTreeSet<String>,
    /// Whether its pods are all there and none is changing.
    is_steady: bool,
}

/// The pods of a component that get no requests; those of a service only.
pub(crate) fn ejected(
    input: &Input<'_>,
    subject: &Subject<'_>,
    circuits: &Circuits<'_>,
    held: &CircuitMemory,
    memory: &mut EjectionMemory,
) -> Ejected {
    let is_service = matches!(subject.declared.workload, Workload::Service(_));
    let of = circuits.of_component(subject.name).filter(|of| is_service && !of.calls.is_empty());
    let Some(of) = of else {
        *memory = EjectionMemory::default();
        return Ejected::default();
    };
    let observed = subject.observed;
    let living: Vec<&Pod> =
        observed.pods.iter().filter(|pod| !pod.deleting && !pod.phase.has_ended()).collect();
    let mut readings = BTreeMap::new();
    for call in of.calls.keys() {
        readings.extend(input.evidence.circuit(subject.name, call).map(|reading| (*call, reading)));
    }
    let service = Peers {
        now: input.now,
        max_age: input.evidence.max_age(),
        dependencies: &input.stack.dependencies,
        of,
        held,
        readings,
        is_steady: !observed.is_rolling()
            && observed.pods.len() == living.len()
            && i32::try_from(living.len()).is_ok_and(|pods| pods == subject.current_replicas),
        living,
        ejected: &observed.ejected,
    };
    let verdicts: BTreeMap<&str, PodVerdict<'_>> =
        service.living.iter().map(|pod| (&*pod.name, service.verdict(pod))).collect();
    memory.note(&service, &verdicts);
    let pods = service.out(memory, &verdicts);
    memory.leave(&service, &pods);
    let replace = service.replaced(memory, &pods, &verdicts);
    Ejected { pods, replace }
}

impl<'a> Peers<'a> {
    fn verdict(&self, pod: &Pod) -> PodVerdict<'a> {
        let (mut is_shared, mut is_unclear) = (false, false);
        for (call, standing) in &self.of.calls {
            match standing {
                // Some breakers close later than others, for want of calls.
                _ if self.held.is_held(call) => is_shared = true,
                Standing::OpenOnSomePods { pods } if pods.iter().any(|one| **one == *pod.name) => {
                    return PodVerdict::Bad(call);
                }
                Standing::OpenOnSomePods { .. } | Standing::Well => is_unclear |= self.is_silent(call, pod),
                Standing::Degraded(_) => is_shared = true,
                Standing::Unknown(_) | Standing::NotYet => is_unclear = true,
                Standing::NotCalled => {}
            }
        }
        match (is_shared, is_unclear) {
            (true, _) => PodVerdict::Shared,
            (false, true) => PodVerdict::Unclear,
            (false, false) => PodVerdict::Well,
        }
    }

    /// Whether the pod does not report a state that it should report.
    fn is_silent(&self, call: &str, pod: &Pod) -> bool {
        let reading = self.readings.get(call).map(Cow::as_ref);
        let is_reported = reading.is_some_and(|reading| reading.pods.contains_key(&*pod.name));
        let may_be_missing = self.dependencies.get(call).is_some_and(|one| one.appears_late);
        fresh_state(reading, pod, self.now, self.max_age).is_none() && (is_reported || !may_be_missing)
    }

    fn settings(&self, dependency: &str) -> stack::Ejection {
        self.dependencies.get(dependency).map(|one| one.ejection).unwrap_or_default()
    }

    /// The pods that get no requests, each with its dependency.
    fn out(
        &self,
        memory: &EjectionMemory,
        verdicts: &BTreeMap<&str, PodVerdict<'_>>,
    ) -> BTreeMap<String, String> {
        let leaves = |(name, bad): &(&String, &BadPod)| {
            let settings = self.settings(&bad.dependency);
            let lasts = |since: Timestamp, time| self.now.duration_since(since) >= time;
            match verdicts.get(name.as_str()) {
                Some(PodVerdict::Bad(_)) => {
                    bad.out.is_some() || bad.open.is_some_and(|since| lasts(since, settings.after))
                }
                Some(PodVerdict::Unclear) => bad.out.is_some(),
                Some(PodVerdict::Well) => {
                    bad.out.is_some_and(|since| !lasts(since, stays_out(settings.after, bad.times)))
                }
                Some(PodVerdict::Shared) | None => false,
            }
        };
        let bad = memory.pods.iter().filter(leaves);
        let out: BTreeMap<String, String> =
            bad.map(|(name, bad)| (name.clone(), bad.dependency.clone())).collect();
        let counts = |pod: &&&Pod| pod.is_ready() || self.ejected.contains(&*pod.name);
        let serves = |pod: &&Pod| pod.is_ready() && !out.contains_key(&*pod.name);
        let most = self.living.iter().filter(counts).count() / SHARE;
        if out.len() > most || !self.living.iter().any(serves) { BTreeMap::new() } else { out }
    }

    /// The pod to replace: the only bad one, for long enough.
    fn replaced(
        &self,
        memory: &mut EjectionMemory,
        out: &BTreeMap<String, String>,
        verdicts: &BTreeMap<&str, PodVerdict<'_>>,
    ) -> Option<String> {
        let are_well = |but: &str| {
            self.living
                .iter()
                .filter(|pod| *pod.name != *but)
                .all(|pod| pod.is_ready() && matches!(verdicts.get(&*pod.name), Some(PodVerdict::Well)))
        };
        let is_due = |name: &&String| {
            let Some(bad) = memory.pods.get(*name) else { return false };
            let after = self.settings(&bad.dependency).replace_after;
            matches!(verdicts.get(name.as_str()), Some(PodVerdict::Bad(_)))
                && !after.is_zero()
                && self.now.duration_since(bad.since) >= after
        };
        let is_allowed = self.is_steady && memory.until.is_none_or(|until| self.now >= until);
        let pod = out.keys().find(is_due).filter(|name| is_allowed && are_well(name)).cloned();
        let wait = |name: &String| {
            let bad = memory.pods.get(name)?;
            Some(doubled(self.settings(&bad.dependency).replace_after, memory.replaced))
        };
        memory.replacing =
            pod.as_ref().and_then(|pod| Some(Replacing { pod: pod.clone(), wait: wait(pod)? }));
        pod
    }
}

impl EjectionMemory {
    /// Whether there is nothing to remember.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Notes what is known of each pod.
    fn note(&mut self, service: &Peers<'_>, verdicts: &BTreeMap<&str, PodVerdict<'_>>) {
        let now = service.now;
        if let Some(Replacing { wait, .. }) =
            self.replacing.take_if(|one| !verdicts.contains_key(one.pod.as_str()))
        {
            (self.replaced, self.until) = (self.replaced.saturating_add(1), now.checked_add(wait).ok());
        }
        self.pods.retain(|name, _| verdicts.contains_key(name.as_str()));
        for (name, verdict) in verdicts {
            let is_out = service.ejected.contains(*name);
            if !self.pods.contains_key(*name) && (is_out || matches!(verdict, PodVerdict::Bad(_))) {
                self.pods.insert((*name).to_owned(), BadPod::new(now, is_out, service.of));
            }
            let Some(bad) = self.pods.get_mut(*name) else { continue };
            match verdict {
                PodVerdict::Bad(dependency) => {
                    bad.dependency = (*dependency).to_owned();
                    bad.open.get_or_insert(now);
                    // A pod with requests that was well for long enough begins anew.
                    let least = service.settings(dependency).after.max(LEAST_OUT);
                    let was_well = bad.well.is_some_and(|since| now.duration_since(since) >= least);
                    if bad.out.is_none() && was_well {
                        bad.since = now;
                    }
                    bad.well = None;
                }
                PodVerdict::Well | PodVerdict::Shared => {
                    bad.open = None;
                    bad.well.get_or_insert(now);
                }
                PodVerdict::Unclear => {}
            }
        }
        self.pods.retain(|_, bad| {
            let settings = service.settings(&bad.dependency);
            let time = settings.replace_after.max(stays_out(settings.after, bad.times));
            bad.out.is_some() || bad.well.is_none_or(|since| now.duration_since(since) < time)
        });
        let is_forgotten = |until: Timestamp| now.duration_since(until) >= FORGOTTEN_AFTER;
        if self.pods.is_empty() && self.until.is_some_and(is_forgotten) {
            (self.replaced, self.until) = (0, None);
        }
    }

    /// Notes which pods are to get no requests.
    fn leave(&mut self, service: &Peers<'_>, out: &BTreeMap<String, String>) {
        for (name, bad) in &mut self.pods {
            if !out.contains_key(name) {
                bad.out = None;
            } else if bad.out.is_none() {
                (bad.out, bad.times) = (Some(service.now), bad.times.saturating_add(1));
            }
        }
    }
}

impl BadPod {
    /// A pod that is seen to be bad, or that another process took out.
    fn new(now: Timestamp, is_out: bool, of: &OfComponent<'_>) -> Self {
        let dependency = of.calls.keys().next().map_or_else(String::new, |call| (*call).to_owned());
        let out = is_out.then_some(now);
        Self { dependency, since: now, open: None, well: None, out, times: u32::from(is_out) }
    }
}

/// The least time that a pod stays out, the so-manyth time.
fn stays_out(after: SignedDuration, times: u32) -> SignedDuration {
    let first = SignedDuration::from_secs(after.as_secs().saturating_mul(STAYS_OUT)).max(LEAST_OUT);
    doubled(first, times.saturating_sub(1))
}

fn doubled(time: SignedDuration, times: u32) -> SignedDuration {
    SignedDuration::from_secs(time.as_secs().saturating_mul(1 << times.min(DOUBLINGS)))
}
