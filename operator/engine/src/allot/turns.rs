//! Turns of the data tiers: of caches and read replicas one changes at a time. Pure.
//!
//! A new shard takes over a part of the keys, so reads miss it and go to the database. A new read replica is cloned from
//! the primary. What leaves passes its load on. Two such changes at the same time add up on the database. So:
//!
//! 1. A data tier whose replicas change because of load has the turn until the change has its effect: all of its replicas
//!    are useful (shards ready, read replicas eligible), and no pod is leaving. The others keep their replicas.
//! 2. A turn ends after [`TURN`], or after twice the time that the new read replicas should take, where that is known and
//!    longer, and after [`LONGEST`] in any case: a replica that never becomes useful holds nobody up for ever.
//! 3. The next turn goes to the one that has waited longest; of several to a cache before read replicas.
//! 4. What people set acts at once: minimum and maximum of spec, schedules and overrides.
//! 5. Services and workers never wait for a turn.

use crate::allot::grants::AppDemands;
use crate::app::component::Bounded;
use crate::input::Input;
use crate::memory::AppMemory;
use crate::reason;
use crate::rollout::rolling::Revision;
use crate::stack::Stack;
use crate::state::{Observed, State};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The longest turn: the time after which a cache may have one more shard.
const TURN: SignedDuration = SignedDuration::from_mins(5);
/// The longest turn of read replicas that are known to take their time.
const LONGEST: SignedDuration = SignedDuration::from_mins(15);

/// Who changes, and who waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TurnMemory {
    /// Whether it is more than that of a new process.
    is_known: bool,
    /// When each change began that may not have its effect yet.
    changing: BTreeMap<String, Timestamp>,
    /// Since when each data tier waits for its turn.
    waiting: BTreeMap<String, Timestamp>,
}

impl TurnMemory {
    /// Remembers that the replicas of a component were changed, with the time that the new ones should take, if known.
    /// Only data tiers are read.
    pub(crate) fn begin(&mut self, component: &str, now: Timestamp, expected: Option<SignedDuration>) {
        let since = self.changing.entry(component.to_owned()).or_insert(now);
        if is_over(*since, now, length(expected)) {
            *since = now;
        }
        self.waiting.remove(component);
    }

    /// Removes the changes that have had their effect. A new process takes what is not whole for a change.
    fn observe(&mut self, stack: &Stack, state: &State, now: Timestamp) {
        let is_data = |name: &str| stack.components.get(name).is_some_and(|one| one.workload.is_data());
        let is_settled = |name: &str| state.components.get(name).is_none_or(is_settled);
        self.changing.retain(|name, _| is_data(name) && !is_settled(name));
        self.waiting.retain(|name, _| is_data(name));
        if !self.is_known {
            let unsettled = state.components.keys().filter(|name| is_data(name) && !is_settled(name));
            unsettled.for_each(|name| self.begin(name, now, None));
            self.is_known = true;
        }
    }

    /// Another component that has the turn.
    fn other(
        &self,
        component: &str,
        now: Timestamp,
        lengths: &BTreeMap<String, SignedDuration>,
    ) -> Option<&str> {
        let length = |name: &String| lengths.get(name).copied().unwrap_or(TURN);
        let has_turn = |(name, since): &(&String, &Timestamp)| {
            *name != component && !is_over(**since, now, length(name))
        };
        self.changing.iter().find(has_turn).map(|(name, _)| name.as_str())
    }
}

/// How long each turn may last.
fn lengths(components: &[Bounded<'_>], memory: &AppMemory) -> BTreeMap<String, SignedDuration> {
    let undecided = memory.components.iter().map(|(name, one)| (name.as_str(), one));
    let decided = components.iter().map(|one| (one.proposed.subject.name, &one.proposed.memory));
    let all = undecided.chain(decided);
    all.map(|(name, one)| (name.to_owned(), length(one.scaling.useful.expected()))).collect()
}

/// How long a turn may last whose replicas should take this time.
fn length(expected: Option<SignedDuration>) -> SignedDuration {
    expected.map_or(TURN, |expected| expected.saturating_mul(2).clamp(TURN, LONGEST))
}

/// Lets one data tier change, and holds the replicas of the others that would.
pub(super) fn turns(
    input: &Input<'_>,
    components: &mut [Bounded<'_>],
    memory: &mut AppMemory,
    _: &mut AppDemands,
) {
    let lengths = lengths(components, memory);
    let (memory, now) = (&mut memory.turns, input.now);
    memory.observe(input.stack, input.state, now);
    let mut asking = Vec::new();
    for one in components.iter_mut().filter(|one| one.proposed.subject.declared.workload.is_data()) {
        match one.next_replicas() {
            // Its first replicas are a change, too.
            None => _ = memory.changing.entry(one.proposed.subject.name.to_owned()).or_insert(now),
            Some(next) if next != one.kept_replicas() => asking.push(one),
            Some(_) => {}
        }
    }
    memory.waiting.retain(|name, _| asking.iter().any(|one| one.proposed.subject.name == name));
    asking.sort_by_key(|one| {
        let subject = &one.proposed.subject;
        let since = memory.waiting.get(subject.name).copied().unwrap_or(now);
        (since, subject.declared.workload.place(), subject.name)
    });
    let mut first = None;
    for one in asking {
        let name = one.proposed.subject.name;
        match memory.other(name, now, &lengths).or(first).map(str::to_owned) {
            None => first = Some(name),
            Some(other) => {
                memory.waiting.entry(name.to_owned()).or_insert(now);
                one.hold(one.kept_replicas(), reason::WAITS_FOR_TURN, format!("the wait for {other}"));
            }
        }
    }
}

fn is_over(since: Timestamp, now: Timestamp, length: SignedDuration) -> bool {
    now.duration_since(since) >= length
}

/// Whether all replicas are useful, and no others are there.
pub(crate) fn is_settled(observed: &Observed) -> bool {
    let sum = |of: fn(&Revision) -> i32| observed.revisions.iter().map(of).fold(0, i32::saturating_add);
    let (wanted, useful) = (sum(|one| one.replicas), sum(|one| one.available));
    let is_shown = !observed.revisions.is_empty() && observed.unshown.is_empty();
    is_shown && wanted == useful && observed.pods_in_use() <= wanted
}
