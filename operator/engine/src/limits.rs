//! What others than the app allow it. Pure.

use crate::allot::grants::AppGrants;
use crate::bounds::overrides::Overrides;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What others allow an app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// What the overrides that are in force say of each component, by its name.
    pub overrides: BTreeMap<String, Overrides>,
    /// What the app may use of each budget that it shares with other apps.
    pub grants: AppGrants,
}
