//! The author of an edit of a child, and an edited field, from `metadata.managedFields`. Pure.

use crate::labels::{FENCE, MANAGER, SCALER};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Map, Value};

/// The latest edit of rendered fields by another field manager: the manager and one of the fields. `None` where an edit
/// only removed fields, because removed fields have no manager.
#[must_use]
pub fn latest(managed: &[ManagedFieldsEntry]) -> Option<String> {
    let is_of_other = |entry: &&ManagedFieldsEntry| {
        let manager = entry.manager.as_deref().unwrap_or_default();
        entry.subresource.is_none() && ![MANAGER, SCALER, FENCE].contains(&manager)
    };
    let edits = managed.iter().filter(is_of_other).filter_map(|entry| Some((entry, field(entry)?)));
    let (entry, field) = edits.max_by_key(|(entry, _)| entry.time.as_ref().map(|time| time.0))?;
    Some(format!("field manager {} has changed {field}", entry.manager.as_deref().unwrap_or_default()))
}

/// A field of the manager, for example `spec.template.spec.containers[web].image`.
fn field(entry: &ManagedFieldsEntry) -> Option<String> {
    let fields = entry.fields_v1.as_ref()?.0.as_object()?;
    let metadata = fields.get("f:metadata").and_then(Value::as_object);
    let rendered =
        |key: &str| Some((format!("metadata.{}", key.trim_start_matches("f:")), metadata?.get(key)?));
    let part = |name: &str| Some((name.to_owned(), fields.get(&format!("f:{name}"))?));
    let places = [part("spec"), part("data"), rendered("f:labels"), rendered("f:ownerReferences")];
    places.into_iter().flatten().find_map(|(path, value)| leaf(path, value))
}

fn leaf(path: String, value: &Value) -> Option<String> {
    let Some(fields) = value.as_object().filter(|fields| has_fields(fields)) else { return Some(path) };
    // Replicas are reported with the decision.
    fields.iter().filter(|(key, _)| *key != "." && *key != "f:replicas").find_map(|(key, value)| {
        let path = match key.split_once(':') {
            Some(("f", name)) => format!("{path}.{name}"),
            Some(("k", keys)) => format!("{path}[{}]", named(keys)),
            Some(("v", value)) => format!("{path}[{value}]"),
            _ => return None,
        };
        leaf(path, value)
    })
}

fn has_fields(fields: &Map<String, Value>) -> bool {
    fields.keys().any(|key| key != ".")
}

/// The key values of a list item, for example `web` for `{"name":"web"}`.
fn named(keys: &str) -> String {
    let Ok(Value::Object(keys)) = serde_json::from_str(keys) else { return keys.to_owned() };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    keys.values().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(entries: Value) -> Option<String> {
        let entries: Vec<ManagedFieldsEntry> = serde_json::from_value(entries).expect("entries");
        latest(&entries)
    }

    #[test]
    fn the_latest_edit_is_told_by_its_manager_and_field() {
        let image = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"web\"}": {".": {}, "f:image": {}},
        }}}}});
        let entries = json!([
            {"manager": "scalableapp", "time": "2026-01-01T00:00:09Z", "fieldsV1": {"f:spec": {"f:selector": {}}}},
            {"manager": "kube-controller-manager", "time": "2026-01-01T00:00:09Z",
                "fieldsV1": {"f:metadata": {"f:annotations": {"f:deployment.kubernetes.io/revision": {}}}}},
            {"manager": "kube-controller-manager", "time": "2026-01-01T00:00:09Z", "subresource": "status",
                "fieldsV1": {"f:status": {"f:replicas": {}}}},
            {"manager": "kubectl-label", "time": "2026-01-01T00:00:01Z",
                "fieldsV1": {"f:metadata": {"f:labels": {"f:team": {}}}}},
            {"manager": "kubectl-edit", "time": "2026-01-01T00:00:02Z", "fieldsV1": image},
        ]);
        let words = "field manager kubectl-edit has changed spec.template.spec.containers[web].image";
        assert_eq!(said(entries.clone()), Some(words.to_owned()));
        let label = "field manager kubectl-label has changed metadata.labels.team";
        assert_eq!(said(json!([entries[3]])), Some(label.to_owned()));
        assert_eq!(said(json!([entries[0], entries[1], entries[2]])), None);
        let settings = json!([{"manager": "kubectl-patch", "fieldsV1": {"f:data": {"f:pool": {}}}}]);
        assert_eq!(said(settings), Some("field manager kubectl-patch has changed data.pool".to_owned()));
        let scaled = json!([{"manager": "kubectl", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
        assert_eq!(said(scaled), None, "replicas are told of where they are decided");
    }
}
