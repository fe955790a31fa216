//! The connection pools of services and workers, and the limits of their databases. Pure.

use super::invalid::Problems;
use super::path::Path;
use scalableapp_crds as api;
use scalableapp_engine::allot::connections::SUPERUSER_RESERVED;
use scalableapp_engine::stack::{Component, Database, Pool};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

const SIZE: RangeInclusive<i32> = 1..=1000;
const HIDDEN: RangeInclusive<i32> = 0..=1000;
/// The highest `max_connections` of PostgreSQL.
const MOST: i32 = 262_143;

/// The pool of a component's pods.
pub(super) fn pool(
    written: Option<&api::ConnectionPool>,
    databases: &[api::Database],
    path: Path<'_>,
    problems: &mut Problems,
) -> Option<Pool> {
    let written = written?;
    let path = Path::Field(&path, "connectionPool");
    if databases.iter().all(|one| one.name != written.database) {
        problems.refuse(Path::Field(&path, "database"), "name a database of spec.databases");
    }
    let mut number = |name, value: i32, range: &RangeInclusive<i32>| {
        if !range.contains(&value) {
            let sentence = format!("use {} to {} connections", range.start(), range.end());
            problems.refuse(Path::Field(&path, name), sentence);
        }
        value.clamp(*range.start(), *range.end())
    };
    let size = number("size", written.size, &SIZE);
    let min_size = written.min_size.map_or(size, |least| number("minSize", least, &(1..=size)));
    let hidden_per_pod = number("hiddenPerPod", written.hidden_per_pod.unwrap_or(0), &HIDDEN);
    Some(Pool { database: written.database.clone(), size, min_size, hidden_per_pod })
}

/// Checks the limits of a database.
pub(super) fn check_limits(written: &api::Postgres, path: Path<'_>, problems: &mut Problems) {
    let Some(limits) = &written.max_connections else { return };
    let path = Path::Field(&path, "postgres");
    let path = Path::Field(&path, "maxConnections");
    let (limit, reserve) = (limits.limit, limits.reserve.unwrap_or(api::MaxConnections::RESERVE));
    if limit.is_some_and(|limit| !(1..=MOST).contains(&limit)) {
        problems.refuse(Path::Field(&path, "limit"), format!("use 1 to {MOST} connections"));
    } else if !(0..=MOST).contains(&reserve) {
        problems.refuse(Path::Field(&path, "reserve"), format!("use 0 to {MOST} connections"));
    } else if limit.is_some_and(|limit| limit - SUPERUSER_RESERVED <= reserve) {
        let sentence = format!(
            "raise limit or lower reserve: with {SUPERUSER_RESERVED} connections for superusers none is left for the app"
        );
        problems.refuse(path, sentence);
    }
}

/// The databases in which a component has a pool.
pub(super) fn databases(
    written: &[api::Database],
    components: &BTreeMap<String, Arc<Component>>,
) -> BTreeMap<String, Database> {
    let has_pool = |name: &str| {
        let mut pools = components.values().filter_map(|component| component.pool.as_ref());
        pools.any(|pool| pool.database == name)
    };
    let of = |one: &api::Database| {
        let limits = one.postgres.max_connections.clone().unwrap_or_default();
        let reserve = limits.reserve.unwrap_or(api::MaxConnections::RESERVE);
        (one.name.clone(), Database { limit: limits.limit, reserve })
    };
    written.iter().filter(|one| has_pool(&one.name)).map(of).collect()
}

#[cfg(test)]
mod tests {
    use crate::resolve::resolve;
    use rstest::rstest;
    use scalableapp_crds::ScalableApp;
    use scalableapp_engine::stack::{Database, Pool};
    use serde_json::{Value, json};

    fn app(pool: &Value, limits: &Value) -> ScalableApp {
        let mut app = json!({
            "metadata": {"name": "shop", "namespace": "shop", "uid": "1"},
            "spec": {
                "services": [{"name": "web", "image": "shop:1", "port": 80, "connectionPool": pool}],
                "databases": [{"name": "main", "postgres": {"primary": {"secretRef": {"name": "shop-db"}}}}],
            },
        });
        if !limits.is_null() {
            app["spec"]["databases"][0]["postgres"]["maxConnections"] = limits.clone();
        }
        serde_json::from_value(app).expect("an app")
    }

    #[rstest]
    #[case(json!({"database": "other", "size": 5}), Value::Null, "services[web].connectionPool.database: name a database of spec.databases")]
    #[case(json!({"database": "main", "size": 0}), Value::Null, "services[web].connectionPool.size: use 1 to 1000 connections")]
    #[case(json!({"database": "main", "size": 5, "minSize": 6}), Value::Null, "services[web].connectionPool.minSize: use 1 to 5 connections")]
    #[case(json!({"database": "main", "size": 5, "hiddenPerPod": -1}), Value::Null, "services[web].connectionPool.hiddenPerPod: use 0 to 1000 connections")]
    #[case(
        json!({"database": "main", "size": 5}),
        json!({"limit": 20, "reserve": 17}),
        "databases[main].postgres.maxConnections: raise limit or lower reserve: with 3 connections for superusers none is left for the app"
    )]
    #[case(
        json!({"database": "main", "size": 5}),
        json!({"limit": 300_000}),
        "databases[main].postgres.maxConnections.limit: use 1 to 262143 connections"
    )]
    fn what_a_pool_must_change_is_said_in_one_sentence(
        #[case] pool: Value,
        #[case] limits: Value,
        #[case] sentence: &str,
    ) {
        let said: Vec<String> = match resolve(&app(&pool, &limits)) {
            Ok(app) => app.problems().map(ToString::to_string).collect(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(said, [sentence]);
    }

    #[test]
    fn a_pool_makes_a_budget_with_the_documented_defaults() {
        let app = resolve(&app(&json!({"database": "main", "size": 8}), &Value::Null)).expect("an app");
        assert_eq!(app.stack.databases["main"], Database { limit: None, reserve: 5 });
        let pool = Pool { database: "main".to_owned(), size: 8, min_size: 8, hidden_per_pod: 0 };
        assert_eq!(app.components[0].declared.pool, Some(pool));
    }

    #[test]
    fn the_size_makes_no_revision_and_the_pool_itself_does() {
        let of = |pool: &Value| {
            let mut app = app(pool, &Value::Null);
            if pool.is_null() {
                app.spec.services[0].connection_pool = None;
            }
            resolve(&app).expect("an app").components[0].revision.to_string()
        };
        let small = of(&json!({"database": "main", "size": 5}));
        assert_eq!(of(&json!({"database": "main", "size": 9, "minSize": 2, "hiddenPerPod": 1})), small);
        assert_ne!(of(&Value::Null), small);
    }
}
