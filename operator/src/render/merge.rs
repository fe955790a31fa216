//! Merges parts of a PodTemplateSpec as JSON, with the list keys of server-side apply. Pure.

use crate::resolve::list_keys::{key, keys_of};
use serde_json::Value;

/// Merges `over` into `base`: objects by field, lists by their items' keys, and everything else from `over`.
pub(super) fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (field, value) in over {
                match base.get_mut(&field) {
                    Some(below) => merge_field(&field, below, value),
                    None => {
                        base.insert(field, value);
                    }
                }
            }
        }
        (base, over) => *base = over,
    }
}

fn merge_field(field: &str, base: &mut Value, over: Value) {
    match (keys_of(field), base, over) {
        (Some(keys), Value::Array(base), Value::Array(over)) => merge_list(keys, base, over),
        (_, base, over) => merge(base, over),
    }
}

/// Each item of `over` is merged into the item of `base` with the same keys, or appended. Items of `over` are not
/// compared with one another, which would take quadratic time.
fn merge_list(keys: &[&str], base: &mut Vec<Value>, over: Vec<Value>) {
    let below = base.len();
    for item in over {
        let same = |one: &Value| keys.iter().all(|name| key(one, name) == key(&item, name));
        match base[..below].iter().position(same) {
            Some(place) => merge(&mut base[place], item),
            None => base.push(item),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn merged(mut base: Value, over: Value) -> Value {
        merge(&mut base, over);
        base
    }

    #[rstest]
    #[case("containers", json!({"name": "web"}))]
    #[case("env", json!({"name": "PORT"}))]
    #[case("ephemeralContainers", json!({"name": "debug"}))]
    #[case("hostAliases", json!({"ip": "10.0.0.1"}))]
    #[case("imagePullSecrets", json!({"name": "registry"}))]
    #[case("initContainers", json!({"name": "migrate"}))]
    #[case("ports", json!({"containerPort": 53, "protocol": "UDP"}))]
    #[case("resourceClaims", json!({"name": "gpu"}))]
    #[case("schedulingGates", json!({"name": "quota"}))]
    #[case("topologySpreadConstraints", json!({"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}))]
    #[case("volumeDevices", json!({"devicePath": "/dev/block"}))]
    #[case("volumeMounts", json!({"mountPath": "/data"}))]
    #[case("volumes", json!({"name": "data"}))]
    fn an_item_with_the_same_keys_is_merged_and_any_other_is_added(#[case] list: &str, #[case] item: Value) {
        let with = |value: Value| {
            let mut item = item.clone();
            merge(&mut item, json!({"x": value}));
            item
        };
        let mut other = item.clone();
        for value in other.as_object_mut().expect("an object").values_mut() {
            *value = json!("other");
        }
        let base = json!({list: [with(json!({"kept": 1}))]});
        let over = json!({list: [other, with(json!({"new": 2}))]});
        assert_eq!(merged(base, over), json!({list: [with(json!({"kept": 1, "new": 2})), other]}));
    }

    #[test]
    fn ports_of_one_number_and_two_protocols_are_two_ports() {
        let base = json!({"ports": [{"containerPort": 53, "protocol": "TCP"}]});
        let over = json!({"ports": [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "name": "dns"}]});
        let wanted = json!({"ports": [
            {"containerPort": 53, "protocol": "TCP", "name": "dns"},
            {"containerPort": 53, "protocol": "UDP"},
        ]});
        assert_eq!(merged(base, over), wanted);
    }

    #[test]
    fn a_list_without_keys_is_replaced() {
        let base = json!({"tolerations": [{"key": "a"}], "args": ["a"]});
        let over = json!({"tolerations": [{"key": "b"}], "args": []});
        assert_eq!(merged(base, over.clone()), over);
    }

    #[test]
    fn fields_that_nobody_has_heard_of_pass() {
        let base = json!({"spec": {"known": 1}});
        let over = json!({"spec": {"fromTomorrow": {"deep": [1, 2]}}});
        assert_eq!(merged(base, over), json!({"spec": {"known": 1, "fromTomorrow": {"deep": [1, 2]}}}));
    }
}
