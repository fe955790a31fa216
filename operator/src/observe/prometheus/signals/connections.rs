//! The connections of the servers of databases as pods of the apps see them, and the pools of these pods. Pure.
//!
//! Every pod with a connection can see the sessions of its server. Where several pods export them, the largest number
//! counts. A pod that could not ask its server exports no number, which is no measurement.

use hashbrown::HashMap;
use scalableapp_engine::evidence::connections::{ConnectionsReading, PoolReading};

use super::family::{Family, Measurements, Sampling, renew};
use super::scraped::{ByComponent, Measured};
use super::selection::{COMPONENT, Selection, once};
use super::template::{Misread, Template, TemplateAnswers};
use crate::observe::prometheus::answer::taken;
use crate::observe::prometheus::parts::Part;

/// Sessions of clients, by database and owner.
pub const SESSIONS: Template = Template { name: "connections", query: sessions };
/// Connections that the server admits, by database.
pub const MOST: Template = Template { name: "max_connections", query: most };
/// Age in seconds of the newest sample of the sessions, by database.
pub const AGE: Template = Template { name: "connections_age", query: age };
/// The largest maximum size of the pods' pools, by component and pool.
pub const POOL_SIZE: Template = Template { name: "pool_size", query: pool_size };
/// Pods with a fresh sample of the size, by component and pool.
pub const POOL_PODS: Template = Template { name: "pool_pods", query: pool_pods };

/// Connections.
pub const FAMILY: Family = Family {
    templates: &[SESSIONS, MOST, AGE, POOL_SIZE, POOL_PODS],
    read,
    forget: |evidence| {
        evidence.connections = <_>::default();
        evidence.pools = <_>::default();
    },
};

/// The gauge of the sessions of clients, by `database` and `owner`.
const CONNECTIONS: &str = "db_server_connections";
/// The gauge of the connections that a server admits, by `database`.
const CONNECTIONS_MAX: &str = "db_server_connections_max";
/// The gauge of the maximum size of a pool.
const POOL_MAX: &str = "db_client_connection_max";
/// Name of the pool that writes. One that is named as the database counts, too.
const WRITE_POOL: &str = "write";
/// Labels of a database.
const DATABASE: &str = "namespace, scalableapp, database";
/// Labels of a pool.
const POOL: &str = "db_client_connection_pool_name";

fn sessions(selection: &Selection, part: &Part<'_>) -> String {
    let selector = selection.of_apps(CONNECTIONS, part);
    format!("max by ({DATABASE}, owner) ({selector} and {})", selection.fresh(&selector))
}

fn most(selection: &Selection, part: &Part<'_>) -> String {
    let selector = selection.of_apps(CONNECTIONS_MAX, part);
    format!("min by ({DATABASE}) ({selector} and {})", selection.fresh(&selector))
}

fn age(selection: &Selection, part: &Part<'_>) -> String {
    format!("time() - max by ({DATABASE}) (timestamp({}))", selection.of_apps(CONNECTIONS, part))
}

fn pool_size(selection: &Selection, part: &Part<'_>) -> String {
    let selector = selection.of_apps(POOL_MAX, part);
    format!("max by ({COMPONENT}, {POOL}) ({selector} and {})", selection.fresh(&selector))
}

fn pool_pods(selection: &Selection, part: &Part<'_>) -> String {
    let selector = selection.of_apps(POOL_MAX, part);
    let fresh = once(&format!("{selector} and {}", selection.fresh(&selector)));
    format!("count by ({COMPONENT}, {POOL}) (max by ({COMPONENT}, {POOL}, pod) ({fresh}))")
}

fn read(
    evidence: &mut Measurements,
    sampling: &Sampling<'_>,
    answers: &mut TemplateAnswers<'_>,
) -> Result<(), Misread> {
    let connections = servers(sampling, answers)?;
    renew(&mut evidence.connections, sampling.part, connections);
    let pools = pools(sampling, answers)?;
    renew(&mut evidence.pools, sampling.part, pools);
    Ok(())
}

/// Each needed database of the part: one that no pod reports has a reading without a time. A partial answer is none.
fn servers(
    sampling: &Sampling<'_>,
    answers: &mut TemplateAnswers<'_>,
) -> Result<ByComponent<ConnectionsReading>, Misread> {
    let (sessions, most, ages) = (answers.take(SESSIONS)?, answers.take(MOST)?, answers.take(AGE)?);
    if [sessions, most, ages].iter().any(|outcome| outcome.is_partial) {
        return Ok(ByComponent::new());
    }
    let wanted = sampling.wanted.pools().values();
    let wanted = wanted.filter(|key| sampling.part.has_app(&key.namespace, &key.app));
    let mut readings: ByComponent<ConnectionsReading> = wanted
        .map(|key| {
            let value = ConnectionsReading { most: f64::NAN, ..ConnectionsReading::default() };
            (key.clone(), Measured { value, at: None, scraped: None, is_partial: false })
        })
        .collect();
    for (labels, value) in sessions.data.series() {
        let Some(reading) = labels.database_name().and_then(|key| readings.get_mut(&key)) else { continue };
        match labels.owner.as_deref() {
            Some("app") => reading.value.own = value,
            Some("others") => reading.value.others = value,
            _ => {}
        }
    }
    for (labels, value) in most.data.series() {
        if let Some(reading) = labels.database_name().and_then(|key| readings.get_mut(&key)) {
            reading.value.most = value;
        }
    }
    for (labels, age) in ages.data.series() {
        if let Some(reading) = labels.database_name().and_then(|key| readings.get_mut(&key)) {
            reading.at = taken(sampling.now, age);
            reading.value.at = reading.at;
        }
    }
    Ok(readings)
}

/// Sets the value of a template.
type SetReading = fn(&mut PoolReading, f64);

/// Each needed component of the part.
fn pools(
    sampling: &Sampling<'_>,
    answers: &mut TemplateAnswers<'_>,
) -> Result<ByComponent<PoolReading>, Misread> {
    let (sizes, pods) = (answers.take(POOL_SIZE)?, answers.take(POOL_PODS)?);
    if sizes.is_partial || pods.is_partial {
        return Ok(ByComponent::new());
    }
    let wanted = sampling.wanted.pools().iter();
    let wanted = wanted.filter(|(key, _)| sampling.part.has_app(&key.namespace, &key.app));
    let databases: HashMap<_, _> = wanted.collect();
    let mut readings: ByComponent<PoolReading> = databases
        .keys()
        .map(|key| {
            let value = PoolReading { at: Some(sampling.now), ..PoolReading::default() };
            ((*key).clone(), Measured { value, at: None, scraped: None, is_partial: false })
        })
        .collect();
    let sets: [(_, SetReading); 2] = [
        (sizes, |reading, value| reading.largest = reading.largest.max(value)),
        (pods, |reading, value| reading.reporting = reading.reporting.max(value as u32)),
    ];
    for (outcome, set) in sets {
        for (labels, value) in outcome.data.series() {
            let Some((named, pool)) = labels.component().zip(labels.pool.as_deref()) else { continue };
            let Some((key, _)) = readings.get_key_value(&named) else { continue };
            let database = databases.get(key).map(|key| key.component.as_str());
            if pool != WRITE_POOL && Some(pool) != database {
                continue;
            }
            if let Some(reading) = readings.get_mut(&named) {
                set(&mut reading.value, value);
            }
        }
    }
    Ok(readings)
}
