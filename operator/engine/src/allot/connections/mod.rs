//! The connections of each database, shared by the pods of an app. Pure.
//!
//! Each pod holds the connections of its pool and those beside it, whether it is new, ready or leaving. Their sum over
//! all components stays within the budget of the database: only growth is refused, and what exists stays. A component
//! that is not decided holds its connections, too.

mod budget;
mod distribution;
mod pool;
mod sizes;

pub use budget::{ConnectionsMemory, SUPERUSER_RESERVED};

use crate::allot::grants::AppDemands;
use crate::app::component::Bounded;
use crate::bounds::Bound;
use crate::input::Input;
use crate::memory::AppMemory;
use crate::reason;
use crate::rollout::{self, Room};
use crate::stack::Pool;
use crate::state::Observed;
use budget::Budget;
use distribution::{Allotment, Claim, distribute};
use pool::PoolMemory;
use sizes::{Pools, sizes};

/// A component with a pool in the database.
struct Holder<'a> {
    name: &'a str,
    pool: &'a Pool,
    /// The size of its pools.
    size: PoolMemory,
    /// Pods that exist or were written.
    pods: i64,
    /// Its place among the decided components; `None` where it is not decided.
    decided: Option<usize>,
}

impl Holder<'_> {
    /// Connections of each of its pods.
    fn per_pod(&self) -> i64 {
        i64::from(self.size.counted) + i64::from(self.pool.hidden_per_pod)
    }
}

/// Lowers the maximum replicas of components to what the connections of their databases admit.
pub(super) fn share(
    input: &Input<'_>,
    components: &mut [Bounded<'_>],
    memory: &mut AppMemory,
    _: &mut AppDemands,
) {
    memory.connections.retain(|name, _| input.stack.databases.contains_key(name));
    for (name, database) in &input.stack.databases {
        let memory = memory.connections.entry(name.clone()).or_default();
        let holders = holders(input, name, components, memory);
        let held = holders.iter().map(|one| one.pods * one.per_pod()).sum();
        let budget = budget::budget(input, name, *database, held, memory);
        let claims: Vec<Claim> = holders.iter().map(|one| claim(one, components)).collect();
        let free = budget.as_ref().map(|budget| budget.connections - held);
        let shares = distribute(free, &claims);
        for ((one, claim), share) in holders.iter().zip(&claims).zip(&shares) {
            let Some(at) = one.decided else { continue };
            components[at].connections = words(name, one, budget.as_ref(), &holders, held);
            lower(&mut components[at], claim, *share, name, budget.is_some());
        }
        let sizes = next_sizes(budget.as_ref(), &holders, &claims, &shares);
        let pools =
            holders.iter().zip(sizes).map(|(one, set)| (one.name.to_owned(), PoolMemory { set, ..one.size }));
        memory.pools = pools.collect();
    }
}

/// The components with a pool in a database, by name.
fn holders<'a>(
    input: &Input<'a>,
    database: &str,
    components: &[Bounded<'_>],
    memory: &ConnectionsMemory,
) -> Vec<Holder<'a>> {
    let of_database = |pool: &&Pool| pool.database == database;
    let pools =
        input.stack.components.iter().filter_map(|(name, declared)| {
            Some((name.as_str(), declared.pool.as_ref().filter(of_database)?))
        });
    let holder = |(name, pool): (&'a str, &'a Pool)| {
        let decided = components.iter().position(|one| one.proposed.subject.name == name);
        let exist = input.state.components.get(name).map_or(0, Observed::pods_in_use);
        let pods = match decided {
            Some(at) => exist.max(components[at].proposed.subject.current_replicas),
            // A write that was not answered may have happened.
            None => {
                let written = input.memory.components.get(name).and_then(|memory| memory.decided);
                exist.max(written.unwrap_or(0))
            }
        };
        let earlier = memory.pools.get(name).copied();
        let reading = input.evidence.pools(name);
        let reading = reading.filter(|one| one.is_fresh(input.now, input.evidence.max_age()));
        let size = PoolMemory::of(earlier, pool, reading, exist);
        Holder { name, pool, size, pods: i64::from(pods), decided }
    };
    pools.map(holder).collect()
}

