//! Pods that Kubernetes' own check of the restricted Pod Security Standard refuses are refused by name, and fields that
//! it allows reach the pod. `fixtures/README.md` gives the source of the pods.

#![allow(clippy::expect_used, clippy::panic, reason = "clippy sees tests only in functions marked as such")]

use scalableapp_crds::ScalableApp;
use scalableapp_operator::render::deployment;
use scalableapp_operator::resolve::{app::App, invalid::Invalid, resolve};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Pods without fields that the operator fills in.
const FILLED_IN: [&str; 8] = [
    "allowprivilegeescalation2",
    "allowprivilegeescalation3",
    "capabilities_restricted0",
    "capabilities_restricted1",
    "runasnonroot0",
    "seccompprofile_restricted0",
    "seccompprofile_restricted2",
    "seccompprofile_restricted3",
];

/// The refused field, by the start of a fixture's name.
const REFUSED: [(&str, &str); 16] = [
    ("allowprivilegeescalation", "securityContext.allowPrivilegeEscalation"),
    ("apparmorprofile", "metadata.annotations[container.apparmor.security.beta.kubernetes.io/"),
    ("capabilities", "securityContext.capabilities"),
    ("hostnamespaces", "spec.host"),
    ("hostpathvolumes", "hostPath"),
    ("hostports", "hostPort"),
    ("hostprobesandhostlifecycle", ".host"),
    ("privileged", "securityContext.privileged"),
    ("procmount", "securityContext.procMount"),
    ("restrictedvolumes", "spec.volumes["),
    ("runasnonroot", "securityContext.runAsNonRoot"),
    ("runasuser", "securityContext.runAsUser"),
    ("seccompprofile", "securityContext.seccompProfile"),
    ("selinuxoptions", "securityContext.seLinuxOptions"),
    ("sysctls", "securityContext.sysctls"),
    ("windowshostprocess", "securityContext.windowsOptions"),
];

/// Name and pod template of each fixture, by name.
fn fixtures(outcome: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pod_security/fixtures").join(outcome);
    let mut fixtures = Vec::new();
    for entry in fs::read_dir(folder).expect("fixtures") {
        let path = entry.expect("an entry").path();
        let pod: Value = serde_saphyr::from_str(&fs::read_to_string(&path).expect("a pod")).expect("YAML");
        let mut template = json!({"spec": pod["spec"]});
        if pod["metadata"]["annotations"].is_object() {
            template["metadata"] = json!({"annotations": pod["metadata"]["annotations"]});
        }
        fixtures.push((path.file_stem().expect("a name").to_string_lossy().into_owned(), template));
    }
    fixtures.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(fixtures.len() > 20);
    fixtures
}

fn app(template: &Value) -> Result<App, Vec<Invalid>> {
    let app: ScalableApp = serde_json::from_value(json!({
        "metadata": {"name": "shop", "namespace": "shop", "uid": "1"},
        "spec": {"services": [{"name": "web", "image": "shop:1", "port": 8080, "podTemplate": template}]},
    }))
    .expect("an app");
    let app = resolve(&app)?;
    let problems: Vec<Invalid> = app.problems().cloned().collect();
    if problems.is_empty() { Ok(app) } else { Err(problems) }
}

fn rendered(app: &App) -> Value {
    deployment(app, &app.components[0], 7)["spec"]["template"].clone()
}

/// Whether all of `part` is in `whole`; items of a list are matched by name.
fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(field, value)| whole.get(field).is_some_and(|whole| is_part(value, whole)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            part.iter().all(|item| whole.iter().any(|whole| is_part(item, whole)))
        }
        (part, whole) => part == whole,
    }
}

#[test]
fn what_the_restricted_standard_refuses_is_refused_by_name() {
    for (name, template) in fixtures("fail") {
        if FILLED_IN.contains(&name.as_str()) {
            continue;
        }
        let Err(problems) = app(&template) else { panic!("{name} is taken") };
        let (_, field) = REFUSED.iter().find(|(start, _)| name.starts_with(start)).expect("a field");
        let is_named = |problem: &Invalid| problem.path.contains(field) && problem.sentence.contains(' ');
        assert!(problems.iter().any(is_named), "{name}: {problems:?}");
    }
}

#[test]
fn what_the_restricted_standard_misses_is_filled_in() {
    for (name, template) in
        fixtures("fail").into_iter().filter(|(name, _)| FILLED_IN.contains(&name.as_str()))
    {
        let app = app(&template).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
        let spec = rendered(&app)["spec"].clone();
        let wanted = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
        assert!(is_part(&wanted, &spec["securityContext"]), "{name}");
        for container in
            ["containers", "initContainers"].iter().filter_map(|list| spec[list].as_array()).flatten()
        {
            let wanted = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
            assert!(is_part(&wanted, &container["securityContext"]), "{name}: {container}");
        }
    }
}

#[test]
fn what_the_restricted_standard_allows_reaches_the_pod() {
    for (name, template) in fixtures("pass") {
        let app = app(&template).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
        assert!(is_part(&template, &rendered(&app)), "{name}");
    }
}

/// No fixture has them, but the standard of 1.35 covers each.
#[test]
fn what_no_fixture_shows_is_judged_as_the_standard_does() {
    let with = |spec: &Value| app(&json!({"spec": spec})).is_ok();
    let image = json!({"volumes": [{"name": "model", "image": {"reference": "model:1"}}]});
    assert!(with(&image));
    for context in [json!({"runAsUser": 0}), json!({"runAsNonRoot": false})] {
        assert!(with(&json!({"hostUsers": false, "securityContext": context})), "{context}");
        assert!(!with(&json!({"hostUsers": true, "securityContext": context})), "{context}");
    }
    for context in [json!({"appArmorProfile": {}}), json!({"seccompProfile": {"localhostProfile": "a"}})] {
        assert!(!with(&json!({"containers": [{"name": "proxy", "securityContext": context}]})), "{context}");
    }
    assert!(!with(
        &json!({"ephemeralContainers": [{"name": "debug", "securityContext": {"privileged": true}}]})
    ));
    assert!(!with(&json!({"containers": [{"name": "web", "lifecycle": {"postStart": {"httpGet": {
        "host": "169.254.169.254", "port": 80}}}}]})));
}

/// An API server refuses them in a pod for Windows.
#[test]
fn a_pod_for_windows_has_nothing_that_protects_a_linux_host() {
    let app = app(&json!({"spec": {"os": {"name": "windows"}}})).expect("no problem");
    let spec = &rendered(&app)["spec"];
    assert_eq!(spec["securityContext"], json!({"runAsNonRoot": true}));
    assert!(spec["containers"][0].get("securityContext").is_none());
}
