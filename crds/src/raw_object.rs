//! An object of the API server as the texts of its fields, so unused fields are dropped before they are decoded. Pure.

use jiff::Timestamp;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The only field of the replacement of an object that is too large: its number of bytes. The API server drops a field
/// of this name from every write.
pub const TOO_LARGE: &str = "tooLarge";

/// The identifying fields of an object, and its owner, which shows who it belongs to.
const NAMES: [&str; 6] = ["name", "namespace", "uid", "resourceVersion", "generation", "ownerReferences"];
/// The most bytes of a field of [`NAMES`].
const LONGEST_NAME: usize = 4096;

/// Fields of an object, and those of its metadata.
pub struct RawObject<'a> {
    fields: BTreeMap<String, &'a RawValue>,
    metadata: BTreeMap<String, &'a RawValue>,
    /// The managed fields that are kept.
    managed: Option<Box<RawValue>>,
}

/// The kept managers of replicas.
const SCALERS: usize = 8;

/// The part of managed fields that is read: who wrote `spec.replicas`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Managed {
    manager: String,
    fields_v1: Fields,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    #[serde(rename = "f:spec")]
    spec: SpecFields,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SpecFields {
    #[serde(rename = "f:replicas", alias = "f:instances")]
    replicas: Option<IgnoredAny>,
}

impl<'a> RawObject<'a> {
    /// Splits the text of an object into its fields.
    ///
    /// # Errors
    /// When it is no object.
    pub fn of(text: &'a str) -> serde_json::Result<Self> {
        let mut fields: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
        let metadata = fields.remove("metadata").map(|metadata| serde_json::from_str(metadata.get()));
        let metadata: Option<BTreeMap<String, &RawValue>> = metadata.transpose()?;
        Ok(Self { fields, metadata: metadata.unwrap_or_default(), managed: None })
    }

    /// Reduces the managed fields to the writer of `spec.replicas`, without times.
    pub fn reduce_managed_fields(&mut self) {
        let Some(managed) = self.metadata.remove("managedFields") else { return };
        let managed: Vec<Managed> = serde_json::from_str(managed.get()).unwrap_or_default();
        let scalers = managed.into_iter().filter(|one| one.fields_v1.spec.replicas.is_some());
        let scalers: Vec<Value> = scalers
            .take(SCALERS)
            .map(|one| json!({"manager": one.manager, "fieldsV1": {"f:spec": {"f:replicas": {}}}}))
            .collect();
        self.managed = (!scalers.is_empty()).then(|| to_raw_value(&scalers).ok()).flatten();
    }

    /// Keeps the managed fields without times that cannot be read: one of them would make the object unreadable.
    pub fn drop_unreadable_times(&mut self) {
        let Some(managed) = self.metadata.remove("managedFields") else { return };
        let mut managed: Vec<Map<String, Value>> = serde_json::from_str(managed.get()).unwrap_or_default();
        for one in &mut managed {
            let time = one.get("time").and_then(Value::as_str);
            if time.is_none_or(|time| time.parse::<Timestamp>().is_err()) {
                one.remove("time");
            }
        }
        self.managed = to_raw_value(&managed).ok();
    }

    /// Drops a field of the metadata.
    pub fn drop_metadata(&mut self, field: &str) {
        self.metadata.remove(field);
    }

    /// Bytes that users write: everything but status, annotations and managed fields. The API server limits the
    /// annotations.
    #[must_use]
    pub fn written_bytes(&self) -> usize {
        let bytes = |fields: &BTreeMap<String, &RawValue>, others: &[&str]| -> usize {
            let written = fields.iter().filter(|(key, _)| !others.contains(&key.as_str()));
            written.map(|(key, value)| key.len() + value.get().len() + r#""":,"#.len()).sum()
        };
        bytes(&self.fields, &["status"]) + bytes(&self.metadata, &["annotations", "managedFields"])
    }

    /// The replacement of the object: its identifying metadata, and these fields.
    #[must_use]
    pub fn stand_in(&self, fields: &[&str]) -> Self {
        let kept = |(key, value): (&String, &&'a RawValue)| {
            let is_name = NAMES.contains(&key.as_str()) && value.get().len() <= LONGEST_NAME;
            is_name.then(|| (key.clone(), *value))
        };
        let is_kept = |key: &str| ["apiVersion", "kind"].contains(&key) || fields.contains(&key);
        Self {
            fields: self
                .fields
                .iter()
                .filter(|(key, _)| is_kept(key))
                .map(|(key, value)| (key.clone(), *value))
                .collect(),
            metadata: self.metadata.iter().filter_map(kept).collect(),
            managed: None,
        }
    }

    /// The object as one text, with the field [`TOO_LARGE`] if a number of bytes is given.
    ///
    /// # Errors
    /// Never, because the fields are texts.
    pub fn text(&self, too_large: Option<usize>) -> serde_json::Result<String> {
        let mut metadata: BTreeMap<&str, &RawValue> =
            self.metadata.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        metadata.extend(self.managed.as_deref().map(|managed| ("managedFields", managed)));
        let metadata = to_raw_value(&metadata)?;
        let bytes = too_large.map(|bytes| to_raw_value(&bytes)).transpose()?;
        let mut fields: BTreeMap<&str, &RawValue> =
            self.fields.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        fields.insert("metadata", &metadata);
        fields.extend(bytes.as_deref().map(|bytes| (TOO_LARGE, bytes)));
        serde_json::to_string(&fields)
    }
}
