//! Whether the fields of `podTemplate` have Kubernetes' names, types and syntax, and whether list keys are unique.
//! Pure.
//!
//! Server-side apply refuses such mistakes with a status that looks temporary, or with a regular expression, so they
//! are refused here. Names and types are those of the oldest supported Kubernetes. A newer one may have more fields, so
//! an unknown name is refused only if it is close to a known one; any other is left to the API server.

use super::invalid::Problems;
use super::list_keys::{ListKey, key, keys_of};
use super::path::Path;
use super::syntax::Syntax;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use scalableapp_crds::Quantity;
use schemars::SchemaGenerator;
use serde_json::{Map, Number, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// The most unknown names that are compared with the known ones. More are no typos, and each comparison takes time.
const MOST_UNKNOWN: usize = 100;

/// The longest name that is compared: Kubernetes' longest has 30 letters.
const LONGEST_NAME: usize = 40;

/// The syntax of strings in a field, by Kubernetes type; for a map, that of its keys. An empty string means that the
/// field is absent. The list has only rules of every supported API server.
const SYNTAX: [(&str, &str, Syntax); 32] = [
    ("ConfigMapEnvSource", "name", Syntax::DnsSubdomain),
    ("ConfigMapKeySelector", "key", Syntax::DataKey),
    ("Container", "name", Syntax::DnsLabel),
    ("ContainerPort", "name", Syntax::PortName),
    ("EnvFromSource", "prefix", Syntax::EnvName),
    ("EnvVar", "name", Syntax::EnvName),
    ("HostAlias", "hostnames", Syntax::DnsSubdomain),
    ("LabelSelector", "matchLabels", Syntax::QualifiedName),
    ("LabelSelectorRequirement", "key", Syntax::QualifiedName),
    ("LabelSelectorRequirement", "values", Syntax::LabelValue),
    ("NodeSelectorRequirement", "key", Syntax::QualifiedName),
    ("ObjectMeta", "annotations", Syntax::AnnotationKey),
    ("ObjectMeta", "labels", Syntax::QualifiedName),
    ("PodAffinityTerm", "matchLabelKeys", Syntax::QualifiedName),
    ("PodAffinityTerm", "mismatchLabelKeys", Syntax::QualifiedName),
    ("PodAffinityTerm", "topologyKey", Syntax::QualifiedName),
    ("PodReadinessGate", "conditionType", Syntax::QualifiedName),
    ("PodResourceClaim", "name", Syntax::DnsLabel),
    ("PodSchedulingGate", "name", Syntax::QualifiedName),
    ("PodSpec", "hostname", Syntax::DnsLabel),
    ("PodSpec", "nodeName", Syntax::DnsSubdomain),
    ("PodSpec", "nodeSelector", Syntax::QualifiedName),
    ("PodSpec", "priorityClassName", Syntax::DnsSubdomain),
    ("PodSpec", "runtimeClassName", Syntax::DnsSubdomain),
    ("PodSpec", "subdomain", Syntax::DnsLabel),
    ("ResourceRequirements", "limits", Syntax::ResourceName),
    ("ResourceRequirements", "requests", Syntax::ResourceName),
    ("SecretEnvSource", "name", Syntax::DnsSubdomain),
    ("SecretKeySelector", "key", Syntax::DataKey),
    ("Toleration", "key", Syntax::QualifiedName),
    ("TopologySpreadConstraint", "matchLabelKeys", Syntax::QualifiedName),
    ("Volume", "name", Syntax::DnsLabel),
];

/// The type of a field.
enum Type {
    Object(BTreeMap<String, Type>),
    /// With the syntax of its keys.
    Map(Option<Syntax>, Box<Type>),
    List(Box<Type>),
    /// Another type by its name.
    Named(String),
    String(Option<Syntax>),
    Integer,
    Boolean,
    /// A quantity, or a port's number or name.
    NumberOrString,
    Any,
}

/// A pod template, and its types by name.
struct Types {
    template: Type,
    named: BTreeMap<String, Type>,
}

static TYPES: LazyLock<Types> = LazyLock::new(|| {
    let schema = SchemaGenerator::default().into_root_schema_for::<PodTemplateSpec>().to_value();
    let definitions = schema["$defs"].as_object().into_iter().flatten();
    Types {
        template: Type::of(&schema),
        named: definitions.map(|(name, schema)| (name.clone(), Type::of_definition(name, schema))).collect(),
    }
});

impl Type {
    /// A type with the syntax of its fields.
    fn of_definition(name: &str, schema: &Value) -> Self {
        let mut definition = Self::of(schema);
        let name = name.rsplit('.').next().unwrap_or_default();
        if let Self::Object(fields) = &mut definition {
            for (_, field, syntax) in SYNTAX.iter().filter(|(definition, ..)| *definition == name) {
                fields.get_mut(*field).into_iter().for_each(|own| own.have(*syntax));
            }
        }
        definition
    }

    fn have(&mut self, syntax: Syntax) {
        match self {
            Self::String(own) => *own = Some(syntax),
            Self::List(items) => items.have(syntax),
            Self::Map(keys, values) => {
                *keys = Some(syntax);
                if syntax == Syntax::QualifiedName {
                    values.have(Syntax::LabelValue);
                }
            }
            _ => {}
        }
    }

    fn of(schema: &Value) -> Self {
        if let Some(name) = schema["$ref"].as_str() {
            return Self::Named(name.trim_start_matches("#/$defs/").to_owned());
        }
        if schema["x-kubernetes-int-or-string"] == true {
            return Self::NumberOrString;
        }
        match (schema["type"].as_str(), schema["properties"].as_object(), schema.get("additionalProperties"))
        {
            (Some("object"), Some(fields), _) => {
                Self::Object(fields.iter().map(|(name, schema)| (name.clone(), Self::of(schema))).collect())
            }
            (Some("object"), None, Some(values)) => Self::Map(None, Box::new(Self::of(values))),
            (Some("array"), ..) => Self::List(Box::new(Self::of(&schema["items"]))),
            (Some("string"), ..) => Self::String(None),
            (Some("integer"), ..) => Self::Integer,
            (Some("boolean"), ..) => Self::Boolean,
            _ => Self::Any,
        }
    }

    fn meaning(&self, value: &Value) -> Value {
        match (self, value) {
            (Self::Named(name), Value::Number(_) | Value::String(_)) if name == QUANTITY => quantity(value),
            (Self::Named(name), _) => {
                TYPES.named.get(name).map_or_else(|| value.clone(), |own| own.meaning(value))
            }
            (Self::Object(fields), Value::Object(object)) => {
                let meaning = |(name, value): (&String, &Value)| {
                    let Some(wanted) = fields.get(name) else { return Some((name.clone(), value.clone())) };
                    (!wanted.is_same_as_absent(value)).then(|| (name.clone(), wanted.meaning(value)))
                };
                Value::Object(object.iter().filter_map(meaning).collect())
            }
            (Self::Map(_, values), Value::Object(object)) => {
                object.iter().map(|(key, value)| (key.clone(), values.meaning(value))).collect()
            }
            (Self::List(items), Value::Array(list)) => list.iter().map(|item| items.meaning(item)).collect(),
            (Self::Integer, Value::Number(number)) => {
                whole(number).map_or_else(|| value.clone(), Value::from)
            }
            _ => value.clone(),
        }
    }

    /// Whether an empty value of the field equals its absence. That of an object need not: `emptyDir` has no fields.
    fn is_same_as_absent(&self, value: &Value) -> bool {
        match (self, value) {
            (_, Value::Null) => true,
            (Self::List(_), Value::Array(items)) => items.is_empty(),
            (Self::Map(..), Value::Object(entries)) => entries.is_empty(),
            _ => false,
        }
    }
}

/// Name of the type of quantities.
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";

/// Why a string is no quantity.
fn is_no_quantity(text: &str) -> Option<String> {
    Quantity(text.to_owned()).milli().err().map(|invalid| invalid.to_string())
}

fn quantity(written: &Value) -> Value {
    let text = written.as_str().map_or_else(|| written.to_string(), str::to_owned);
    Quantity(text).nano().map_or_else(|| written.clone(), |nano| Value::String(format!("{nano}n")))
}

/// An integer that may be written as `1.0`.
fn whole(number: &Number) -> Option<i64> {
    let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e15)?;
    number.as_i64().or_else(|| format!("{float:.0}").parse().ok())
}

