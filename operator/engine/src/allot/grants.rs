//! Shares of the budgets that several apps share. Pure.
//!
//! Grants are computed once a tick, before any app is decided, so no decision waits for another app. An app may be
//! decided at any time between two ticks, and some decisions still use an earlier grant. The sum of what all apps may
//! use stays within the budget in every order:
//!
//! 1. An app *holds* the highest of what it uses, what its last decision was allowed, and what it was granted.
//! 2. A grant shrinks to what is wanted, and to what is in use where the apps hold more than there is. What becomes free
//!    is given away only once the app was decided by the lower grant.
//! 3. A grant grows only from what no app holds, in order of priority, and then of names.
//!
//! This holds for a budget that stays. One that is lowered below what is held is used less and less, and never more.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Needs of an app, by budget.
pub type AppDemands = BTreeMap<String, Demand>;

/// Grants of an app, by budget.
pub type AppGrants = BTreeMap<String, i64>;

/// Need of an app for one budget, in the unit of the budget, as of its last decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// In use, writes in flight included.
    pub in_use: i64,
    /// Use without a limit.
    pub wanted: i64,
    /// Limit of the last decision.
    pub allowed: i64,
    /// Priority when the budget does not suffice for all: the highest first.
    pub priority: i32,
}

/// All needs and all budgets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// Size of each budget, by name.
    pub budgets: BTreeMap<String, i64>,
    /// Needs of each app, by namespace and name.
    pub apps: BTreeMap<(String, String), AppDemands>,
}

/// Grants of each app, by namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Grants of each app.
    pub apps: BTreeMap<(String, String), AppGrants>,
}

/// Shares the budgets. `earlier` is what was granted last.
#[must_use]
pub fn grant(demands: &Demands, earlier: &Grants) -> Grants {
    let mut by_budget: BTreeMap<&str, Vec<Share<'_>>> = BTreeMap::new();
    for (app, needs) in &demands.apps {
        for (budget, demand) in needs {
            let share = Share::of(app, *demand, budget, earlier);
            by_budget.entry(budget.as_str()).or_default().push(share);
        }
    }
    let mut grants = Grants::default();
    for (budget, shares) in by_budget {
        let Some(total) = demands.budgets.get(budget) else { continue };
        for (app, granted) in shared(*total, shares) {
            grants.apps.entry(app.clone()).or_default().insert(budget.to_owned(), granted);
        }
    }
    grants
}

/// The grants of one budget.
fn shared(total: i64, mut shares: Vec<Share<'_>>) -> impl Iterator<Item = (&(String, String), i64)> {
    let held = shares.iter().fold(0_i64, |sum, share| sum.saturating_add(share.held));
    let mut free = total.saturating_sub(held);
    shares.sort_by_key(|share| (Reverse(share.priority), share.app));
    shares.into_iter().map(move |share| {
        let growth = share.wanted.saturating_sub(share.held).clamp(0, free.max(0));
        let granted = if free < 0 { share.in_use } else { share.in_use.max(share.wanted) };
        free -= growth;
        (share.app, granted.min(share.held.saturating_add(growth)))
    })
}

/// What one app has of one budget.
struct Share<'a> {
    app: &'a (String, String),
    priority: i32,
    in_use: i64,
    wanted: i64,
    /// The most that it can use before it is decided with a new grant.
    held: i64,
}

