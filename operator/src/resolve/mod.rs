//! From the spec to the resolved app: defaults filled in, everything checked once. Pure.
//!
//! The CRD refuses most invalid specs already. They are checked again because an object may be older than its CRD, and
//! because the rest of the operator uses resolved types only and checks nothing twice.

pub mod app;
mod blue_green;
pub mod cache;
mod canary;
mod canonical;
mod cnpg;
mod component;
mod connections;
mod container;
pub mod database;
mod declaration;
mod dependency;
pub mod invalid;
pub mod list_keys;
mod metric;
pub mod name;
pub mod overrides;
mod path;
mod pod_fields;
mod pod_security;
mod pod_template;
pub mod probe;
mod provider;
pub mod revision;
mod rolling;
mod route;
mod scaling;
mod schedule;
mod syntax;
mod worker;

use crate::names;
use app::App;
use component::Shared;
use dependency::Callees;
use invalid::{Invalid, Problems};
use name::AppName;
use path::Path;
use scalableapp_crds::{Cache, Database, PodTemplate, ScalableApp, ScalableAppSpec, Service, Worker, limits};
use scalableapp_engine::stack::Stack;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Values in the free JSON of one app. They are kept for each app, and a small one takes 700 bytes.
const MOST_VALUES: usize = 5000;

/// Resolves an app, or returns all problems of the app as a whole. Problems of one component are recorded in that
/// component and do not affect the others.
///
/// The result depends only on `metadata.{name,namespace,uid,creationTimestamp,generation}` and `spec`, so it may be
/// cached while uid and generation stay the same.
///
/// # Errors
/// Each problem with its path and one sentence that says what to change.
pub fn resolve(app: &ScalableApp) -> Result<App, Vec<Invalid>> {
    let mut problems = Problems::default();
    let metadata = &app.metadata;
    let in_metadata = Path::Field(&Path::Root, "metadata");
    let mut read_from_server = |field: &str, value: &Option<String>| {
        value.clone().unwrap_or_else(|| {
            let sentence = format!("{field} is missing: read the object from the API server first");
            problems.refuse(Path::Field(&in_metadata, field), sentence);
            String::new()
        })
    };
    let (namespace, uid) =
        (read_from_server("namespace", &metadata.namespace), read_from_server("uid", &metadata.uid));
    let name = AppName::resolve(
        metadata.name.as_deref().unwrap_or_default(),
        Path::Field(&in_metadata, "name"),
        &mut problems,
    );
    let caches: Vec<app::UsedCache> = app.spec.caches.iter().map(cache::used).collect();
    let databases = provider::variables(&app.spec.databases, name.as_str(), &namespace, &mut problems);
    let image = app.spec.image.as_deref();
    let callees = Callees::of(&app.spec, &mut problems);
    let shared = Shared {
        namespace: &namespace,
        app: name.as_str(),
        image,
        caches: &caches,
        databases: &databases,
        callees: &callees,
        declared_databases: &app.spec.databases,
    };
    let components =
        if is_moderate(app, &mut problems) { components(app, shared, &mut problems) } else { Vec::new() };
    let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
    let declared = |one: &app::Component| (one.name.to_string(), Arc::clone(&one.declared));
    let dependencies = callees.dependencies();
    let stack: BTreeMap<_, _> = components.iter().map(declared).collect();
    let databases = connections::databases(&app.spec.databases, &stack);
    let stack = Stack { components: stack, dependencies, databases };
    let generation = metadata.generation.unwrap_or(0);
    problems.or(App { name, namespace, uid, created, generation, components, stack })
}

/// Whether the free JSON of an app is small enough to be checked.
fn is_moderate(app: &ScalableApp, problems: &mut Problems) -> bool {
    let of_services = app.spec.services.iter().filter_map(|service| service.pod_template.as_ref());
    let of_workers = app.spec.workers.iter().filter_map(|worker| worker.pod_template.as_ref());
    let of_caches = app.spec.caches.iter().filter_map(|cache| cache.pod_template.as_ref());
    let replicas = app.spec.databases.iter().filter_map(|database| database.postgres.read_replicas.as_ref());
    let of_replicas = replicas.filter_map(|replicas| replicas.pod_template.as_ref());
    let all = of_services.chain(of_workers).chain(of_caches).chain(of_replicas);
    let values: usize = all.map(PodTemplate::values).sum();
    if values > MOST_VALUES {
        let sentence = format!(
            "write at most {MOST_VALUES} values in the podTemplates of all components together, not {values}: move files to a ConfigMap"
        );
        problems.refuse(Path::Field(&Path::Root, "services"), sentence);
    }
    values <= MOST_VALUES
}

