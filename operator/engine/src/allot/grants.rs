//! Shares of the budgets that several apps share. Pure.
//!
//! Grants are computed once a tick, before any app is decided, so no decision waits for another app. An app may be
//! decided at any time between two ticks, and some decisions still use an earlier grant. The sum of what all apps may
//! use stays within the budget in every order:
//!
//! 1. An app *holds* the highest of what it uses, what its last decision was allowed, and what it is granted.
//! 2. A grant shrinks to what is in use or needed. The rest is granted to others only after the app was decided with
//!    the lower grant.
//! 3. A grant grows only from what no app holds, in order of priority, then of names.

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

/// Shares the budgets. `earlier` are the last grants.
///
/// Where the apps already hold more than the budget, for example because it was lowered, nothing is taken from what is
/// in use, and no grant grows.
#[must_use]
pub fn grant(demands: &Demands, earlier: &Grants) -> Grants {
    let mut grants = Grants::default();
    for (budget, total) in &demands.budgets {
        let mut shares: Vec<Share<'_>> = demands
            .apps
            .iter()
            .filter_map(|(app, needs)| Some(Share::of(app, *needs.get(budget)?, budget, earlier)))
            .collect();
        let held = shares.iter().fold(0_i64, |sum, share| sum.saturating_add(share.held));
        let mut free = total.saturating_sub(held).max(0);
        shares.sort_by_key(|share| (std::cmp::Reverse(share.priority), share.app));
        for share in shares {
            let growth = share.wanted.saturating_sub(share.held).clamp(0, free);
            free -= growth;
            let granted = if share.wanted > share.held { share.held + growth } else { share.least };
            grants.apps.entry(share.app.clone()).or_default().insert(budget.clone(), granted);
        }
    }
    grants
}

/// State of one app in one budget.
struct Share<'a> {
    app: &'a (String, String),
    priority: i32,
    wanted: i64,
    /// The most that it can use before it is decided with a new grant.
    held: i64,
    /// What it keeps.
    least: i64,
}

impl<'a> Share<'a> {
    fn of(app: &'a (String, String), demand: Demand, budget: &str, earlier: &Grants) -> Self {
        let granted = earlier.apps.get(app).and_then(|grants| grants.get(budget)).copied().unwrap_or(0);
        let least = demand.in_use.max(demand.wanted);
        let held = demand.in_use.max(demand.allowed).max(granted);
        Self { app, priority: demand.priority, wanted: demand.wanted, held, least: least.min(held) }
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
    fn what_is_in_use_is_not_taken_when_the_budget_is_lowered() {
        let uses = |in_use| Tenant { demand: Demand { in_use, wanted: 9, allowed: 9, priority: 0 } };
        let grants = grant(&demands(4, &[uses(5), uses(3)]), &Grants::default());
        assert_eq!(
            (granted(&grants, 0), granted(&grants, 1)),
            (9, 9),
            "what was allowed may be in use by now"
        );
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