/// A template in a normal form for all equal values, for comparisons only.
pub(super) fn meaning(template: &Map<String, Value>) -> Value {
    let mut meaning = TYPES.template.meaning(&Value::Object(template.clone()));
    if let Value::Object(parts) = &mut meaning {
        parts.retain(|_, part| part.as_object().is_none_or(|fields| !fields.is_empty()));
    }
    meaning
}

/// The same for a part of a container, whose field has this name.
pub(super) fn meaning_in_container(field: &str, value: &Value) -> Value {
    match TYPES.named.get("io.k8s.api.core.v1.Container") {
        Some(Type::Object(fields)) => {
            fields.get(field).map_or_else(|| value.clone(), |part| part.meaning(value))
        }
        _ => value.clone(),
    }
}

/// Checks a template in canonical form.
pub(super) fn check(template: &Map<String, Value>, path: Path<'_>, problems: &mut Problems) {
    let Type::Object(parts) = &TYPES.template else { return };
    let mut checker = Checker { problems, unknown: 0 };
    for (name, value) in template {
        match parts.get(name) {
            Some(part) => checker.value(name, value, part, Path::Field(&path, name)),
            None => {
                let sentence = format!("move {name} under podTemplate.spec or podTemplate.metadata");
                checker.problems.refuse(Path::Field(&path, name), sentence);
            }
        }
    }
}

