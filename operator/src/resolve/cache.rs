//! What only a cache declares: its server, its memory and its shards. Pure.

use super::app::{Cache, Pod, UsedCache};
use super::declaration::{self, Declaration};
use super::invalid::Problems;
use super::path::Path;
use super::pod_template::list;
use super::probe::{Action, Probe, Probes};
use super::scaling::Scaling;
use super::syntax::Syntax;
use scalableapp_crds::{self as api, CacheEngine, Eviction, Quantity, Resources};
use scalableapp_engine::hpa::behavior::{Behavior, Limit, Policy};
use scalableapp_engine::hpa::signal::PodTarget;
use scalableapp_engine::propose::metric::{Metric, Target};
use scalableapp_engine::stack::{self, Workload};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Port of a shard.
pub const PORT: i32 = 6379;
/// Folder of the certificate in a shard.
pub const TLS_FOLDER: &str = "/etc/scalableapp/tls";
/// Port of the exporter's `/metrics`.
pub const METRICS_PORT: i32 = 9121;

const VALKEY_IMAGE: &str = "docker.io/valkey/valkey:8";
const REDIS_IMAGE: &str = "docker.io/library/redis:7.4";
const EXPORTER_IMAGE: &str = "docker.io/oliver006/redis_exporter:v1.88.0";

/// CPU request of a shard.
const CPU: &str = "250m";
/// Target of the CPU, in percent of the requests.
const CPU_UTILIZATION: i32 = 70;

const MIB: i64 = 1 << 20;
/// Memory of a shard in bytes: below, the server itself is most of it.
const MEMORY: RangeInclusive<i64> = (32 * MIB)..=(1 << 40);
const SHARDS: RangeInclusive<i32> = 1..=100;
const CLIENTS: RangeInclusive<i32> = 1..=65_000;
const UTILIZATION: RangeInclusive<i32> = 1..=10_000;

/// Fields of the shard's and the exporter's container that the operator sets.
const OWNED: [&str; 10] = [
    "image",
    "command",
    "args",
    "env",
    "envFrom",
    "ports",
    "resources",
    "readinessProbe",
    "livenessProbe",
    "startupProbe",
];

/// The part of the declaration that a cache shares with other components.
pub(super) fn declaration(written: &api::Cache) -> Declaration<'_> {
    let default_image = match written.redis.engine.unwrap_or_default() {
        CacheEngine::Valkey => VALKEY_IMAGE,
        CacheEngine::Redis => REDIS_IMAGE,
    };
    Declaration {
        name: &written.name,
        image: Some(written.redis.image.as_deref().unwrap_or(default_image)),
        command: &[],
        args: &[],
        env: &[],
        port: Some(PORT),
        metrics_port: Some(METRICS_PORT),
        resources: None,
        probes: None,
        pod_template: None,
    }
}

/// The pods of the shards, with their problems.
pub(super) fn pod(
    written: &api::Cache,
    declaration: Declaration<'_>,
    path: Path<'_>,
    problems: &mut Problems,
) -> Pod {
    let redis = &written.redis;
    let at = Path::Field(&path, "redis");
    let cpu = redis.cpu.clone().unwrap_or_else(|| Quantity(CPU.to_owned()));
    check_cpu(&cpu, Path::Field(&at, "cpu"), problems);
    let cache = cache(redis, at, problems);
    let template = written.pod_template.as_ref().map(|template| {
        let at = Path::Field(&path, "podTemplate");
        // Neither container has fields of its own to use instead, so none is told apart here.
        let template = declaration::template(template, "", at, problems);
        check_containers(&template, &written.name, at, problems);
        template
    });
    let (engine, has_tls) = (cache.engine, cache.tls.is_some());
    Pod {
        resources: resources(cpu, &redis.memory),
        probes: probes(engine, has_tls),
        cache: Some(cache),
        template: template.unwrap_or_default().into(),
        ..declaration.pod(None, None, at, problems)
    }
}

