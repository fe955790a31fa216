//! The children of each example, and rules for the pods of all of them.

#![allow(clippy::expect_used, clippy::panic, reason = "clippy sees tests only in functions marked as such")]

use kube::core::cel::validate_cel;
use rstest::rstest;
use scalableapp_crds::ScalableApp;
use scalableapp_operator::kinds::Kind;
use scalableapp_operator::render::settings::{Memory, SelectedRevisions, Settings};
use scalableapp_operator::render::{ComponentChildren, METRICS_PORT_ANNOTATION, deployment};
use scalableapp_operator::resolve::app::{App, Component};
use scalableapp_operator::resolve::resolve;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const EPOCH: u64 = 7;

/// The manifests of `examples/`, sorted by name.
fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).expect("examples").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

fn read(path: &Path) -> ScalableApp {
    let text = fs::read_to_string(path).expect("a manifest");
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The app as it would be read from namespace `shop`.
fn resolved(mut app: ScalableApp) -> App {
    app.metadata.namespace = Some("shop".to_owned());
    app.metadata.uid = Some("3d1a7e4c".to_owned());
    let app = resolve(&app).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(app.problems().next(), None);
    app
}

/// An app with one service, with these fields beside name, image and port.
fn app(service: &Value) -> App {
    let mut web = json!({"name": "web", "image": "shop:1", "port": 8080});
    for (field, value) in service.as_object().expect("an object") {
        web[field] = value.clone();
    }
    let app = json!({"metadata": {"name": "shop"}, "spec": {"services": [web]}});
    resolved(serde_json::from_value(app).expect("an app"))
}

/// The children of each component, with these shards of each cache, with pools of the declared size, and with all requests
/// of a route for the current revision.
fn rendered(app: &App, shards: &[(&str, i32)]) -> BTreeMap<String, ComponentChildren> {
    let shards = shards.iter().map(|(cache, shards)| ((*cache).to_owned(), *shards)).collect();
    let size = |one: &Component| Some((one.name.to_string(), one.declared.pool.as_ref()?.size));
    let pools = app.components.iter().filter_map(size).collect();
    let routed = app.components.iter().filter(|one| one.route.is_some());
    let all = |one: &Component| (one.name.to_string(), [(one.revision.to_string(), 100)].into());
    let weights = routed.map(all).collect();
    scalableapp_operator::render::render(
        app,
        EPOCH,
        &Settings { shards, pools, weights, ..Settings::default() },
    )
}

fn render(app: &App) -> BTreeMap<String, ComponentChildren> {
    rendered(app, &[])
}

/// The child of this kind.
fn child(children: &ComponentChildren, kind: Kind) -> Value {
    let found = children.others.iter().find(|(one, _)| *one == kind);
    found.unwrap_or_else(|| panic!("no {kind:?}")).1.clone()
}

/// An app with a pool of this size to a database.
fn pooled(size: i32) -> App {
    let app = json!({"metadata": {"name": "shop"}, "spec": {
        "services": [{
            "name": "web", "image": "shop:1", "port": 8080, "connectionPool": {"database": "main", "size": size},
        }],
        "databases": [{"name": "main", "postgres": {"primary": {"secretRef": {"name": "shop-db"}}}}],
    }});
    resolved(serde_json::from_value(app).expect("an app"))
}

#[test]
fn the_size_of_a_pool_is_a_file_and_no_part_of_the_template() {
    let (small, large) = (pooled(5), pooled(20));
    assert_eq!(template(&small), template(&large));
    let settings = child(&render(&large)["web"], Kind::ConfigMap);
    assert_eq!(settings["data"], json!({"DATABASE_MAIN_POOL": "20"}));
    let env = &template(&small)["spec"]["containers"][0]["env"];
    let named = env.as_array().into_iter().flatten().find(|one| one["name"] == "PGAPPNAME");
    assert_eq!(named.map(|one| &one["value"]), Some(&json!("shop.shop")));
    // While the size is not known, the file of an earlier process stays.
    let unknown = scalableapp_operator::render::render(&small, EPOCH, &Settings::default());
    assert!(unknown["web"].others.iter().all(|(kind, _)| *kind != Kind::ConfigMap));
}

#[test]
fn the_services_of_a_blue_green_rollout_select_one_revision_each() {
    let app = app(&json!({"rollout": {"blueGreen": {}}}));
    let services = |active: Option<&str>, preview: Option<&str>| {
        let selection =
            SelectedRevisions { active: active.map(str::to_owned), preview: preview.map(str::to_owned) };
        let selections = BTreeMap::from([("web".to_owned(), selection)]);
        let settings = Settings { selections, ..Settings::default() };
        let children = scalableapp_operator::render::render(&app, EPOCH, &settings);
        let services = children["web"].others.iter().filter(|(kind, _)| *kind == Kind::Service);
        let revision = |value: &Value| value["scalableapp.dev/revision"].as_str().map(str::to_owned);
        let seen = services.map(|(_, one)| {
            let (label, selected) =
                (revision(&one["metadata"]["labels"]), revision(&one["spec"]["selector"]));
            assert_eq!(label, selected, "the label says what is selected");
            (one["metadata"]["name"].as_str().expect("a name").to_owned(), selected)
        });
        seen.collect::<Vec<_>>()
    };
    let named = |name: &str, revision: Option<&str>| (name.to_owned(), revision.map(str::to_owned));
    assert_eq!(services(None, None), [named("shop-web", None)]);
    assert_eq!(
        services(Some("a"), Some("b")),
        [named("shop-web", Some("a")), named("shop-web-preview", Some("b"))]
    );
}

fn template(app: &App) -> Value {
    deployment(app, &app.components[0], EPOCH)["spec"]["template"].clone()
}

fn as_json(children: &ComponentChildren) -> Vec<Value> {
    let others = children.others.iter().map(|(_, child)| child.clone());
    others.chain([children.workload.clone()]).collect()
}

/// The child with the names of the script's files alone: their text has tests of its own.
fn without_script(mut child: Value) -> Value {
    let files = child.get_mut("data").and_then(Value::as_object_mut);
    for (name, text) in files.into_iter().flatten() {
        if [".sh", ".sql"].iter().any(|end| name.ends_with(end)) {
            *text = json!("the file of this name below operator/src/render");
        }
    }
    child
}

#[test]
fn each_example_has_the_children_of_its_snapshot() {
    for path in examples() {
        let app = resolved(read(&path));
        let shards: Vec<_> = app.components.iter().map(|one| (one.name.as_str(), 2)).collect();
        let rendered = rendered(&app, &shards);
        let children: Vec<Value> = app
            .components
            .iter()
            .filter_map(|component| rendered.get(component.name.as_str()))
            .flat_map(as_json)
            .map(without_script)
            .collect();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        insta::with_settings!({
            sort_maps => true,
            prepend_module_to_snapshot => false,
            description => format!("Children of examples/{name}.yaml"),
            omit_expression => true,
        }, { insta::assert_yaml_snapshot!(name, children) });
    }
}

#[test]
fn each_example_begins_with_a_comment_and_passes_the_rules_of_the_crd() {
    for path in examples() {
        let text = fs::read_to_string(&path).expect("a manifest");
        let comment = text.lines().take_while(|line| line.starts_with("# ")).count();
        assert!((1..=3).contains(&comment), "{}", path.display());
        let app = read(&path);
        if let Err(errors) = validate_cel(&app) {
            panic!("{}: {errors:?}", path.display());
        }
    }
}

#[test]
fn the_full_example_shows_every_field_of_the_api() {
    fn fields(schema: &Value, path: &str, into: &mut BTreeSet<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            into.insert(path.clone());
            fields(property, &path, into);
            fields(&property["items"], &path, into);
        }
    }
    fn used(value: &Value, path: &str, into: &mut BTreeSet<String>) {
        for (name, value) in value.as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            into.insert(path.clone());
            used(value, &path, into);
        }
        for item in value.as_array().into_iter().flatten() {
            used(item, path, into);
        }
    }
    let crd = json!(scalableapp_crds::crds()[0]);
    let mut declared = BTreeSet::new();
    fields(
        &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"],
        "spec",
        &mut declared,
    );
    let full = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/full.yaml"));
    let mut shown = BTreeSet::new();
    used(&json!(full.spec), "spec", &mut shown);
    // Probes, directions, pod metrics and workers have the same fields as others of their type; each field once is
    // enough.
    let same = |path: &str| {
        path.replace("spec.workers", "spec.services")
            .replace(".liveness", ".readiness")
            .replace(".startup", ".readiness")
            .replace(".scaleDown", ".scaleUp")
            .replace(".metrics.memory", ".metrics.cpu")
    };
    let shown: BTreeSet<String> = shown.iter().map(|path| same(path)).collect();
    let missing: Vec<String> =
        declared.iter().map(|path| same(path)).filter(|path| !shown.contains(path)).collect();
    assert_eq!(missing, Vec::<String>::new());
}

