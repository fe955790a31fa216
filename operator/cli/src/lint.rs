//! `kubectl scalableapp lint`: the connections that the apps of a manifest could hold, by database. I/O: reads a file or
//! standard input, writes to stdout.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use scalableapp_crds::{ConnectionPool, Database, IntOrPercent, MaxConnections, Rolling, ScalableApp};
use scalableapp_engine::allot::connections::SUPERUSER_RESERVED;
use serde_json::Value;
use thiserror::Error;

use crate::args::LintArguments;
use crate::printable::printable;

/// Why nothing was checked.
#[derive(Debug, Error)]
pub enum LintError {
    /// The file cannot be read.
    #[error("failed to read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is no YAML or JSON.
    #[error("failed to read {path} as YAML: {words}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The parser's words.
        words: String,
    },
    /// The file has no app.
    #[error("failed to find a ScalableApp in {0}")]
    NoApp(PathBuf),
    /// The output could not be written.
    #[error("failed to write the result: {0}")]
    Output(#[from] io::Error),
}

/// Prints the largest sum of connections of each database, and returns whether all fit.
///
/// # Errors
/// When the file cannot be read or has no app.
pub fn run(arguments: &LintArguments) -> Result<bool, LintError> {
    let path = &arguments.filename;
    let apps = read(path)?;
    if apps.is_empty() {
        return Err(LintError::NoApp(path.clone()));
    }
    let mut fits = true;
    for app in &apps {
        let (text, app_fits) = lint(app, arguments.max_connections);
        fits &= app_fits;
        for line in text.lines() {
            writeln!(io::stdout(), "{}", printable(line))?;
        }
    }
    Ok(fits)
}

/// The apps of a file; `-` is standard input.
fn read(path: &Path) -> Result<Vec<ScalableApp>, LintError> {
    let failed = |source| LintError::Read { path: path.to_path_buf(), source };
    let mut text = String::new();
    if path == Path::new("-") {
        io::stdin().lock().read_to_string(&mut text).map_err(failed)?;
    } else {
        File::open(path).and_then(|mut file| file.read_to_string(&mut text)).map_err(failed)?;
    }
    let malformed = |words: String| LintError::Malformed { path: path.to_path_buf(), words };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).map_err(|error| malformed(error.to_string()))?;
    let is_app = |document: &Value| document.get("kind").and_then(Value::as_str) == Some("ScalableApp");
    let apps = documents.into_iter().filter(is_app);
    apps.map(|app| serde_json::from_value(app).map_err(|error| malformed(error.to_string()))).collect()
}

/// A component with a pool.
struct Holder<'a> {
    name: &'a str,
    pool: &'a ConnectionPool,
    min: i32,
    max: i32,
    surge: i32,
}

impl Holder<'_> {
    /// The most connections, with pools of the largest and of the smallest size.
    fn most(&self) -> [i64; 2] {
        let pods = i64::from(self.max) + i64::from(self.surge);
        let (size, least) = self.pool.per_pod();
        [size, least].map(|each| pods * i64::from(each))
    }

    /// The connections of its minimum replicas, with the smallest pools.
    fn least(&self) -> i64 {
        i64::from(self.min) * i64::from(self.pool.per_pod().1)
    }
}

/// Name, pool, minimum and maximum replicas, and rolling update of a component.
type Written<'a> = (&'a str, Option<&'a ConnectionPool>, (i32, i32), Option<&'a Rolling>);

fn holders(app: &ScalableApp) -> Vec<Holder<'_>> {
    let of_services = app.spec.services.iter().map(|one| -> Written<'_> {
        let rolling = one.rollout.as_ref().and_then(|rollout| rollout.rolling.as_ref());
        (&one.name, one.connection_pool.as_ref(), one.replica_bounds(), rolling)
    });
    let of_workers = app.spec.workers.iter().map(|one| -> Written<'_> {
        let rolling = one.rollout.as_ref().and_then(|rollout| rollout.rolling.as_ref());
        (&one.name, one.connection_pool.as_ref(), one.replica_bounds(), rolling)
    });
    of_services.chain(of_workers).filter_map(holder).collect()
}

