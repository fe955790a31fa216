//! The questions that are asked about an incident, and the answers. Pure.

use scalableapp_engine::diagnose::diagnose;
use scalableapp_engine::diagnose::observation::{Observation, Span};
use scalableapp_engine::reason::{self, Reason};

use crate::baseline;

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    Ours,
    LargestZ,
    Deepest,
}

impl Rule {
    pub(crate) const ALL: [Self; 3] = [Self::Ours, Self::LargestZ, Self::Deepest];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "this engine",
            Self::LargestZ => "largest robust z",
            Self::Deepest => "deepest anomalous node",
        }
    }

    fn answer(self, observation: &Observation) -> Answer {
        match self {
            Self::Ours => {
                let diagnosis = diagnose(observation);
                let cause = diagnosis.reason();
                Answer { ranking: diagnosis.ranking, cause }
            }
            Self::LargestZ => baseline::largest_z(observation),
            Self::Deepest => baseline::deepest(observation),
        }
    }
}

/// A cause, which may be Healthy or Unknown, and the nodes, the likeliest first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) ranking: Vec<String>,
    pub(crate) cause: Reason,
}

impl Answer {
    pub(crate) fn is_silent(&self) -> bool {
        self.cause == reason::HEALTHY
    }

    /// Whether it names a cause.
    pub(crate) fn is_answered(&self) -> bool {
        !self.is_silent() && self.cause != reason::UNKNOWN
    }
}

/// The answers to one incident.
pub(crate) struct Answers {
    /// Where it is told that there is an incident: by `told`, or by a symptom.
    pub(crate) told: Option<Answer>,
    /// Without anybody's word.
    pub(crate) alarm: Answer,
    /// To each window of normal operation, judged against the others.
    pub(crate) normal: Vec<Answer>,
}

/// Fewest windows of normal operation against which another one is judged.
const FEWEST_NORMAL: usize = 3;

pub(crate) fn answers(contender: Rule, incident: &Observation) -> Answers {
    let is_told = incident.told || incident.symptom.is_some();
    let told = is_told.then(|| contender.answer(incident));
    // Who is not told watches what users feel: the node of the symptom is the entry where none is named.
    let entry =
        incident.entry.clone().or_else(|| incident.symptom.as_ref().map(|symptom| symptom.node.clone()));
    let silent = Observation { told: false, symptom: None, entry, ..incident.clone() };
    let alarm = contender.answer(&silent);
    let normal = left_out(&silent).map(|one| contender.answer(&one)).collect();
    Answers { told, alarm, normal }
}

/// Each window of normal operation in place of the judged one.
fn left_out(silent: &Observation) -> impl Iterator<Item = Observation> {
    let all = &silent.normal;
    let count = if all.len() > FEWEST_NORMAL { all.len() } else { 0 };
    (0..count).map(move |index| {
        let mut normal: Vec<Span> = all.clone();
        let window = normal.remove(index);
        Observation { window, normal, ..silent.clone() }
    })
}