impl<'a> Share<'a> {
    fn of(app: &'a (String, String), demand: Demand, budget: &str, earlier: &Grants) -> Self {
        let Demand { in_use, wanted, allowed, priority } = demand;
        let granted = earlier.apps.get(app).and_then(|grants| grants.get(budget)).copied().unwrap_or(0);
        Self { app, priority, in_use, wanted, held: in_use.max(allowed).max(granted) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CONNECTIONS: &str = "connections";

    fn app(index: usize) -> (String, String) {
        ("shop".to_owned(), format!("app-{index}"))
    }

    /// An app that is decided at random times, with the newest grant of that time.
    #[derive(Clone, Copy, Debug, Default)]
    struct Tenant {
        demand: Demand,
    }

    impl Tenant {
        /// Decides: grows to its need as far as allowed, and shrinks at once.
        fn decide(&mut self, wanted: i64, granted: i64) {
            self.demand.wanted = wanted;
            self.demand.allowed = granted;
            self.demand.in_use = wanted.min(granted.max(self.demand.in_use));
        }
    }

    fn demands(total: i64, tenants: &[Tenant]) -> Demands {
        let of = |(index, tenant): (usize, &Tenant)| {
            (app(index), BTreeMap::from([(CONNECTIONS.to_owned(), tenant.demand)]))
        };
        Demands {
            budgets: BTreeMap::from([(CONNECTIONS.to_owned(), total)]),
            apps: tenants.iter().enumerate().map(of).collect(),
        }
    }

    fn granted(grants: &Grants, index: usize) -> i64 {
        grants.apps.get(&app(index)).map_or(0, |grants| grants[CONNECTIONS])
    }

    #[test]
    fn the_budget_goes_to_the_highest_priority_first() {
        let wants = |wanted, priority| Tenant { demand: Demand { wanted, priority, ..Demand::default() } };
        let grants = grant(&demands(10, &[wants(8, 0), wants(8, 1)]), &Grants::default());
        assert_eq!((granted(&grants, 0), granted(&grants, 1)), (2, 8));
    }

    #[test]
    fn where_the_budget_is_lowered_what_is_in_use_is_kept_and_does_not_grow() {
        let uses = |in_use| Tenant { demand: Demand { in_use, wanted: 9, allowed: 9, priority: 0 } };
        let mut tenants = [uses(5), uses(3)];
        let mut grants = Grants::default();
        for _ in 0..3 {
            grants = grant(&demands(4, &tenants), &grants);
            assert_eq!((granted(&grants, 0), granted(&grants, 1)), (5, 3));
            for (index, tenant) in tenants.iter_mut().enumerate() {
                tenant.decide(9, granted(&grants, index));
            }
        }
        assert_eq!(tenants.map(|tenant| tenant.demand.in_use), [5, 3]);
    }

    proptest! {
        #[test]
        fn the_apps_together_never_use_more_than_the_budget_whoever_is_decided_when(
            total in 0..60_i64,
            ticks in proptest::collection::vec(
                proptest::collection::vec((0..4_usize, 0..40_i64, any::<bool>()), 0..8), 1..12,
            ),
        ) {
            let mut tenants = [Tenant::default(); 4];
            let mut grants = Grants::default();
            for decisions in ticks {
                let last = grants.clone();
                grants = grant(&demands(total, &tenants), &last);
                for (index, wanted, is_late) in decisions {
                    // A decision that began before the tick still uses the grant of the tick before.
                    let by = if is_late { &last } else { &grants };
                    tenants[index].decide(wanted, granted(by, index));
                    let used: i64 = tenants.iter().map(|tenant| tenant.demand.in_use).sum();
                    prop_assert!(used <= total, "{used} of {total}");
                }
            }
        }

        #[test]
        fn a_lowered_budget_is_used_no_more_than_before_once_each_app_was_decided(
            before in 0..60_i64, after in 0..60_i64,
            wants in proptest::collection::vec(proptest::array::uniform4(0..40_i64), 1..8),
        ) {
            let mut tenants = [Tenant::default(); 4];
            let mut grants = Grants::default();
            let used = |tenants: &[Tenant; 4]| tenants.iter().map(|tenant| tenant.demand.in_use).sum::<i64>();
            let mut tick = |tenants: &mut [Tenant; 4], total, wants: &[i64; 4]| {
                grants = grant(&demands(total, tenants), &grants);
                for (index, wanted) in wants.iter().enumerate() {
                    tenants[index].decide(*wanted, granted(&grants, index));
                }
            };
            for wants in &wants {
                tick(&mut tenants, before, wants);
            }
            tick(&mut tenants, after, &wants[0]);
            let at_change = used(&tenants);
            for wants in &wants {
                tick(&mut tenants, after, wants);
                prop_assert!(used(&tenants) <= after.max(at_change));
            }
        }

        #[test]
        fn what_is_free_is_granted_in_the_end(total in 0..60_i64, wants in proptest::array::uniform4(0..40_i64)) {
            let mut tenants = [Tenant::default(); 4];
            let mut grants = Grants::default();
            for _ in 0..4 {
                grants = grant(&demands(total, &tenants), &grants);
                for (index, wanted) in wants.iter().enumerate() {
                    tenants[index].decide(*wanted, granted(&grants, index));
                }
            }
            let used: i64 = tenants.iter().map(|tenant| tenant.demand.in_use).sum();
            prop_assert_eq!(used, total.min(wants.iter().sum()));
        }
    }
}