fn cache(redis: &api::Redis, path: Path<'_>, problems: &mut Problems) -> Cache {
    let exporter_image = redis.exporter_image.as_deref().unwrap_or(EXPORTER_IMAGE);
    if exporter_image.trim().is_empty() {
        problems.refuse(Path::Field(&path, "exporterImage"), "set an image, or leave it out for the default");
    }
    let eviction = redis.eviction.unwrap_or_default();
    if eviction == Eviction::Noeviction {
        let sentence =
            "use another policy than noeviction: a cache that refuses writes when it is full is a queue";
        problems.refuse(Path::Field(&path, "eviction"), sentence);
    }
    if redis.max_clients.is_some_and(|clients| !CLIENTS.contains(&clients)) {
        problems.refuse(Path::Field(&path, "maxClients"), "use 1 to 65000 clients");
    }
    let memory = bytes(&redis.memory, Path::Field(&path, "memory"), problems).unwrap_or(*MEMORY.start());
    let at = Path::Field(&path, "maxMemory");
    let max_memory = redis.max_memory.as_ref().and_then(|max| bytes(max, at, problems)).unwrap_or(memory);
    if max_memory < memory {
        problems.refuse(at, "use no less than memory");
    }
    Cache {
        engine: redis.engine.unwrap_or_default(),
        exporter_image: exporter_image.to_owned(),
        memory,
        max_memory,
        eviction,
        max_clients: redis.max_clients,
        tls: tls(redis, path, problems),
    }
}

/// A cache as its consumers see it.
pub(super) fn used(written: &api::Cache) -> UsedCache {
    let tls = written.redis.tls.as_ref().map(|tls| tls.secret_ref.name.clone());
    UsedCache { name: written.name.clone(), tls }
}

/// The Secret with the certificate.
fn tls(redis: &api::Redis, path: Path<'_>, problems: &mut Problems) -> Option<String> {
    let name = &redis.tls.as_ref()?.secret_ref.name;
    let at = Path::Field(&path, "tls");
    let at = Path::Field(&at, "secretRef");
    Syntax::DnsSubdomain.check(name, Path::Field(&at, "name"), problems);
    Some(name.clone())
}

/// Bytes of a shard.
fn bytes(written: &Quantity, path: Path<'_>, problems: &mut Problems) -> Option<i64> {
    match written.milli().map(|milli| milli / 1000) {
        Ok(bytes) if MEMORY.contains(&bytes) => return Some(bytes),
        Ok(_) => problems.refuse(path, "use 32Mi to 1Ti, for example 512Mi"),
        Err(invalid) => problems.refuse(path, invalid.to_string()),
    }
    None
}

fn check_cpu(cpu: &Quantity, path: Path<'_>, problems: &mut Problems) {
    match cpu.milli() {
        Ok(milli) if milli > 0 => {}
        Ok(_) => problems.refuse(path, "use more than 0, for example 500m"),
        Err(invalid) => problems.refuse(path, invalid.to_string()),
    }
}

/// Memory is a limit, because data is evicted before it; CPU is none, because a shard that is throttled answers late.
fn resources(cpu: Quantity, memory: &Quantity) -> Resources {
    let memory = ("memory".to_owned(), memory.clone());
    Resources {
        requests: BTreeMap::from([("cpu".to_owned(), cpu), memory.clone()]),
        limits: BTreeMap::from([memory]),
    }
}

/// A shard is ready when it answers: `PONG` is compared, because the client succeeds with an error as its answer, too. A
/// shard that is busy with a long command is alive, and one that has not answered for three minutes hangs.
fn probes(engine: CacheEngine, has_tls: bool) -> Probes {
    let name = engine.name();
    let tls = if has_tls { format!(" --tls --cacert {TLS_FOLDER}/ca.crt") } else { String::new() };
    let answers = format!("test \"$({name}-cli{tls} -p {PORT} ping)\" = PONG");
    let ping = Action::Exec { command: ["sh", "-c", &answers].map(str::to_owned).to_vec() };
    let probe = |action: &Action, period_seconds, failure_threshold| Probe {
        action: action.clone(),
        initial_delay_seconds: 0,
        period_seconds,
        timeout_seconds: 5,
        failure_threshold,
    };
    Probes {
        readiness: Some(probe(&ping, 10, 3)),
        liveness: Some(probe(&ping, 10, 18)),
        startup: Some(probe(&ping, 2, 60)),
    }
}

