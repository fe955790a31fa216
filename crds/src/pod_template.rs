//! The part of a PodTemplateSpec that a user adds to a component. Pure.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Any part of a PodTemplateSpec, stored as the text of a JSON object: decoded values may take a hundred times as much
/// memory.
///
/// It is never decoded into a typed struct, so a field that this release does not know still reaches the pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodTemplate {
    text: Box<str>,
    values: usize,
}

impl PodTemplate {
    /// The part as an object.
    #[must_use]
    pub fn object(&self) -> Map<String, Value> {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Objects, lists, strings, numbers and booleans in it.
    #[must_use]
    pub fn values(&self) -> usize {
        self.values
    }

    /// Whether the user added nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values == 0
    }
}

impl From<Map<String, Value>> for PodTemplate {
    fn from(object: Map<String, Value>) -> Self {
        let values = object.values().map(count).sum();
        Self { text: Value::Object(object).to_string().into(), values }
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Object(object) => object.values().map(count).sum(),
        Value::Array(items) => items.iter().map(count).sum(),
        _ => 0,
    }
}

impl<'de> Deserialize<'de> for PodTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self::from)
    }
}

impl Serialize for PodTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.object().serialize(serializer)
    }
}

impl JsonSchema for PodTemplate {
    fn schema_name() -> Cow<'static, str> {
        "PodTemplate".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": true,
        })
    }
}
