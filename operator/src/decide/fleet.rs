//! Budgets that several apps share: needs as of their last decisions, granted once a tick. Pure.

use crate::observe::query_plan::AppKey;
use scalableapp_engine::{
    allot::grants::{AppDemands, AppGrants, Demands, Grants},
    grant,
};
use std::collections::{BTreeMap, BTreeSet};

/// The shared budgets, the needs of the apps, and their last grants.
#[derive(Debug, Default)]
pub struct Fleet {
    /// The tenure of the lease in which the demands were noted.
    epoch: i32,
    demands: Demands,
    grants: Grants,
}

impl Fleet {
    /// Shares the budgets anew, once a tick, between the apps that exist: those too of which nothing is decided, whose pods
    /// run on. Nothing is granted before the last decision of each is known, which another leader may have made.
    pub fn grant(&mut self, epoch: i32, budgets: BTreeMap<String, i64>, apps: &BTreeSet<AppKey>) {
        if self.epoch != epoch || budgets.is_empty() {
            *self = Self { epoch, ..Self::default() };
        }
        self.demands.budgets = budgets;
        self.demands.apps.retain(|app, _| apps.contains(app));
        if apps.iter().all(|app| self.demands.apps.contains_key(app)) {
            self.grants = grant(&self.demands, &self.grants);
        }
    }

    /// Whether nothing is shared.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.demands.budgets.is_empty()
    }

    /// The grants of an app.
    #[must_use]
    pub fn grants(&self, app: &AppKey) -> AppGrants {
        self.grants.apps.get(app).cloned().unwrap_or_default()
    }

    /// Records the needs of an app, as of its last decision.
    pub fn note(&mut self, app: AppKey, demands: AppDemands) {
        self.demands.apps.insert(app, demands);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scalableapp_engine::allot::grants::Demand;

    fn app(name: &str) -> AppKey {
        ("shop".to_owned(), name.to_owned())
    }

    fn wants(wanted: i64, in_use: i64) -> AppDemands {
        BTreeMap::from([("connections".to_owned(), Demand { wanted, in_use, ..Demand::default() })])
    }

    fn granted(fleet: &Fleet, name: &str) -> Option<i64> {
        fleet.grants(&app(name)).get("connections").copied()
    }

    #[test]
    fn nothing_is_granted_before_the_last_decision_of_every_app_is_known() {
        let (mut fleet, both) = (Fleet::default(), BTreeSet::from([app("one"), app("two")]));
        let budget = || BTreeMap::from([("connections".to_owned(), 10)]);
        fleet.grant(1, budget(), &both);
        fleet.note(app("two"), wants(10, 0));
        fleet.grant(1, budget(), &both);
        assert_eq!(granted(&fleet, "two"), None, "the first may use all of it");
        fleet.note(app("one"), wants(8, 8));
        fleet.grant(1, budget(), &both);
        assert_eq!((granted(&fleet, "one"), granted(&fleet, "two")), (Some(8), Some(2)));
        fleet.grant(2, budget(), &both);
        assert_eq!(granted(&fleet, "two"), None, "another leader has decided since");
    }
}
