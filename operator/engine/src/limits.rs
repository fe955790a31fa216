//! Limits of an app from outside of it. Pure.

use crate::allot::grants::AppGrants;
use crate::bounds::overrides::Overrides;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Limits of an app from outside of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// The overrides in force, by component.
    pub overrides: BTreeMap<String, Overrides>,
    /// The app's grants from shared budgets.
    pub grants: AppGrants,
}
