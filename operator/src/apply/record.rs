//! What was applied and what the API server made of it, so that nothing is sent twice. Pure.

use crate::build::EPOCH_LABEL;
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

/// Records of one app's children, by kind and name. They live as long as the process leads.
#[derive(Default)]
pub struct Records(BTreeMap<(&'static str, String), Record>);

struct Record {
    desired: u64,
    /// `resourceVersion` in the cache when the write was sent; the cache may still show it afterwards.
    before: Option<String>,
    live: u64,
}

/// How a child in the cache compares with what was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    /// It is as it was applied, or the cache does not show the write yet.
    None,
    /// It was never applied by this process, or something else is wanted now.
    Wanted,
    /// Somebody else has changed it.
    Foreign,
}

impl Records {
    /// Compares what is wanted and what the cache shows with what was applied last.
    #[must_use]
    pub fn drift(&self, kind: &'static str, name: &str, desired: &Value, live: &Live) -> Drift {
        match self.0.get(&(kind, name.to_owned())) {
            Some(record) if record.desired == fingerprint(desired) => {
                if record.live == live.fingerprint || record.before == live.resource_version {
                    Drift::None
                } else {
                    Drift::Foreign
                }
            }
            _ => Drift::Wanted,
        }
    }

    /// Remembers a write and its result.
    pub fn applied(
        &mut self,
        kind: &'static str,
        name: &str,
        desired: &Value,
        before: Option<String>,
        result: &Live,
    ) {
        let record = Record { desired: fingerprint(desired), before, live: result.fingerprint };
        self.0.insert((kind, name.to_owned()), record);
    }
}

/// An object as the API server has it, reduced to what is compared.
pub struct Live {
    /// Version of the object.
    pub resource_version: Option<String>,
    fingerprint: u64,
}

impl Live {
    /// Reduces an object. What changes without anybody's edit is left out: status, replicas (the scaler's), the
    /// leader's epoch, and the API server's bookkeeping.
    pub fn of(object: &impl Serialize) -> Self {
        let mut value = serde_json::to_value(object).unwrap_or(Value::Null);
        let resource_version =
            value.pointer("/metadata/resourceVersion").and_then(Value::as_str).map(str::to_owned);
        if let Some(object) = value.as_object_mut() {
            object.remove("status");
        }
        if let Some(spec) = value.pointer_mut("/spec").and_then(Value::as_object_mut) {
            spec.remove("replicas");
        }
        if let Some(metadata) = value.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            metadata.retain(|key, _| matches!(key.as_str(), "labels" | "annotations" | "ownerReferences"));
            if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.remove("deployment.kubernetes.io/revision");
            }
            if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
                labels.remove(EPOCH_LABEL);
            }
            metadata.retain(|_, value| value.as_object().is_none_or(|map| !map.is_empty()));
        }
        Self { resource_version, fingerprint: fingerprint(&value) }
    }
}

/// A hash that is compared within this process only.
fn fingerprint(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(version: &str, image: &str, replicas: i32, revision: &str) -> Value {
        json!({
            "metadata": {"name": "a", "resourceVersion": version,
                         "annotations": {"deployment.kubernetes.io/revision": revision}},
            "spec": {"replicas": replicas, "image": image},
            "status": {"replicas": replicas},
        })
    }

    fn applied() -> (Records, Value) {
        let mut records = Records::default();
        let desired = json!({"spec": {"image": "one"}});
        let result = Live::of(&deployment("2", "one", 1, "1"));
        records.applied("Deployment", "a", &desired, Some("1".into()), &result);
        (records, desired)
    }

    #[test]
    fn scaling_and_status_are_no_drift() {
        let (records, desired) = applied();
        let scaled = Live::of(&deployment("9", "one", 7, "3"));
        assert_eq!(records.drift("Deployment", "a", &desired, &scaled), Drift::None);
    }

    #[test]
    fn a_cache_behind_the_write_is_no_drift() {
        let (records, desired) = applied();
        let stale = Live::of(&deployment("1", "zero", 1, "1"));
        assert_eq!(records.drift("Deployment", "a", &desired, &stale), Drift::None);
    }

    #[test]
    fn an_edit_by_hand_is_foreign_drift() {
        let (records, desired) = applied();
        let edited = Live::of(&deployment("3", "two", 1, "1"));
        assert_eq!(records.drift("Deployment", "a", &desired, &edited), Drift::Foreign);
    }

    #[test]
    fn a_new_wish_is_applied() {
        let (records, _) = applied();
        let live = Live::of(&deployment("2", "one", 1, "1"));
        assert_eq!(
            records.drift("Deployment", "a", &json!({"spec": {"image": "two"}}), &live),
            Drift::Wanted
        );
    }
}
