//! The newest valid samples of every needed metric. I/O: one batch of queries to Prometheus for each tick.
//!
//! A failed query removes nothing: the last samples stay and age, and their age decides whether they are valid
//! (`--staleness`). So a Prometheus that misses one tick changes nothing, and one that is down makes every sample stale
//! at the same age. A successful query without a component's series does remove its sample: the component is then
//! absent, which is not zero.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::prometheus::client::Prometheus;
use super::prometheus::custom::CustomQueries;
use super::prometheus::history::Histories;
use super::prometheus::promql::{Refusal, read_matchers};
use super::prometheus::signals::Signals;
use super::prometheus::signals::selection::Selection;
use super::prometheus::targets::TargetCheck;
use super::query_plan::QueryPlan;
use super::snapshot::Samples;
use crate::runtime::args::PrometheusArgs;

/// Queries the samples and keeps the newest.
pub struct SampleStore {
    queries: Mutex<Queries>,
    latest: RwLock<Arc<Samples>>,
}

/// The queries of a tick.
struct Queries {
    signals: Signals,
    custom: CustomQueries,
    targets: TargetCheck,
    histories: Histories,
}

impl SampleStore {
    /// No samples yet.
    ///
    /// # Errors
    /// When `--prometheus-matchers` is not a list of matchers.
    pub fn new(prometheus: Prometheus, args: &PrometheusArgs) -> Result<Self, Refusal> {
        let matchers = read_matchers(&args.matchers)?;
        let recent_window = args.recent_request_window();
        let selection = Selection {
            matchers: matchers.clone(),
            request_window: args.request_window,
            recent_window,
            cpu_window: args.cpu_window,
            staleness: args.staleness,
        };
        let in_flight = usize::from(args.queries_in_flight);
        let queries = Queries {
            signals: Signals::new(prometheus.clone(), selection.clone()),
            targets: TargetCheck::new(prometheus.clone(), selection.clone()),
            histories: Histories::new(prometheus.clone(), selection),
            custom: CustomQueries::new(prometheus, matchers, args.query_interval, in_flight),
        };
        let samples = Samples {
            max_age: SignedDuration::try_from(args.staleness).unwrap_or(SignedDuration::MAX),
            request_window: SignedDuration::try_from(args.request_window).unwrap_or(SignedDuration::MAX),
            recent_window: SignedDuration::try_from(recent_window).unwrap_or_default(),
            cpu_window: SignedDuration::try_from(args.cpu_window).unwrap_or(SignedDuration::MAX),
            diagnosis_window: SignedDuration::try_from(args.diagnosis_window).unwrap_or(SignedDuration::MAX),
            ..Samples::default()
        };
        Ok(Self { queries: Mutex::new(queries), latest: RwLock::new(Arc::new(samples)) })
    }

    /// Queries the needed samples, and returns the newest valid ones. `now` is the time of the tick.
    ///
    /// It takes as long as the slowest template query: `--prometheus-timeout`, or up to twice that if one fails late
    /// and is retried.
    pub async fn sample(&self, wanted: &Arc<QueryPlan>, now: Timestamp) -> Arc<Samples> {
        let mut queries = self.queries.lock().await;
        let Queries { signals, custom, targets, histories } = &mut *queries;
        let latest = self.latest();
        if !Arc::ptr_eq(&latest.wanted, wanted) {
            histories.want(wanted);
        }
        let unmeasured = latest.unmeasured();
        let (evidence, custom, targets) = tokio::join!(
            signals.refresh(wanted, now),
            custom.refresh(wanted.custom()),
            targets.refresh(&unmeasured)
        );
        let samples = Arc::new(Samples {
            wanted: Arc::clone(wanted),
            evidence,
            custom,
            targets,
            seasons: histories.go_on(),
            taken: Some(now),
            ..(*latest).clone()
        });
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&samples);
        samples
    }

    /// Continues the custom queries between two ticks. Returns the samples with their new answers, and the apps of
    /// these, by namespace and name.
    pub async fn go_on(&self) -> (Arc<Samples>, BTreeSet<(String, String)>) {
        let mut queries = self.queries.lock().await;
        let answered = queries.custom.go_on().await;
        // A newly learned season is used from the next decision on.
        let (seasons, latest) = (queries.histories.go_on(), self.latest());
        if answered.is_empty() && Arc::ptr_eq(&seasons, &latest.seasons) {
            return (latest, BTreeSet::new());
        }
        let apps = latest.wanted.apps_with(&answered);
        let samples = Arc::new(Samples { custom: queries.custom.answers(), seasons, ..(*latest).clone() });
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&samples);
        (samples, apps)
    }

    /// The samples of the last tick.
    #[must_use]
    pub fn latest(&self) -> Arc<Samples> {
        Arc::clone(&self.latest.read().unwrap_or_else(PoisonError::into_inner))
    }
}
