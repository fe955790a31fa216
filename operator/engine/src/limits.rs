//! Limits of an app from outside of it. Pure.

use crate::allot::grants::AppGrants;
use crate::bounds::overrides::Overrides;
use crate::rollout::act::Act;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Limits of an app from outside of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// The overrides in force, by component.
    pub overrides: BTreeMap<String, Overrides>,
    /// Replicas that a component needs whatever else limits it, by component: those of synchronous replication.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub required: BTreeMap<String, i32>,
    /// What people ask of the rollouts, by component, oldest first.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub acts: BTreeMap<String, Vec<Act>>,
    /// Who holds the canaries at their step, in words, by component.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rollout_holds: BTreeMap<String, String>,
    /// The app's grants from shared budgets.
    pub grants: AppGrants,
}
