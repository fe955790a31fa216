//! Loads of earlier seasons, for the forecasts that need them. I/O: range queries to Prometheus.
//!
//! A history is read when it is first needed, and then 24 times a season at its own moment. One query reads the request
//! rates of up to ten components; a custom query is read alone. The due queries are sent one after another, and
//! learning runs on its own thread: no tick waits for any of it.
//!
//! A failed query removes nothing. A history that was never read is unusable after three consecutive failures, and from
//! ten minutes after it was needed until it is read, because nothing scales in while a history is loading.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use prometheus_http_query::response::RangeVector;
use scalableapp_engine::forecast::Forecast;
use scalableapp_engine::forecast::season::{CELLS, Past, SEASONS, Season, Seasonal, step};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

use super::client::{Prometheus, QueryError, Span};
use super::custom::next_turn;
use super::promql::{Refusal, confine_over};
use super::signals::selection::Selection;
use crate::observe::query_plan::{QueryPlan, Source};
use crate::resolve::app::ComponentKey;
use crate::runtime::clock;

/// Components whose request rates one query reads.
const BATCH: usize = 10;
/// Queries of one round, sent one after another.
const ROUND: usize = 4;
/// Consecutive failures after which a history that was never read is unusable.
const PATIENCE: u32 = 3;
/// Time after which a history that was not read yet is unusable until it is read.
const AWAITED: Duration = Duration::from_secs(600);
/// Backoff after the first failure; it doubles with each further one.
const RETRY: Duration = Duration::from_secs(30);
/// Values of a history.
const VALUES: usize = SEASONS * CELLS;

/// The season of each component's metrics, by the metric's name.
pub type Seasons = BTreeMap<ComponentKey, BTreeMap<String, Seasonal>>;

/// A metric of a component.
type MetricKey = (ComponentKey, String);

/// Reads the needed histories, and learns from them.
pub struct Histories {
    prometheus: Prometheus,
    selection: Selection,
    origin: Instant,
    entries: BTreeMap<MetricKey, MetricHistory>,
    round: JoinSet<Vec<(MetricKey, SeasonRequest, Learned)>>,
    seasons: Arc<Seasons>,
}

/// The history of one metric.
struct MetricHistory {
    request: SeasonRequest,
    since: Instant,
    next: Instant,
    failures: u32,
    seasonal: Seasonal,
}

/// A history to learn from, and its result's place.
#[derive(Clone, PartialEq)]
struct SeasonRequest {
    source: Source,
    season: SignedDuration,
    horizon: SignedDuration,
}

type Learned = Result<Seasonal, QueryError>;

/// The content of one query.
type Batch = Vec<(MetricKey, SeasonRequest)>;

impl Histories {
    /// No history is known yet.
    #[must_use]
    pub fn new(prometheus: Prometheus, selection: Selection) -> Self {
        Self {
            prometheus,
            selection,
            origin: clock::monotonic(),
            entries: BTreeMap::new(),
            round: JoinSet::new(),
            seasons: Arc::default(),
        }
    }

    /// Removes histories that are no longer needed, and adds new ones.
    pub fn want(&mut self, wanted: &QueryPlan) {
        let requests = requests(wanted);
        self.entries.retain(|key, entry| requests.get(key) == Some(&entry.request));
        let now = clock::monotonic();
        for (key, request) in requests {
            self.entries.entry(key).or_insert_with(|| MetricHistory {
                request,
                since: now,
                next: now,
                failures: 0,
                seasonal: Seasonal::Awaited,
            });
        }
    }

    /// Takes finished results, and sends due queries. Never waits.
    pub fn go_on(&mut self) -> Arc<Seasons> {
        while let Some(ended) = self.round.try_join_next() {
            for (key, request, learned) in ended.unwrap_or_default() {
                self.record(&key, &request, learned);
            }
        }
        if self.round.is_empty() {
            let batches = self.due();
            if !batches.is_empty() {
                let (prometheus, selection) = (self.prometheus.clone(), self.selection.clone());
                self.round.spawn(async move {
                    let mut learned = Vec::new();
                    for batch in batches {
                        learned.extend(read(&prometheus, &selection, batch).await);
                    }
                    learned
                });
            }
        }
        self.end_waiting();
        self.publish();
        Arc::clone(&self.seasons)
    }