/// Resolves the components of all tiers, whose names are unique over the app.
fn components(app: &ScalableApp, shared: Shared<'_>, problems: &mut Problems) -> Vec<app::Component> {
    let ScalableAppSpec { image: _, services, workers, caches, databases, dependencies: _ } = &app.spec;
    let lists = ["services", "workers", "caches", "databases"].map(|name| Path::Field(&Path::Root, name));
    let [of_services, of_workers, of_caches, of_databases] = &lists;
    if services.is_empty() && workers.is_empty() {
        problems.refuse(*of_services, "add at least one service or worker");
    }
    let all = services.len() + workers.len() + caches.len() + databases.len();
    if all > limits::COMPONENTS {
        let sentence = format!("use at most {} components, not {all}", limits::COMPONENTS);
        problems.refuse(*of_services, sentence);
    }
    provider::check_clusters(databases, *of_databases, problems);
    let services = services.iter().map(|one| (of_services, &one.name, WrittenComponent::Service(one)));
    let workers = workers.iter().map(|one| (of_workers, &one.name, WrittenComponent::Worker(one)));
    let caches = caches.iter().map(|one| (of_caches, &one.name, WrittenComponent::Cache(one)));
    let databases = databases.iter().map(|one| (of_databases, &one.name, WrittenComponent::Database(one)));
    let is_preview = |name: &str| {
        let of = name.strip_suffix(names::PREVIEW);
        of.is_some_and(|of| app.spec.services.iter().any(|one| one.name == of && has_preview(one)))
    };
    let mut names = BTreeSet::new();
    services
        .chain(workers)
        .chain(caches)
        .chain(databases)
        .filter_map(|(list, name, written)| {
            let path = Path::Item(list, name);
            if !names.insert(name) {
                problems.refuse(path, "give each component a name of its own");
            }
            if is_preview(name) {
                let sentence = "give it another name: a component with blueGreen has a Service of this name";
                problems.refuse(path, sentence);
            }
            match written {
                WrittenComponent::Service(written) => Some(component::of_service(written, shared, path)),
                WrittenComponent::Worker(written) => Some(component::of_worker(written, shared, path)),
                WrittenComponent::Cache(written) => Some(component::of_cache(written, shared, path)),
                WrittenComponent::Database(written) => {
                    component::of_database(written, shared, path, problems)
                }
            }
        })
        .collect()
}

fn has_preview(service: &Service) -> bool {
    service.rollout.as_ref().is_some_and(|rollout| rollout.blue_green.is_some())
}

