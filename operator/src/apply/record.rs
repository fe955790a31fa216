//! The applied children and the API server's results, so that nothing is sent twice. Pure.

use super::children::Child;
use crate::kinds::Kind;
use crate::observe::cluster::cached::fingerprint;
use kube::ResourceExt;
use serde_json::Value;
use std::collections::BTreeMap;

/// Records of one app's children, by kind and name. They are kept for one tenure.
#[derive(Default)]
pub struct Records(BTreeMap<(Kind, String), AppliedChild>);

struct AppliedChild {
    desired: u64,
    /// `resourceVersion` in the cache when the write was sent; the cache may still show it for a while.
    before: Option<String>,
    live: u64,
}

/// A cached child, compared with the applied one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    /// It is as applied, or the cache does not show the write yet.
    None,
    /// It was never applied by this process, or its content has changed.
    Changed,
    /// Somebody else changed it.
    Foreign,
}

impl Records {
    /// Compares the rendered and the cached child with the last applied one.
    #[must_use]
    pub fn drift<K: Child>(&self, kind: Kind, name: &str, desired: &Value, live: &K) -> Drift {
        match self.0.get(&(kind, name.to_owned())) {
            Some(record) if record.desired == fingerprint(desired) => {
                if record.live == live.fingerprint() || record.before == live.resource_version() {
                    Drift::None
                } else {
                    Drift::Foreign
                }
            }
            _ => Drift::Changed,
        }
    }

    /// Records a write and its result.
    pub fn applied<K: Child>(
        &mut self,
        kind: Kind,
        name: &str,
        desired: &Value,
        before: Option<String>,
        result: &K,
    ) {
        let record = AppliedChild { desired: fingerprint(desired), before, live: result.fingerprint() };
        self.0.insert((kind, name.to_owned()), record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::cluster::cached::CachedWorkload;
    use serde_json::json;

    fn deployment(version: &str, image: &str, replicas: i32, revision: &str) -> CachedWorkload {
        let object = json!({
            "metadata": {"name": "a", "resourceVersion": version,
                         "annotations": {"deployment.kubernetes.io/revision": revision}},
            "spec": {"replicas": replicas, "image": image},
            "status": {"replicas": replicas},
        });
        serde_json::from_value(object).expect("a Deployment")
    }

    fn applied() -> (Records, Value) {
        let mut records = Records::default();
        let desired = json!({"spec": {"image": "one"}});
        let result = deployment("2", "one", 1, "1");
        records.applied(Kind::Deployment, "a", &desired, Some("1".into()), &result);
        (records, desired)
    }

    #[test]
    fn scaling_and_status_are_no_drift() {
        let (records, desired) = applied();
        let scaled = deployment("9", "one", 7, "3");
        assert_eq!(records.drift(Kind::Deployment, "a", &desired, &scaled), Drift::None);
    }

    #[test]
    fn a_cache_behind_the_write_is_no_drift() {
        let (records, desired) = applied();
        let stale = deployment("1", "zero", 1, "1");
        assert_eq!(records.drift(Kind::Deployment, "a", &desired, &stale), Drift::None);
    }

    #[test]
    fn an_edit_by_hand_is_foreign_drift() {
        let (records, desired) = applied();
        let edited = deployment("3", "two", 1, "1");
        assert_eq!(records.drift(Kind::Deployment, "a", &desired, &edited), Drift::Foreign);
    }

    #[test]
    fn a_new_wish_is_applied() {
        let (records, _) = applied();
        let live = deployment("2", "one", 1, "1");
        assert_eq!(
            records.drift(Kind::Deployment, "a", &json!({"spec": {"image": "two"}}), &live),
            Drift::Changed
        );
    }
}
