//! The contenders: their measurements and decisions. Pure.
//!
//! HPA and KEDA decide with the engine's own HPA arithmetic, which the vectors of Kubernetes' controller verify. This
//! operator decides by `scalableapp_engine::decide`, as in production.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use scalableapp_engine::evidence::recent::RecentRate;
use scalableapp_engine::evidence::recorded::RecordedEvidence;
use scalableapp_engine::evidence::sample::Reading;
use scalableapp_engine::forecast::Forecast;
use scalableapp_engine::forecast::season::{CELLS, Past, SEASONS, Season, Seasonal, step as season_step};
use scalableapp_engine::hpa::behavior::Behavior;
use scalableapp_engine::hpa::history::History;
use scalableapp_engine::hpa::pod::{
    ByResource, Container, Phase, Pod, PodSample, Ready, ReadyStatus, Resource,
};
use scalableapp_engine::hpa::range::Range;
use scalableapp_engine::hpa::scale::{Normalization, Scaling, step};
use scalableapp_engine::hpa::signal::{PodMetric, PodTarget, PodTiming, Series, average_value};
use scalableapp_engine::limits::Limits;
use scalableapp_engine::memory::AppMemory;
use scalableapp_engine::propose::metric::{Metric, Target};
use scalableapp_engine::rollout::rolling::{Revision, Rolling};
use scalableapp_engine::stack::{Component, Service, Stack, Workload as Tier};
use scalableapp_engine::state::{Observed, State};
use scalableapp_engine::{Input, decide};

use crate::app::{self, App};
use crate::clock::instant;
use crate::setting::{Contender, Setting};
use crate::workload::{LEAD_IN, MEAN_SERVICE, Workload};

/// Seconds between two scrapes of the request counters.
pub const SCRAPE: i64 = 5;
/// Seconds from a scrape to the next decision.
const SCRAPE_AGE: i64 = 2;
/// The short window of the request rate in seconds, the operator's default.
pub const SHORT_WINDOW: i64 = 20;
/// Seconds between two samples of metrics-server, and length of the window of each.
pub const CPU_PERIOD: i64 = 15;
/// Delay of the kubelet's CPU figures in seconds.
pub const CPU_LAG: i64 = 5;

const RANGE: Range = Range { min: 2, max: 100 };
const METRIC: &str = "rps";
const COMPONENT: &str = "web";
const REVISION: &str = "only";

/// A contender with one setting, and its memory.
pub(crate) struct Autoscaler {
    contender: Contender,
    setting: Setting,
    behavior: Behavior,
    history: History,
    memory: AppMemory,
    /// The engine's evidence, with the current season.
    evidence: RecordedEvidence,
}

impl Autoscaler {
    pub(crate) fn new(contender: Contender, setting: Setting) -> Self {
        let mut behavior = Behavior::default();
        behavior.scale_up.tolerance = setting.tolerance;
        behavior.scale_down.tolerance = setting.tolerance;
        behavior.scale_down.stabilization_window_seconds = setting.scale_down_window;
        Self {
            contender,
            setting,
            behavior,
            history: History::default(),
            memory: AppMemory::default(),
            evidence: RecordedEvidence {
                max_age: SignedDuration::from_secs(60),
                ..RecordedEvidence::default()
            },
        }
    }

    /// The replicas for a constant load.
    pub(crate) fn settled(&self, load: f64) -> i32 {
        let replicas = (load * 1000.0 / per_replica(&self.setting) as f64).ceil() as i32;
        replicas.clamp(RANGE.min, RANGE.max)
    }

    /// The desired replicas from this second on.
    pub(crate) fn decide(&mut self, second: usize, app: &App, workload: &Workload) -> i32 {
        match self.contender {
            Contender::HpaCpu => {
                let proposed = self.on_cpu(second, app);
                self.step(second, app, proposed)
            }
            Contender::HpaRate => {
                let rate = self.rate(second, app);
                self.on_rate(second, app, rate)
            }
            Contender::Keda => {
                let cached = self.rate(second - second % self.setting.poll, app);
                self.on_rate(second, app, cached)
            }
            Contender::EngineSeason => {
                self.learn(second, workload);
                self.on_engine(second, app)
            }
            Contender::Engine | Contender::EngineOneWindow | Contender::EngineForecast => {
                self.on_engine(second, app)
            }
            Contender::Foresight => {
                let rates = &workload.rates;
                let until = (second + (app.start() * 1.2) as usize + 10).min(rates.len());
                self.settled(rates[second..until].iter().copied().fold(0.0, f64::max))
            }
        }
    }