/// Refuses fields of both containers that the operator sets.
fn check_containers(template: &Map<String, Value>, name: &str, path: Path<'_>, problems: &mut Problems) {
    let Some(spec) = template.get("spec").and_then(Value::as_object) else { return };
    let spec_path = Path::Field(&path, "spec");
    let containers = Path::Field(&spec_path, "containers");
    let names = [name.to_owned(), exporter(name)];
    for container in list(spec, "containers") {
        let own = container.get("name").and_then(Value::as_str).unwrap_or_default();
        if !names.iter().any(|name| name == own) {
            continue;
        }
        let container_path = Path::Item(&containers, own);
        for field in OWNED.into_iter().filter(|field| container.get(field).is_some()) {
            let sentence = "remove it: the operator sets it from the fields of redis";
            problems.refuse(Path::Field(&container_path, field), sentence);
        }
    }
}

/// Name of the exporter's container: no component can have it, because it is beside one.
#[must_use]
pub fn exporter(component: &str) -> String {
    format!("{component}-exporter")
}

/// The number of shards, and what decides it.
pub(super) fn scaling(written: &api::Cache, path: Path<'_>, problems: &mut Problems) -> Scaling {
    let path = Path::Field(&path, "redis");
    let (min_replicas, max_replicas) = written.replica_bounds();
    let shards = Path::Field(&path, "shards");
    for (name, shards_of) in [("min", min_replicas), ("max", max_replicas)] {
        if !SHARDS.contains(&shards_of) {
            problems.refuse(Path::Field(&shards, name), "use 1 to 100 shards");
        }
    }
    if max_replicas < min_replicas {
        problems.refuse(Path::Field(&shards, "max"), "use no less than min");
    }
    let target = written.redis.target.and_then(|target| target.cpu_utilization).unwrap_or(CPU_UTILIZATION);
    if !UTILIZATION.contains(&target) {
        let target = Path::Field(&path, "target");
        problems.refuse(Path::Field(&target, "cpuUtilization"), "use 1 to 10000 percent");
    }
    let targets = [("cpu", Target::Cpu(PodTarget::Utilization(target))), ("evictions", Target::Evictions)];
    let metrics = targets.map(|(name, target)| Metric { name: name.to_owned(), target });
    let max_memory =
        written.redis.max_memory.as_ref().and_then(|max| max.milli().ok()).map(|milli| milli / 1000);
    let is_fixed = min_replicas == max_replicas && max_memory.is_none();
    let metrics = if is_fixed { Vec::new() } else { metrics.to_vec() };
    Scaling {
        min_replicas,
        max_replicas,
        workload: Workload::Cache(stack::Cache { metrics, max_memory }),
        queries: BTreeMap::new(),
        behavior: behavior(),
        schedules: Vec::new(),
        fallback: None,
    }
}

