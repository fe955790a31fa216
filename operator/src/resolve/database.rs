//! The pods of read replicas that the operator clones from a primary. Pure.

use super::app::Pod;
use super::declaration::Declaration;
use super::invalid::Problems;
use super::metric::above_zero;
use super::path::Path;
use super::pod_template::list;
use super::probe::{Action, Probe, Probes};
use super::provider::uri_key;
use super::scaling::Scaling;
use super::syntax::Syntax;
use crate::names;
use scalableapp_crds as api;
use scalableapp_engine::hpa::behavior::Behavior;
use scalableapp_engine::hpa::signal::PodTarget;
use scalableapp_engine::propose::metric::{Metric, Target};
use scalableapp_engine::stack::{ReadReplicas, Workload};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Port of PostgreSQL.
pub const POSTGRES: i32 = 5432;
/// Port on which the exporter serves `/metrics`.
pub const EXPORTER: i32 = 9187;
/// `application_name` of the exporter's sessions, which are not counted.
pub const EXPORTER_SESSION: &str = "scalableapp_exporter";
/// Folder of the script, in the container.
pub const SCRIPT_FOLDER: &str = "/etc/reader";
/// Folder of the primary's Secret, in the container.
pub const SECRET_FOLDER: &str = "/etc/primary";
/// Folder of the Secret of the replicas' certificate, in the container.
pub const TLS_FOLDER: &str = "/etc/tls";
/// Folder of the data volume, in the container.
pub const DATA_FOLDER: &str = "/data";
/// Folder of the server's socket, which no other container may have: whoever comes by it is the superuser.
pub const RUN_FOLDER: &str = "/var/run/postgresql";
/// Volumes of the operator in the pods of read replicas.
pub const VOLUMES: [&str; 6] = ["data", "primary", "run", "script", "tls", "tmp"];

/// Name of the metric of the running queries.
const ACTIVE_QUERIES: &str = "active-queries";
/// The exporter of `activeQueries`.
const EXPORTER_IMAGE: &str = "docker.io/prometheuscommunity/postgres-exporter:v0.19.1";
/// The file that the script keeps while the replica is eligible for reads.
const ELIGIBLE: &str = "/var/run/postgresql/reader/eligible";
/// The file that it keeps once it has found the primary usable.
const CHECKED: &str = "/var/run/postgresql/reader/checked";
/// The most replicas.
const MOST_REPLICAS: i32 = 100;
/// The shortest and the longest lag or drain.
const TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// What only the pods of read replicas have.
#[derive(Clone, Debug, PartialEq)]
pub struct Reader {
    /// Secret of the primary.
    pub secret: String,
    /// Key of its URI.
    pub uri_key: String,
    /// Key of the primary's certificate authority; `None` without a check.
    pub ca_key: Option<String>,
    /// Size of each replica's claim; `None` for an emptyDir.
    pub storage: Option<api::Quantity>,
    /// StorageClass of the claims; `None` for that of the cluster.
    pub storage_class: Option<String>,
    /// Secret of their certificate; `None` without TLS.
    pub tls_secret: Option<String>,
    /// What happens to the claims when the replicas are removed.
    pub storage_policy: api::StoragePolicy,
    /// Image of the exporter; `None` without one.
    pub exporter: Option<String>,
}

impl Reader {
    fn of(primary: &api::Primary, written: &api::ReadReplicas) -> Self {
        let counts = written.target.as_ref().is_some_and(|target| target.active_queries.is_some());
        let default = || counts.then(|| EXPORTER_IMAGE.to_owned());
        Self {
            secret: primary.secret_ref.name.clone(),
            uri_key: uri_key(primary).to_owned(),
            ca_key: primary.ca_key.clone(),
            storage: written.storage.clone(),
            storage_class: written.storage_class.clone(),
            tls_secret: written.tls.as_ref().map(|tls| tls.secret_ref.name.clone()),
            storage_policy: written.storage_policy.unwrap_or_default(),
            exporter: written.exporter_image.clone().or_else(default),
        }
    }

