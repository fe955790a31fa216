//! Good and bad manifests against the schema and the CEL rules, without an API server.
//!
//! The first line of a bad manifest is the expected refusal: `# says:` the message of the one CEL rule that it breaks,
//! or `# server says:` the API server's own words about the one bound that it breaks.
#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy sees tests only in functions marked as such")]

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::cel::Validator;
use scalableapp_crds::{ScalableApp, ScalingOverride};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

mod structural;

struct Manifest {
    file: String,
    first_line: String,
    object: Value,
}

fn manifests(folder: &str) -> Vec<Manifest> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests").join(folder);
    let read = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        Manifest {
            file: path.display().to_string(),
            first_line: text.lines().next().unwrap_or_default().to_owned(),
            object: serde_saphyr::from_str(&text).unwrap(),
        }
    };
    let mut manifests: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| read(&entry.unwrap().path())).collect();
    manifests.sort_by(|one, other| one.file.cmp(&other.file));
    assert!(!manifests.is_empty());
    manifests
}

/// The schema of each kind.
fn schemas() -> BTreeMap<String, Value> {
    let schema = |crd: &CustomResourceDefinition| {
        let crd = serde_json::to_value(crd).unwrap();
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
    };
    scalableapp_crds::crds().iter().map(|crd| (crd.spec.names.kind.clone(), schema(crd))).collect()
}

impl Manifest {
    fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap()
    }
}

/// Messages of the rules that the object breaks.
fn broken_rules(schema: &Value, object: &Value) -> BTreeSet<String> {
    let errors = Validator::new().validate(schema, object, None).err().map(|errors| errors.into_vec());
    errors.unwrap_or_default().into_iter().map(|error| error.message).collect()
}

#[test]
fn good_manifests_are_accepted() {
    let schemas = schemas();
    for manifest in manifests("good") {
        let (schema, file) = (&schemas[manifest.kind()], &manifest.file);
        assert_eq!(structural::refused(schema, &manifest.object), Vec::<String>::new(), "{file}");
        assert_eq!(broken_rules(schema, &manifest.object), BTreeSet::new(), "{file}");
    }
}

#[test]
fn good_manifests_are_read_without_loss() {
    for manifest in manifests("good") {
        let mut written = match manifest.kind() {
            "ScalableApp" => read_and_written::<ScalableApp>(&manifest),
            "ScalingOverride" => read_and_written::<ScalingOverride>(&manifest),
            kind => panic!("{}: {kind} is not read", manifest.file),
        };
        let Manifest { file, mut object, .. } = manifest;
        for value in [&mut written, &mut object] {
            write_integers_as_text(value);
        }
        assert_eq!(written, object, "{file}");
    }
}

fn read_and_written<K: DeserializeOwned + Serialize>(manifest: &Manifest) -> Value {
    let read: K = serde_json::from_value(manifest.object.clone())
        .unwrap_or_else(|error| panic!("{}: {error}", manifest.file));
    serde_json::to_value(read).unwrap()
}

/// A quantity may be an integer in a manifest and is always written as a string.
fn write_integers_as_text(value: &mut Value) {
    match value {
        Value::Number(number) => *value = Value::String(number.to_string()),
        Value::Array(items) => items.iter_mut().for_each(write_integers_as_text),
        Value::Object(fields) => fields.values_mut().for_each(write_integers_as_text),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[test]
fn bad_manifests_are_refused_in_words() {
    let schemas = schemas();
    for manifest in manifests("bad") {
        let schema = &schemas[manifest.kind()];
        let Manifest { file, first_line, object } = manifest;
        let refused = structural::refused(schema, &object);
        if let Some(says) = first_line.strip_prefix("# says: ") {
            assert_eq!(refused, Vec::<String>::new(), "{file}");
            assert_eq!(broken_rules(schema, &object), BTreeSet::from([says.to_owned()]), "{file}");
        } else if let Some(says) = first_line.strip_prefix("# server says: ") {
            let [path] = refused.as_slice() else { panic!("{file}: one refusal is wanted, not {refused:?}") };
            assert!(says.contains(path.as_str()), "{file}: refused at {path}");
        } else {
            panic!("{file}: the first line must start with `# says: ` or `# server says: `");
        }
    }
}

#[test]
fn every_rule_is_broken_by_a_bad_manifest() {
    let said: BTreeSet<_> = manifests("bad").into_iter().map(|manifest| manifest.first_line).collect();
    let mut messages = BTreeSet::new();
    schemas().values().for_each(|schema| collect_messages(schema, &mut messages));
    let never_said: Vec<_> =
        messages.iter().filter(|message| !said.contains(&format!("# says: {message}"))).collect();
    assert!(never_said.is_empty(), "{never_said:#?}");
}

fn collect_messages(schema: &Value, messages: &mut BTreeSet<String>) {
    match schema {
        Value::Object(keywords) => {
            let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
            messages.extend(rules.filter_map(|rule| rule["message"].as_str().map(str::to_owned)));
            keywords.values().for_each(|inner| collect_messages(inner, messages));
        }
        Value::Array(inner) => inner.iter().for_each(|inner| collect_messages(inner, messages)),
        _ => {}
    }
}

#[test]
fn every_field_is_in_a_good_manifest() {
    let manifests = manifests("good");
    let mut missing = Vec::new();
    for (kind, schema) in schemas() {
        let of_kind = manifests.iter().filter(|manifest| manifest.kind() == kind);
        let shown: Vec<_> = of_kind.map(|manifest| &manifest.object["spec"]).collect();
        // Most fields of a worker are those of a service; each once is enough.
        let as_workers: Vec<Value> = shown.iter().map(|spec| json!({"workers": spec["services"]})).collect();
        let shown: Vec<&Value> = shown.into_iter().chain(&as_workers).collect();
        collect_missing(&schema["properties"]["spec"], &shown, &kind, &mut missing);
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Paths of the schema's properties that none of the values has.
fn collect_missing(schema: &Value, values: &[&Value], path: &str, missing: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let inner: Vec<_> = values.iter().filter_map(|value| value.get(name)).collect();
        if inner.is_empty() {
            missing.push(path);
        } else {
            collect_missing(property, &inner, &path, missing);
        }
    }
    if schema["items"].is_object() {
        let items: Vec<_> = values.iter().filter_map(|value| value.as_array()).flatten().collect();
        collect_missing(&schema["items"], &items, path, missing);
    }
}
