//! StatefulSets that lack pods, and when the API server is asked why. Pure.
//!
//! A pod that nobody refuses is created within a moment, in which it is missing, too. A Deployment has a condition for refused pods. Of a StatefulSet only an event tells why a pod was not created, and a list
//! of events reads all of its namespace from etcd. So it is asked for only while pods are missing, and less and less often.

use super::cached::CachedWorkload;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use scalableapp_crds::{limits::clip, printable};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Time within which a StatefulSet creates a missing pod that nobody refuses.
const PATIENCE: SignedDuration = SignedDuration::from_secs(2);
/// The longest time between two questions.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);
/// Questions without an answer until that is said.
const UNANSWERED: u32 = 3;
/// Kubernetes tries refused pods again after up to 1000 s. An older event is about an earlier shortage.
const OLDEST: SignedDuration = SignedDuration::from_mins(20);
/// Characters of an event that are shown.
const WORDS: usize = 400;

/// Why a StatefulSet lacks pods for longer than their creation takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodRefusal {
    /// It was not asked yet, or the answer is on its way.
    Unasked,
    /// The words of the API server.
    Told(Arc<str>),
    /// No event says why.
    Untold,
}

/// A StatefulSet that lacks pods.
#[derive(Debug)]
struct Shortage {
    since: Timestamp,
    generation: Option<i64>,
    /// Questions about this generation.
    asked: u32,
    due: Timestamp,
    /// `None` within the patience.
    refusal: Option<PodRefusal>,
}

/// The StatefulSets that lack pods.
#[derive(Debug, Default)]
pub struct Shortages {
    /// By uid.
    known: HashMap<String, Shortage>,
    /// Whether they were looked at. What a new process finds may have lasted for long.
    looked: bool,
}

impl Shortages {
    /// Follows the StatefulSets, and returns those of which the API server is to be asked now. A change of the spec is
    /// asked about again soon, because its controller then tries refused pods at once.
    pub fn follow(
        &mut self,
        workloads: impl IntoIterator<Item = Arc<CachedWorkload>>,
        now: Timestamp,
    ) -> Vec<Arc<CachedWorkload>> {
        let mut earlier = std::mem::take(&mut self.known);
        let patience = if self.looked { PATIENCE } else { SignedDuration::ZERO };
        self.looked = true;
        let new = |generation, patience| Shortage {
            since: now,
            generation,
            asked: 0,
            due: later(now, patience),
            refusal: None,
        };
        let mut due = Vec::new();
        for workload in workloads.into_iter().filter(|one| lacks_pods(one)) {
            let (Some(uid), generation) = (workload.uid(), workload.metadata.generation) else { continue };
            let known = earlier.remove(&uid);
            // Before its controller has seen the spec, nothing is missing yet.
            if known.is_none() && !is_seen(&workload) {
                continue;
            }
            let mut shortage = known.unwrap_or_else(|| new(generation, patience));
            if shortage.generation != generation {
                let Shortage { since, refusal, .. } = shortage;
                shortage = Shortage { since, refusal, ..new(generation, PATIENCE) };
            }
            if shortage.due <= now {
                shortage.asked = shortage.asked.saturating_add(1);
                shortage.refusal.get_or_insert(PodRefusal::Unasked);
                let wait = PATIENCE.saturating_mul(1 << shortage.asked.min(10)).min(LONGEST);
                shortage.due = later(now, wait);
                due.push(workload);
            }
            self.known.insert(uid, shortage);
        }
        due
    }

    /// Notes the answer, which is a list of events; `None` if there was no answer. Returns whether something else is known.
    pub fn note(&mut self, uid: &str, answer: Option<EventList>) -> bool {
        let Some(shortage) = self.known.get_mut(uid) else { return false };
        let told = answer.and_then(|events| events.latest(earlier(shortage.since, OLDEST)));
        let refusal = match told {
            Some(words) => PodRefusal::Told(words.into()),
            None if shortage.refusal == Some(PodRefusal::Unasked) && shortage.asked >= UNANSWERED => {
                PodRefusal::Untold
            }
            None => return false,
        };
        let is_news = shortage.refusal.as_ref() != Some(&refusal);
        shortage.refusal = Some(refusal);
        is_news
    }