    /// The parts that make the pods. The size of a claim is none of them.
    pub(super) fn inputs(&self) -> Value {
        json!({
            "secret": self.secret,
            "uriKey": self.uri_key,
            "exporter": self.exporter,
            "tlsSecret": self.tls_secret,
            "hasClaim": self.storage.is_some(),
        })
    }
}

/// The variable with host and port of the read Service of a database.
#[must_use]
pub fn read_host(database: &str, app: &str, namespace: &str) -> (String, String) {
    let host = format!("{}.{namespace}.svc:{POSTGRES}", names::component(app, database));
    (variable(database, "READ_HOST"), host)
}

/// A variable of a database.
pub(crate) fn variable(database: &str, what: &str) -> String {
    format!("DATABASE_{}_{what}", database.to_ascii_uppercase().replace('-', "_"))
}

/// The image of PostgreSQL. The app's own is none.
pub(super) fn image<'a>(written: &'a api::ReadReplicas, path: Path<'_>, problems: &mut Problems) -> &'a str {
    if written.image.trim().is_empty() {
        let sentence = "set the image of the primary's major version, for example postgres:17";
        problems.refuse(Path::Field(&path, "image"), sentence);
        return "refused";
    }
    &written.image
}

/// The command and environment of a replica's container.
pub(super) struct Script {
    pub command: [String; 2],
    pub env: Vec<api::EnvVar>,
    /// Port of the exporter, if it runs.
    pub metrics_port: Option<i32>,
    drain_seconds: u32,
    reader: Reader,
}

impl Script {
    pub(super) fn of(
        primary: &api::Primary,
        written: &api::ReadReplicas,
        path: Path<'_>,
        problems: &mut Problems,
    ) -> Self {
        let seconds = |time: Option<&api::GoDuration>, default, path, problems: &mut Problems| {
            time.map_or(default, |time| whole_seconds(time, path, problems))
        };
        let max_lag = seconds(written.max_lag.as_ref(), 5, Path::Field(&path, "maxLag"), problems);
        let drain = Path::Field(&path, "drain");
        let timeout = written.drain.as_ref().map(|drain| &drain.timeout);
        let drain_seconds = seconds(timeout, 30, Path::Field(&drain, "timeout"), problems);
        let reader = Reader::of(primary, written);
        let of = |name: &str, value: String| api::EnvVar {
            name: name.to_owned(),
            value: Some(value),
            value_from: None,
        };
        let field_ref = Some(api::FieldSelector { field_path: "metadata.name".to_owned() });
        let pod_name = api::EnvVarSource { field_ref, ..api::EnvVarSource::default() };
        let mut env = vec![
            of("PRIMARY_SECRET", reader.secret.clone()),
            of("PRIMARY_SECRET_DIR", SECRET_FOLDER.to_owned()),
            of("PGDATA", format!("{DATA_FOLDER}/pgdata")),
            of("MAX_LAG", max_lag.to_string()),
            of("WHEN_PRIMARY_IS_GONE", written.when_primary_is_gone.unwrap_or_default().name().to_owned()),
            of("DRAIN_SECONDS", drain_seconds.to_string()),
            api::EnvVar { name: "APPLICATION_NAME".to_owned(), value: None, value_from: Some(pod_name) },
        ];
        if let Some(key) = &reader.ca_key {
            env.push(of("SSLMODE", "verify-full".to_owned()));
            env.push(of("SSLROOTCERT", format!("{SECRET_FOLDER}/{key}")));
        }
        if let Some(secret) = &reader.tls_secret {
            env.push(of("TLS_SECRET", secret.clone()));
            env.push(of("TLS_DIR", TLS_FOLDER.to_owned()));
        }
        let command = ["bash".to_owned(), format!("{SCRIPT_FOLDER}/reader.sh")];
        let metrics_port = reader.exporter.is_some().then_some(EXPORTER);
        Self { command, env, metrics_port, drain_seconds, reader }
    }

