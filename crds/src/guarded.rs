//! An object as it is stored, readable or not: an unreadable object does not affect the others of its list. Pure.

use crate::{printable, raw_object::RawObject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// An object, or why it is unreadable.
#[derive(Clone, Debug)]
pub struct Guarded<K>(pub Result<K, Unreadable>);

/// An unreadable object.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{cause}")]
pub struct Unreadable {
    /// Why, and what to change.
    pub cause: Cause,
    /// Its identifying metadata, without any time.
    pub metadata: ObjectMeta,
}

/// Why an object is unreadable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// It exceeds the size limit.
    #[error("it has {0} bytes as JSON without status and annotations: write at most {limit}", limit = LARGEST)]
    TooLarge(usize),
    /// A value in it has another type than this version knows.
    #[error("{0}")]
    Shape(String),
}

/// Bytes of JSON that users may write in an object, without its annotations. `kubectl apply` stores what it applied in
/// an annotation, for which the API server has the same limit.
pub const LARGEST: usize = 256 * 1024;

/// The part of an object that is always read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    metadata: Names,
    too_large: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Names {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    owner_references: Option<Vec<OwnerReference>>,
}

impl<K: DeserializeOwned> Guarded<K> {
    /// Reads the text of an object.
    ///
    /// # Errors
    /// When it is no JSON object, or not one of the API server.
    pub fn of(text: &str) -> serde_json::Result<Self> {
        let mut object = RawObject::of(text)?;
        object.reduce_managed_fields();
        let text = object.text(None)?;
        let Head { metadata, too_large } = serde_json::from_str(&text)?;
        let Names { name, namespace, uid, resource_version, generation, owner_references } = metadata;
        let metadata = || ObjectMeta {
            name,
            namespace,
            uid,
            resource_version,
            generation,
            owner_references,
            ..ObjectMeta::default()
        };
        let read = match too_large {
            Some(bytes) => Err(Cause::TooLarge(bytes)),
            None => serde_json::from_str(&text).map_err(|error| Cause::Shape(without_place(&error))),
        };
        Ok(Self(read.map_err(|cause| Unreadable { cause, metadata: metadata() })))
    }
}

/// The position in a text that nobody sees is useless.
fn without_place(error: &serde_json::Error) -> String {
    let text = printable(&error.to_string()).into_owned();
    text.rsplit_once(" at line ").map_or_else(|| text.clone(), |(what, _)| what.to_owned())
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Self::of(text.get()).map_err(D::Error::custom)
    }
}

impl<K: Resource> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|unreadable| &unreadable.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|unreadable| &mut unreadable.metadata, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ScalableApp, ScalingOverride};
    use serde_json::{Value, json};

    fn app(change: impl FnOnce(&mut Value)) -> Guarded<ScalableApp> {
        let mut app = json!({
            "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp",
            "metadata": {"name": "shop", "namespace": "store", "uid": "1", "resourceVersion": "2", "generation": 3},
            "spec": {"services": [{"name": "web", "port": 80}]},
        });
        change(&mut app);
        serde_json::from_value(app).expect("guarded")
    }

    #[test]
    fn what_nobody_reads_makes_no_object_unreadable() {
        let time = json!([{"manager": "m", "operation": "Update", "time": "9999-12-31T23:59:59Z"}]);
        assert!(app(|app| app["metadata"]["managedFields"] = time).0.is_ok());
    }

    #[test]
    fn of_managed_fields_the_writer_of_replicas_is_left_without_its_time() {
        let of = |fields: Value| json!({"manager": "hpa", "fieldsV1": {"f:spec": fields}});
        let mut scaled = of(json!({"f:replicas": {}, "f:paused": {}}));
        scaled["time"] = json!("9999-12-31T23:59:59Z");
        let object = json!({"metadata": {"managedFields": [of(json!({"f:paused": {}})), scaled]}});
        let read: Value =
            serde_json::from_value::<Guarded<Value>>(object).expect("guarded").0.expect("readable");
        assert_eq!(read, json!({"metadata": {"managedFields": [of(json!({"f:replicas": {}}))]}}));
    }

    #[test]
    fn an_object_that_cannot_be_read_is_named_and_says_why() {
        type Change = fn(&mut Value);
        let changes: [(Change, &str); 3] = [
            (|app| app["spec"]["services"] = json!("web"), "expected a sequence"),
            (|app| app["metadata"]["creationTimestamp"] = json!("9999-12-31T23:59:59Z"), "overflowed"),
            (|app| app[crate::TOO_LARGE] = json!(300_000), "it has 300000 bytes"),
        ];
        for (change, why) in changes {
            let unreadable = app(change).0.expect_err("unreadable");
            let ObjectMeta { name, namespace, uid, generation, .. } = &unreadable.metadata;
            let names = [name, namespace, uid].map(|one| one.as_deref().unwrap_or_default());
            assert_eq!((names, *generation), (["shop", "store", "1"], Some(3)));
            assert!(unreadable.to_string().contains(why), "{unreadable}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_read_is_quoted_without_control_characters() {
        let behavior = json!({"scaleUp": {"selectPolicy": "\u{1b}[2J"}});
        let scaling = json!({"maxReplicas": 1, "behavior": behavior});
        let unreadable =
            app(|app| app["spec"]["services"][0]["scaling"] = scaling).0.expect_err("unreadable");
        let sentence = unreadable.to_string();
        assert!(sentence.contains(r"\u{1b}[2J") && !sentence.contains('\u{1b}'), "{sentence}");
    }

    #[test]
    fn one_unreadable_object_of_a_list_harms_no_other() {
        let one = |end: &str| {
            json!({"metadata": {"name": "act", "namespace": "store"}, "spec": {
                "app": "shop", "hold": {}, "by": "jane", "reason": "a test", "expiresAt": end}})
        };
        let list = json!([one("9999-12-31T23:59:59Z"), one("2026-01-01T00:00:00Z")]);
        let list: Vec<Guarded<ScalingOverride>> = serde_json::from_value(list).expect("a list");
        assert_eq!(list.iter().map(|one| one.0.is_ok()).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn what_stands_in_for_an_object_has_its_names_and_no_bytes_of_anybody() {
        let labels: serde_json::Map<String, Value> =
            (0..1000).map(|i| (format!("l{i}"), json!("x"))).collect();
        let text = json!({
            "apiVersion": "v1", "kind": "Pod", "spec": {"volumes": vec![json!({}); 1000]},
            "metadata": {"name": "a", "labels": labels, "annotations": {"a": "b"}, "ownerReferences": []},
            "status": {"message": "x".repeat(1000)},
        })
        .to_string();
        let object = RawObject::of(&text).expect("an object");
        let written = object.written_bytes();
        assert!((13_000..15_000).contains(&written), "{written}");
        let stand_in = object.stand_in(&[]).text(Some(written)).expect("a text");
        let expected = json!({"apiVersion": "v1", "kind": "Pod", "tooLarge": written,
            "metadata": {"name": "a", "ownerReferences": []}});
        assert_eq!(serde_json::from_str::<Value>(&stand_in).expect("JSON"), expected);
    }
}