/// The rules of the restricted Pod Security Standard for a pod, independent of the rendering.
fn assert_restricted(template: &Value, name: &str) {
    let spec = &template["spec"];
    assert_eq!(spec["securityContext"]["runAsNonRoot"], json!(true), "{name}");
    assert_eq!(spec["securityContext"]["seccompProfile"]["type"], json!("RuntimeDefault"), "{name}");
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(spec[field].is_null(), "{name} {field}");
    }
    let lists =
        ["containers", "initContainers"].map(|list| spec[list].as_array().cloned().unwrap_or_default());
    for container in lists.iter().flatten() {
        let context = &container["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], json!(false), "{name}");
        assert_eq!(context["capabilities"]["drop"], json!(["ALL"]), "{name}");
        assert!(context["privileged"].is_null() && context["runAsUser"] != json!(0), "{name}");
        for port in container["ports"].as_array().into_iter().flatten() {
            assert!(port["hostPort"].is_null(), "{name}");
        }
    }
}

#[test]
fn the_pods_of_each_example_meet_the_restricted_standard_and_get_no_token() {
    for path in examples() {
        let app = resolved(read(&path));
        for children in render(&app).into_values() {
            let template = &children.workload["spec"]["template"];
            let name = path.display().to_string();
            assert_restricted(template, &name);
            assert_eq!(template["spec"]["automountServiceAccountToken"], json!(false), "{name}");
            let account = child(&children, Kind::ServiceAccount);
            assert_eq!(account["automountServiceAccountToken"], json!(false), "{name}");
        }
    }
}