    /// The pods of a replica, with their problems.
    pub(super) fn pod(
        self,
        declaration: Declaration<'_>,
        written: &api::ReadReplicas,
        path: Path<'_>,
        problems: &mut Problems,
    ) -> Pod {
        let pod = declaration.pod(None, Some(self.drain_seconds), path, problems);
        check(written, path, problems);
        // The script waits for the primary for as long as it takes.
        let probes = Probes {
            readiness: Some(exists(ELIGIBLE, 1)),
            liveness: None,
            startup: Some(exists(CHECKED, i32::MAX)),
        };
        Pod { probes, reader: Some(self.reader), ..pod }
    }
}

/// A probe that looks for a file each second.
fn exists(file: &str, failure_threshold: i32) -> Probe {
    let action = Action::Exec { command: ["test", "-e", file].map(str::to_owned).to_vec() };
    Probe { action, initial_delay_seconds: 0, period_seconds: 1, timeout_seconds: 5, failure_threshold }
}

fn check(written: &api::ReadReplicas, path: Path<'_>, problems: &mut Problems) {
    if let Some(storage) = &written.storage {
        above_zero(storage, "storage", path, problems);
    }
    if let Some(class) = &written.storage_class {
        let path = Path::Field(&path, "storageClass");
        Syntax::DnsSubdomain.check(class, path, problems);
        if written.storage.is_none() {
            problems.refuse(path, "set storage, too: a class is that of a claim");
        }
    }
    if written.storage_policy.is_some() && written.storage.is_none() {
        let sentence = "set storage, too: without it there are no claims to keep or delete";
        problems.refuse(Path::Field(&path, "storagePolicy"), sentence);
    }
    if let Some(tls) = &written.tls {
        let path = Path::Field(&path, "tls");
        let path = Path::Field(&path, "secretRef");
        Syntax::DnsSubdomain.check(&tls.secret_ref.name, Path::Field(&path, "name"), problems);
    }
    if written.exporter_image.as_ref().is_some_and(|image| image.trim().is_empty()) {
        problems
            .refuse(Path::Field(&path, "exporterImage"), "set an image, or remove it for the default one");
    }
    let template = written.pod_template.as_ref().map(api::PodTemplate::object).unwrap_or_default();
    let path = Path::Field(&path, "podTemplate");
    let (spec, path) = (template.get("spec").and_then(Value::as_object), Path::Field(&path, "spec"));
    let shared = "shareProcessNamespace";
    if spec.and_then(|spec| spec.get(shared)).is_some_and(|value| *value != false) {
        let sentence = "remove it: a sidecar could read the Secret and the data of the replica";
        problems.refuse(Path::Field(&path, shared), sentence);
    }
    let volumes = Path::Field(&path, "volumes");
    for volume in spec.into_iter().flat_map(|spec| list(spec, "volumes")) {
        let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
        if VOLUMES.contains(&name) {
            let sentence = "give the volume another name: a volume of the operator has this one";
            problems.refuse(Path::Item(&volumes, name), sentence);
        }
    }
}

/// The seconds of a time of 1s to 1h.
fn whole_seconds(written: &api::GoDuration, path: Path<'_>, problems: &mut Problems) -> u32 {
    match written.parse() {
        Ok(time) if TIMES.contains(&time) && time.subsec_nanos() == 0 => {
            return u32::try_from(time.as_secs()).unwrap_or(1);
        }
        Ok(_) => problems.refuse(path, "use whole seconds, from 1s to 1h"),
        Err(invalid) => problems.refuse(path, invalid.to_string()),
    }
    1
}

/// Checks minimum and maximum replicas.
pub(super) fn check_replicas((min, max): (i32, i32), path: Path<'_>, problems: &mut Problems) {
    if !(1..=MOST_REPLICAS).contains(&min) {
        problems.refuse(Path::Field(&path, "min"), format!("use 1 to {MOST_REPLICAS}"));
    }
    if !(min..=MOST_REPLICAS).contains(&max) {
        problems
            .refuse(Path::Field(&path, "max"), format!("use at most {MOST_REPLICAS}, and no less than min"));
    }
}