    fn rate(&self, second: usize, app: &App) -> f64 {
        let scraped = second as i64 - SCRAPE_AGE;
        app.rate(scraped - self.setting.rate_window, scraped)
    }

    /// The rate of the short window: its four scrapes are three intervals apart.
    fn recent_rate(&self, second: usize, app: &App) -> Option<RecentRate> {
        let is_used = self.contender != Contender::EngineOneWindow && SHORT_WINDOW < self.setting.rate_window;
        let scraped = second as i64 - SCRAPE_AGE;
        let seconds = SHORT_WINDOW - SCRAPE;
        let rate = app.rate(scraped - seconds, scraped);
        is_used.then(|| RecentRate {
            at: Some(instant(scraped as f64)),
            rate,
            requests: rate * seconds as f64,
            length: SignedDuration::from_secs(SHORT_WINDOW),
            pods: app.replicas().unsigned_abs(),
            resets: 0,
        })
    }

    fn on_rate(&mut self, second: usize, app: &App, rate: f64) -> i32 {
        let milli = [(rate * 1000.0).round() as i64];
        let replicas = app.replicas();
        let tolerance = self.behavior.tolerance();
        let proposal =
            average_value(Series::External(&milli), per_replica(&self.setting), replicas, tolerance);
        self.step(second, app, proposal.ok().map(|proposal| proposal.replicas))
    }

    fn on_cpu(&self, second: usize, app: &App) -> Option<i32> {
        let now = instant(second as f64);
        let pods: Vec<Pod> = app.pods().iter().map(|one| pod(one, second)).collect();
        let metric = PodMetric {
            now,
            pods: &pods,
            unlisted: &[],
            available: true,
            resource: Resource::Cpu,
            container: None,
            target: PodTarget::Utilization((self.setting.target * 100.0).round() as i32),
            current_replicas: app.replicas(),
            tolerance: self.behavior.tolerance(),
            timing: PodTiming::default(),
        };
        metric.propose().ok().map(|proposal| proposal.replicas)
    }

    fn step(&mut self, second: usize, app: &App, proposed: Option<i32>) -> i32 {
        let (now, current) = (instant(second as f64), app.replicas());
        let scaling = Scaling { range: RANGE, normalization: Normalization::Behavior(&self.behavior) };
        let step = step(&scaling, &mut self.history, now, current, proposed);
        if step.desired != current {
            self.history.record_scale(&self.behavior, now, current, step.desired);
        }
        step.desired
    }

    /// Reads the history, at first and then at the end of each day.
    fn learn(&mut self, second: usize, workload: &Workload) {
        let Some(day) = workload.day else { return };
        if !self.evidence.seasons.is_empty() && (second < LEAD_IN || !(second - LEAD_IN).is_multiple_of(day))
        {
            return;
        }
        let season = SignedDuration::from_secs(day as i64);
        let step = season_step(season).as_millis() as i64;
        let until = instant(second as f64).as_millisecond().div_euclid(step) * step;
        let second_of = |at: i64| (at - instant(0.0).as_millisecond()).div_euclid(1000);
        let cells = (0..(SEASONS * CELLS) as i64).rev();
        let rate = |cell: i64| workload.rate_before(second_of(until - cell * step), self.setting.rate_window);
        let past = Past {
            until: Timestamp::from_millisecond(until).unwrap_or_default(),
            values: cells.map(rate).collect(),
        };
        let learned = match Season::learn(&past, season, self.horizon()) {
            Ok(season) => Seasonal::Learned(season),
            Err(unlearned) => Seasonal::Unusable(unlearned.to_string()),
        };
        self.evidence.seasons = only(BTreeMap::from([(METRIC.to_owned(), learned)]));
    }

