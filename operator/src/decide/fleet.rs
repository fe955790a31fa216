//! Budgets that several apps share: needs as of their last decisions, granted once a tick. Pure.

use crate::observe::query_plan::AppKey;
use scalableapp_engine::{
    allot::grants::{AppDemands, AppGrants, Demands, Grants},
    grant,
};
use std::collections::BTreeMap;

/// The shared budgets, the needs of the apps, and their last grants.
#[derive(Debug, Default)]
pub struct Fleet {
    demands: Demands,
    grants: Grants,
}

impl Fleet {
    /// Shares the budgets, once a tick. Their sizes may have changed; deleted apps hold nothing.
    pub fn grant(&mut self, budgets: BTreeMap<String, i64>, exists: impl Fn(&AppKey) -> bool) {
        self.demands.budgets = budgets;
        self.demands.apps.retain(|app, _| exists(app));
        self.grants = grant(&self.demands, &self.grants);
    }

    /// Whether no app shares anything.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.demands.apps.is_empty()
    }

    /// The grants of an app.
    #[must_use]
    pub fn grants(&self, app: &AppKey) -> AppGrants {
        self.grants.apps.get(app).cloned().unwrap_or_default()
    }

    /// Records the needs of an app, as of its last decision.
    pub fn note(&mut self, app: AppKey, demands: AppDemands) {
        if demands.is_empty() {
            self.demands.apps.remove(&app);
        } else {
            self.demands.apps.insert(app, demands);
        }
    }
}