#[test]
fn each_tier_spreads_its_pods_and_lets_the_drain_of_a_node_finish() {
    let stack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/stack.yaml");
    let app = resolved(read(&stack));
    let tiers: BTreeSet<&str> = app.components.iter().map(|one| one.tier.name()).collect();
    assert_eq!(tiers, BTreeSet::from(["cache", "database", "service", "worker"]));
    for (name, children) in render(&app) {
        let budget = child(&children, Kind::PodDisruptionBudget)["spec"].clone();
        let most = &budget["maxUnavailable"];
        let percent = most.as_str().and_then(|most| most.strip_suffix('%')?.parse().ok());
        // Kubernetes rounds up, so any percentage lets the only pod go.
        assert!(most.as_i64().or(percent).is_some_and(|most| most >= 1), "{name}: {budget}");
        assert!(budget.get("minAvailable").is_none(), "{name}: {budget}");
        assert_eq!(budget["unhealthyPodEvictionPolicy"], "AlwaysAllow", "{name}");

        let pods = &children.workload["spec"]["template"];
        let spread = &pods["spec"]["topologySpreadConstraints"][0];
        assert_eq!(spread["topologyKey"], "kubernetes.io/hostname", "{name}");
        assert_eq!(spread["whenUnsatisfiable"], "ScheduleAnyway", "{name}: a pod alone on a node must start");
        for selected in [&budget["selector"]["matchLabels"], &spread["labelSelector"]["matchLabels"]] {
            let selected = selected.as_object().expect("labels");
            assert!(
                !selected.is_empty()
                    && selected.iter().all(|(key, value)| pods["metadata"]["labels"][key] == *value)
            );
        }
    }
}

#[test]
fn a_security_context_of_the_user_is_laid_over_the_restricted_one() {
    let app = app(&json!({"podTemplate": {"spec": {"containers": [
        {"name": "web", "securityContext": {"readOnlyRootFilesystem": false, "capabilities": {"add": ["NET_BIND_SERVICE"]}}},
        {"name": "sidecar", "image": "sidecar:1"},
    ]}}}));
    let containers = &template(&app)["spec"]["containers"];
    let wanted = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
        "readOnlyRootFilesystem": false,
    });
    assert_eq!(containers[0]["securityContext"], wanted);
    assert_eq!(containers[1]["securityContext"]["readOnlyRootFilesystem"], json!(true));
}