struct Checker<'a> {
    problems: &'a mut Problems,
    unknown: usize,
}

impl Checker<'_> {
    fn value(&mut self, name: &str, value: &Value, wanted: &Type, path: Path<'_>) {
        let sentence = match (wanted, value) {
            (_, Value::Null) => return,
            (Type::Named(other), Value::String(text)) if other == QUANTITY => match is_no_quantity(text) {
                Some(sentence) => sentence,
                None => return,
            },
            (Type::Named(other), _) => {
                return TYPES
                    .named
                    .get(other)
                    .into_iter()
                    .for_each(|wanted| self.value(name, value, wanted, path));
            }
            (Type::Object(fields), Value::Object(object)) => return self.object(object, fields, path),
            (Type::Map(keys, values), Value::Object(object)) => return self.map(object, *keys, values, path),
            (Type::List(items), Value::Array(list)) => return self.list(name, list, items, path),
            (Type::String(Some(syntax)), Value::String(text)) if !text.is_empty() && !syntax.admits(text) => {
                syntax.sentence().to_owned()
            }
            (Type::String(_), Value::String(_))
            | (Type::Boolean, Value::Bool(_))
            | (Type::NumberOrString, Value::Number(_) | Value::String(_))
            | (Type::Any, _) => return,
            (Type::Integer, Value::Number(number)) if number.as_f64().is_some_and(|n| n.fract() == 0.0) => {
                return;
            }
            (Type::String(_), Value::Number(_) | Value::Bool(_)) => {
                "put the value in quotes: it must be a string".to_owned()
            }
            (Type::String(_), _) => format!("write {name} as a string"),
            (Type::Boolean, _) => "use true or false, without quotes".to_owned(),
            (Type::Integer, _) => "use a whole number, without quotes".to_owned(),
            (Type::NumberOrString, _) => "use a number or a string".to_owned(),
            (Type::Object(_) | Type::Map(..), _) => format!("write {name} as an object"),
            (Type::List(_), _) => format!("write {name} as a list"),
        };
        self.problems.refuse(path, sentence);
    }

    fn map(&mut self, map: &Map<String, Value>, keys: Option<Syntax>, values: &Type, path: Path<'_>) {
        for (key, value) in map {
            let path = Path::Item(&path, key);
            if let Some(syntax) = keys {
                syntax.check(key, path, self.problems);
            }
            self.value(key, value, values, path);
        }
    }

    fn object(&mut self, object: &Map<String, Value>, fields: &BTreeMap<String, Type>, path: Path<'_>) {
        for (name, value) in object {
            let path = Path::Field(&path, name);
            if let Some(wanted) = fields.get(name) {
                self.value(name, value, wanted, path);
            } else if let Some(meant) = self.meant(name, fields) {
                let sentence = format!("Kubernetes has no such field: did you mean {meant}?");
                self.problems.refuse(path, sentence);
            }
        }
    }

    /// The known name that is close to the unknown one.
    fn meant<'a>(&mut self, unknown: &str, fields: &'a BTreeMap<String, Type>) -> Option<&'a str> {
        self.unknown += 1;
        if self.unknown > MOST_UNKNOWN || unknown.len() > LONGEST_NAME {
            return None;
        }
        let letters = |name: &str| name.replace(['-', '_'], "").to_lowercase();
        let distance = |known: &str| strsim::osa_distance(&letters(unknown), &letters(known));
        let (distance, meant) = fields.keys().map(|known| (distance(known), known)).min()?;
        // Many short names differ in two letters.
        let slips = if unknown.len().min(meant.len()) < 6 { 1 } else { 2 };
        (distance <= slips).then_some(meant.as_str())
    }

    fn list(&mut self, name: &str, list: &[Value], items: &Type, path: Path<'_>) {
        let keys = keys_of(name).unwrap_or_default();
        let mut known = BTreeSet::new();
        for (index, item) in list.iter().enumerate() {
            let place = Path::Index(&path, index);
            // The one key of imagePullSecrets has a default, the empty name.
            let lacks = |key_name: &&&str| {
                matches!(key(item, key_name), ListKey::Missing | ListKey::Text(""))
                    && name != "imagePullSecrets"
            };
            let missing = keys.iter().find(lacks);
            let words: Vec<String> = keys.iter().map(|name| word(key(item, name))).collect();
            let word = words.join("/");
            let at = if keys.is_empty() || missing.is_some() { place } else { Path::Item(&path, &word) };
            self.value("the item", item, items, at);
            match (keys, missing) {
                _ if keys.is_empty() || !item.is_object() => {}
                (["name"], Some(_)) => self.problems.refuse(at, "give it a name"),
                (_, Some(missing)) => self.problems.refuse(at, format!("set its {missing}")),
                (["name"], None) if known.contains(&word) => {
                    self.problems.refuse(at, "give it a name of its own");
                }
                (_, None) if known.contains(&word) => {
                    let sentence = format!("list it once: items are distinguished by {}", keys.join(" and "));
                    self.problems.refuse(at, sentence);
                }
                _ => {}
            }
            known.insert(word);
        }
    }
}

