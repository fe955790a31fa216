//! One form for all JSON with the same meaning for Kubernetes, so that only a change of meaning makes a revision. Pure.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Lists of a PodTemplateSpec whose order has no meaning. The order of `env`, `containers` and `initContainers` has
/// one.
const UNORDERED: [&str; 8] = [
    "hostAliases",
    "imagePullSecrets",
    "ports",
    "tolerations",
    "topologySpreadConstraints",
    "volumeDevices",
    "volumeMounts",
    "volumes",
];

/// The object with sorted keys, without nulls (which are equal to absence), and with unordered lists sorted.
pub(super) fn canonical_object(object: &Map<String, Value>) -> Map<String, Value> {
    let sorted: BTreeMap<&String, &Value> = object.iter().filter(|(_, value)| !value.is_null()).collect();
    sorted
        .into_iter()
        .map(|(key, value)| {
            let mut value = canonical(value);
            if let Value::Array(items) = &mut value
                && UNORDERED.contains(&key.as_str())
            {
                items.sort_by_cached_key(Value::to_string);
            }
            (key.clone(), value)
        })
        .collect()
}

/// The same for any value.
pub(super) fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(canonical_object(object)),
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_means_the_same_has_one_form() {
        let one =
            json!({"spec": {"volumes": [{"name": "a"}, {"name": "b"}], "nodeName": null}, "metadata": {}});
        let other = json!({"metadata": {}, "spec": {"volumes": [{"name": "b"}, {"name": "a"}]}});
        assert_eq!(canonical(&one).to_string(), canonical(&other).to_string());
    }

    #[test]
    fn an_order_that_means_something_is_kept() {
        for list in ["env", "containers", "initContainers", "args"] {
            let one = json!({list: [{"name": "b"}, {"name": "a"}]});
            assert_eq!(canonical(&one), one, "{list}");
        }
    }
}