#[test]
fn a_field_from_a_newer_kubernetes_reaches_the_pod() {
    let app = app(&json!({"podTemplate": {"spec": {
        "fromTomorrow": {"deep": [1]},
        "containers": [{"name": "web", "alsoNew": true}],
    }}}));
    let spec = &template(&app)["spec"];
    assert_eq!(spec["fromTomorrow"], json!({"deep": [1]}));
    assert_eq!(spec["containers"][0]["alsoNew"], json!(true));
    assert_eq!(spec["containers"][0]["name"], json!("web"));
}

#[test]
fn the_components_own_container_is_the_first() {
    let app = app(&json!({"podTemplate": {"spec": {"containers": [{"name": "a-sidecar"}]}}}));
    let containers = template(&app)["spec"]["containers"].as_array().expect("a list").clone();
    let names: Vec<&Value> = containers.iter().map(|container| &container["name"]).collect();
    assert_eq!(names, ["web", "a-sidecar"]);
}

#[rstest]
#[case(None, json!([["http", 8080]]), Value::Null)]
#[case(Some(9090), json!([["http", 8080], ["metrics", 9090]]), json!("9090"))]
#[case(Some(8080), json!([["http", 8080]]), json!("8080"))]
fn metrics_are_found_on_a_port_of_their_own_or_on_the_services(
    #[case] metrics_port: Option<i32>,
    #[case] ports: Value,
    #[case] annotation: Value,
) {
    let app = app(&json!({"metricsPort": metrics_port}));
    let template = template(&app);
    let rendered: Vec<Value> = template["spec"]["containers"][0]["ports"]
        .as_array()
        .expect("ports")
        .iter()
        .map(|port| json!([port["name"], port["containerPort"]]))
        .collect();
    assert_eq!(json!(rendered), ports);
    assert_eq!(template["metadata"]["annotations"][METRICS_PORT_ANNOTATION], annotation);
}

#[test]
fn the_network_policy_of_a_new_revision_lets_in_to_the_old_one() {
    let policy = |ports: &Value| child(&render(&app(ports))["web"], Kind::NetworkPolicy);
    let old = policy(&json!({"port": 8080, "metricsPort": 9090}));
    assert_eq!(policy(&json!({"port": 9090})), old);
}

#[test]
fn every_port_of_the_operators_and_no_other_is_open_by_its_name() {
    let app = app(&json!({"metricsPort": 9090}));
    let names = |ports: &Value, name: &str| -> Vec<Value> {
        ports.as_array().into_iter().flatten().map(|port| port[name].clone()).collect()
    };
    let open = child(&render(&app)["web"], Kind::NetworkPolicy)["spec"]["ingress"][0]["ports"].clone();
    let served = &template(&app)["spec"]["containers"][0]["ports"];
    assert_eq!(names(&open, "port"), names(served, "name"));
}

#[test]
fn a_variable_of_the_user_counts_and_may_refer_to_the_operators() {
    let app = app(&json!({"metricsPort": 9090, "env": [
        {"name": "URL", "value": "http://localhost:$(PORT)"},
        {"name": "OTEL_SERVICE_NAME", "value": "storefront"},
    ]}));
    let env = template(&app)["spec"]["containers"][0]["env"].clone();
    let names: Vec<&str> =
        env.as_array().expect("a list").iter().filter_map(|variable| variable["name"].as_str()).collect();
    assert_eq!(names, ["PORT", "METRICS_PORT", "OTEL_RESOURCE_ATTRIBUTES", "URL", "OTEL_SERVICE_NAME"]);
}

#[test]
fn what_makes_no_revision_leaves_the_template_as_it_is() {
    let volumes = [json!({"name": "a", "emptyDir": {}}), json!({"name": "b", "emptyDir": {}})];
    let in_order = |volumes: &[Value]| {
        app(&json!({"scaling": {"maxReplicas": 1}, "podTemplate": {"spec": {"volumes": volumes}}}))
    };
    let (one, other) = (in_order(&volumes), in_order(&[volumes[1].clone(), volumes[0].clone()]));
    assert_eq!(one.components[0].revision, other.components[0].revision);
    assert_eq!(template(&one).to_string(), template(&other).to_string());
}