fn word(key: ListKey<'_>) -> String {
    match key {
        ListKey::Text(text) => text.to_owned(),
        ListKey::Other(value) => value.to_string(),
        ListKey::Missing => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn problems(spec: &Value) -> Vec<String> {
        let template = super::super::canonical::canonical_object(json!({"spec": spec}).as_object().unwrap());
        let mut problems = Problems::default();
        check(&template, Path::Root, &mut problems);
        let problems = problems.or(()).err().unwrap_or_default();
        problems.iter().map(ToString::to_string).collect()
    }

    #[rstest]
    #[case(json!({"tolerationz": []}), "spec.tolerationz", "tolerations")]
    #[case(json!({"nodeSelectors": {"disk": "ssd"}}), "spec.nodeSelectors", "nodeSelector")]
    #[case(json!({"image_pull_secrets": []}), "spec.image_pull_secrets", "imagePullSecrets")]
    #[case(json!({"hostaliases": []}), "spec.hostaliases", "hostAliases")]
    #[case(
        json!({"containers": [{"name": "web", "envform": []}]}),
        "spec.containers[web].envform",
        "envFrom"
    )]
    #[case(
        json!({"initContainers": [{"name": "a", "securityContext": {"runAsGruop": 1}}]}),
        "spec.initContainers[a].securityContext.runAsGruop",
        "runAsGroup"
    )]
    #[case(
        json!({"containers": [{"name": "a", "env": [{"name": "A", "valueFrom": {"secretKeyref": {"key": "a"}}}]}]}),
        "spec.containers[a].env[A].valueFrom.secretKeyref",
        "secretKeyRef"
    )]
    #[case(
        json!({"volumes": [{"name": "a", "configMap": {"names": "a"}}]}),
        "spec.volumes[a].configMap.names",
        "name"
    )]
    #[case(
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpresions": []}]
        }}}}),
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpresions",
        "matchExpressions"
    )]
    fn a_misspelt_field_is_refused_with_the_one_that_was_meant(
        #[case] spec: Value,
        #[case] path: &str,
        #[case] meant: &str,
    ) {
        let sentence = format!("{path}: Kubernetes has no such field: did you mean {meant}?");
        assert_eq!(problems(&spec), [sentence]);
    }

    /// Fields that Kubernetes added from 1.34 to 1.37, and some unknown ones.
    #[test]
    fn what_every_api_server_takes_is_not_refused() {
        let spec = json!({
            "containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": ""}], "env": [
                {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "My_Map", "key": "a", "optional": true}}},
            ]}],
            "volumes": [{"name": "b", "secret": {"secretName": "Team_Extra", "optional": true, "items": [
                {"key": "my key", "path": "a"},
            ]}}],
        });
        assert_eq!(problems(&spec), [""; 0]);
    }

    #[test]
    fn a_field_of_a_newer_kubernetes_passes() {
        let spec = json!({
            "hostnameOverride": "a", "workloadRef": {}, "schedulingGroup": {}, "evictionResponders": [],
            "fromTomorrow": {"any": ["thing"]},
            "containers": [{
                "name": "web",
                "restartPolicyRules": [],
                "env": [{"name": "A", "valueFrom": {"fileKeyRef": {"key": "a"}}}],
                "livenessProbe": {"grpc": {"port": 1, "mode": "a"}, "httpGet": {"port": 1, "protocol": "a"}},
                "volumeMounts": [{"mountPath": "/a", "name": "a", "bindMountOptions": []}],
            }],
            "volumes": [
                {"name": "a", "projected": {"defaultUser": 1, "sources": [
                    {"podCertificate": {}},
                    {"serviceAccountToken": {"path": "a", "user": 1}},
                    {"clusterTrustBundle": {"path": "a", "user": 1}},
                    {"configMap": {"items": [{"key": "a", "path": "a", "user": 1}]}},
                ]}},
                {"name": "b", "emptyDir": {"mode": 1}},
                {"name": "c", "configMap": {"defaultUser": 1}},
                {"name": "d", "secret": {"defaultUser": 1}},
                {"name": "e", "downwardAPI": {"defaultUser": 1, "items": [{"path": "a", "user": 1}]}},
            ],
        });
        assert_eq!(problems(&spec), Vec::<String>::new());
    }

    #[rstest]
    #[case(json!({"hostNetwork": "no"}), "spec.hostNetwork: use true or false, without quotes")]
    #[case(json!({"priority": "1"}), "spec.priority: use a whole number, without quotes")]
    #[case(json!({"priority": 1.5}), "spec.priority: use a whole number, without quotes")]
    #[case(json!({"nodeSelector": ["a"]}), "spec.nodeSelector: write nodeSelector as an object")]
    #[case(
        json!({"nodeSelector": {"spot": true}}),
        "spec.nodeSelector[spot]: put the value in quotes: it must be a string"
    )]
    #[case(json!({"tolerations": {}}), "spec.tolerations: write tolerations as a list")]
    #[case(json!({"containers": ["a"]}), "spec.containers[0]: write the item as an object")]
    #[case(json!({"schedulerName": {}}), "spec.schedulerName: write schedulerName as a string")]
    #[case(
        json!({"containers": [{"name": "a", "env": [{"name": "A", "value": 1}]}]}),
        "spec.containers[a].env[A].value: put the value in quotes: it must be a string"
    )]
    #[case(
        json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": [1]}}}]}),
        "spec.containers[a].resources.limits[cpu]: use a number or a string"
    )]
    #[case(
        json!({"containers": [{"name": "a", "resources": {"limits": {"memory": "32MB"}}}]}),
        "spec.containers[a].resources.limits[memory]: \"32MB\" is not a quantity such as 50, 0.5, 500m or 2Gi: write 32M"
    )]
    fn a_value_of_another_type_is_refused(#[case] spec: Value, #[case] sentence: &str) {
        assert_eq!(problems(&spec), [sentence]);
    }

    #[rstest]
    #[case(
        json!({"containers": [{"name": "a", "env": [{"name": "A"}, {"name": "B"}, {"name": "A"}]}]}),
        "spec.containers[a].env[A]: give it a name of its own"
    )]
    #[case(
        json!({"initContainers": [{"name": "a"}, {"name": "a"}]}),
        "spec.initContainers[a]: give it a name of its own"
    )]
    #[case(
        json!({"containers": [{"name": "a", "ports": [{"containerPort": 1}, {"containerPort": 1, "protocol": "TCP"}]}]}),
        "spec.containers[a].ports[1/TCP]: list it once: items are distinguished by containerPort and protocol"
    )]
    #[case(
        json!({"containers": [{"name": "a", "volumeMounts": [
            {"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "/a"},
        ]}]}),
        "spec.containers[a].volumeMounts[/a]: list it once: items are distinguished by mountPath"
    )]
    #[case(json!({"hostAliases": [{"hostnames": ["a"]}]}), "spec.hostAliases[0]: set its ip")]
    #[case(
        json!({"imagePullSecrets": [{"name": "a"}, {"name": "a"}]}),
        "spec.imagePullSecrets[a]: give it a name of its own"
    )]
    fn items_that_server_side_apply_cannot_tell_apart_are_refused(
        #[case] spec: Value,
        #[case] sentence: &str,
    ) {
        assert_eq!(problems(&spec), [sentence]);
    }

    #[rstest]
    #[case(json!({"nodeSelector": {"disk type": "ssd"}}), "spec.nodeSelector[disk type]", Syntax::QualifiedName)]
    #[case(json!({"nodeSelector": {"disk": "fast ssd"}}), "spec.nodeSelector[disk]", Syntax::LabelValue)]
    #[case(
        json!({"containers": [{"name": "My_Proxy"}]}),
        "spec.containers[My_Proxy].name",
        Syntax::DnsLabel
    )]
    #[case(
        json!({"initContainers": [{"name": "a", "env": [{"name": "A=B"}]}]}),
        "spec.initContainers[a].env[A=B].name",
        Syntax::EnvName
    )]
    #[case(
        json!({"containers": [{"name": "a", "envFrom": [{"configMapRef": {"name": "My Map"}}]}]}),
        "spec.containers[a].envFrom[0].configMapRef.name",
        Syntax::DnsSubdomain
    )]
    #[case(
        json!({"containers": [{"name": "a", "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b c"}}}]}]}),
        "spec.containers[a].env[A].valueFrom.secretKeyRef.key",
        Syntax::DataKey
    )]
    #[case(
        json!({"containers": [{"name": "a", "ports": [{"containerPort": 1, "name": "Admin"}]}]}),
        "spec.containers[a].ports[1/TCP].name",
        Syntax::PortName
    )]
    #[case(
        json!({"containers": [{"name": "a", "resources": {"requests": {"disk": "1Gi"}}}]}),
        "spec.containers[a].resources.requests[disk]",
        Syntax::ResourceName
    )]
    #[case(json!({"volumes": [{"name": "A", "emptyDir": {}}]}), "spec.volumes[A].name", Syntax::DnsLabel)]
    #[case(
        json!({"topologySpreadConstraints": [{
            "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"a": "b c"}},
        }]}),
        "spec.topologySpreadConstraints[zone/DoNotSchedule].labelSelector.matchLabels[a]",
        Syntax::LabelValue
    )]
    #[case(
        json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
            "topologyKey": "a", "labelSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b c"]}]},
        }]}}}),
        "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector.matchExpressions[0].values[0]",
        Syntax::LabelValue
    )]
    fn what_an_api_server_refuses_with_a_regular_expression_is_refused_in_a_sentence(
        #[case] spec: Value,
        #[case] path: &str,
        #[case] syntax: Syntax,
    ) {
        assert_eq!(problems(&spec), [format!("{path}: {}", syntax.sentence())]);
    }

    #[test]
    fn each_syntax_is_that_of_a_field_of_kubernetes() {
        for (definition, field, syntax) in SYNTAX {
            let name = format!(".{definition}");
            let own = TYPES.named.iter().find(|(full, _)| full.ends_with(&name));
            let Some((_, Type::Object(fields))) = own else { panic!("{definition}") };
            let has = match fields.get(field) {
                Some(Type::String(own) | Type::Map(own, _)) => *own,
                Some(Type::List(items)) => match **items {
                    Type::String(own) => own,
                    _ => None,
                },
                _ => None,
            };
            assert_eq!(has, Some(syntax), "{definition}.{field}");
        }
    }

    #[test]
    fn an_empty_name_is_a_missing_one() {
        let spec = json!({"containers": [{"name": ""}], "hostname": "", "tolerations": [{"key": ""}]});
        assert_eq!(problems(&spec), ["spec.containers[0]: give it a name"]);
    }

    #[test]
    fn what_kubernetes_takes_passes() {
        let spec = json!({
            "imagePullSecrets": [{}, {"name": "a"}],
            "priority": 1.0,
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"},
            ],
            "containers": [{
                "name": "a",
                "ports": [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53}],
                "resources": {"requests": {"cpu": 0.5, "memory": "1Gi", "example.com/gpu": 1, "a.io/a": "1e3", "a.io/b": "-1"}},
                "livenessProbe": {"httpGet": {"port": "http"}},
                "args": ["a", "a"],
            }],
            "tolerations": [{"key": "a"}, {"key": "a"}],
            "volumes": [{"name": "a", "csi": {"driver": "a", "volumeAttributes": {"any": "thing"}}}],
        });
        assert_eq!(problems(&spec), Vec::<String>::new());
    }
}
