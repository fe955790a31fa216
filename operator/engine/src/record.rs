//! A decision together with everything that it depended on, so that it can be made once more. Pure.
//!
//! A record is one line of JSON. Numbers are written so that they are read back to the last bit.

use crate::app::component::decide;
use crate::app::decision::Decision;
use crate::bounds::fallback::Fallback;
use crate::bounds::overrides::Overrides;
use crate::bounds::schedule::Schedule;
use crate::evidence::sample::Reading;
use crate::forecast::Forecast;
use crate::forecast::season::Seasonal;
use crate::hpa::behavior::Behavior;
use crate::hpa::pod::Pod;
use crate::hpa::signal::PodTiming;
use crate::input::Input;
use crate::memory::Memory;
use crate::propose::metric::Metric;
use jiff::{SignedDuration, Timestamp};
use scalableapp_crds::{DecisionRecord, Proposal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A decision on one component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Namespace of the app.
    pub namespace: String,
    /// Name of the app.
    pub app: String,
    /// Name of the component.
    pub component: String,
    /// What it depended on.
    pub input: OwnedInput,
    /// What was decided.
    pub decision: DecisionRecord,
}

/// An [`Input`] that can be kept, with the memory. Its other fields are those of the input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "each field is described where the decision reads it")]
pub struct OwnedInput {
    pub now: Timestamp,
    pub min_replicas: i32,
    pub schedules: Vec<Schedule>,
    pub max_replicas: i32,
    pub metrics: Vec<Metric>,
    pub behavior: Behavior,
    pub current_replicas: i32,
    /// Missing in records of version 0.1.0.
    #[serde(default)]
    pub decided_replicas: Option<i32>,
    pub status_replicas: i32,
    pub pods: Vec<Pod>,
    pub readings: BTreeMap<String, Reading>,
    pub max_sample_age: SignedDuration,
    pub timing: PodTiming,
    pub forecast: Option<Forecast>,
    pub seasons: BTreeMap<String, Seasonal>,
    pub fallback: Option<Fallback>,
    pub overrides: Overrides,
    pub memory: Memory,
}

impl OwnedInput {
    /// Keeps an input, and the memory that is about to be handed to [`decide`].
    pub fn of(input: &Input<'_>, memory: &Memory) -> Self {
        // Without `..`, so that nothing that a decision depends on can be left out.
        let Input {
            now,
            min_replicas,
            schedules,
            max_replicas,
            metrics,
            behavior,
            current_replicas,
            decided_replicas,
            status_replicas,
            pods,
            readings,
            max_sample_age,
            timing,
            forecast,
            seasons,
            fallback,
            overrides,
        } = *input;
        Self {
            now,
            min_replicas,
            schedules: schedules.to_vec(),
            max_replicas,
            metrics: metrics.to_vec(),
            behavior: behavior.clone(),
            current_replicas,
            decided_replicas,
            status_replicas,
            pods: pods.to_vec(),
            readings: readings.clone(),
            max_sample_age,
            timing,
            forecast,
            seasons: seasons.clone(),
            fallback,
            overrides: overrides.clone(),
            memory: memory.clone(),
        }
    }

    /// The input without the memory, as [`decide`] takes it.
    pub fn as_input(&self) -> Input<'_> {
        Input {
            now: self.now,
            min_replicas: self.min_replicas,
            schedules: &self.schedules,
            max_replicas: self.max_replicas,
            metrics: &self.metrics,
            behavior: &self.behavior,
            current_replicas: self.current_replicas,
            decided_replicas: self.decided_replicas,
            status_replicas: self.status_replicas,
            pods: &self.pods,
            readings: &self.readings,
            max_sample_age: self.max_sample_age,
            timing: self.timing,
            forecast: self.forecast,
            seasons: &self.seasons,
            fallback: self.fallback,
            overrides: &self.overrides,
        }
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

impl Record {
    /// Makes the decision once more.
    pub fn replay(&self) -> Decision {
        decide(&self.input.as_input(), self.input.memory.clone())
    }

    /// Whether the decision comes out as it was recorded: its replicas and reasons. Another version may say it in other
    /// words.
    pub fn replays(&self) -> bool {
        without_words(&self.replay().record(self.input.now)) == without_words(&self.decision)
    }
}