/// One shard more or less in five minutes: each change makes its share of the keys miss once, and its effect is seen
/// only when they are back.
fn behavior() -> Behavior {
    let mut behavior = Behavior::default();
    let policies = vec![Policy { limit: Limit::Pods(1), period_seconds: 300 }];
    behavior.scale_up.policies.clone_from(&policies);
    behavior.scale_down.policies = policies;
    behavior
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::resolve;
    use rstest::rstest;
    use serde_json::json;

    /// The problems of a cache whose `redis` has these fields beside its shards and memory.
    fn problems(redis: &Value, template: &Value) -> Vec<String> {
        let mut cache = json!({"shards": {"min": 1, "max": 3}, "memory": "100Mi"});
        for (field, value) in redis.as_object().into_iter().flatten() {
            cache[field] = value.clone();
        }
        let app = json!({"metadata": {"name": "shop", "namespace": "shop", "uid": "1"}, "spec": {
            "services": [{"name": "web", "image": "shop:1", "port": 8080}],
            "caches": [{"name": "hot", "redis": cache, "podTemplate": template}],
        }});
        let app = resolve(&serde_json::from_value(app).expect("an app")).expect("no problem of the app");
        app.problems().map(ToString::to_string).collect()
    }

    #[rstest]
    #[case(json!({"shards": {"min": 0, "max": 3}}), "shards.min: use 1 to 100 shards")]
    #[case(json!({"shards": {"min": 1, "max": 101}}), "shards.max: use 1 to 100 shards")]
    #[case(json!({"shards": {"min": 3, "max": 2}}), "shards.max: use no less than min")]
    #[case(json!({"memory": "31Mi"}), "memory: use 32Mi to 1Ti, for example 512Mi")]
    #[case(json!({"memory": "2Ti"}), "memory: use 32Mi to 1Ti, for example 512Mi")]
    #[case(json!({"memory": "512MB"}), "memory: \"512MB\" is not a quantity such as 50, 0.5, 500m or 2Gi: write 512M")]
    #[case(json!({"tls": {"secretRef": {"name": "Shop"}}}), "tls.secretRef.name: use at most 253 lower case letters, digits, hyphens and dots, with a letter or digit at both ends and beside each dot")]
    #[case(json!({"maxMemory": "99Mi"}), "maxMemory: use no less than memory")]
    #[case(json!({"maxMemory": "2Ti"}), "maxMemory: use 32Mi to 1Ti, for example 512Mi")]
    #[case(json!({"cpu": "0"}), "cpu: use more than 0, for example 500m")]
    #[case(json!({"eviction": "noeviction"}), "eviction: use another policy than noeviction: a cache that refuses writes when it is full is a queue")]
    #[case(json!({"maxClients": 0}), "maxClients: use 1 to 65000 clients")]
    #[case(json!({"target": {"cpuUtilization": 0}}), "target.cpuUtilization: use 1 to 10000 percent")]
    #[case(json!({"exporterImage": " "}), "exporterImage: set an image, or leave it out for the default")]
    #[case(json!({"image": " "}), "image: set an image here, or one for the whole app")]
    fn a_field_that_cannot_be_done_is_refused_in_words(#[case] redis: Value, #[case] expected: &str) {
        assert_eq!(problems(&redis, &json!({})), [format!("caches[hot].redis.{expected}")]);
    }

    #[test]
    fn a_field_of_the_template_that_the_operator_sets_is_refused() {
        for name in ["hot", "hot-exporter"] {
            for field in OWNED {
                let value = match field {
                    "image" => json!("a"),
                    "resources" | "readinessProbe" | "livenessProbe" | "startupProbe" => json!({}),
                    _ => json!([]),
                };
                let template = json!({"spec": {"containers": [{"name": name, field: value}]}});
                let path = format!("caches[hot].podTemplate.spec.containers[{name}].{field}");
                let expected = format!("{path}: remove it: the operator sets it from the fields of redis");
                assert!(problems(&json!({}), &template).contains(&expected), "{path}");
            }
        }
        let volumes = json!({"spec": {"volumes": [{"name": "scalableapp-data", "emptyDir": {}}]}});
        let expected = "caches[hot].podTemplate.spec.volumes[scalableapp-data]: give the volume a name that does not begin with scalableapp-";
        assert_eq!(problems(&json!({}), &volumes), [expected]);
    }

    #[test]
    fn what_kubernetes_schedules_by_reaches_the_shards() {
        let template = json!({"spec": {"nodeSelector": {"disk": "none"}, "containers": [
            {"name": "hot", "securityContext": {"runAsUser": 1001}},
        ]}});
        assert_eq!(problems(&json!({}), &template), Vec::<String>::new());
    }
}