/// The sizes that the pods are told next.
fn next_sizes(
    budget: Option<&Budget>,
    holders: &[Holder<'_>],
    claims: &[Claim],
    shares: &[Allotment],
) -> Vec<Option<i32>> {
    let Some(budget) = budget else { return holders.iter().map(|one| one.size.set).collect() };
    let sized = |((one, claim), share): ((&Holder<'_>, &Claim), &Allotment)| {
        let counted = i64::from(one.size.counted);
        let is_free = one.decided.is_some() && one.size.set.is_some();
        let set = one.size.set.map_or(counted, i64::from);
        let range = (i64::from(one.pool.min_size), i64::from(one.pool.size));
        Pools {
            pods: share.pods,
            wanted: claim.wanted,
            hidden: i64::from(one.pool.hidden_per_pod),
            range: if is_free { range } else { (set, set) },
            set,
            counted,
        }
    };
    let all: Vec<Pools> = holders.iter().zip(claims).zip(shares).map(sized).collect();
    let next = sizes(budget.connections, &all);
    let told = |(one, size): (&Holder<'_>, i64)| one.size.set.map(|set| i32::try_from(size).unwrap_or(set));
    holders.iter().zip(next).map(told).collect()
}

/// What a component asks for, in pods. Those that are leaving hold their connections until they have ended. One that is
/// not decided asks for nothing.
fn claim(holder: &Holder<'_>, components: &[Bounded<'_>]) -> Claim {
    let (per_pod, pods) = (holder.per_pod(), holder.pods);
    let Some(component) = holder.decided.and_then(|at| components.get(at)) else {
        return Claim { per_pod, pods, least: 0, wanted: pods, surge: 0 };
    };
    let subject = &component.proposed.subject;
    let least = subject.declared.min_replicas.min(component.bounds.range().max);
    let wanted = component.wanted();
    let leaving = leaving(component);
    let surge = if subject.observed.is_rolling() { rollout::surge(wanted, subject.declared) } else { 0 };
    let [least, wanted, surge] = [least, wanted, surge].map(i64::from);
    Claim { per_pod, pods, least: least + leaving, wanted: wanted + leaving, surge }
}

/// Pods that exist beyond the declared replicas of all revisions.
fn leaving(component: &Bounded<'_>) -> i64 {
    let observed = component.proposed.subject.observed;
    i64::from((observed.pods_in_use() - observed.planned_pods()).max(0))
}

/// Limits a component to its share.
fn lower(component: &mut Bounded<'_>, claim: &Claim, share: Allotment, database: &str, is_known: bool) {
    let subject = &component.proposed.subject;
    let whole = |pods: i64| i32::try_from(pods.max(0)).unwrap_or(i32::MAX);
    // A rollout proceeds as declared where the budget is not known: it must not cost the only pod, nor wait for ever.
    component.room = is_known.then(|| Room {
        growth: whole(share.pods - i64::from(subject.observed.pods_in_use())),
        most: whole(share.at_rest),
    });
    if is_known && claim.surge > 0 && share.at_rest <= i64::from(component.wanted()) {
        let (wanted, most) = (component.wanted(), whole(share.at_rest));
        let waits = subject.declared.blue_green.is_some()
            || subject.declared.rolling.within(wanted, most).admit_nothing();
        let words = if waits { "the rollout waits" } else { "old pods leave first" };
        component.connections.push_str(&format!("; none for a surge, so {words}"));
    }
    let (wanted, most) = (claim.wanted - leaving(component), whole(share.at_rest));
    if share.at_rest >= wanted {
        return;
    }
    // In a rollout there are for a moment fewer pods than were decided.
    let most = most.max(subject.current_replicas).max(subject.decided_replicas.unwrap_or(0));
    let unknown = if is_known { "" } else { "unknown " };
    let by = format!("the {unknown}connection budget of database {database}");
    let bound = Bound::new(most, reason::CONNECTION_BUDGET, by);
    component.bounds.ceiling = component.bounds.ceiling.clone().or_lower(Some(bound));
}

/// Who holds how many connections, and what one more pod needs.
fn words(
    database: &str,
    own: &Holder<'_>,
    budget: Option<&Budget>,
    holders: &[Holder<'_>],
    held: i64,
) -> String {
    let of = |one: &Holder<'_>| format!("{} {}x{}", one.name, one.pods, one.per_pod());
    let each = holders.iter().map(of).collect::<Vec<_>>().join(", ");
    let Some(Budget { connections, others }) = budget else {
        return format!("{database}: budget not known; {held} held ({each})");
    };
    let need = own.per_pod();
    format!("{database}: {held} of {connections} held ({each}); others {others}; one more pod needs {need}")
}