    fn end_waiting(&mut self) {
        let now = clock::monotonic();
        for entry in self.entries.values_mut() {
            if entry.seasonal == Seasonal::Awaited && now.duration_since(entry.since) >= AWAITED {
                entry.seasonal = Seasonal::Unusable("its history is still being read".to_owned());
            }
        }
    }

    /// The due histories, the longest due first, as queries.
    fn due(&self) -> Vec<Batch> {
        let now = clock::monotonic();
        let mut due: Vec<(&MetricKey, &MetricHistory)> =
            self.entries.iter().filter(|(_, entry)| entry.next <= now).collect();
        due.sort_by_key(|(_, entry)| entry.next);
        let mut batches: Vec<Batch> = Vec::new();
        for (key, entry) in due {
            let one = (key.clone(), entry.request.clone());
            let joins = |batch: &Batch| {
                let requests = [&batch[0].1, &one.1];
                let are_rates = requests.iter().all(|request| matches!(request.source, Source::Component(_)));
                are_rates && requests[0].season == requests[1].season && batch.len() < BATCH
            };
            match batches.iter().position(joins) {
                Some(batch) => batches[batch].push(one),
                None if batches.len() < ROUND => batches.push(vec![one]),
                None => {}
            }
        }
        batches
    }

    fn record(&mut self, key: &MetricKey, request: &SeasonRequest, learned: Learned) {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.request == *request) else { return };
        let now = clock::monotonic();
        let interval = request.season.unsigned_abs() / 24;
        match learned {
            Ok(seasonal) => {
                let (component, metric) = key;
                let name = format!("{component}/{metric}");
                (entry.failures, entry.seasonal) = (0, seasonal);
                entry.next = next_turn(&name, self.origin, interval, now);
            }
            Err(error) => {
                entry.next = now + RETRY.saturating_mul(1 << entry.failures.min(16)).min(interval);
                entry.failures += 1;
                if entry.failures >= PATIENCE && !matches!(entry.seasonal, Seasonal::Learned(_)) {
                    entry.seasonal = Seasonal::Unusable(format!("no history, {error}"));
                }
            }
        }
    }

    /// Nothing is copied while nothing changes.
    fn publish(&mut self) {
        let known = |(component, metric): &MetricKey| self.seasons.get(component)?.get(metric);
        let count: usize = self.seasons.values().map(BTreeMap::len).sum();
        let is_same = |(key, entry): (&MetricKey, &MetricHistory)| known(key) == Some(&entry.seasonal);
        if count == self.entries.len() && self.entries.iter().all(is_same) {
            return;
        }
        let mut seasons = Seasons::new();
        for ((component, metric), entry) in &self.entries {
            seasons.entry(component.clone()).or_default().insert(metric.clone(), entry.seasonal.clone());
        }
        self.seasons = Arc::new(seasons);
    }
}

/// The metrics whose loads are forecast by season.
fn requests(wanted: &QueryPlan) -> BTreeMap<MetricKey, SeasonRequest> {
    let mut requests = BTreeMap::new();
    for (component, Forecast { horizon, season }) in wanted.forecasts() {
        let Some(season) = *season else { continue };
        for (metric, source) in wanted.components().get(component).into_iter().flatten() {
            if matches!(source, Source::Component(_) | Source::Custom(_)) {
                let request = SeasonRequest { source: source.clone(), season, horizon: *horizon };
                requests.insert((component.clone(), metric.clone()), request);
            }
        }
    }
    requests
}

/// Sends one query, and learns from its answer. One that is too large for all of its components is sent for each.
async fn read(
    prometheus: &Prometheus,
    selection: &Selection,
    batch: Batch,
) -> Vec<(MetricKey, SeasonRequest, Learned)> {
    let season = batch[0].1.season;
    let span = span(clock::wall(), season);
    match traces(prometheus, selection, &batch, span).await {
        Ok(traces) => learn(&traces, batch, span).await,
        Err(Unread::Failed(error)) if error.is_of_size() && batch.len() > 1 => {
            let mut learned = Vec::new();
            for one in batch {
                let one = vec![one];
                match traces(prometheus, selection, &one, span).await {
                    Ok(traces) => learned.extend(learn(&traces, one, span).await),
                    Err(unread) => learned.extend(unread.tell(one)),
                }
            }
            learned
        }
        Err(unread) => unread.tell(batch),
    }
}

/// Why there is no history.
enum Unread {
    Failed(QueryError),
    Refused(Refusal),
}

