//! Custom queries of apps: confined, deduplicated, spread over their interval. I/O: Prometheus.
//!
//! Each runs in its own task, so that a slow query delays neither a tick nor another app. One namespace may use half of
//! the queries in flight. A failed query is retried once within a second, and then backs off by itself: its failure
//! says nothing about the others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use promql_parser::label::Matcher;
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout_at};

use super::answer::Values;
use super::backoff::{self, Backoff};
use super::client::{Prometheus, QueryError};
use super::promql::{Refusal, confine};
use crate::observe::query_plan::CustomQuery;
use crate::runtime::clock;

/// How long a tick waits for the started queries; later answers are used in the next one.
const GRACE: Duration = Duration::from_millis(250);

/// The last result of a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryAnswer {
    /// The value of each series. A metric has one; the engine checks for others.
    pub values: Vec<f64>,
    /// The label `pod` of each series, in the same order.
    pub pods: Vec<Option<String>>,
    /// Whether the answer may lack data.
    pub is_partial: bool,
    /// Time of the query; `None` if it was never answered.
    pub at: Option<Timestamp>,
    /// Why it was not answered, or why later attempts were not, as a sentence.
    pub failure: Option<String>,
}

impl QueryAnswer {
    /// The problem of a query for one value, as a sentence.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let of_result = || self.at.and_then(|_| problem(&self.values)).map(str::to_owned);
        self.failure.clone().or_else(of_result)
    }
}

/// The answers by the query as its author wrote it.
pub type Answers = BTreeMap<CustomQuery, Arc<QueryAnswer>>;

/// The needed queries and their results.
pub struct CustomQueries {
    prometheus: Prometheus,
    matchers: Vec<Matcher>,
    interval: Duration,
    origin: Instant,
    in_flight: Arc<Semaphore>,
    in_flight_per_namespace: usize,
    namespaces: BTreeMap<String, Arc<Semaphore>>,
    confined: BTreeMap<CustomQuery, Result<String, Refusal>>,
    entries: BTreeMap<String, QueryProgress>,
    running: JoinSet<Ended>,
    /// The query of each running task.
    tasks: HashMap<Id, String>,
}

type Ended = (Timestamp, Result<Values, QueryError>);

/// One confined query.
struct QueryProgress {
    namespace: String,
    next: Instant,
    backoff: Backoff,
    is_running: bool,
    answer: Arc<QueryAnswer>,
}

impl CustomQueries {
    /// No queries yet. `in_flight` is the most that run at the same time.
    #[must_use]
    pub fn new(prometheus: Prometheus, matchers: Vec<Matcher>, interval: Duration, in_flight: usize) -> Self {
        Self {
            prometheus,
            matchers,
            interval,
            origin: clock::monotonic(),
            in_flight: Arc::new(Semaphore::new(in_flight)),
            in_flight_per_namespace: in_flight.div_ceil(2),
            namespaces: BTreeMap::new(),
            confined: BTreeMap::new(),
            entries: BTreeMap::new(),
            running: JoinSet::new(),
            tasks: HashMap::new(),
        }
    }

    /// Starts the due ones of the needed queries, waits a moment for them, and returns the newest answers.
    pub async fn refresh(&mut self, wanted: &BTreeSet<CustomQuery>) -> Answers {
        self.keep(wanted);
        self.go_on().await;
        self.answers()
    }

    /// Starts the due ones of the last needed queries, waits a moment for them, and returns those with a new answer.
    pub async fn go_on(&mut self) -> BTreeSet<CustomQuery> {
        self.start_due();
        let mut answered = BTreeSet::new();
        let deadline = clock::monotonic() + GRACE;
        while let Ok(Some(ended)) = timeout_at(deadline, self.running.join_next_with_id()).await {
            let text = match ended {
                Ok((task, outcome)) => self.record(task, Some(outcome)),
                Err(failed) => self.record(failed.id(), None),
            };
            answered.extend(text);
        }
        let is_answered = |confined: &Result<String, _>| {
            confined.as_ref().is_ok_and(|text: &String| answered.contains(text))
        };
        self.confined
            .iter()
            .filter(|(_, confined)| is_answered(confined))
            .map(|(query, _)| query.clone())
            .collect()
    }

    /// The newest answers.
    #[must_use]
    pub fn answers(&self) -> Answers {
        self.confined.iter().map(|(query, confined)| (query.clone(), self.answer(confined))).collect()
    }

    fn answer(&self, confined: &Result<String, Refusal>) -> Arc<QueryAnswer> {
        match confined {
            Ok(text) => self.entries.get(text).map(|entry| Arc::clone(&entry.answer)).unwrap_or_default(),
            Err(refusal) => {
                Arc::new(QueryAnswer { failure: Some(refusal.to_string()), ..QueryAnswer::default() })
            }
        }
    }