fn holder((name, pool, (min, max), rolling): Written<'_>) -> Option<Holder<'_>> {
    Some(Holder { name, pool: pool?, min, max, surge: surge(rolling, max) })
}

/// Pods of an update above the maximum replicas. A percentage that cannot be read is refused by the API server.
fn surge(rolling: Option<&Rolling>, max: i32) -> i32 {
    let default = IntOrPercent::Percent("25%".to_owned());
    let written = rolling.and_then(|rolling| rolling.max_surge.as_ref());
    written.unwrap_or(&default).of_rounded_up(max).unwrap_or_default()
}

/// The result for one app in words, and whether it fits.
fn lint(app: &ScalableApp, max_connections: Option<i32>) -> (String, bool) {
    let name = app.metadata.name.as_deref().unwrap_or("ScalableApp");
    let holders = holders(app);
    let (mut text, mut fits) = (String::new(), true);
    for one in &holders {
        if app.spec.databases.iter().all(|database| database.name != one.pool.database) {
            let (component, database) = (one.name, &one.pool.database);
            let _ = writeln!(
                text,
                "{name}: {component} has a pool to {database}, which is no database of the app"
            );
            fits = false;
        }
    }
    for database in &app.spec.databases {
        let of_database: Vec<&Holder<'_>> =
            holders.iter().filter(|one| one.pool.database == database.name).collect();
        if !of_database.is_empty() {
            let _ = write!(text, "{name}, database {}: ", database.name);
            fits &= sum(&mut text, database, &of_database, max_connections);
        }
    }
    if holders.is_empty() {
        let _ = writeln!(text, "{name}: no component has a connectionPool");
    }
    (text, fits)
}

/// Adds the sum of a database to the text, and returns whether it fits.
fn sum(
    text: &mut String,
    database: &Database,
    holders: &[&Holder<'_>],
    max_connections: Option<i32>,
) -> bool {
    let limits = database.postgres.max_connections.clone().unwrap_or_default();
    let reserve = limits.reserve.unwrap_or(MaxConnections::RESERVE);
    let limit = max_connections.or(limits.limit);
    let budget = limit.map(|limit| i64::from(limit) - i64::from(SUPERUSER_RESERVED) - i64::from(reserve));
    let _ = match limit.zip(budget) {
        Some((limit, budget)) => writeln!(
            text,
            "{limit} connections - {SUPERUSER_RESERVED} for superusers - {reserve} in reserve = {budget}"
        ),
        None => writeln!(text, "no limit is known: set maxConnections.limit, or give --max-connections"),
    };
    for Holder { name, pool, max, surge, .. } in holders {
        let (size, least) = pool.per_pod();
        let each = if size == least { format!("{size}") } else { format!("{least} to {size}") };
        let _ = writeln!(text, "  {name}: {max} replicas and {surge} surge, {each} connections each");
    }
    let [most, least] = holders.iter().fold([0, 0], |[most, least], one| {
        let [more, fewer] = one.most();
        [most + more, least + fewer]
    });
    let floor: i64 = holders.iter().map(|one| one.least()).sum();
    let all =
        if most == least { format!("{most}") } else { format!("{most}, or {least} with pools of minSize") };
    let verdict = match budget {
        None => "",
        Some(budget) if most <= budget => ": it fits",
        Some(budget) if least <= budget => ": it fits with smaller pools",
        Some(budget) if floor <= budget => ": it does not fit, so pods would be refused",
        Some(_) => ": not even minReplicas fit",
    };
    let _ = writeln!(text, "  at most {all}{verdict}");
    budget.is_none_or(|budget| least <= budget)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn app(web: &Value, limits: &Value) -> ScalableApp {
        let app = json!({
            "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp", "metadata": {"name": "shop"},
            "spec": {
                "image": "shop:1",
                "services": [{
                    "name": "web", "port": 80, "connectionPool": web,
                    "scaling": {"minReplicas": 2, "maxReplicas": 10, "metrics": []},
                }],
                "workers": [{
                    "name": "email", "connectionPool": {"database": "main", "size": 4},
                    "scaling": {"minReplicas": 1, "maxReplicas": 2}, "rollout": {"rolling": {"maxSurge": 0, "maxUnavailable": 1}},
                }],
                "databases": [{"name": "main", "postgres": {"primary": {"secretRef": {"name": "db"}}, "maxConnections": limits}}],
            },
        });
        serde_json::from_value(app).unwrap()
    }

    #[test]
    fn the_largest_sum_counts_surge_and_hidden_connections() {
        let app = app(&json!({"database": "main", "size": 9, "hiddenPerPod": 1}), &json!({"limit": 100}));
        let (text, fits) = lint(&app, None);
        let expected = "\
shop, database main: 100 connections - 3 for superusers - 5 in reserve = 92
  web: 10 replicas and 3 surge, 10 connections each
  email: 2 replicas and 0 surge, 4 connections each
  at most 138: it does not fit, so pods would be refused
";
        assert_eq!((text.as_str(), fits), (expected, false));
        assert!(lint(&app, Some(146)).1, "the server may be larger than declared");
        assert!(!lint(&app, Some(145)).1);
    }

    #[test]
    fn pools_that_may_shrink_fit_where_their_smallest_size_does() {
        let pool = json!({"database": "main", "size": 9, "minSize": 5});
        let (text, fits) = lint(&app(&pool, &json!({"limit": 100})), None);
        assert!(
            text.ends_with("  at most 125, or 73 with pools of minSize: it fits with smaller pools\n"),
            "{text}"
        );
        assert!(fits);
    }

    #[test]
    fn without_a_limit_the_sum_is_shown() {
        let (text, fits) = lint(&app(&json!({"database": "main", "size": 9}), &Value::Null), None);
        assert!(text.contains("no limit is known") && text.ends_with("  at most 125\n"), "{text}");
        assert!(fits);
        let (text, _) = lint(&app(&json!({"database": "main", "size": 9}), &Value::Null), Some(20));
        assert!(text.ends_with("  at most 125: not even minReplicas fit\n"), "{text}");
    }

    #[test]
    fn a_pool_to_an_unknown_database_does_not_fit() {
        let (text, fits) = lint(&app(&json!({"database": "other", "size": 1}), &Value::Null), None);
        assert!(
            text.starts_with("shop: web has a pool to other, which is no database of the app\n"),
            "{text}"
        );
        assert!(!fits);
    }
}