impl Unread {
    fn tell(self, batch: Batch) -> Vec<(MetricKey, SeasonRequest, Learned)> {
        let learned = match self {
            Self::Failed(error) => Err(error),
            Self::Refused(refusal) => Ok(Seasonal::Unusable(format!("no history, {refusal}"))),
        };
        batch.into_iter().map(|(key, request)| (key, request, learned.clone())).collect()
    }
}

/// The loads of a batch.
async fn traces(
    prometheus: &Prometheus,
    selection: &Selection,
    batch: &[(MetricKey, SeasonRequest)],
    span: Span,
) -> Result<Vec<RangeVector>, Unread> {
    let answer = match &batch[0].1.source {
        Source::Custom(query) => {
            let time = Duration::from_millis(span.until_ms().abs_diff(span.from_s * 1000));
            let text = confine_over(time, &query.text, &query.namespace, &selection.matchers);
            prometheus.query_range("custom_history", &text.map_err(Unread::Refused)?, span).await
        }
        _ => {
            let components = batch.iter().map(|((component, _), _)| component).collect();
            prometheus.query_range("history", &selection.request_rates_of(&components), span).await
        }
    };
    answer.map_err(Unread::Failed)
}

async fn learn(traces: &[RangeVector], batch: Batch, span: Span) -> Vec<(MetricKey, SeasonRequest, Learned)> {
    let season = batch[0].1.season;
    let pasts: Vec<Past> =
        batch.iter().map(|((component, _), request)| past(traces, component, request, span)).collect();
    let horizons: Vec<SignedDuration> = batch.iter().map(|(_, request)| request.horizon).collect();
    let learned = spawn_blocking(move || {
        let learn = |(past, horizon): (&Past, SignedDuration)| match Season::learn(past, season, horizon) {
            Ok(season) => Seasonal::Learned(season),
            Err(unlearned) => Seasonal::Unusable(unlearned.to_string()),
        };
        pasts.iter().zip(horizons).map(learn).collect::<Vec<_>>()
    });
    // A thread that ended early has learned nothing; the process is then about to end.
    let learned = learned.await.unwrap_or_default();
    batch.into_iter().zip(learned).map(|((key, request), seasonal)| (key, request, Ok(seasonal))).collect()
}

/// The instants of the query: the newest multiple of the step and those before it, shifted to whole seconds.
fn span(now: Timestamp, season: SignedDuration) -> Span {
    let step_ms = step(season).as_millis() as i64;
    let from_ms = now.as_millisecond() / step_ms * step_ms - step_ms * (VALUES as i64 - 1);
    Span { from_s: from_ms.div_euclid(1000), count: VALUES as u32, step_ms }
}

/// The history of a component in an answer; for a custom query it is the only series.
fn past(traces: &[RangeVector], component: &ComponentKey, request: &SeasonRequest, span: Span) -> Past {
    let is_own = |trace: &&RangeVector| {
        let is_custom = matches!(request.source, Source::Custom(_));
        is_custom && traces.len() == 1 || names(trace, component)
    };
    let mut values = vec![None; VALUES];
    for sample in traces.iter().find(is_own).into_iter().flat_map(RangeVector::samples) {
        let at = (sample.timestamp() * 1000.0).round() as i64;
        let index = usize::try_from((at - span.from_s * 1000) / span.step_ms).ok();
        if let Some(value) = index.and_then(|index| values.get_mut(index)) {
            *value = Some(sample.value()).filter(|value| !value.is_nan());
        }
    }
    Past { until: Timestamp::from_millisecond(span.until_ms()).unwrap_or(Timestamp::UNIX_EPOCH), values }
}

