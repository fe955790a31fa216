//! How often answers are right. Pure.

use std::collections::BTreeMap;

use scalableapp_engine::reason::{self, Reason};

use crate::answer::{Answer, Answers};
use crate::read::Truth;

/// Hits of so many.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) hits: usize,
    pub(crate) of: usize,
}

impl Share {
    fn add(&mut self, is_hit: bool) {
        self.hits += usize::from(is_hit);
        self.of += 1;
    }
}

/// The scores of one contender on one set.
#[derive(Default)]
pub(crate) struct Scores {
    /// Right when told: the node, or for faults in the code that it is no scaling problem.
    pub(crate) told: Share,
    /// The node is first, when told; faults in the code have none.
    pub(crate) first: Share,
    /// The node is among the first three.
    pub(crate) first_three: Share,
    /// The cause is right, when told and where it is known.
    pub(crate) cause: Share,
    /// Faults in the code that are called so, when told.
    pub(crate) code: Share,
    /// Verdicts of Unknown, when told.
    pub(crate) unknown: Share,
    /// Incidents that are answered without being told.
    pub(crate) answered: Share,
    /// Right among these.
    pub(crate) right: Share,
    /// Unknown, without being told.
    pub(crate) alarm_unknown: Share,
    /// Silence on healthy incidents.
    pub(crate) silent: Share,
    /// Silence on windows of normal operation that are judged against the others.
    pub(crate) normal_silent: Share,
    /// Answered cause by true cause, when told, else without.
    pub(crate) confusion: BTreeMap<String, BTreeMap<&'static str, usize>>,
}

/// Words for causes in a truth, as sets spell them.
const CAUSES: [(&[&str], Reason); 13] = [
    (&["not-a-scaling-problem", "code", "none"], reason::NOT_A_SCALING_PROBLEM),
    (&["cpu", "cpu-saturated", "cpu-contention"], reason::CPU_SATURATED),
    (&["memory", "mem", "memory-leak", "oom"], reason::MEMORY_SATURATED),
    (&["disk", "disk-io", "io"], reason::DISK_SATURATED),
    (&["external-latency", "delay", "network", "network-delay", "latency", "loss"], reason::EXTERNAL_LATENCY),
    (&["socket", "sockets"], reason::NETWORK_SATURATED),
    (&["throttling"], reason::CPU_THROTTLED),
    (&["pool", "connection-pool"], reason::POOL_TOO_SMALL),
    (&["connections"], reason::CONNECTIONS_EXHAUSTED),
    (&["slow-query", "database"], reason::DATABASE_SLOW),
    (&["lock"], reason::LOCK_WAIT),
    (&["cache"], reason::CACHE_MISSES),
    (&["retry-storm", "overload"], reason::SUSTAINED_OVERLOAD),
];

/// Whether a cause is what a word of a truth means: one of the table, else the reason's own name.
fn is_cause(word: &str, cause: Reason) -> bool {
    match CAUSES.iter().find(|(words, _)| words.contains(&word)) {
        Some((_, meant)) => *meant == cause,
        None => kebab(cause.name) == word,
    }
}

fn kebab(name: &str) -> String {
    let mut text = String::new();
    for sign in name.chars() {
        if sign.is_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.extend(sign.to_lowercase());
    }
    text
}

impl Truth {
    fn is_code(&self) -> bool {
        self.cause.as_deref().is_some_and(|cause| is_cause(cause, reason::NOT_A_SCALING_PROBLEM))
    }

    /// Whether the node is among the first so many of an answer.
    fn is_among(&self, first: usize, answer: &Answer) -> bool {
        let is_it = |node: &String| self.accept.contains(node) || self.node.as_ref() == Some(node);
        answer.ranking.iter().take(first).any(is_it)
    }

    fn is_right(&self, answer: &Answer) -> bool {
        if self.is_code() { answer.cause == reason::NOT_A_SCALING_PROBLEM } else { self.is_among(1, answer) }
    }
}

impl Scores {
    pub(crate) fn add(&mut self, answers: &Answers, truth: &Truth) {
        if truth.healthy {
            self.silent.add(answers.alarm.is_silent());
            self.confuse("healthy", &answers.alarm);
        } else {
            if let Some(told) = &answers.told {
                self.add_told(told, truth);
            }
            self.answered.add(answers.alarm.is_answered());
            self.alarm_unknown.add(answers.alarm.cause == reason::UNKNOWN);
            if answers.alarm.is_answered() {
                self.right.add(truth.is_right(&answers.alarm));
            }
            let shown = answers.told.as_ref().unwrap_or(&answers.alarm);
            self.confuse(truth.cause.as_deref().unwrap_or("not told"), shown);
        }
        for one in &answers.normal {
            self.normal_silent.add(one.is_silent());
        }
    }

    fn add_told(&mut self, told: &Answer, truth: &Truth) {
        self.told.add(truth.is_right(told));
        self.unknown.add(told.cause == reason::UNKNOWN);
        if truth.is_code() {
            self.code.add(told.cause == reason::NOT_A_SCALING_PROBLEM);
        } else {
            self.first.add(truth.is_among(1, told));
            self.first_three.add(truth.is_among(3, told));
        }
        if let Some(cause) = &truth.cause {
            self.cause.add(is_cause(cause, told.cause));
        }
    }

    fn confuse(&mut self, truth: &str, answer: &Answer) {
        *self.confusion.entry(truth.to_owned()).or_default().entry(answer.cause.name).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(cause: &str) -> Truth {
        Truth {
            node: Some("a".into()),
            accept: vec!["a-1".into()],
            cause: Some(cause.into()),
            healthy: false,
        }
    }

    fn answer(cause: Reason, ranking: &[&str]) -> Answer {
        Answer { ranking: ranking.iter().map(|node| (*node).to_owned()).collect(), cause }
    }

    #[test]
    fn a_name_in_accept_is_right_and_faults_in_the_code_need_no_node() {
        assert!(truth("cpu").is_right(&answer(reason::MEMORY_SATURATED, &["a-1"])));
        assert!(!truth("cpu").is_right(&answer(reason::CPU_SATURATED, &["b", "a"])));
        assert!(truth("not-a-scaling-problem").is_right(&answer(reason::NOT_A_SCALING_PROBLEM, &["b"])));
        assert!(!truth("not-a-scaling-problem").is_right(&answer(reason::CPU_SATURATED, &["a"])));
    }

    #[test]
    fn unknown_is_no_answer_and_silence_counts_on_health_alone() {
        let mut scores = Scores::default();
        let silent = || answer(reason::HEALTHY, &[]);
        let healthy = Truth { healthy: true, ..Truth::default() };
        scores.add(&Answers { told: None, alarm: silent(), normal: vec![silent()] }, &healthy);
        let unknown = answer(reason::UNKNOWN, &["a"]);
        scores.add(&Answers { told: None, alarm: unknown, normal: vec![] }, &truth("cpu"));
        assert_eq!(scores.silent, Share { hits: 1, of: 1 });
        assert_eq!(scores.normal_silent, Share { hits: 1, of: 1 });
        assert_eq!(scores.answered, Share { hits: 0, of: 1 });
        assert_eq!(scores.right.of, 0);
    }

    #[test]
    fn causes_are_known_by_their_words_and_by_their_reasons() {
        assert!(is_cause("cpu", reason::CPU_SATURATED));
        assert!(is_cause("replica-lag", reason::REPLICA_LAG));
        assert!(!is_cause("something-new", reason::REPLICA_LAG));
    }
}