/// A component as it is written.
enum WrittenComponent<'a> {
    Service(&'a Service),
    Worker(&'a Worker),
    Cache(&'a Cache),
    Database(&'a Database),
}

#[cfg(test)]
mod tests {
    use super::app::{Breaker, BreakerQuery};
    use super::*;
    use rstest::rstest;
    use scalableapp_crds::CircuitSource;
    use scalableapp_engine::evidence::circuit::CircuitState;
    use scalableapp_engine::hpa::signal::PodTarget;
    use scalableapp_engine::propose::metric::Target;
    use serde_json::{Value, json};

    /// An app with one service `web`, changed by these fields of the service.
    fn app(service: &Value) -> ScalableApp {
        let mut web = json!({"name": "web", "image": "shop:1", "port": 8080, "metricsPort": 9090});
        for (field, value) in service.as_object().into_iter().flatten() {
            web[field] = value.clone();
        }
        serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "shop", "uid": "1", "generation": 3},
            "spec": {"services": [web]},
        }))
        .expect("an app")
    }

    fn found(app: &ScalableApp) -> Vec<Invalid> {
        resolve(app).map_or_else(|problems| problems, |app| app.problems().cloned().collect())
    }

    fn problems(app: &ScalableApp) -> Vec<String> {
        found(app).iter().map(Invalid::to_string).collect()
    }

    #[test]
    fn no_component_has_the_name_of_a_preview() {
        let named = |rollout: &Value| {
            let services = json!([
                {"name": "web", "image": "shop:1", "port": 80, "rollout": rollout},
                {"name": "web-preview", "image": "shop:1", "port": 80},
            ]);
            let metadata = json!({"name": "shop", "namespace": "shop", "uid": "1", "generation": 3});
            let app = json!({"metadata": metadata, "spec": {"services": services}});
            problems(&serde_json::from_value(app).expect("an app"))
        };
        assert_eq!(named(&json!({})), Vec::<String>::new());
        assert_eq!(
            named(&json!({"blueGreen": {}})),
            [
                "services[web-preview]: give it another name: a component with blueGreen has a Service of this name"
            ]
        );
    }

    fn with_template(spec: &Value) -> ScalableApp {
        app(&json!({"podTemplate": {"spec": spec}}))
    }

    fn with_metric(metric: &Value) -> ScalableApp {
        app(
            &json!({"scaling": {"maxReplicas": 3, "metrics": [{"name": "cpu", "cpu": {"averageValue": 1}}, metric]}}),
        )
    }

    #[test]
    fn a_service_without_anything_optional_has_the_documented_defaults() {
        let app = resolve(&app(&json!({}))).expect("no problem");
        let web = &app.components[0];
        assert_eq!((web.declared.min_replicas, web.declared.max_replicas), (1, 1));
        assert_eq!(web.declared.behavior, scalableapp_engine::hpa::behavior::Behavior::default());
        assert_eq!(web.declared.rolling, scalableapp_engine::rollout::rolling::Rolling::default());
    }

    #[test]
    fn all_problems_are_named_at_once_and_in_order() {
        let app = app(&json!({
            "port": 0,
            "podTemplate": {"spec": {"hostNetwork": true}},
            "scaling": {"minReplicas": 0, "maxReplicas": 2},
        }));
        let paths: Vec<String> = found(&app).into_iter().map(|problem| problem.path).collect();
        assert_eq!(
            paths,
            [
                "services[web].port",
                "services[web].podTemplate.spec.hostNetwork",
                "services[web].scaling.minReplicas",
                "services[web].scaling.metrics",
            ]
        );
    }

    #[test]
    fn what_is_wrong_with_one_service_stops_no_other() {
        let mut app = app(&json!({"podTemplate": {"spec": {"nodeSelectors": {"disk": "ssd"}}}}));
        app.spec
            .services
            .push(serde_json::from_value(json!({"name": "api", "image": "api:1", "port": 80})).unwrap());
        let resolved = resolve(&app).expect("an app");
        let valid: Vec<bool> = resolved.components.iter().map(app::Component::is_valid).collect();
        assert_eq!(valid, [false, true]);
        let sentence = "services[web].podTemplate.spec.nodeSelectors: Kubernetes has no such field: did you mean nodeSelector?";
        assert_eq!(problems(&app), [sentence]);
    }

    #[test]
    fn an_object_that_was_not_read_from_the_server_has_no_children() {
        let mut app = app(&json!({}));
        app.metadata.uid = None;
        assert_eq!(
            problems(&app),
            ["metadata.uid: uid is missing: read the object from the API server first"]
        );
    }

    /// An app with the services `web`, which calls these, and `api`, and the dependency `payments`.
    fn calling(calls: &Value) -> ScalableApp {
        let mut app = app(&json!({"calls": calls}));
        let api = json!({"name": "api", "image": "api:1", "port": 80});
        app.spec.services.push(serde_json::from_value(api).expect("a service"));
        let payments = json!({"name": "payments", "circuit": {"source": "app", "breaker": "pay"}});
        app.spec.dependencies.push(serde_json::from_value(payments).expect("a dependency"));
        app
    }

    #[test]
    fn a_component_calls_dependencies_and_other_services() {
        let resolved = resolve(&calling(&json!(["payments", "api"]))).expect("no problem");
        let web = &resolved.components[0];
        assert_eq!(web.declared.calls, ["payments", "api"]);
        let pay = Breaker::Exported { source: CircuitSource::App, name: "pay".to_owned() };
        assert_eq!(
            web.breakers,
            [("payments".to_owned(), pay)].into(),
            "api is no dependency, so nobody says how to read its breaker"
        );
        assert!(resolved.stack.dependencies.contains_key("payments"));
    }

    /// An app with a service that calls `payments`, whose breakers are read like this.
    fn reading(circuit: &Value) -> ScalableApp {
        let mut app = calling(&json!(["payments"]));
        app.spec.dependencies[0].circuit = serde_json::from_value(circuit.clone()).expect("a circuit");
        app
    }

    #[test]
    fn the_values_of_a_query_for_breakers_are_what_their_author_says() {
        let values = json!([{"value": 0, "state": "open"}, {"value": "1.5", "state": "closed"}, {"value": -1, "state": "halfOpen"}]);
        let app = resolve(&reading(&json!({"prometheus": {"query": "pay", "values": values}})))
            .expect("no problem");
        let states = [(-1000, CircuitState::HalfOpen), (0, CircuitState::Open), (1500, CircuitState::Closed)];
        let query = BreakerQuery { text: "pay".to_owned(), states: states.into() };
        assert_eq!(app.components[0].breakers["payments"], Breaker::Query(query));
    }

    #[rstest]
    #[case(json!({}), "circuit: set exactly one of source, prometheus")]
    #[case(
        json!({"source": "app", "prometheus": {"query": "pay", "values": []}}),
        "circuit: set exactly one of source, prometheus"
    )]
    #[case(
        json!({"breaker": "pay", "prometheus": {"query": "pay", "values": [{"value": 0, "state": "open"}, {"value": 1, "state": "closed"}]}}),
        "circuit: leave out breaker: the query of prometheus selects it"
    )]
    #[case(
        json!({"prometheus": {"query": "pay", "values": [{"value": 0, "state": "open"}, {"value": 1, "state": "halfOpen"}]}}),
        "circuit.prometheus.values: say which value is closed and which is open"
    )]
    #[case(
        json!({"prometheus": {"query": "pay", "values": [{"value": 0, "state": "open"}, {"value": "0.0", "state": "closed"}]}}),
        "circuit.prometheus.values[0.0]: list each value once"
    )]
    #[case(
        json!({"prometheus": {"query": " ", "values": [{"value": 0, "state": "open"}, {"value": 1, "state": "closed"}]}}),
        "circuit.prometheus.query: write a query in PromQL"
    )]
    #[case(
        json!({"prometheus": {"query": "pay", "values": [{"value": "up", "state": "open"}, {"value": 1, "state": "closed"}]}}),
        "circuit.prometheus.values[up]: \"up\" is not a quantity such as 50, 0.5, 500m or 2Gi"
    )]
    #[case(
        json!({"source": "app", "ejection": {"after": "2h"}}),
        "circuit.ejection.after: use a duration of at most 1h"
    )]
    #[case(
        json!({"source": "app", "ejection": {"replaceAfter": "soon"}}),
        "circuit.ejection.replaceAfter: \"soon\" is not a duration such as 300ms, 30s or 1h30m"
    )]
    fn a_circuit_that_cannot_be_read_is_refused(#[case] circuit: Value, #[case] sentence: &str) {
        let problems = problems(&reading(&circuit));
        assert!(problems.contains(&format!("dependencies[payments].{sentence}")), "{problems:?}");
    }

    #[test]
    fn a_call_of_what_does_not_exist_is_refused() {
        let refused = |call| problems(&calling(&json!([call, "payments"])));
        let unknown =
            "services[web].calls[payment]: add it to dependencies, or use the name of a service of this app";
        assert_eq!(refused("payment"), [unknown]);
        assert_eq!(
            refused("web"),
            ["services[web].calls[web]: name another service: a component does not call itself"]
        );
        assert_eq!(refused("payments"), ["services[web].calls[payments]: name it once"]);
    }

    #[test]
    fn two_services_of_one_name_are_refused() {
        let mut app = app(&json!({}));
        app.spec.services.push(app.spec.services[0].clone());
        assert_eq!(problems(&app), ["services[web]: give each component a name of its own"]);
    }

    #[rstest]
    #[case(json!({"image": ""}), "image: set an image here, or one for the whole app")]
    #[case(json!({"port": 65_536}), "port: use a port from 1 to 65535")]
    #[case(json!({"metricsPort": -1}), "metricsPort: use a port from 1 to 65535")]
    #[case(json!({"env": [{"name": "A"}, {"name": "A"}]}), "env[A]: set the variable once")]
    #[case(
        json!({"env": [{"name": "A=B"}]}),
        "env[A=B]: give the variable a name of printable ASCII characters without \"=\""
    )]
    #[case(
        json!({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "a/b"}}}]}),
        "env[A].valueFrom.configMapKeyRef.key: use at most 253 letters, digits, hyphens, underscores and dots, as in config.yaml, and not two dots at the start"
    )]
    #[case(
        json!({"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1core"}}}]}),
        "env[A].valueFrom.resourceFieldRef.divisor: \"1core\" is not a quantity such as 50, 0.5, 500m or 2Gi: write 1"
    )]
    #[case(
        json!({"resources": {"requests": {"disk": "1Gi"}}}),
        "resources.requests.disk: use cpu, memory, ephemeral-storage, hugepages-SIZE or a name with a domain, such as example.com/gpu"
    )]
    #[case(
        json!({"resources": {"requests": {"memory": "9e99"}, "limits": {"memory": "1Ei"}}}),
        "resources.requests.memory: request no more than limits.memory"
    )]
    #[case(
        json!({"env": [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]}),
        "env[A]: set only one of value, valueFrom"
    )]
    #[case(
        json!({"env": [{"name": "A", "valueFrom": {}}]}),
        "env[A].valueFrom: set exactly one of secretKeyRef, configMapKeyRef, fieldRef, resourceFieldRef"
    )]
    #[case(
        json!({"resources": {"requests": {"cpu": "lots"}}}),
        "resources.requests.cpu: \"lots\" is not a quantity such as 50, 0.5, 500m or 2Gi"
    )]
    #[case(
        json!({"resources": {"limits": {"cpu": "-1"}}}),
        "resources.limits.cpu: use an amount that is not negative"
    )]
    #[case(
        json!({"resources": {"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}}),
        "resources.requests.cpu: request no more than limits.cpu"
    )]
    #[case(
        json!({"probes": {"liveness": {}}}),
        "probes.liveness: set exactly one of httpGet, tcpSocket, grpc, exec"
    )]
    #[case(
        json!({"probes": {"liveness": {"tcpSocket": {"port": 0}}}}),
        "probes.liveness.tcpSocket.port: use a port from 1 to 65535"
    )]
    #[case(
        json!({"probes": {"liveness": {"tcpSocket": {}, "period": "0s"}}}),
        "probes.liveness.period: use whole seconds, from 1s to 1h"
    )]
    #[case(
        json!({"probes": {"liveness": {"tcpSocket": {}, "timeout": "1500ms"}}}),
        "probes.liveness.timeout: use whole seconds, from 1s to 1h"
    )]
    #[case(
        json!({"probes": {"liveness": {"tcpSocket": {}, "initialDelay": "-1s"}}}),
        "probes.liveness.initialDelay: \"-1s\" is not a duration such as 300ms, 30s or 1h30m"
    )]
    #[case(
        json!({"probes": {"liveness": {"tcpSocket": {}, "failureThreshold": 0}}}),
        "probes.liveness.failureThreshold: use 1 to 1000 failures"
    )]
    #[case(
        json!({"rollout": {"rolling": {"maxSurge": "0%"}}}),
        "rollout.rolling: raise maxSurge or maxUnavailable above 0, or no pod could ever be replaced"
    )]
    #[case(
        json!({"rollout": {"rolling": {"maxUnavailable": "half"}}}),
        "rollout.rolling.maxUnavailable: \"half\" is neither a number such as 2 nor a percentage such as 25%"
    )]
    #[case(
        json!({"resources": {"requests": {"memory": "32MB"}}}),
        "resources.requests.memory: \"32MB\" is not a quantity such as 50, 0.5, 500m or 2Gi: write 32M"
    )]
    #[case(
        json!({"rollout": {"rolling": {"maxSurge": "150%"}}}),
        "rollout.rolling.maxSurge: use 0 to 1000 pods, or 0% to 100% of them"
    )]
    #[case(
        json!({"rollout": {"rolling": {"maxUnavailable": -1}}}),
        "rollout.rolling.maxUnavailable: use 0 to 1000 pods, or 0% to 100% of them"
    )]
    fn what_a_service_must_change_is_said_in_one_sentence(#[case] service: Value, #[case] sentence: &str) {
        assert_eq!(problems(&app(&service)), [format!("services[web].{sentence}")]);
    }

    #[rstest]
    #[case(
        json!({"minReplicas": 0, "maxReplicas": 0}),
        &[
            "minReplicas: use at least 1: a service at zero replicas could not answer the request that should wake it",
            "maxReplicas: use no less than minReplicas",
        ]
    )]
    #[case(json!({"minReplicas": 10_001, "maxReplicas": 10_001}), &["maxReplicas: use at most 10000"])]
    #[case(
        json!({"maxReplicas": 3}),
        &["metrics: add a metric, or make minReplicas and maxReplicas equal for a fixed number of replicas"]
    )]
    #[case(
        json!({"maxReplicas": 3, "metrics": [{"name": "p99", "latency": {"quantile": "0.99", "target": "1s"}}]}),
        &["metrics: add requestRate, cpu, memory or prometheus: latency only scales up"]
    )]
    #[case(
        json!({"maxReplicas": 3, "schedules": [
            {"name": "day", "timeZone": "Europe/Zurch", "from": "0 8 * *", "to": "0 0 30 2 *", "minReplicas": 0},
            {"name": "day", "timeZone": "UTC", "from": "0 8 * * *", "to": "0 8 * * *", "minReplicas": 9},
        ]}),
        &[
            "schedules[day].minReplicas: use 1 to 10000",
            "schedules[day].timeZone: \"Europe/Zurch\" is not an IANA time zone such as Europe/Zurich or UTC",
            "schedules[day].from: \"0 8 * *\" is not five cron fields (minute, hour, day of month, month, day of week) such as \"0 8 * * 1-5\"",
            "schedules[day].to: \"0 0 30 2 *\" never occurs: name a day that the month has",
            "schedules[day]: give each schedule a name of its own",
            "schedules[day]: let to come at another time than from: a schedule that ends when it begins never takes effect",
        ]
    )]
    #[case(
        json!({
            "maxReplicas": 3,
            "metrics": [{"name": "cpu", "cpu": {"averageValue": 1}}],
            "forecast": {"horizon": "1h", "season": "168h"},
        }),
        &[
            "forecast: add a requestRate or prometheus metric: only a load that does not depend on the number of replicas can be predicted",
            "forecast.horizon: use 10s to 30m: longer than pods take to start, and no longer than a trend lasts",
            "forecast.season: use 1h to 24h in whole minutes: Prometheus must keep three of them",
        ]
    )]
    #[case(
        json!({
            "maxReplicas": 3,
            "metrics": [{"name": "cpu", "cpu": {"averageValue": 1}}],
            "fallback": {"after": "5s", "replicas": 4},
        }),
        &[
            "fallback.replicas: use 1 to maxReplicas",
            "fallback.after: use 30s to 24h: shorter is what a restart of Prometheus takes",
        ]
    )]
    #[case(
        json!({"maxReplicas": 1, "behavior": {"scaleUp": {"stabilizationWindowSeconds": 3601}}}),
        &["behavior.scaleUp.stabilizationWindowSeconds: use 0 to 3600 seconds"]
    )]
    #[case(
        json!({"maxReplicas": 1, "behavior": {"scaleDown": {"policies": []}}}),
        &["behavior.scaleDown.policies: add a policy, or leave policies out for the default ones"]
    )]
    #[case(
        json!({"maxReplicas": 1, "behavior": {"scaleDown": {
            "policies": [{"type": "Pods", "value": 0, "periodSeconds": 1801}],
        }}}),
        &[
            "behavior.scaleDown.policies[0].value: use 1 to 100000",
            "behavior.scaleDown.policies[0].periodSeconds: use 1 to 1800 seconds",
        ]
    )]
    #[case(
        json!({"maxReplicas": 1, "behavior": {"scaleUp": {"tolerance": "-0.1"}}}),
        &["behavior.scaleUp.tolerance: use a tolerance that is not negative"]
    )]
    fn what_scaling_must_change_is_said_in_one_sentence(#[case] scaling: Value, #[case] sentences: &[&str]) {
        let sentences: Vec<String> =
            sentences.iter().map(|sentence| format!("services[web].scaling.{sentence}")).collect();
        assert_eq!(problems(&app(&json!({"scaling": scaling}))), sentences);
    }

    #[rstest]
    #[case(
        json!({}),
        ": set exactly one of requestRate, latency, cpu, memory, prometheus"
    )]
    #[case(json!({"requestRate": {"perReplica": "0e3"}}), ".requestRate.perReplica: use a quantity above 0")]
    #[case(
        json!({"requestRate": {"perReplica": "999u"}}),
        ".requestRate.perReplica: use at least 0.001: smaller quantities are not distinguished"
    )]
    #[case(
        json!({"requestRate": {"perReplica": "5/s"}}),
        ".requestRate.perReplica: \"5/s\" is not a quantity such as 50, 0.5, 500m or 2Gi: write 5"
    )]
    #[case(
        json!({"latency": {"quantile": "1", "target": "1s"}}),
        ".latency.quantile: use a quantile between 0 and 1, for example \"0.99\""
    )]
    #[case(
        json!({"latency": {"quantile": "0.5", "target": "0s"}}),
        ".latency.target: use a latency longer than 0s and of at most 1h"
    )]
    #[case(
        json!({"memory": {"utilization": 50, "averageValue": "1Mi"}}),
        ".memory: set exactly one of utilization, averageValue"
    )]
    #[case(
        json!({"memory": {"utilization": 50}}),
        ".memory.utilization: set the component's resources.requests.memory: utilization is a percentage of the request"
    )]
    #[case(
        json!({"prometheus": {"query": " ", "perReplica": 1}}),
        ".prometheus.query: write a query in PromQL"
    )]
    fn what_a_metric_must_change_is_said_in_one_sentence(#[case] metric: Value, #[case] sentence: &str) {
        let mut metric = metric;
        metric["name"] = json!("it");
        assert_eq!(problems(&with_metric(&metric)), [format!("services[web].scaling.metrics[it]{sentence}")]);
    }

    #[test]
    fn no_more_problems_are_named_than_a_condition_has_room_for() {
        let problems = problems(&with_template(&json!({"volumes": vec![json!({}); 4000]})));
        let others = format!("and {} more problems", 4000 - (problems.len() - 1));
        assert_eq!(problems.last(), Some(&others));
        assert!(problems.len() > 10 && problems.join("; ").len() < 950, "{problems:?}");
    }

    #[test]
    fn a_template_of_many_values_is_refused_before_they_are_looked_at() {
        let sentence =
            "services: write at most 5000 values in the podTemplates of all components together, not 40002";
        let problems = problems(&with_template(&json!({"volumes": vec![json!({"a": 1}); 20_000]})));
        assert_eq!(problems, [format!("{sentence}: move files to a ConfigMap")]);
    }

    #[test]
    fn a_target_that_is_never_reached_is_taken() {
        for text in ["1Ei", "9e99", "1000u"] {
            let rate = with_metric(&json!({"name": "rps", "requestRate": {"perReplica": text}}));
            assert_eq!(problems(&rate), Vec::<String>::new(), "{text}");
            let memory = with_metric(&json!({"name": "memory", "memory": {"averageValue": text}}));
            let resolved = resolve(&memory).expect("an app");
            assert_eq!(problems(&memory), Vec::<String>::new(), "{text}");
            let Target::Memory(PodTarget::AverageValue(usage)) =
                resolved.components[0].declared.metrics()[1].target
            else {
                panic!("another target")
            };
            assert!(usage.checked_mul(1000).is_some(), "a thousand pods use it: {text}");
        }
    }

    #[test]
    fn what_a_user_wrote_is_told_without_control_characters() {
        let app = with_template(&json!({"nodeSelector": {"\u{1b}[2J\u{202e}": true}, "\nhostNetwork": true}));
        let said = problems(&app).join("; ");
        assert!(said.contains(r"nodeSelector[\u{1b}[2J\u{202e}]"), "{said}");
        assert!(!said.contains(char::is_control), "{said}");
    }

    #[test]
    fn a_label_that_an_api_server_would_refuse_is_told_with_the_users_path() {
        let metadata =
            json!({"labels": {"my team": "a", "team": "a b"}, "annotations": {"a b": "any thing"}});
        let paths: Vec<String> = found(&app(&json!({"podTemplate": {"metadata": metadata}})))
            .into_iter()
            .map(|problem| problem.path)
            .collect();
        let expected = ["annotations[a b]", "labels[my team]", "labels[team]"];
        assert_eq!(paths, expected.map(|path| format!("services[web].podTemplate.metadata.{path}")));
    }

    #[test]
    fn metrics_that_are_scraped_need_a_port_to_scrape() {
        let mut app = with_metric(&json!({"name": "rps", "requestRate": {"perReplica": 1}}));
        app.spec.services[0].metrics_port = None;
        let sentence =
            "set the component's metricsPort to the port that serves /metrics: the value is read there";
        assert_eq!(problems(&app), [format!("services[web].scaling.metrics[rps].requestRate: {sentence}")]);
    }

    #[rstest]
    #[case(
        json!({"serviceAccountName": "admin"}),
        "serviceAccountName: remove it: the pods run as a ServiceAccount of the component's own, to which roles can be bound"
    )]
    #[case(
        json!({"automountServiceAccountToken": true}),
        "automountServiceAccountToken: remove it: pods get no token by default; mount one with a projected volume where it is needed"
    )]
    #[case(
        json!({"restartPolicy": "Never"}),
        "restartPolicy: remove it: the containers of a service are always restarted"
    )]
    #[case(
        json!({"terminationGracePeriodSeconds": 5}),
        "terminationGracePeriodSeconds: use 6 to 3600 seconds: a pod waits for 5 before its stop signal"
    )]
    #[case(json!({"containers": {}}), "containers: write containers as a list")]
    #[case(json!({"containers": [{"image": "x"}]}), "containers[0]: give it a name")]
    #[case(json!({"volumes": [{"name": "a"}, {"name": "a"}]}), "volumes[a]: give it a name of its own")]
    #[case(
        json!({"volumes": [{"name": "a"}], "containers": [{"name": "web", "volumeMounts": [{"name": "b", "mountPath": "/b"}]}]}),
        "containers[web].volumeMounts[/b].name: add a volume of this name to podTemplate.spec.volumes"
    )]
    #[case(
        json!({"containers": [{"name": "web", "image": "x"}]}),
        "containers[web].image: set the service's image instead"
    )]
    #[case(
        json!({"containers": [{"name": "web", "ports": []}]}),
        "containers[web].ports: set the service's port and metricsPort instead"
    )]
    #[case(
        json!({"containers": [{"name": "proxy", "ports": [{"name": "metrics", "containerPort": 9901}]}]}),
        "containers[proxy].ports: give the port metrics another name: the component's own ports have this one"
    )]
    #[case(
        json!({"containers": [{"name": "web", "livenessProbe": {}}]}),
        "containers[web].livenessProbe: set the service's probes.liveness instead"
    )]
    #[case(
        json!({"containers": [{"name": "web", "lifecycle": {"preStop": {}}}]}),
        "containers[web].lifecycle.preStop: remove it: the operator keeps a stopping container serving until no request is sent to it"
    )]
    fn a_pod_field_that_the_operator_owns_is_refused_by_name(#[case] spec: Value, #[case] sentence: &str) {
        assert_eq!(problems(&with_template(&spec)), [format!("services[web].podTemplate.spec.{sentence}")]);
    }

    #[rstest]
    #[case(json!({"containers": []}), "containers: move containers under podTemplate.spec or podTemplate.metadata")]
    #[case(
        json!({"metadata": {"namespace": "other"}}),
        "metadata.namespace: remove it: pods are named by the operator and run in the app's namespace"
    )]
    #[case(
        json!({"metadata": {"labels": {"scalableapp.dev/revision": "1"}}}),
        "metadata.labels[scalableapp.dev/revision]: remove it: the operator sets it"
    )]
    #[case(
        json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "1"}}}),
        "metadata.labels[app.kubernetes.io/part-of]: remove it: the operator sets it"
    )]
    #[case(
        json!({"metadata": {"annotations": {"scalableapp.dev/metrics-port": "1"}}}),
        "metadata.annotations[scalableapp.dev/metrics-port]: remove it: the operator sets it"
    )]
    #[case(
        json!({"metadata": {"labels": {"version": 2}}}),
        "metadata.labels[version]: put the value in quotes: it must be a string"
    )]
    #[case(json!({"spec": []}), "spec: write spec as an object")]
    fn metadata_that_the_operator_owns_is_refused_by_name(#[case] template: Value, #[case] sentence: &str) {
        let app = app(&json!({"podTemplate": template}));
        assert_eq!(problems(&app), [format!("services[web].podTemplate.{sentence}")]);
    }

    #[rstest]
    #[case(json!({"hostNetwork": true}), "hostNetwork")]
    #[case(json!({"hostPID": true}), "hostPID")]
    #[case(json!({"hostIPC": true}), "hostIPC")]
    #[case(json!({"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}), "volumes[a].hostPath")]
    #[case(
        json!({"containers": [{"name": "a", "ports": [{"containerPort": 1, "hostPort": 1}]}]}),
        "containers[a].ports[0].hostPort"
    )]
    fn what_reaches_the_host_is_refused(#[case] spec: Value, #[case] path: &str) {
        let problems = found(&with_template(&spec));
        assert_eq!(problems[0].path, format!("services[web].podTemplate.spec.{path}"));
    }

    #[rstest]
    #[case("privileged", json!(true))]
    #[case("allowPrivilegeEscalation", json!(true))]
    #[case("runAsNonRoot", json!(false))]
    #[case("runAsUser", json!(0))]
    #[case("procMount", json!("Unmasked"))]
    #[case("seccompProfile", json!({"type": "Unconfined"}))]
    #[case("appArmorProfile", json!({"type": "Unconfined"}))]
    #[case("seLinuxOptions", json!({"type": "spc_t"}))]
    #[case("seLinuxOptions", json!({"user": "root"}))]
    #[case("windowsOptions", json!({"hostProcess": true}))]
    #[case("sysctls", json!([{"name": "kernel.msgmax", "value": "1"}]))]
    #[case("capabilities", json!({"add": ["NET_ADMIN"]}))]
    #[case("capabilities", json!({"drop": ["KILL"]}))]
    fn a_security_context_that_loosens_the_restricted_standard_is_refused(
        #[case] field: &str,
        #[case] value: Value,
    ) {
        let context = json!({field: value});
        for (spec, path) in [
            (json!({"securityContext": context}), "securityContext"),
            (
                json!({"containers": [{"name": "web", "securityContext": context}]}),
                "containers[web].securityContext",
            ),
            (
                json!({"initContainers": [{"name": "a", "securityContext": context}]}),
                "initContainers[a].securityContext",
            ),
        ] {
            let problems = found(&with_template(&spec));
            assert_eq!(problems[0].path, format!("services[web].podTemplate.spec.{path}.{field}"));
        }
    }

    #[test]
    fn what_the_restricted_standard_allows_passes() {
        let app = with_template(&json!({
            "hostNetwork": false,
            "terminationGracePeriodSeconds": 3600,
            "fromTomorrow": {"any": "thing"},
            "securityContext": {
                "runAsUser": 1000,
                "seccompProfile": {"type": "Localhost", "localhostProfile": "strict.json"},
                "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"}],
            },
            "containers": [{"name": "web", "envFrom": [], "lifecycle": {"postStart": {"sleep": {"seconds": 1}}},
                "securityContext": {"readOnlyRootFilesystem": false, "capabilities": {"add": ["NET_BIND_SERVICE"]}}}],
            "volumes": [{"name": "a", "configMap": {"name": "a"}}, {"name": "b", "secret": {"secretName": "b"}}],
        }));
        assert_eq!(problems(&app), Vec::<String>::new());
    }
}