/// Whether the labels of a series match the component.
fn names(series: &RangeVector, component: &ComponentKey) -> bool {
    let is = |label: &str, name: &str| series.metric().get(label).is_some_and(|value| value == name);
    is("namespace", &component.namespace)
        && is("scalableapp", &component.app)
        && is("component", &component.component)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::query_plan::{CustomQuery, Shown};
    use crate::runtime::args::Args;
    use clap::Parser;
    use hashbrown::HashMap;
    use serde_json::json;
    use std::time::Duration;

    const SEASON: SignedDuration = SignedDuration::from_hours(24);

    /// One needed history.
    fn histories() -> (Histories, MetricKey, SeasonRequest) {
        let given = ["operator", "--lease-namespace", "operator", "--prometheus-url", "http://127.0.0.1:9"];
        let prometheus = Prometheus::new(&Args::parse_from(given).prometheus).unwrap();
        let minute = Duration::from_secs(60);
        let selection = Selection {
            matchers: Vec::new(),
            request_window: minute,
            recent_window: Duration::ZERO,
            cpu_window: minute,
            staleness: minute,
        };
        let mut histories = Histories::new(prometheus, selection);
        let key = (ComponentKey::new("shop", "shop", "web"), "rps".to_owned());
        let horizon = SignedDuration::from_mins(10);
        let source = Source::Component(crate::observe::query_plan::Signal::RequestRate);
        let wanted = QueryPlan::new(
            HashMap::from([(key.0.clone(), BTreeMap::from([(key.1.clone(), source.clone())]))]),
            BTreeMap::from([(key.0.clone(), Forecast { horizon, season: Some(SEASON) })]),
            Shown::default(),
        );
        histories.want(&wanted);
        (histories, key, SeasonRequest { source, season: SEASON, horizon })
    }

    fn failed() -> Learned {
        Err(QueryError::Rejected("execution".to_owned()))
    }

    fn learned() -> Seasonal {
        let past = Past { until: Timestamp::UNIX_EPOCH, values: vec![Some(1.0); VALUES] };
        Seasonal::Learned(Season::learn(&past, SEASON, SignedDuration::from_mins(10)).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_history_that_never_comes_is_awaited_for_three_failures() {
        let (mut histories, key, request) = histories();
        for failures in 1..=3 {
            assert_eq!(histories.entries[&key].seasonal, Seasonal::Awaited);
            histories.record(&key, &request, failed());
            assert!(histories.due().is_empty(), "it is left alone after {failures} failures");
        }
        let unusable = "no history, failed to run the query: Prometheus rejects it as execution";
        assert_eq!(histories.entries[&key].seasonal, Seasonal::Unusable(unusable.to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_history_that_is_not_read_in_ten_minutes_holds_nothing_up() {
        let (mut histories, key, request) = histories();
        tokio::time::advance(AWAITED - Duration::from_secs(1)).await;
        histories.end_waiting();
        assert_eq!(histories.entries[&key].seasonal, Seasonal::Awaited);
        tokio::time::advance(Duration::from_secs(1)).await;
        histories.end_waiting();
        assert!(matches!(histories.entries[&key].seasonal, Seasonal::Unusable(_)));
        histories.record(&key, &request, Ok(learned()));
        histories.end_waiting();
        assert_eq!(histories.entries[&key].seasonal, learned());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_takes_nothing_away_and_is_tried_again() {
        let (mut histories, key, request) = histories();
        histories.record(&key, &request, Ok(learned()));
        for _ in 0..40 {
            histories.record(&key, &request, failed());
        }
        assert_eq!(histories.entries[&key].seasonal, learned());
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(histories.due().len(), 1);
    }

    #[test]
    fn every_instant_that_is_read_has_its_place_whatever_the_season() {
        let now = Timestamp::from_millisecond(1_800_000_000_123).unwrap();
        for minutes in [60, 61, 62, 97, 24 * 60] {
            let season = SignedDuration::from_mins(minutes);
            let span = span(now, season);
            let at = |index: usize| span.from_s as f64 + index as f64 * span.step_ms as f64 / 1000.0;
            let values: Vec<_> = (0..VALUES).map(|index| json!([at(index), index.to_string()])).collect();
            let series: RangeVector =
                serde_json::from_value(json!({"metric": {}, "values": values})).unwrap();
            let source = Source::Custom(CustomQuery { namespace: "shop".to_owned(), text: String::new() });
            let request = SeasonRequest { source, season, horizon: SignedDuration::from_mins(5) };
            let past = past(&[series], &ComponentKey::new("shop", "shop", "web"), &request, span);
            let expected: Vec<_> = (0..VALUES).map(|index| Some(index as f64)).collect();
            assert_eq!(past.values, expected, "{minutes}");
            let age = now.duration_since(past.until);
            assert!(!age.is_negative() && age < step(season) + SignedDuration::from_secs(1), "{age:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_spec_asked_for_is_not_taken() {
        let (mut histories, key, request) = histories();
        histories.record(&key, &SeasonRequest { season: SEASON / 2, ..request }, Ok(learned()));
        assert_eq!(histories.entries[&key].seasonal, Seasonal::Awaited);
    }
}
