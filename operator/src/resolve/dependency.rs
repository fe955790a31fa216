//! Dependencies of an app, and which components call them. Pure.

use super::app::{self, Breaker, BreakerQuery};
use super::invalid::Problems;
use super::path::Path;
use jiff::SignedDuration;
use scalableapp_crds as api;
use scalableapp_crds::{GoDuration, limits};
use scalableapp_engine::evidence::circuit::CircuitState;
use scalableapp_engine::stack;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The least value of a query for breakers, in thousandths.
const LEAST_VALUE: i64 = -1_000_000;

const HOUR: Duration = Duration::from_secs(3600);

/// What the components of an app may call.
#[derive(Default)]
pub(super) struct Callees {
    services: BTreeSet<String>,
    dependencies: BTreeMap<String, (Breaker, stack::Ejection)>,
}

impl Callees {
    /// The services and dependencies of an app. Problems of a dependency are those of the whole app.
    pub(super) fn of(spec: &api::ScalableAppSpec, problems: &mut Problems) -> Self {
        let list = Path::Field(&Path::Root, "dependencies");
        if spec.dependencies.len() > limits::DEPENDENCIES {
            let sentence = format!("use at most {} dependencies", limits::DEPENDENCIES);
            problems.refuse(list, sentence);
        }
        let mut dependencies = BTreeMap::new();
        for api::Dependency { name, circuit } in &spec.dependencies {
            let path = Path::Item(&list, name);
            let own = spec.workers.iter().map(|one| &one.name).chain(spec.caches.iter().map(|one| &one.name));
            if own.chain(spec.databases.iter().map(|one| &one.name)).any(|one| one == name) {
                problems.refuse(path, "give it a name that no worker, cache or database has");
            }
            let of_circuit = Path::Field(&path, "circuit");
            let ejection =
                ejection(circuit.ejection.as_ref(), Path::Field(&of_circuit, "ejection"), problems);
            let Some(breaker) = breaker(name, circuit, of_circuit, problems) else { continue };
            if dependencies.insert(name.clone(), (breaker, ejection)).is_some() {
                problems.refuse(path, "give each dependency a name of its own");
            }
        }
        let services = spec.services.iter().map(|service| service.name.clone()).collect();
        Self { services, dependencies }
    }

    /// Checks the names that a component calls.
    pub(super) fn check(&self, caller: &str, calls: &[String], path: Path<'_>, problems: &mut Problems) {
        if calls.len() > limits::CALLS {
            problems.refuse(path, format!("name at most {} dependencies and services", limits::CALLS));
        }
        let mut named = BTreeSet::new();
        for call in calls {
            let path = Path::Item(&path, call);
            if call == caller {
                problems.refuse(path, "name another service: a component does not call itself");
            } else if !self.services.contains(call) && !self.dependencies.contains_key(call) {
                problems.refuse(path, "add it to dependencies, or use the name of a service of this app");
            } else if !named.insert(call) {
                problems.refuse(path, "name it once");
            }
        }
    }

    /// The component with its calls.
    pub(super) fn called(&self, component: app::Component, calls: &[String]) -> app::Component {
        if calls.is_empty() {
            return component;
        }
        let breaker = |call: &String| Some((call.clone(), self.dependencies.get(call)?.0.clone()));
        let declared = stack::Component { calls: calls.to_vec(), ..(*component.declared).clone() };
        let breakers = calls.iter().filter_map(breaker).collect();
        app::Component { declared: Arc::new(declared), breakers, ..component }
    }

    /// The dependencies for decisions.
    pub(super) fn dependencies(&self) -> BTreeMap<String, stack::Dependency> {
        let dependency = |(name, (breaker, ejection)): (&String, &(Breaker, stack::Ejection))| {
            (name.clone(), stack::Dependency { appears_late: appears_late(breaker), ejection: *ejection })
        };
        self.dependencies.iter().map(dependency).collect()
    }
}

/// How the breakers of a dependency are read; `None` where that is refused.
fn breaker(name: &str, circuit: &api::Circuit, path: Path<'_>, problems: &mut Problems) -> Option<Breaker> {
    match (circuit.source, &circuit.prometheus) {
        (Some(source), None) => {
            let name = circuit.breaker.clone().unwrap_or_else(|| name.to_owned());
            Some(Breaker::Exported { source, name })
        }
        (None, Some(query)) => {
            if circuit.breaker.is_some() {
                problems.refuse(path, "leave out breaker: the query of prometheus selects it");
            }
            Some(Breaker::Query(breaker_query(query, Path::Field(&path, "prometheus"), problems)))
        }
        _ => {
            problems.refuse(path, "set exactly one of source, prometheus");
            None
        }
    }
}

fn ejection(written: Option<&api::Ejection>, path: Path<'_>, problems: &mut Problems) -> stack::Ejection {
    let default = stack::Ejection::default();
    let mut time = |field, written: Option<&GoDuration>, most: (Duration, &str), default| {
        let Some(written) = written else { return default };
        let path = Path::Field(&path, field);
        match written.parse() {
            Ok(time) if time <= most.0 => return SignedDuration::try_from(time).unwrap_or(default),
            Ok(_) => problems.refuse(path, format!("use a duration of at most {}", most.1)),
            Err(invalid) => problems.refuse(path, invalid.to_string()),
        }
        default
    };
    let Some(written) = written else { return default };
    stack::Ejection {
        after: time("after", written.after.as_ref(), (HOUR, "1h"), default.after),
        replace_after: time(
            "replaceAfter",
            written.replace_after.as_ref(),
            (HOUR * 24, "24h"),
            default.replace_after,
        ),
    }
}

fn breaker_query(query: &api::CircuitQuery, path: Path<'_>, problems: &mut Problems) -> BreakerQuery {
    if query.query.trim().is_empty() {
        problems.refuse(Path::Field(&path, "query"), "write a query in PromQL");
    }
    let list = Path::Field(&path, "values");
    if query.values.len() > limits::CIRCUIT_VALUES {
        problems.refuse(list, format!("use at most {} values", limits::CIRCUIT_VALUES));
    }
    let mut states = BTreeMap::new();
    for api::CircuitValue { value, state } in &query.values {
        let path = Path::Item(&list, &value.0);
        let state = match state {
            api::BreakerState::Closed => CircuitState::Closed,
            api::BreakerState::Open => CircuitState::Open,
            api::BreakerState::HalfOpen => CircuitState::HalfOpen,
        };
        match value.milli() {
            Ok(milli) if milli < LEAST_VALUE => problems.refuse(path, "use a value of at least -1000"),
            Ok(milli) if states.insert(milli, state).is_some() => {
                problems.refuse(path, "list each value once");
            }
            Ok(_) => {}
            Err(invalid) => problems.refuse(path, invalid.to_string()),
        }
    }
    let is_listed = |state| query.values.iter().any(|one| one.state == state);
    if !is_listed(api::BreakerState::Closed) || !is_listed(api::BreakerState::Open) {
        problems.refuse(list, "say which value is closed and which is open");
    }
    BreakerQuery { text: query.query.clone(), states }
}

/// Whether a breaker is reported from its first call or its first event on only.
fn appears_late(breaker: &Breaker) -> bool {
    let Breaker::Exported { source, .. } = breaker else { return false };
    match source {
        api::CircuitSource::App | api::CircuitSource::Envoy => false,
        api::CircuitSource::Resilience4j
        | api::CircuitSource::Opossum
        | api::CircuitSource::Hystrix
        | api::CircuitSource::Polly
        | api::CircuitSource::Sentinel
        | api::CircuitSource::Dapr
        | api::CircuitSource::Linkerd => true,
    }
}