#[test]
fn a_new_leader_changes_the_deployment_and_not_its_pods() {
    let app = app(&json!({}));
    let (old, new) = (deployment(&app, &app.components[0], 7), deployment(&app, &app.components[0], 8));
    assert_ne!(old["metadata"]["labels"], new["metadata"]["labels"]);
    assert_eq!(old["spec"], new["spec"]);
}

#[test]
fn replicas_are_left_to_scaling() {
    let app = app(&json!({"scaling": {"minReplicas": 3, "maxReplicas": 3}}));
    assert!(render(&app)["web"].workload["spec"].get("replicas").is_none());
}

#[test]
fn every_child_is_owned_by_the_app_and_carries_none_of_its_labels() {
    let mut written = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/minimal.yaml"));
    written.metadata.labels = Some([("argocd.argoproj.io/instance".to_owned(), "x".to_owned())].into());
    for child in render(&resolved(written)).values().flat_map(as_json) {
        let metadata = &child["metadata"];
        assert_eq!(metadata["ownerReferences"][0]["uid"], json!("3d1a7e4c"));
        assert_eq!(metadata["ownerReferences"][0]["controller"], json!(true));
        assert_eq!(metadata["namespace"], json!("shop"));
        assert!(!child.to_string().contains("argocd"), "{child}");
    }
}

#[test]
fn the_longest_names_fit() {
    let name = |length: usize| "a".repeat(length);
    let service = json!({"name": name(20), "image": "shop:1", "port": 8080});
    let app = json!({"metadata": {"name": name(30)}, "spec": {"services": [service]}});
    let app = resolved(serde_json::from_value(app).expect("an app"));
    for child in render(&app).values().flat_map(as_json) {
        assert!(child["metadata"]["name"].as_str().is_some_and(|name| name.len() <= 63), "{child}");
    }
}

/// A service and a cache, whose `redis` has these fields beside its shards and memory.
fn app_with_cache(redis: &Value) -> App {
    let mut cache = json!({"shards": {"min": 1, "max": 3}, "memory": "100Mi"});
    for (field, value) in redis.as_object().into_iter().flatten() {
        cache[field] = value.clone();
    }
    let app = json!({"metadata": {"name": "shop"}, "spec": {
        "services": [{"name": "web", "image": "shop:1", "port": 8080}],
        "workers": [{"name": "reports", "image": "shop:1", "scaling": {"minReplicas": 1, "maxReplicas": 1}}],
        "caches": [{"name": "hot-items", "redis": cache}],
    }});
    resolved(serde_json::from_value(app).expect("an app"))
}

#[test]
fn the_password_of_a_cache_is_in_its_secret_alone() {
    let app = app_with_cache(&json!({}));
    let cache = app.component("hot-items").expect("the cache");
    let secret = json!(scalableapp_operator::render::cache::secret(&app, cache, "0123"));
    assert_eq!(secret["metadata"]["name"], "shop-hot-items-3d1a7e4c");
    assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], "3d1a7e4c");
    assert_eq!(secret["stringData"], json!({"password": "0123", "redis.conf": "requirepass 0123\n"}));
    let of = |name: &str| render(&app)[name].workload["spec"]["template"]["spec"].clone();
    let key = |optional: Option<bool>| {
        let mut key = json!({"name": "shop-hot-items-3d1a7e4c", "key": "password"});
        if let Some(optional) = optional {
            key["optional"] = optional.into();
        }
        key
    };
    let shard = of("hot-items");
    for (container, variable) in [(0, "REDISCLI_AUTH"), (1, "REDIS_PASSWORD")] {
        let env = shard["containers"][container]["env"].as_array().expect("env").clone();
        let found = env.iter().find(|one| one["name"] == variable).expect("the variable");
        assert_eq!(found["valueFrom"]["secretKeyRef"], key(None));
    }
    assert!(!shard["containers"][0]["args"].to_string().contains("pass "), "{shard}");
    let env = of("web")["containers"][0]["env"].as_array().expect("env").clone();
    let found = env.iter().find(|one| one["name"] == "CACHE_HOT_ITEMS_PASSWORD").expect("the variable");
    assert_eq!(found["valueFrom"]["secretKeyRef"], key(Some(true)), "a service starts without its cache");
    let files = of("web")["volumes"][0]["projected"]["sources"][1]["secret"].clone();
    let items = json!([{"key": "password", "path": "CACHE_HOT_ITEMS_PASSWORD"}]);
    assert_eq!(files, json!({"name": "shop-hot-items-3d1a7e4c", "optional": true, "items": items}));
}

