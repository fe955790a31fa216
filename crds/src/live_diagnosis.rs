//! The diagnosis of an app, as the leader serves it and `kubectl scalableapp diagnose` shows it. Pure.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is wrong with an app, since when, by which numbers, and the least complex step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveDiagnosis {
    /// `Healthy`, a cause, `Unknown`, `NotAScalingProblem`, or `HistoryTooShort`, from the list in `docs/reasons.md`.
    pub verdict: String,
    /// The component, the database or the dependency that has the cause; empty while nothing is wrong.
    pub component: String,
    /// The cause with its numbers and the step, in sentences.
    pub message: String,
    /// The least complex step as one word; `Nothing` while nothing is wrong.
    pub advice: String,
    /// The same as a sentence.
    pub step: String,
    /// When it was first seen, in RFC 3339; null while nothing is wrong.
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
    /// From 0 to 1: the margin to the second node or cause; null while nothing is wrong.
    pub confidence: Option<f64>,
    /// The numbers behind it.
    pub evidence: Vec<LiveEvidence>,
    /// The services and workers to which no replica is added now because they wait for it.
    pub held: Vec<String>,
    /// How much more load the components carry.
    pub headroom: Vec<LiveHeadroom>,
    /// Seconds of measurements that it is compared with.
    pub history_seconds: f64,
}

/// A number behind a diagnosis.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveEvidence {
    /// The component, the database or the dependency.
    pub component: String,
    /// Name of the measure, with its unit.
    pub measure: String,
    /// Level in normal operation.
    pub normal: f64,
    /// Level when the diagnosis began.
    pub at_begin: f64,
    /// The last value; null without a fresh one.
    pub now: Option<f64>,
    /// A PromQL query for the same number; null where it comes from the API server or from a query of the app.
    pub query: Option<String>,
}

/// How much more load a component carries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveHeadroom {
    /// Name of the component.
    pub component: String,
    /// Share of its maxReplicas that its metrics do not ask for, 0 to 1.
    pub free_share: f64,
    /// When that is used up if the request rate grows on as in the history, in RFC 3339; null if it does not grow.
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
}

/// The JSON schema of [`LiveDiagnosis`].
#[must_use]
pub fn diagnosis_schema() -> serde_json::Value {
    schemars::schema_for!(LiveDiagnosis).to_value()
}