    fn horizon(&self) -> SignedDuration {
        SignedDuration::from_secs(self.setting.horizon)
    }

    fn forecast(&self) -> Option<Forecast> {
        let season = match self.contender {
            Contender::EngineForecast => None,
            // The length matters for learning the season.
            Contender::EngineSeason => Some(SignedDuration::from_hours(1)),
            _ => return None,
        };
        Some(Forecast { horizon: self.horizon(), season })
    }

    fn on_engine(&mut self, second: usize, app: &App) -> i32 {
        let measured = instant((second as i64 - SCRAPE_AGE) as f64);
        let reading =
            Reading { values: vec![self.rate(second, app)], at: Some(measured), ..Reading::default() };
        self.evidence.readings = only(BTreeMap::from([(METRIC.to_owned(), reading)]));
        self.evidence.recent_rates = self.recent_rate(second, app).map(only).unwrap_or_default();
        let replicas = app.replicas();
        let revision = Revision { hash: REVISION.to_owned(), replicas, available: replicas, is_target: true };
        let observed =
            Observed { revisions: vec![revision], existing_replicas: replicas, ..Observed::default() };
        let decision = decide(&Input {
            now: instant(second as f64),
            stack: &Stack { components: only(Arc::new(self.component())), ..Stack::default() },
            state: &State { components: only(observed) },
            evidence: &self.evidence,
            limits: &Limits::default(),
            memory: &self.memory,
        });
        self.memory = decision.memory;
        let Some(decision) = decision.components.get(COMPONENT) else { return replicas };
        self.memory.commit(COMPONENT, decision, &self.behavior, true);
        decision.desired
    }

    fn component(&self) -> Component {
        let per_replica = per_replica(&self.setting);
        let metric = Metric { name: METRIC.to_owned(), target: Target::RequestRate { per_replica } };
        Component {
            workload: Tier::Service(Service { metrics: vec![metric], forecast: self.forecast() }),
            min_replicas: RANGE.min,
            max_replicas: RANGE.max,
            schedules: Vec::new(),
            fallback: None,
            behavior: self.behavior.clone(),
            revision: REVISION.to_owned(),
            rolling: Rolling::default(),
            canary: None,
            blue_green: None,
            calls: Vec::new(),
            pool: None,
        }
    }
}

fn only<T>(value: T) -> BTreeMap<String, T> {
    BTreeMap::from([(COMPONENT.to_owned(), value)])
}

/// Target per pod in thousandths of a request per second.
fn per_replica(setting: &Setting) -> i64 {
    (setting.target * app::WORKERS as f64 / MEAN_SERVICE * 1000.0).round() as i64
}

/// A pod as HPA sees it, with the newest sample of metrics-server. Its request is its maximum usage.
fn pod(pod: &app::Pod, second: usize) -> Pod {
    let now = second as i64;
    let sampled = now - now % CPU_PERIOD - CPU_LAG;
    let window = SignedDuration::from_secs(CPU_PERIOD);
    let cores = pod.cores((sampled - CPU_PERIOD) as f64, sampled as f64);
    let is_sampled = sampled - CPU_PERIOD >= pod.created as i64;
    let sample = PodSample { milli: (cores * 1000.0).round() as i64, at: instant(sampled as f64), window };
    let is_ready = pod.ready_at <= second as f64;
    let ready = Ready {
        status: if is_ready { ReadyStatus::True } else { ReadyStatus::False },
        since: instant(if is_ready { pod.ready_at } else { pod.created }),
    };
    let requests = ByResource { cpu: Some(app::WORKERS as i64 * 1000), memory: None };
    Pod {
        name: "".into(),
        phase: Phase::Running,
        deleting: false,
        ready: Some(ready),
        start: Some(instant(pod.created)),
        containers: [Container { name: "app".to_owned(), requests }].into(),
        requests: ByResource::default(),
        usage: ByResource { cpu: is_sampled.then_some(sample), memory: None },
    }
}
