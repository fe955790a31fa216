//! What the apps share with one another: needed as of their last decisions, granted once a tick. Pure.

use crate::observe::query_plan::AppKey;
use scalableapp_engine::{
    allot::grants::{AppDemands, AppGrants, Demands, Grants},
    grant,
};
use std::collections::BTreeMap;

/// The shared budgets, what the apps need of them, and what they were granted last.
#[derive(Debug, Default)]
pub struct Fleet {
    demands: Demands,
    grants: Grants,
}

impl Fleet {
    /// Shares the budgets anew, once a tick. What there is of each may have changed; apps that are gone hold nothing.
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

    /// What an app may use.
    #[must_use]
    pub fn grants(&self, app: &AppKey) -> AppGrants {
        self.grants.apps.get(app).cloned().unwrap_or_default()
    }

    /// Notes what an app needs, as of its last decision.
    pub fn note(&mut self, app: AppKey, demands: AppDemands) {
        if demands.is_empty() {
            self.demands.apps.remove(&app);
        } else {
            self.demands.apps.insert(app, demands);
        }
    }
}