#[rstest]
#[case(json!({}), "valkey", "docker.io/valkey/valkey:8")]
#[case(json!({"engine": "redis"}), "redis", "docker.io/library/redis:7.4")]
#[case(json!({"engine": "redis", "image": "cache:1"}), "redis", "cache:1")]
fn an_engine_has_its_own_server_and_image(#[case] redis: Value, #[case] engine: &str, #[case] image: &str) {
    let app = app_with_cache(&redis);
    let shard = render(&app)["hot-items"].workload["spec"]["template"]["spec"]["containers"][0].clone();
    let command = json!(["sh", "/etc/scalableapp/shard/shard.sh", engine]);
    assert_eq!((&shard["command"], &shard["image"]), (&command, &json!(image)));
}

#[test]
fn the_data_of_a_shard_leaves_room_in_its_memory() {
    let app = app_with_cache(&json!({"eviction": "volatile-lfu", "maxClients": 7}));
    let rendered = render(&app);
    let shard = rendered["hot-items"].workload["spec"]["template"]["spec"]["containers"][0].clone();
    let args: Vec<&str> = shard["args"].as_array().expect("args").iter().filter_map(Value::as_str).collect();
    let value = |name: &str| args[args.iter().position(|arg| *arg == name).expect("an argument") + 1];
    let memory = child(&rendered["hot-items"], Kind::ConfigMap)["data"]["memory"].clone();
    assert_eq!(memory, (100 * 1024 * 1024).to_string(), "its script gives a part of it to the data");
    assert_eq!((value("--maxmemory-policy"), value("--maxclients")), ("volatile-lfu", "7"));
    assert_eq!((value("--save"), value("--appendonly")), ("", "no"));
    assert_eq!(shard["resources"]["limits"], json!({"memory": "100Mi"}));
}

#[test]
fn a_cache_with_tls_has_the_pods_of_its_snapshot() {
    let app = app_with_cache(&json!({"tls": {"secretRef": {"name": "cache-tls"}}}));
    let of = |name: &str| render(&app)[name].workload["spec"]["template"]["spec"].clone();
    let (shard, web) = (of("hot-items"), of("web"));
    let pods = json!({"shard": shard, "env": web["containers"][0]["env"], "volumes": web["volumes"]});
    insta::with_settings!({
        sort_maps => true,
        prepend_module_to_snapshot => false,
        description => "A shard with TLS, and the environment and volumes of a consumer",
        omit_expression => true,
    }, { insta::assert_yaml_snapshot!("cache-with-tls", pods) });
}

#[test]
fn the_memory_of_shards_restarts_them_only_where_something_else_differs() {
    let app = app_with_cache(&json!({}));
    let with = |bytes: i64, replaces: bool| {
        let memory = BTreeMap::from([("hot-items".to_owned(), Memory { bytes, replaces })]);
        let settings = Settings { memory, ..Settings::default() };
        let children =
            scalableapp_operator::render::render(&app, EPOCH, &settings).remove("hot-items").expect("it");
        let memory = child(&children, Kind::ConfigMap)["data"]["memory"].clone();
        let spec = &children.workload["spec"];
        let limit = spec["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"].clone();
        (memory, limit, spec["updateStrategy"]["type"].clone())
    };
    let declared = 100 << 20;
    assert_eq!(with(declared, false), (json!(declared.to_string()), json!("100Mi"), json!("OnDelete")));
    let more = json!("157286400");
    assert_eq!(with(150 << 20, false), (more.clone(), more.clone(), json!("OnDelete")));
    assert_eq!(with(150 << 20, true), (more.clone(), more, json!("RollingUpdate")));
    let larger = app_with_cache(&json!({"memory": "150Mi", "maxMemory": "200Mi"}));
    let revision = |app: &App| app.component("hot-items").expect("the cache").revision.clone();
    assert_eq!(revision(&larger), revision(&app));
    assert_ne!(revision(&app_with_cache(&json!({"cpu": "1"}))), revision(&app));
}

