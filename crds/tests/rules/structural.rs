//! The checks of an API server by a structural schema, beside CEL rules: those that our own schema needs. Pure.

use serde_json::{Map, Value};

/// Paths of the values that the schema refuses, as the API server spells them: `spec.services[0].port`.
pub fn refused(schema: &Value, value: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    visit(schema, value, "", &mut paths);
    paths
}

fn visit(schema: &Value, value: &Value, path: &str, paths: &mut Vec<String>) {
    if !has_type(schema, value) || !is_within_bounds(schema, value) {
        paths.push(path.to_owned());
        return;
    }
    match value {
        Value::Object(fields) => visit_fields(schema, fields, path, paths),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                if items[..index].iter().any(|earlier| is_same_item(schema, earlier, item)) {
                    paths.push(path.clone());
                }
                visit(&schema["items"], item, &path, paths);
            }
        }
        _ => {}
    }
}

fn visit_fields(schema: &Value, fields: &Map<String, Value>, path: &str, paths: &mut Vec<String>) {
    let inner = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    paths.extend(required.filter(|name| !fields.contains_key(*name)).map(inner));
    for (name, value) in fields {
        let is_open =
            schema["x-kubernetes-preserve-unknown-fields"] == true || is_of_every_object(path, name);
        match schema["properties"].get(name).or_else(|| schema.get("additionalProperties")) {
            Some(schema) => visit(schema, value, &inner(name), paths),
            None if is_open => {}
            None => paths.push(inner(name)),
        }
    }
}

fn is_of_every_object(path: &str, name: &str) -> bool {
    path.is_empty() && ["apiVersion", "kind", "metadata"].contains(&name)
}

fn has_type(schema: &Value, value: &Value) -> bool {
    if schema["x-kubernetes-int-or-string"] == true {
        return value.is_i64() || value.is_string();
    }
    match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    }
}

fn is_within_bounds(schema: &Value, value: &Value) -> bool {
    let limit = |keyword: &str| schema[keyword].as_f64();
    let within = |size: f64, min: &str, max: &str| {
        limit(min).is_none_or(|min| size >= min) && limit(max).is_none_or(|max| size <= max)
    };
    let is_inside = |number: f64| {
        let excludes = |keyword: &str| schema[keyword] == true;
        !(excludes("exclusiveMinimum") && Some(number) == limit("minimum")
            || excludes("exclusiveMaximum") && Some(number) == limit("maximum"))
    };
    let is_listed = schema["enum"].as_array().is_none_or(|listed| listed.contains(value));
    is_listed
        && match value {
            Value::Number(number) => number
                .as_f64()
                .is_some_and(|number| within(number, "minimum", "maximum") && is_inside(number)),
            Value::String(text) => within(length(text.chars().count()), "minLength", "maxLength"),
            Value::Array(items) => within(length(items.len()), "minItems", "maxItems"),
            Value::Object(fields) => within(length(fields.len()), "minProperties", "maxProperties"),
            Value::Null | Value::Bool(_) => true,
        }
}

fn length(size: usize) -> f64 {
    u32::try_from(size).map_or(f64::INFINITY, f64::from)
}

fn is_same_item(schema: &Value, one: &Value, other: &Value) -> bool {
    let keys = schema["x-kubernetes-list-map-keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    !keys.is_empty() && keys.iter().filter_map(Value::as_str).all(|key| one[key] == other[key])
}
