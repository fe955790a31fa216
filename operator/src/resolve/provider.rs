//! Who runs a database, and the variables with its addresses for the other pods of the app. Pure.

use super::database::{self, POSTGRES, variable};
use super::invalid::Problems;
use super::path::Path;
use super::syntax::Syntax;
use scalableapp_crds as api;
use std::collections::{BTreeMap, BTreeSet};

/// Key of a Secret with the URL of a database, if no other is set.
const URI: &str = "uri";

/// Who runs a database and its read replicas.
pub(super) enum Provider<'a> {
    /// Somebody else runs the primary, and the operator the read replicas, if there are any.
    Streaming(&'a api::Primary, Option<&'a api::ReadReplicas>),
    /// Somebody else runs all of it.
    External(&'a api::External),
    /// CloudNativePG runs all of it.
    Cnpg(&'a api::Cnpg),
}

impl<'a> Provider<'a> {
    /// The declared one; `None` unless there is exactly one.
    pub(super) fn of(postgres: &'a api::Postgres) -> Option<Self> {
        let api::Postgres { primary, external, cnpg, read_replicas, max_connections: _ } = postgres;
        match (primary, external, cnpg) {
            (Some(primary), None, None) => Some(Self::Streaming(primary, read_replicas.as_ref())),
            _ if read_replicas.is_some() => None,
            (None, Some(external), None) => Some(Self::External(external)),
            (None, None, Some(cnpg)) => Some(Self::Cnpg(cnpg)),
            _ => None,
        }
    }

    /// The declared one, checked: the other pods of the app depend on it, too. Problems are those of the whole app.
    pub(super) fn checked(
        postgres: &'a api::Postgres,
        path: Path<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let provider = Self::of(postgres);
        let path = Path::Field(&path, "postgres");
        match &provider {
            Some(Self::Streaming(primary, _)) => {
                let path = Path::Field(&path, "primary");
                check(&primary.secret_ref, uri_key(primary), path, problems);
                if let Some(key) = &primary.ca_key {
                    Syntax::DataKey.check(key, Path::Field(&path, "caKey"), problems);
                }
            }
            Some(Self::External(api::External { primary, read_replicas })) => {
                let path = Path::Field(&path, "external");
                let key = |url: &'a api::DatabaseUrl| url.uri_key.as_deref().unwrap_or(URI);
                check(&primary.secret_ref, key(primary), Path::Field(&path, "primary"), problems);
                if let Some(url) = read_replicas {
                    check(&url.secret_ref, key(url), Path::Field(&path, "readReplicas"), problems);
                }
            }
            Some(Self::Cnpg(cnpg)) => {
                let path = Path::Field(&path, "cnpg");
                let path = Path::Field(&path, "clusterRef");
                Syntax::DnsLabel.check(&cnpg.cluster_ref.name, Path::Field(&path, "name"), problems);
            }
            None if postgres.read_replicas.is_some() && postgres.primary.is_none() => {
                let sentence = "set it beside primary only: read replicas are cloned from it";
                problems.refuse(Path::Field(&path, "readReplicas"), sentence);
            }
            None => problems.refuse(path, "set exactly one of primary, external, cnpg"),
        }
        provider
    }
}

/// Checks that each Cluster is scaled by one database of the app.
pub(super) fn check_clusters(databases: &[api::Database], list: Path<'_>, problems: &mut Problems) {
    let mut scaled = BTreeSet::new();
    for database in databases {
        let Some(cnpg) = database.postgres.cnpg.as_ref().filter(|one| one.read_replicas.is_some()) else {
            continue;
        };
        let cluster = cnpg.cluster_ref.name.as_str();
        if !scaled.insert(cluster) {
            let path = Path::Item(&list, &database.name);
            let path = Path::Field(&path, "postgres");
            let path = Path::Field(&path, "cnpg");
            let sentence =
                format!("let one database of the app scale the Cluster {cluster}: remove readReplicas here");
            problems.refuse(Path::Field(&path, "readReplicas"), sentence);
        }
    }
}

fn check(secret: &api::SecretRef, key: &str, path: Path<'_>, problems: &mut Problems) {
    let of_secret = Path::Field(&path, "secretRef");
    Syntax::DnsSubdomain.check(&secret.name, Path::Field(&of_secret, "name"), problems);
    Syntax::DataKey.check(key, Path::Field(&path, "uriKey"), problems);
}

/// Key of the primary's URI.
pub(super) fn uri_key(primary: &api::Primary) -> &str {
    primary.uri_key.as_deref().unwrap_or(URI)
}

/// The variables of every service and worker of an app, for its databases.
pub(super) fn variables(
    databases: &[api::Database],
    app: &str,
    namespace: &str,
    problems: &mut Problems,
) -> Vec<api::EnvVar> {
    let mut variables: Vec<api::EnvVar> = Vec::new();
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for database in databases {
        for variable in of_database(database, app, namespace) {
            match owners.insert(variable.name.clone(), &database.name) {
                None => variables.push(variable),
                Some(other) => {
                    let sentence = format!(
                        "choose another name: {} would be a variable of {other} and of {}",
                        variable.name, database.name
                    );
                    let list = Path::Field(&Path::Root, "databases");
                    problems.refuse(Path::Item(&list, &database.name), sentence);
                }
            }
        }
    }
    variables
}

fn of_database(database: &api::Database, app: &str, namespace: &str) -> Vec<api::EnvVar> {
    let name = database.name.as_str();
    match Provider::of(&database.postgres) {
        Some(Provider::Streaming(primary, replicas)) => {
            let url = of_secret(name, "URL", &primary.secret_ref, Some(uri_key(primary)));
            let host = replicas.map(|_| {
                let (name, host) = database::read_host(name, app, namespace);
                api::EnvVar { name, value: Some(host), value_from: None }
            });
            [url].into_iter().chain(host).collect()
        }
        Some(Provider::External(api::External { primary, read_replicas })) => {
            let of =
                |what, url: &api::DatabaseUrl| of_secret(name, what, &url.secret_ref, url.uri_key.as_deref());
            let replicas = read_replicas.as_ref().map(|url| of("READ_URL", url));
            [of("URL", primary)].into_iter().chain(replicas).collect()
        }
        Some(Provider::Cnpg(api::Cnpg { cluster_ref: api::ClusterRef { name: cluster }, read_replicas })) => {
            let secret = api::SecretRef { name: format!("{cluster}-app") };
            let host = read_replicas.as_ref().map(|_| api::EnvVar {
                name: variable(name, "READ_HOST"),
                value: Some(format!("{cluster}-ro.{namespace}.svc:{POSTGRES}")),
                value_from: None,
            });
            [of_secret(name, "URL", &secret, None)].into_iter().chain(host).collect()
        }
        None => Vec::new(),
    }
}

/// A variable with a URL of a Secret.
fn of_secret(database: &str, what: &str, secret: &api::SecretRef, key: Option<&str>) -> api::EnvVar {
    let (name, key) = (secret.name.clone(), key.unwrap_or(URI).to_owned());
    let secret_key_ref = Some(api::KeySelector { name, key, optional: None });
    let value_from = Some(api::EnvVarSource { secret_key_ref, ..api::EnvVarSource::default() });
    api::EnvVar { name: variable(database, what), value: None, value_from }
}

#[cfg(test)]
mod tests {
    use crate::kinds::Kind;
    use crate::resolve::invalid::Invalid;
    use crate::resolve::resolve;
    use rstest::rstest;
    use scalableapp_crds as api;
    use serde_json::{Value, json};

    /// An app with a service and a database `main` of this provider.
    fn written(postgres: &Value) -> api::ScalableApp {
        serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "shop", "uid": "1", "generation": 3},
            "spec": {
                "services": [{"name": "web", "image": "shop:1", "port": 8080}],
                "databases": [{"name": "main", "postgres": postgres}],
            },
        }))
        .expect("an app")
    }

    fn problems(postgres: &Value) -> Vec<String> {
        let found = resolve(&written(postgres));
        let found = found.map_or_else(|problems| problems, |app| app.problems().cloned().collect());
        found.iter().map(Invalid::to_string).collect()
    }

    #[rstest]
    #[case(json!({}), "databases[main].postgres: set exactly one of primary, external, cnpg")]
    #[case(
        json!({
            "primary": {"secretRef": {"name": "a"}},
            "external": {"primary": {"secretRef": {"name": "a"}}},
        }),
        "databases[main].postgres: set exactly one of primary, external, cnpg"
    )]
    #[case(
        json!({
            "external": {"primary": {"secretRef": {"name": "a"}}},
            "readReplicas": {"min": 1, "max": 1, "image": "postgres:17"},
        }),
        "databases[main].postgres.readReplicas: set it beside primary only: read replicas are cloned from it"
    )]
    #[case(
        json!({"external": {"primary": {"secretRef": {"name": "a"}}, "readReplicas": {"secretRef": {"name": "a"}, "uriKey": "a/b"}}}),
        "databases[main].postgres.external.readReplicas.uriKey: use at most 253 letters, digits, hyphens, underscores and dots, as in config.yaml, and not two dots at the start"
    )]
    fn a_database_without_one_provider_is_refused_in_one_sentence(
        #[case] postgres: Value,
        #[case] said: &str,
    ) {
        assert_eq!(problems(&postgres), [said]);
    }

    #[rstest]
    #[case(json!({"clusterRef": {"name": "Shop"}}), "clusterRef.name: ")]
    #[case(json!({"clusterRef": {"name": "shop"}, "readReplicas": {"min": 0, "max": 0}}), "readReplicas.min: use 1 to 100")]
    #[case(
        json!({"clusterRef": {"name": "shop"}, "readReplicas": {"min": 1, "max": 2}}),
        "readReplicas.target: set activeQueries, or make min and max equal for a fixed number of replicas"
    )]
    #[case(
        json!({"clusterRef": {"name": "shop"}, "readReplicas": {"min": 1, "max": 2, "target": {"activeQueries": 0}}}),
        "readReplicas.target.activeQueries: use a quantity above 0"
    )]
    fn what_a_cluster_must_change_is_said_in_one_sentence(#[case] cnpg: Value, #[case] start: &str) {
        let said = problems(&json!({"cnpg": cnpg}));
        let start = format!("databases[main].postgres.cnpg.{start}");
        assert!(said.len() == 1 && said[0].starts_with(&start), "{said:?}");
    }

    #[test]
    fn a_cluster_that_is_not_scaled_gives_its_url_alone_and_a_scaled_one_is_a_component_without_children() {
        let of = |cnpg: &Value| resolve(&written(&json!({"cnpg": cnpg}))).expect("no problem");
        let app = of(&json!({"clusterRef": {"name": "pg"}}));
        let key = json!({"secretKeyRef": {"name": "pg-app", "key": "uri"}});
        assert_eq!(
            json!(app.components[0].pod.databases),
            json!([{"name": "DATABASE_MAIN_URL", "valueFrom": key}])
        );
        assert_eq!(app.components.len(), 1);
        let app = of(&json!({"clusterRef": {"name": "pg"}, "readReplicas": {"min": 2, "max": 2}}));
        let [web, main] = &app.components[..] else { panic!("two components") };
        let host = &web.pod.databases[1];
        assert_eq!(
            (host.name.as_str(), host.value.as_deref()),
            ("DATABASE_MAIN_READ_HOST", Some("pg-ro.shop.svc:5432"))
        );
        assert_eq!((main.cluster.as_deref(), main.workload_kind()), (Some("pg"), Kind::Cluster));
        assert_eq!(Kind::ALL.into_iter().find(|kind| main.has(*kind)), None);
    }

    #[test]
    fn one_database_of_an_app_scales_a_cluster() {
        let postgres = json!({"cnpg": {"clusterRef": {"name": "pg"}, "readReplicas": {"min": 1, "max": 1}}});
        let mut app = written(&postgres);
        let other = api::Database { name: "other".to_owned(), ..app.spec.databases[0].clone() };
        app.spec.databases.push(other);
        let said: Vec<String> = resolve(&app).expect_err("problems").iter().map(Invalid::to_string).collect();
        let sentence = "let one database of the app scale the Cluster pg: remove readReplicas here";
        assert_eq!(said, [format!("databases[other].postgres.cnpg.readReplicas: {sentence}")]);
    }

    #[test]
    fn databases_whose_variables_have_the_same_name_are_refused() {
        let external = json!({"external": {
            "primary": {"secretRef": {"name": "rds"}}, "readReplicas": {"secretRef": {"name": "rds-read"}},
        }});
        let mut app = written(&external);
        let mut other = app.spec.databases[0].clone();
        other.name = "main-read".to_owned();
        app.spec.databases.push(other);
        let said: Vec<String> = resolve(&app).expect_err("problems").iter().map(Invalid::to_string).collect();
        let sentence =
            "choose another name: DATABASE_MAIN_READ_URL would be a variable of main and of main-read";
        assert_eq!(said, [format!("databases[main-read]: {sentence}")]);
    }

    #[test]
    fn the_addresses_of_an_external_database_are_keys_of_its_secrets_and_nothing_of_it_is_a_component() {
        let app = resolve(&written(&json!({"external": {
            "primary": {"secretRef": {"name": "rds"}},
            "readReplicas": {"secretRef": {"name": "rds-read"}, "uriKey": "url"},
        }})));
        let app = app.expect("no problem");
        assert_eq!(app.components.len(), 1);
        let of = |secret: &str, key: &str| json!({"secretKeyRef": {"name": secret, "key": key}});
        let expected = json!([
            {"name": "DATABASE_MAIN_URL", "valueFrom": of("rds", "uri")},
            {"name": "DATABASE_MAIN_READ_URL", "valueFrom": of("rds-read", "url")},
        ]);
        assert_eq!(json!(app.components[0].pod.databases), expected);
        assert!(!app.components[0].pod.has_settings());
    }
}