    /// Why this StatefulSet lacks pods; `None` if it does not, or for no longer than their creation takes.
    #[must_use]
    pub fn refusal(&self, workload: &CachedWorkload) -> Option<PodRefusal> {
        if !lacks_pods(workload) {
            return None;
        }
        match self.known.get(workload.metadata.uid.as_deref()?) {
            Some(shortage) => shortage.refusal.clone(),
            None => (!self.looked && is_seen(workload)).then_some(PodRefusal::Unasked),
        }
    }
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.saturating_add(by).unwrap_or(now)
}

fn earlier(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.saturating_sub(by).unwrap_or(now)
}

fn lacks_pods(workload: &CachedWorkload) -> bool {
    let replicas = workload.part.spec.replicas.unwrap_or(1);
    workload.metadata.deletion_timestamp.is_none() && workload.part.status.replicas < replicas
}

/// Whether the controller of a workload has seen its spec.
fn is_seen(workload: &CachedWorkload) -> bool {
    workload.part.status.observed_generation >= workload.metadata.generation
}

/// A list of events, each of which may be unreadable: users may write them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct EventList {
    items: Vec<Value>,
}

/// The fields of an event that are read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct EventPart {
    message: Option<String>,
    event_time: Option<String>,
    last_timestamp: Option<String>,
    series: Option<SeriesPart>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SeriesPart {
    last_observed_time: Option<String>,
}

impl EventPart {
    /// The last time at which it happened.
    fn last(&self) -> Option<Timestamp> {
        let of_series = self.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
        let times = [of_series, self.last_timestamp.as_ref(), self.event_time.as_ref()];
        times.into_iter().flatten().filter_map(|time| time.parse().ok()).max()
    }
}

impl EventList {
    /// The words of the latest event since then.
    fn latest(self, since: Timestamp) -> Option<String> {
        let events = self.items.into_iter().filter_map(|item| EventPart::deserialize(item).ok());
        let dated = events.filter_map(|event| Some((event.last()?, event.message?)));
        let (_, message) = dated.filter(|(time, _)| *time >= since).max()?;
        Some(words(&message))
    }
}

