//! How the components use their databases: connections of the pool, the wait for one, the time of statements, and the lag
//! of replicas. Pure.

use super::calls::mean;
use super::family::{Family, Measurements, Sampling, renew};
use super::scraped::{ByComponent, Measured, numbers};
use super::selection::{COMPONENT, Selection, once};
use super::template::{Misread, Template, TemplateAnswers};
use crate::observe::prometheus::answer::Outcome;
use crate::observe::prometheus::parts::Part;

/// Connections in use, by component and pool.
pub const IN_USE: Template = Template { name: "pool_in_use", query: in_use };
/// Mean seconds of a wait for a connection, by component and pool.
pub const WAIT: Template = Template { name: "pool_wait", query: wait };
/// Mean seconds of a statement, by component.
pub const QUERY: Template = Template { name: "query_seconds", query };
/// Seconds by which the replica that is furthest behind is so, by component.
pub const LAG: Template = Template { name: "replica_lag", query: lag };

/// Use of databases.
pub const FAMILY: Family = Family {
    templates: &[IN_USE, WAIT, QUERY, LAG],
    read,
    forget: |evidence| {
        evidence.database_use = <_>::default();
        evidence.replica_lag = <_>::default();
    },
};

/// Name of the pool that writes. One that is named as the database counts, too.
const WRITE_POOL: &str = "write";
/// Labels of a pool.
const POOL: &str = "db_client_connection_pool_name";

/// The use of a database by one component.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DatabaseUse {
    /// Connections in use, over all pods.
    pub in_use: Option<f64>,
    /// Mean seconds of a wait for a connection.
    pub wait_seconds: Option<f64>,
    /// Mean seconds of a statement.
    pub query_seconds: Option<f64>,
}

fn in_use(selection: &Selection, part: &Part<'_>) -> String {
    let used = "db_client_connection_state=\"used\"";
    let selector = selection.of_apps_where("db_client_connection_count", used, part);
    let fresh = once(&format!("{selector} and {}", selection.fresh(&selector)));
    format!("sum by ({COMPONENT}, {POOL}) ({fresh})")
}

fn wait(selection: &Selection, part: &Part<'_>) -> String {
    let labels = format!("{COMPONENT}, {POOL}");
    mean(selection, part, "db_client_connection_wait_time_seconds", "", &labels)
}

/// Calls to Redis have the same name.
fn query(selection: &Selection, part: &Part<'_>) -> String {
    let sql = "db_system_name!~\"redis|memcached\"";
    mean(selection, part, "db_client_operation_duration_seconds", sql, COMPONENT)
}

fn lag(selection: &Selection, part: &Part<'_>) -> String {
    let selector = selection.of_apps("db_replica_lag_seconds", part);
    format!("max by ({COMPONENT}) ({selector} and {})", selection.fresh(&selector))
}

/// Sets the value of a template.
type SetUse = fn(&mut DatabaseUse, f64);

fn read(
    evidence: &mut Measurements,
    sampling: &Sampling<'_>,
    answers: &mut TemplateAnswers<'_>,
) -> Result<(), Misread> {
    let mut measured: ByComponent<DatabaseUse> = ByComponent::new();
    let sets: [(_, SetUse); 3] = [
        (answers.take(IN_USE)?, |one, value| one.in_use = Some(value)),
        (answers.take(WAIT)?, |one, value| one.wait_seconds = Some(value)),
        (answers.take(QUERY)?, |one, value| one.query_seconds = Some(value)),
    ];
    let lag = answers.take(LAG)?;
    if sets.iter().any(|(outcome, _)| outcome.is_partial) {
        return Ok(());
    }
    for (outcome, set) in sets {
        add(&mut measured, outcome, set, sampling);
    }
    renew(&mut evidence.database_use, sampling.part, measured);
    renew(&mut evidence.replica_lag, sampling.part, numbers(lag, sampling));
    Ok(())
}

/// Adds the values of the pools that count, of components with a pool.
fn add(measured: &mut ByComponent<DatabaseUse>, outcome: &Outcome<'_>, set: SetUse, sampling: &Sampling<'_>) {
    for (labels, value) in outcome.data.series().filter(|(_, value)| value.is_finite()) {
        let Some(named) = labels.component() else { continue };
        let Some((key, _)) = sampling.wanted.components().get_key_value(&named) else { continue };
        let Some(database) = sampling.wanted.pools().get(key) else { continue };
        let counts = |pool: &str| pool == WRITE_POOL || pool == database.component;
        if labels.pool.as_deref().is_some_and(|pool| !counts(pool)) {
            continue;
        }
        let fresh = || Measured {
            value: DatabaseUse::default(),
            at: Some(sampling.now),
            scraped: None,
            is_partial: false,
        };
        set(&mut measured.entry(key.clone()).or_insert_with(fresh).value, value);
    }
}