/// The metric of the running queries.
pub(super) fn running_queries(target: &api::Quantity, path: Path<'_>, problems: &mut Problems) -> Metric {
    let per_replica = above_zero(target, "activeQueries", path, problems);
    Metric { name: ACTIVE_QUERIES.to_owned(), target: Target::Prometheus { per_replica } }
}

/// The scaling of read replicas.
pub(super) fn scaling(written: &api::ReadReplicas, path: Path<'_>, problems: &mut Problems) -> Scaling {
    let (min_replicas, max_replicas) = (written.min, written.max);
    check_replicas((min_replicas, max_replicas), path, problems);
    let metrics = metrics(written, Path::Field(&path, "target"), problems);
    if metrics.is_empty() && min_replicas != max_replicas {
        let sentence =
            "set activeQueries or cpuUtilization, or make min and max equal for a fixed number of replicas";
        problems.refuse(Path::Field(&path, "target"), sentence);
    }
    Scaling {
        min_replicas,
        max_replicas,
        workload: Workload::ReadReplicas(ReadReplicas { metrics }),
        queries: BTreeMap::new(),
        behavior: Behavior::default(),
        schedules: Vec::new(),
        fallback: None,
    }
}

fn metrics(written: &api::ReadReplicas, path: Path<'_>, problems: &mut Problems) -> Vec<Metric> {
    let Some(target) = &written.target else { return Vec::new() };
    let queries = target.active_queries.as_ref().map(|queries| running_queries(queries, path, problems));
    let cpu = target.cpu_utilization.map(|percent| {
        let path = Path::Field(&path, "cpuUtilization");
        if !(1..=10_000).contains(&percent) {
            problems.refuse(path, "use 1 to 10000 percent");
        }
        let is_set = |list: &BTreeMap<String, api::Quantity>| list.contains_key("cpu");
        if !written.resources.as_ref().is_some_and(|one| is_set(&one.requests) || is_set(&one.limits)) {
            problems.refuse(path, "set resources.requests.cpu: utilization is a percentage of the request");
        }
        Metric { name: "cpu".to_owned(), target: Target::Cpu(PodTarget::Utilization(percent)) }
    });
    queries.into_iter().chain(cpu).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::Kind;
    use crate::resolve::app::{App, Component};
    use crate::resolve::invalid::Invalid;
    use crate::resolve::resolve;
    use rstest::rstest;

    /// An app with a service and a database `main` of these read replicas, if any.
    fn written(replicas: &Value) -> api::ScalableApp {
        let mut postgres = json!({"primary": {"secretRef": {"name": "shop-db"}}});
        if let Some(fields) = replicas.as_object() {
            let mut all = json!({"min": 1, "max": 1, "image": "postgres:17"});
            all.as_object_mut().expect("an object").extend(fields.clone());
            postgres["readReplicas"] = all;
        }
        serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "shop", "uid": "1", "generation": 3},
            "spec": {
                "services": [{"name": "web", "image": "shop:1", "port": 8080}],
                "databases": [{"name": "main", "postgres": postgres}],
            },
        }))
        .expect("an app")
    }

    fn resolved(replicas: &Value) -> App {
        let app = resolve(&written(replicas)).unwrap_or_else(|problems| panic!("{problems:?}"));
        assert_eq!(app.problems().next(), None);
        app
    }

    fn problems(app: &api::ScalableApp) -> Vec<String> {
        let found = resolve(app).map_or_else(|problems| problems, |app| app.problems().cloned().collect());
        found.iter().map(Invalid::to_string).collect()
    }

    fn variables_of(component: &Component) -> Vec<&str> {
        component.pod.databases.iter().map(|variable| variable.name.as_str()).collect()
    }

    #[test]
    fn read_replicas_are_decided_as_a_data_tier() {
        let app = resolved(&json!({}));
        let main = app.component("main").expect("a component");
        assert!(matches!(main.declared.workload, Workload::ReadReplicas(_)));
    }

    #[rstest]
    #[case(json!({"min": 0, "max": 0}), "min: use 1 to 100")]
    #[case(json!({"max": 101, "target": {"cpuUtilization": 70}, "resources": {"requests": {"cpu": 1}}}), "max: use at most 100, and no less than min")]
    #[case(json!({"image": " "}), "image: set the image of the primary's major version, for example postgres:17")]
    #[case(json!({"maxLag": "1500ms"}), "maxLag: use whole seconds, from 1s to 1h")]
    #[case(json!({"maxLag": "0s"}), "maxLag: use whole seconds, from 1s to 1h")]
    #[case(json!({"maxLag": "soon"}), "maxLag: \"soon\" is not a duration such as 300ms, 30s or 1h30m")]
    #[case(json!({"drain": {"timeout": "2h"}}), "drain.timeout: use whole seconds, from 1s to 1h")]
    #[case(json!({"storage": "0"}), "storage: use a quantity above 0")]
    #[case(json!({"storage": "20GB"}), "storage: \"20GB\" is not a quantity such as 50, 0.5, 500m or 2Gi: write 20G")]
    #[case(json!({"storageClass": "fast"}), "storageClass: set storage, too: a class is that of a claim")]
    #[case(
        json!({"storagePolicy": "Retain"}),
        "storagePolicy: set storage, too: without it there are no claims to keep or delete"
    )]
    #[case(json!({"exporterImage": ""}), "exporterImage: set an image, or remove it for the default one")]
    #[case(
        json!({"max": 2, "target": {}}),
        "target: set activeQueries or cpuUtilization, or make min and max equal for a fixed number of replicas"
    )]
    #[case(json!({"max": 2, "target": {"activeQueries": 0}}), "target.activeQueries: use a quantity above 0")]
    #[case(
        json!({"max": 2, "target": {"cpuUtilization": 70}}),
        "target.cpuUtilization: set resources.requests.cpu: utilization is a percentage of the request"
    )]
    #[case(
        json!({"podTemplate": {"spec": {"volumes": [{"name": "run", "emptyDir": {}}]}}}),
        "podTemplate.spec.volumes[run]: give the volume another name: a volume of the operator has this one"
    )]
    #[case(
        json!({"podTemplate": {"spec": {"containers": [{"name": "spy", "volumeMounts": [{"name": "run", "mountPath": "/run"}]}]}}}),
        "podTemplate.spec.containers[spy].volumeMounts[/run].name: add a volume of this name to podTemplate.spec.volumes"
    )]
    fn what_read_replicas_must_change_is_said_in_one_sentence(
        #[case] replicas: Value,
        #[case] sentence: &str,
    ) {
        let said = problems(&written(&replicas));
        assert_eq!(said, [format!("databases[main].postgres.readReplicas.{sentence}")]);
    }

    #[test]
    fn a_mistake_in_read_replicas_stops_no_service() {
        let app = resolve(&written(&json!({"maxLag": "0s"}))).expect("an app");
        let valid: Vec<bool> = app.components.iter().map(Component::is_valid).collect();
        assert_eq!(valid, [true, false]);
    }

    #[rstest]
    #[case("/name", "shop/db", "databases[main].postgres.primary.secretRef.name: use at most 253 lower case")]
    #[case("/key", "a/b", "databases[main].postgres.primary.uriKey: use at most 253 letters")]
    #[case("/ca", "a/b", "databases[main].postgres.primary.caKey: use at most 253 letters")]
    fn what_no_secret_can_be_called_is_refused(#[case] field: &str, #[case] text: &str, #[case] start: &str) {
        let mut app = written(&Value::Null);
        let primary = app.spec.databases[0].postgres.primary.as_mut().expect("a primary");
        match field {
            "/name" => text.clone_into(&mut primary.secret_ref.name),
            "/ca" => primary.ca_key = Some(text.to_owned()),
            _ => primary.uri_key = Some(text.to_owned()),
        }
        let said = problems(&app);
        assert!(said.len() == 1 && said[0].starts_with(start), "{said:?}");
    }

    #[test]
    fn a_database_has_a_name_of_its_own() {
        let mut app = written(&json!({}));
        "web".clone_into(&mut app.spec.databases[0].name);
        assert_eq!(problems(&app), ["databases[web]: give each component a name of its own"]);
    }

    #[test]
    fn a_database_without_read_replicas_is_no_component() {
        let app = resolved(&Value::Null);
        assert_eq!(app.components.len(), 1);
        assert_eq!(variables_of(&app.components[0]), ["DATABASE_MAIN_URL"]);
    }

    #[test]
    fn read_replicas_are_a_stateful_set_with_a_script_and_their_address_is_given_to_the_others() {
        let app = resolved(&json!({}));
        let [web, main] = &app.components[..] else { panic!("two components") };
        assert_eq!((main.tier, main.workload_kind()), (api::Tier::Database, Kind::StatefulSet));
        let has: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| main.has(*kind)).collect();
        assert_eq!(has, Kind::ALL.into_iter().filter(|kind| *kind != Kind::Deployment).collect::<Vec<_>>());
        assert_eq!(variables_of(web), ["DATABASE_MAIN_URL", "DATABASE_MAIN_READ_HOST"]);
        assert_eq!(web.pod.databases[1].value.as_deref(), Some("shop-main.shop.svc:5432"));
        assert_eq!(variables_of(main), [""; 0]);
    }

    #[test]
    fn a_variable_that_a_service_sets_itself_is_not_given_to_it() {
        let mut app = written(&json!({}));
        let own = json!([{"name": "DATABASE_MAIN_URL", "value": "postgres://other"}]);
        app.spec.services[0].env = serde_json::from_value(own).expect("variables");
        let app = resolve(&app).expect("no problem");
        assert_eq!(variables_of(&app.components[0]), ["DATABASE_MAIN_READ_HOST"]);
    }

    #[test]
    fn only_what_makes_the_pods_of_read_replicas_makes_a_revision() {
        let of = |replicas: &Value| resolved(replicas).components[1].revision.to_string();
        let base = of(&json!({}));
        for same in [json!({"max": 1}), json!({"maxLag": "5000ms"}), json!({"drain": {"timeout": "30s"}})] {
            assert_eq!(of(&same), base, "{same}");
        }
        let mut others = vec![base];
        for other in [
            json!({"image": "postgres:18"}),
            json!({"maxLag": "6s"}),
            json!({"whenPrimaryIsGone": "fail"}),
            json!({"drain": {"timeout": "31s"}}),
            json!({"storage": "1Gi"}),
            json!({"exporterImage": "exporter:1"}),
            json!({"tls": {"secretRef": {"name": "shop-main-tls"}}}),
            json!({"resources": {"requests": {"cpu": 1}}}),
        ] {
            others.push(of(&other));
        }
        let claim = of(&json!({"storage": "1Gi"}));
        assert_eq!(of(&json!({"storage": "2Gi"})), claim);
        assert_eq!(of(&json!({"storage": "1Gi", "storagePolicy": "Retain"})), claim);
        let count = others.len();
        others.sort();
        others.dedup();
        assert_eq!(others.len(), count);
    }

    #[test]
    fn the_exporter_runs_for_running_queries_or_where_it_is_named() {
        let of = |replicas: &Value| {
            let main = resolved(replicas).components.remove(1);
            (main.pod.metrics_port, main.pod.reader.and_then(|reader| reader.exporter))
        };
        let named = json!({"exporterImage": "exporter:1"});
        let counted = json!({"max": 2, "target": {"activeQueries": 8}});
        assert_eq!(of(&json!({})), (None, None));
        assert_eq!(of(&named), (Some(EXPORTER), Some("exporter:1".to_owned())));
        assert_eq!(of(&counted), (Some(EXPORTER), Some(EXPORTER_IMAGE.to_owned())));
    }
}
