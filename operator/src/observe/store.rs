//! The newest valid samples of every needed metric. I/O: one batch of queries to Prometheus for each tick.
//!
//! A failed query removes nothing: the last samples stay and age, and their age decides whether they are valid
//! (`--staleness`). So a Prometheus that misses one tick changes nothing, and one that is down makes every sample stale
//! at the same age. A successful query without a component's series does remove its sample: the component is then
//! absent, which is not zero.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::prometheus::canary::Canaries;
use super::prometheus::client::Prometheus;
use super::prometheus::custom::CustomQueries;
use super::prometheus::history::Histories;
use super::prometheus::promql::{Refusal, read_matchers};
use super::prometheus::signals::Signals;
use super::prometheus::signals::selection::Selection;
use super::prometheus::targets::TargetCheck;
use super::query_plan::{AppKey, QueryPlan};
use super::snapshot::Samples;
use super::trials::CanaryTrials;
use crate::runtime::args::PrometheusArgs;

/// Queries the samples and keeps the newest.
pub struct SampleStore {
    queries: Mutex<Queries>,
    latest: RwLock<Arc<Samples>>,
    /// The canaries in progress, of the apps that have some.
    trials: std::sync::Mutex<BTreeMap<AppKey, CanaryTrials>>,
}

/// The queries of a tick.
struct Queries {
    signals: Signals,
    custom: CustomQueries,
    targets: TargetCheck,
    histories: Histories,
    canaries: Canaries,
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
            histories: Histories::new(prometheus.clone(), selection.clone()),
            canaries: Canaries::new(prometheus.clone(), selection, args.canary_slice_seconds()),
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
        let latest = RwLock::new(Arc::new(samples));
        Ok(Self { queries: Mutex::new(queries), latest, trials: std::sync::Mutex::default() })
    }

    /// Notes the canaries of an app that are in progress after its last decision. They are judged from the next tick on.
    pub fn note_trials(&self, app: &AppKey, trials: CanaryTrials) {
        let mut all = self.trials.lock().unwrap_or_else(PoisonError::into_inner);
        if trials.is_empty() {
            all.remove(app);
        } else {
            all.insert(app.clone(), trials);
        }
    }

    /// The canaries of the apps that exist.
    fn trials(&self, wanted: &QueryPlan) -> CanaryTrials {
        let mut all = self.trials.lock().unwrap_or_else(PoisonError::into_inner);
        for trials in all.values_mut() {
            trials.retain(|key, _| wanted.components().contains_key(key));
        }
        all.retain(|_, trials| !trials.is_empty());
        all.values().flatten().map(|(key, trial)| (key.clone(), trial.clone())).collect()
    }

    /// Queries the needed samples, and returns the newest valid ones. `now` is the time of the tick.
    ///
    /// It takes as long as the slowest template query: `--prometheus-timeout`, or up to twice that if one fails late
    /// and is retried.
    pub async fn sample(&self, wanted: &Arc<QueryPlan>, now: Timestamp) -> Arc<Samples> {
        let mut queries = self.queries.lock().await;
        let Queries { signals, custom, targets, histories, canaries } = &mut *queries;
        let latest = self.latest();
        if !Arc::ptr_eq(&latest.wanted, wanted) {
            histories.want(wanted);
        }
        canaries.want(&self.trials(wanted));
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
            judged: canaries.go_on(),
            taken: Some(now),
            ..(*latest).clone()
        });
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&samples);
        samples
    }

    /// Continues the custom queries and the canaries between two ticks. Returns the samples with what is new, and the apps
    /// that it concerns, by namespace and name.
    pub async fn go_on(&self) -> (Arc<Samples>, BTreeSet<(String, String)>) {
        let mut queries = self.queries.lock().await;
        let answered = queries.custom.go_on().await;
        // A newly learned season is used from the next decision on.
        let (seasons, judged, latest) = (queries.histories.go_on(), queries.canaries.go_on(), self.latest());
        let is_judged = !Arc::ptr_eq(&judged, &latest.judged);
        if answered.is_empty() && Arc::ptr_eq(&seasons, &latest.seasons) && !is_judged {
            return (latest, BTreeSet::new());
        }
        let mut apps = latest.wanted.apps_with(&answered);
        if is_judged {
            let news = judged.iter().filter(|(key, one)| latest.judged.get(key) != Some(one));
            apps.extend(news.map(|(key, _)| (key.namespace.clone(), key.app.clone())));
        }
        let custom = queries.custom.answers();
        let samples = Arc::new(Samples { custom, seasons, judged, ..(*latest).clone() });
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&samples);
        (samples, apps)
    }

    /// The samples of the last tick.
    #[must_use]
    pub fn latest(&self) -> Arc<Samples> {
        Arc::clone(&self.latest.read().unwrap_or_else(PoisonError::into_inner))
    }
}