#[test]
fn only_pods_of_the_app_reach_its_cache_and_anyone_its_metrics() {
    let policy = child(&render(&app_with_cache(&json!({})))["hot-items"], Kind::NetworkPolicy);
    let ingress = &policy["spec"]["ingress"];
    let of_app = json!([{"podSelector": {"matchLabels": {"scalableapp.dev/app": "shop"}}}]);
    assert_eq!((&ingress[0]["from"], &ingress[0]["ports"][0]["port"]), (&of_app, &json!(6379)));
    assert_eq!((&ingress[1]["from"], &ingress[1]["ports"][0]["port"]), (&Value::Null, &json!(9121)));
    assert_eq!(ingress.as_array().expect("rules").len(), 2);
}

#[rstest]
#[case(0, "")]
#[case(1, "shop-hot-items-0.shop-hot-items.shop.svc:6379")]
#[case(2, "shop-hot-items-0.shop-hot-items.shop.svc:6379,shop-hot-items-1.shop-hot-items.shop.svc:6379")]
fn every_consumer_gets_the_listed_shards_as_a_file(#[case] shards: i32, #[case] endpoints: &str) {
    let app = app_with_cache(&json!({}));
    let rendered = rendered(&app, &[("hot-items", shards)]);
    for name in ["web", "reports"] {
        let settings = child(&rendered[name], Kind::ConfigMap);
        assert_eq!(settings["metadata"]["name"], format!("shop-{name}"));
        assert_eq!(settings["data"], json!({"CACHE_HOT_ITEMS_ENDPOINTS": endpoints}));
        assert_eq!(rendered[name].workload, render(&app)[name].workload, "no pod restarts for it");
    }
}

#[test]
fn the_files_of_data_tiers_that_leave_stay_with_them_and_change_no_pod() {
    let app = app(&json!({}));
    let (removed_shards, removed_readers) = ([("hot".to_owned(), 2)].into(), ["main".to_owned()].into());
    let settings = Settings { removed_shards, removed_readers, ..Settings::default() };
    let rendered = scalableapp_operator::render::render(&app, EPOCH, &settings);
    let files = child(&rendered["web"], Kind::ConfigMap)["data"].clone();
    let shards = "shop-hot-0.shop-hot.shop.svc:6379,shop-hot-1.shop-hot.shop.svc:6379";
    let expected =
        json!({"CACHE_HOT_ENDPOINTS": shards, "DATABASE_MAIN_READ_HOST": "shop-main.shop.svc:5432"});
    assert_eq!(files, expected);
    assert_eq!(rendered["web"].workload, render(&app)["web"].workload);
}

#[test]
fn a_cache_changes_the_pods_of_its_own_app_alone() {
    let with = app_with_cache(&json!({}));
    let without = app(&json!({}));
    let volumes = |app: &App| template(app)["spec"]["volumes"].clone();
    assert_eq!(volumes(&without), Value::Null);
    let decided = json!({"configMap": {"name": "shop-web", "optional": true}});
    assert_eq!(volumes(&with)[0]["projected"]["sources"][0], decided);
    assert_ne!(with.components[0].revision, without.components[0].revision);
}

#[test]
fn the_metrics_of_a_shard_are_found_as_those_of_a_service_are() {
    let template = render(&app_with_cache(&json!({})))["hot-items"].workload["spec"]["template"].clone();
    let metadata = &template["metadata"];
    assert_eq!(metadata["annotations"][METRICS_PORT_ANNOTATION], "9121");
    assert_eq!(metadata["labels"]["scalableapp.dev/component"], "hot-items");
    assert_eq!(template["spec"]["containers"][1]["ports"][0]["containerPort"], 9121);
}

/// The children of the read replicas of `examples/replicas.yaml`, with these fields of them changed.
fn replicas(fields: &Value) -> ComponentChildren {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/replicas.yaml");
    let mut written = json!(read(&path));
    let postgres = written.pointer_mut("/spec/databases/0/postgres").expect("a database");
    for (pointer, value) in fields.as_object().expect("an object") {
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        postgres.pointer_mut(parent).expect("a parent")[field] = value.clone();
    }
    let app = resolved(serde_json::from_value(written).expect("an app"));
    render(&app).remove("main").expect("read replicas")
}

