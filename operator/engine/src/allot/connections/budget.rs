//! The connections of a database for the pods of one app, and what is remembered of them. Pure.
//!
//! budget = connections that the server admits − reserve − sessions of others. A declared limit counts from the start,
//! and measurements can only lower it. While none is fresh, the last ones count.

use super::pool::PoolMemory;
use crate::evidence::connections::{ConnectionsReading, judge_connections};
use crate::input::Input;
use crate::stack::Database;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `superuser_reserved_connections` of PostgreSQL by default.
pub const SUPERUSER_RESERVED: i32 = 3;

/// Connections for the pods of an app.
pub(super) struct Budget {
    /// How many.
    pub(super) connections: i64,
    /// Those of others, beside them.
    pub(super) others: i64,
}

/// The last measurements of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ServerConnections {
    most: i64,
    others: i64,
}

/// The last measurements of the connections of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionsMemory {
    server: Option<ServerConnections>,
    /// The pools of each component, by its name.
    pub(super) pools: BTreeMap<String, PoolMemory>,
}

impl ConnectionsMemory {
    /// The pool size that the pods of each component are told, by its name.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (&String, i32)> {
        self.pools.iter().filter_map(|(name, pool)| Some((name, pool.set?)))
    }
}

/// The budget of a database, if it is known. `held` are the connections that the app holds by plan. Its sessions beyond
/// those belong to pods that the plan does not know, so they count as sessions of others.
pub(super) fn budget(
    input: &Input<'_>,
    name: &str,
    database: Database,
    held: i64,
    memory: &mut ConnectionsMemory,
) -> Option<Budget> {
    let reading = input.evidence.connections(name);
    if let Some(fresh) = reading.filter(|one| is_fresh(one, input)) {
        let [most, own, others] = [fresh.most, fresh.own, fresh.others].map(|value| value as i64);
        // An app without a pod has no sessions: those that are reported ended with its pods.
        let unplanned = if held == 0 { 0 } else { (own - held).max(0) };
        memory.server = Some(ServerConnections { most, others: others + unplanned });
    }
    let declared = database.limit.map(|limit| i64::from(limit - SUPERUSER_RESERVED));
    let (most, others) = match (memory.server, declared) {
        (Some(ServerConnections { most, others }), declared) => {
            (declared.map_or(most, |one| one.min(most)), others)
        }
        // No pod reports, for example because the app does not export its connections.
        (None, Some(declared)) if reading.is_some() => (declared, 0),
        (None, _) => return None,
    };
    Some(Budget { connections: most - i64::from(database.reserve) - others, others })
}

fn is_fresh(reading: &ConnectionsReading, input: &Input<'_>) -> bool {
    judge_connections(reading, input.now, input.evidence.max_age()).is_ok()
}