/// The part of the message that stays the same for each pod:
/// `create Pod shop-hot-2 in StatefulSet shop-hot failed error: pods "shop-hot-2" is forbidden: …`
fn words(message: &str) -> String {
    let words = message.split_once(" failed error: ").map_or(message, |(_, rest)| rest);
    let words = words.split_once("is forbidden: ").map_or(words, |(_, rest)| rest);
    clip(&printable(words), WORDS).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const QUOTA: &str = "exceeded quota: small, requested: pods=1, used: pods=3, limited: pods=3";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1) + SignedDuration::from_secs(seconds)
    }

    fn workload(generation: i64, seen: i64, pods: i32) -> Arc<CachedWorkload> {
        let workload = json!({
            "metadata": {"name": "shop-hot", "namespace": "shop", "uid": "1", "generation": generation},
            "spec": {"replicas": 3},
            "status": {"observedGeneration": seen, "replicas": pods},
        });
        Arc::new(serde_json::from_value(workload).expect("a workload"))
    }

    fn refused(pod: &str, seconds: i64) -> Value {
        let message = format!(
            "create Pod {pod} in StatefulSet shop-hot failed error: pods \"{pod}\" is forbidden: {QUOTA}"
        );
        json!({"message": message, "lastTimestamp": at(seconds).to_string()})
    }

    fn list(items: &[Value]) -> Option<EventList> {
        Some(serde_json::from_value(json!({"items": items})).expect("a list"))
    }

    /// A process that has looked before.
    fn shortages() -> Shortages {
        let mut shortages = Shortages::default();
        assert!(shortages.follow([workload(2, 2, 3)], at(0)).is_empty(), "it has its pods");
        shortages
    }

    /// Seconds at which the API server is asked, with one look each second.
    fn asked(shortages: &mut Shortages, seconds: std::ops::Range<i64>) -> Vec<i64> {
        let is_due = |second: &i64| !shortages.follow([workload(2, 2, 2)], at(*second)).is_empty();
        seconds.filter(is_due).collect()
    }

    #[test]
    fn a_statefulset_that_lacks_a_pod_is_asked_about_less_and_less_and_never_at_rest() {
        let mut shortages = shortages();
        assert!(shortages.follow([workload(2, 1, 2)], at(0)).is_empty(), "its controller has not seen it");
        assert!(shortages.known.is_empty());
        assert_eq!(asked(&mut shortages, 0..1000), [2, 6, 14, 30, 62, 126, 254, 510, 810]);
        assert!(shortages.follow([workload(3, 2, 2)], at(1000)).is_empty());
        assert!(!shortages.follow([workload(3, 3, 2)], at(1002)).is_empty(), "of another spec soon");
        assert!(shortages.follow([workload(3, 3, 3)], at(1010)).is_empty());
        assert!(shortages.known.is_empty(), "it has its pods");
    }

    #[test]
    fn a_pod_that_is_created_within_a_moment_is_not_refused() {
        let mut shortages = shortages();
        let lacking = workload(2, 2, 2);
        for second in [0, 1] {
            shortages.follow([Arc::clone(&lacking)], at(second));
            assert_eq!(shortages.refusal(&lacking), None, "{second}");
        }
        shortages.follow([Arc::clone(&lacking)], at(2));
        assert_eq!(shortages.refusal(&lacking), Some(PodRefusal::Unasked));
        assert_eq!(shortages.refusal(&workload(2, 2, 3)), None, "the cache is newer than the last look");
    }

    #[test]
    fn a_new_process_takes_what_it_finds_for_refused() {
        let (mut shortages, lacking) = (Shortages::default(), workload(2, 2, 2));
        assert_eq!(shortages.refusal(&lacking), Some(PodRefusal::Unasked));
        assert_eq!(shortages.refusal(&workload(2, 1, 2)), None, "its controller has not seen it");
        assert_eq!(shortages.follow([Arc::clone(&lacking)], at(0)).len(), 1);
        assert_eq!(shortages.refusal(&lacking), Some(PodRefusal::Unasked));
    }

    #[test]
    fn the_latest_event_says_why_without_the_name_of_the_pod() {
        let (mut shortages, lacking) = (shortages(), workload(2, 2, 2));
        asked(&mut shortages, 0..3);
        let other = json!({"message": "create Pod shop-hot-2 in StatefulSet shop-hot failed error: timeout",
            "lastTimestamp": at(-30).to_string()});
        let unreadable = json!({"message": 3, "lastTimestamp": "9999-12-31T23:59:59Z"});
        assert!(shortages.note("1", list(&[other, refused("shop-hot-2", -10), unreadable])));
        assert_eq!(shortages.refusal(&lacking), Some(PodRefusal::Told(QUOTA.into())));
        assert!(!shortages.note("1", list(&[refused("shop-hot-3", 5)])), "the same of another pod");
        assert!(!shortages.note("1", None), "what is known stays");
        let more = workload(3, 2, 2);
        shortages.follow([Arc::clone(&more)], at(20));
        assert_eq!(
            shortages.refusal(&more),
            Some(PodRefusal::Told(QUOTA.into())),
            "while it is asked for more"
        );
        shortages.follow([workload(3, 3, 3)], at(21));
        assert!(!shortages.note("1", list(&[refused("shop-hot-3", 21)])), "an answer that comes late");
    }

    #[test]
    fn an_event_of_an_earlier_shortage_says_nothing_and_that_is_said_after_a_while() {
        let (mut shortages, lacking) = (shortages(), workload(2, 2, 2));
        let mut said = Vec::new();
        for second in 0..20 {
            if !shortages.follow([Arc::clone(&lacking)], at(second)).is_empty() {
                shortages.note("1", list(&[refused("shop-hot-2", -1300)]));
            }
            said.push(shortages.refusal(&lacking));
        }
        let first = said.iter().position(|one| *one == Some(PodRefusal::Untold));
        assert_eq!((first, said.pop().flatten()), (Some(14), Some(PodRefusal::Untold)));
        assert!(shortages.note("1", list(&[refused("shop-hot-2", 15)])));
    }

    #[test]
    fn events_are_dated_by_their_last_time_in_either_form() {
        let event = json!({"message": "a", "eventTime": "2026-01-01T00:00:00.000001Z",
            "series": {"count": 2, "lastObservedTime": "2026-01-01T00:10:00.000000Z"}});
        let event = EventPart::deserialize(event).expect("an event");
        assert_eq!(event.last().map(|time| time.to_string()).as_deref(), Some("2026-01-01T00:10:00Z"));
        let long = words(&"x ".repeat(1000));
        assert!(long.chars().count() <= WORDS && long.ends_with('…'), "{long}");
        assert_eq!(words("denied\u{1b}[2J"), "denied\\u{1b}[2J");
    }
}
