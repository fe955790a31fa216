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
use serde::{Deserialize, Serialize};

/// Version of the current form.
const VERSION: u32 = 2;

/// A decision on one component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "Written")]
pub struct Record {
    /// Version of the form of the record.
    version: u32,
    /// Namespace of the app.
    pub namespace: String,
    /// Name of the app.
    pub app: String,
    /// Name of the component.
    pub component: String,
    /// The input.
    pub input: RecordedInput,
    /// The decision.
    pub decision: DecisionRecord,
}

/// An [`Input`] for storage, with the evidence that the decision read.
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

/// A record of any version.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Current {
        version: u32,
        namespace: String,
        app: String,
        component: String,
        input: Box<RecordedInput>,
        decision: DecisionRecord,
    },
    Version1(Box<version1::RecordV1>),
}

impl From<Written> for Record {
    fn from(written: Written) -> Self {
        match written {
            Written::Current { version, namespace, app, component, input, decision } => {
                Self { version, namespace, app, component, input: *input, decision }
            }
            Written::Version1(record) => (*record).into(),
        }
    }
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
    /// The record of a decision on a component of an app, which is given by namespace and name.
    pub fn new(
        (namespace, app): (&str, &str),
        component: &str,
        input: RecordedInput,
        decision: DecisionRecord,
    ) -> Self {
        let (namespace, app, component) = (namespace.to_owned(), app.to_owned(), component.to_owned());
        Self { version: VERSION, namespace, app, component, input, decision }
    }

    /// Repeats the decision; `None` where the component is not decided.
    pub fn replay(&self) -> Option<ComponentDecision> {
        decide(&self.input.as_input()).components.remove(&self.component)
    }

    /// Whether the decision is the recorded one, by replicas and reasons. Another version may use other words.
    pub fn replays(&self) -> bool {
        self.replay().is_some_and(|decision| {
            without_words(&decision.record(self.input.now)) == without_words(&self.decision)
        })
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