    /// Removes queries that are no longer needed, and confines new ones.
    fn keep(&mut self, wanted: &BTreeSet<CustomQuery>) {
        self.confined.retain(|query, _| wanted.contains(query));
        for query in wanted {
            if !self.confined.contains_key(query) {
                let confined = confine(&query.text, &query.namespace, &self.matchers);
                self.confined.insert(query.clone(), confined);
            }
        }
        let texts: BTreeMap<&String, &str> = self
            .confined
            .iter()
            .filter_map(|(query, confined)| Some((confined.as_ref().ok()?, query.namespace.as_str())))
            .collect();
        self.entries.retain(|text, _| texts.contains_key(text));
        let now = clock::monotonic();
        for (text, namespace) in texts {
            self.entries.entry(text.clone()).or_insert_with(|| QueryProgress {
                namespace: namespace.to_owned(),
                next: now,
                backoff: Backoff::default(),
                is_running: false,
                answer: Arc::default(),
            });
        }
        let namespaces: BTreeSet<&str> =
            self.entries.values().map(|entry| entry.namespace.as_str()).collect();
        self.namespaces.retain(|namespace, _| namespaces.contains(namespace.as_str()));
    }

    fn start_due(&mut self) {
        let now = clock::monotonic();
        for (text, entry) in &mut self.entries {
            if entry.is_running || now < entry.next || !entry.backoff.admits(now) {
                continue;
            }
            entry.next = next_turn(text, self.origin, self.interval, now);
            let of_namespace = self
                .namespaces
                .entry(entry.namespace.clone())
                .or_insert_with(|| Arc::new(Semaphore::new(self.in_flight_per_namespace)));
            let (of_namespace, of_all) = (Arc::clone(of_namespace), Arc::clone(&self.in_flight));
            let (prometheus, query) = (self.prometheus.clone(), text.clone());
            let task = self.running.spawn(async move {
                // A closed semaphore would let every task through; these are never closed.
                let _permits = (of_namespace.acquire().await, of_all.acquire().await);
                let asked = clock::wall();
                (asked, prometheus.query_values("custom", &query).await)
            });
            entry.is_running = true;
            self.tasks.insert(task.id(), text.clone());
        }
    }

    /// Records the end of a task, with `None` if it was aborted, and returns its query.
    fn record(&mut self, task: Id, outcome: Option<Ended>) -> Option<String> {
        let text = self.tasks.remove(&task)?;
        let entry = self.entries.get_mut(&text)?;
        entry.is_running = false;
        match outcome {
            Some((asked, Ok(Values { values, pods, is_partial }))) => {
                entry.backoff.succeeded();
                let failure = is_partial.then(|| QueryError::Partial.to_string());
                entry.answer = Arc::new(QueryAnswer { values, pods, is_partial, at: Some(asked), failure });
            }
            Some((_, Err(error))) => {
                let now = clock::monotonic();
                if entry.backoff.is_at_rest() && error.may_pass() {
                    // Retry at once.
                    entry.next = now;
                }
                entry.backoff.failed(now, longest_rest(self.interval));
                // The last answer stays and ages.
                entry.answer =
                    Arc::new(QueryAnswer { failure: Some(error.to_string()), ..(*entry.answer).clone() });
            }
            None => {}
        }
        Some(text)
    }
}

/// The longest backoff of a failing query: several intervals, but short enough to notice that it works again.
fn longest_rest(interval: Duration) -> Duration {
    interval.saturating_mul(4).clamp(backoff::CAP, Duration::from_secs(90))
}

fn problem(values: &[f64]) -> Option<&'static str> {
    match values {
        [] => Some("the query returned no series"),
        [value] if value.is_nan() => Some("the query returned NaN"),
        [value] if value.is_infinite() => Some("the query returned infinity"),
        [_] => None,
        // Without the number: a condition that changed with it would be written each time.
        _ => Some("the query returned several series, wrap it in sum() so that it returns one"),
    }
}

/// The query's next time: each has its own moment within the interval, so that they are spread.
pub(super) fn next_turn(text: &str, origin: Instant, interval: Duration, now: Instant) -> Instant {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let interval = interval.as_millis().max(1) as u64;
    let phase = hasher.finish() % interval;
    let elapsed = now.duration_since(origin).as_millis() as u64;
    let until = interval - (elapsed + interval - phase) % interval;
    now + Duration::from_millis(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_query_misses_several_turns_and_is_not_forgotten() {
        let rests = [1, 15, 3600].map(|interval| longest_rest(Duration::from_secs(interval)).as_secs());
        assert_eq!(rests, [30, 60, 90]);
    }

    #[tokio::test(start_paused = true)]
    async fn queries_are_spread_over_their_interval() {
        let interval = Duration::from_secs(15);
        let origin = Instant::now();
        let now = origin + Duration::from_secs(1_000);
        let mut per_second = [0; 15];
        for index in 0..1_500 {
            let next = next_turn(&format!("query_{index}"), origin, interval, now);
            assert!(next > now && next <= now + interval);
            per_second[(next - now).as_millis() as usize % 15_000 / 1_000] += 1;
        }
        assert!(per_second.iter().all(|count| (50..200).contains(count)), "{per_second:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_query_keeps_its_own_moment() {
        let interval = Duration::from_secs(15);
        let origin = Instant::now();
        let first = next_turn("carts", origin, interval, origin + Duration::from_secs(100));
        assert_eq!(next_turn("carts", origin, interval, first), first + interval);
        // A late tick moves nothing.
        assert_eq!(next_turn("carts", origin, interval, first + Duration::from_secs(4)), first + interval);
    }
}
