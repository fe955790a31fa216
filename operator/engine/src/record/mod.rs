//! A decision with everything that it depended on, for a replay. Pure.
//!
//! A record is one line of JSON. Numbers keep every bit. Records of earlier versions can be read, too: each earlier
//! form has its own file, which converts it to the current one.

mod version1;

use crate::app::decide;
use crate::app::decision::ComponentDecision;
use crate::evidence::recorded::RecordedEvidence;
use crate::input::Input;
use crate::limits::Limits;
use crate::memory::AppMemory;
use crate::stack::Stack;
use crate::state::State;
use jiff::Timestamp;
use scalableapp_crds::{DecisionRecord, Proposal};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Version of the current form.
const VERSION: u32 = 2;

/// A decision on one app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Version of the form of the record.
    version: u32,
    /// Namespace of the app.
    pub namespace: String,
    /// Name of the app.
    pub app: String,
    /// What it depended on.
    pub input: RecordedInput,
    /// What was decided of each component whose decision is recorded, by its name.
    pub decisions: BTreeMap<String, DecisionRecord>,
}

/// A decision that does not come out as it was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference<'a> {
    /// Name of the component.
    pub component: &'a str,
    /// What was recorded.
    pub recorded: &'a DecisionRecord,
    /// What is decided now; nothing where the component is not decided.
    pub now: Option<ComponentDecision>,
}

/// Why a record has no version that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum BadVersion {
    #[error(
        "version {0} is later than {VERSION}, the last one that can be read: use a later release of the plugin"
    )]
    Later(u64),
    #[error("{0} is no version of a record")]
    Unknown(u64),
}

/// An [`Input`] that can be kept, with as much of the evidence as the decision read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "each field is described where the decision reads it")]
pub struct RecordedInput {
    pub now: Timestamp,
    pub stack: Stack,
    pub state: State,
    pub evidence: RecordedEvidence,
    pub limits: Limits,
    pub memory: AppMemory,
}

impl RecordedInput {
    /// Stores an input. `evidence` is what the decision read.
    pub fn of(input: &Input<'_>, evidence: RecordedEvidence) -> Self {
        // Without `..`, so that no part of the input can be left out.
        let Input { now, stack, state, evidence: _, limits, memory } = *input;
        Self {
            now,
            stack: stack.clone(),
            state: state.clone(),
            evidence,
            limits: limits.clone(),
            memory: memory.clone(),
        }
    }

    /// The input for [`decide`].
    pub fn as_input(&self) -> Input<'_> {
        Input {
            now: self.now,
            stack: &self.stack,
            state: &self.state,
            evidence: &self.evidence,
            limits: &self.limits,
            memory: &self.memory,
        }
    }
}

impl Record {
    /// The record of a decision on an app, which is given by namespace and name.
    pub fn new(
        (namespace, app): (&str, &str),
        input: RecordedInput,
        decisions: BTreeMap<String, DecisionRecord>,
    ) -> Self {
        let (namespace, app) = (namespace.to_owned(), app.to_owned());
        Self { version: VERSION, namespace, app, input, decisions }
    }

    /// Reads a record of any version. `version` is its field of this name, if it has one.
    ///
    /// # Errors
    /// When it is of a later version, or not of the form of its version.
    pub fn read<'de, D: Deserializer<'de>>(version: Option<u64>, record: D) -> Result<Self, D::Error> {
        match version {
            None => version1::RecordV1::deserialize(record).map(Self::from),
            Some(version) if version == u64::from(VERSION) => Self::deserialize(record),
            Some(version) if version > u64::from(VERSION) => {
                Err(D::Error::custom(BadVersion::Later(version)))
            }
            Some(version) => Err(D::Error::custom(BadVersion::Unknown(version))),
        }
    }

    /// Makes the decision once more, and returns what does not come out as it was recorded: its replicas and reasons.
    /// Another version may say it in other words.
    pub fn differences(&self) -> Vec<Difference<'_>> {
        let mut decided = decide(&self.input.as_input()).components;
        let differences = self.decisions.iter().filter_map(|(component, recorded)| {
            let now = decided.remove(component);
            let is_same = now
                .as_ref()
                .is_some_and(|now| without_words(&now.record(self.input.now)) == without_words(recorded));
            (!is_same).then_some(Difference { component, recorded, now })
        });
        differences.collect()
    }

    /// Whether every decision comes out as it was recorded.
    pub fn replays(&self) -> bool {
        self.differences().is_empty()
    }
}

fn without_words(decision: &DecisionRecord) -> DecisionRecord {
    let proposals = decision.proposals.iter();
    DecisionRecord {
        message: String::new(),
        proposals: proposals.map(|one| Proposal { value: String::new(), ..one.clone() }).collect(),
        stages: Vec::new(),
        ..decision.clone()
    }
}