#[test]
fn every_file_of_the_readers_script_is_in_its_pods() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/render/reader");
    let children = replicas(&json!({}));
    let mut files = child(&children, Kind::ConfigMap)["data"].as_object().expect("files").clone();
    for entry in fs::read_dir(folder).expect("the script") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        // The settings of a linter.
        if name.starts_with('.') {
            continue;
        }
        let written = fs::read_to_string(&path).expect("text");
        assert!(files.remove(&name) == Some(json!(written)), "{name}");
    }
    assert!(files.is_empty(), "{:?}", files.keys());
    let command = &children.workload["spec"]["template"]["spec"]["containers"][0]["command"];
    assert_eq!(*command, json!(["bash", "/etc/reader/reader.sh"]));
}

#[test]
fn only_pods_of_the_app_may_connect_to_read_replicas_and_anyone_may_scrape_them() {
    let ingress = child(&replicas(&json!({})), Kind::NetworkPolicy)["spec"]["ingress"].clone();
    let of_app = json!([{"podSelector": {"matchLabels": {"scalableapp.dev/app": "shop"}}}]);
    let port = |name: &str| json!([{"port": name, "protocol": "TCP"}]);
    assert_eq!(ingress, json!([{"from": of_app, "ports": port("postgresql")}, {"ports": port("metrics")}]));
}

#[test]
fn no_container_but_postgresql_has_the_folder_of_its_socket() {
    let children = replicas(&json!({}));
    let containers =
        children.workload["spec"]["template"]["spec"]["containers"].as_array().expect("a list").clone();
    let mounts = |container: &Value| container["volumeMounts"].to_string().contains("/var/run");
    assert_eq!(containers.iter().map(mounts).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_key_of_another_name_is_there_under_the_name_that_the_script_reads() {
    let volumes =
        replicas(&json!({"/primary/uriKey": "url"})).workload["spec"]["template"]["spec"]["volumes"].clone();
    let sources = &volumes[0]["projected"]["sources"];
    let renamed = |key: &str, path: &str| json!({"secret": {"name": "shop-db", "items": [{"key": key, "path": path}], "optional": true}});
    let whole = json!({"secret": {"name": "shop-db"}});
    assert_eq!(*sources, json!([whole, renamed("username", "user"), renamed("url", "uri")]));
}

#[test]
fn a_replica_without_storage_keeps_its_copy_on_the_node() {
    let with = replicas(&json!({"/readReplicas/storageClass": "fast"})).workload;
    let claim = &with["spec"]["volumeClaimTemplates"][0];
    assert_eq!(
        (&claim["metadata"]["name"], &claim["spec"]["storageClassName"]),
        (&json!("data"), &json!("fast"))
    );
    let without = replicas(&json!({"/readReplicas/storage": null})).workload;
    assert!(without["spec"].get("volumeClaimTemplates").is_none());
    let volumes = without["spec"]["template"]["spec"]["volumes"].as_array().expect("a list").clone();
    assert!(volumes.contains(&json!({"name": "data", "emptyDir": {}})));
}

#[test]
fn the_user_and_the_exporter_of_read_replicas_may_be_changed_and_their_volumes_may_not() {
    let template = json!({"spec": {
        "securityContext": {"runAsUser": 26},
        "containers": [{"name": "exporter", "resources": {"limits": {"memory": "128Mi"}}}],
    }});
    let workload =
        replicas(&json!({"/readReplicas/podTemplate": template, "/readReplicas/drain": {"timeout": "2m"}}))
            .workload;
    let spec = &workload["spec"]["template"]["spec"];
    assert_eq!(
        (&spec["securityContext"]["runAsUser"], &spec["securityContext"]["fsGroup"]),
        (&json!(26), &json!(999))
    );
    assert_eq!(spec["containers"][1]["resources"]["limits"]["memory"], json!("128Mi"));
    assert_eq!(spec["containers"][1]["ports"][0]["containerPort"], json!(9187));
    assert_eq!(spec["terminationGracePeriodSeconds"], json!(150));
}
