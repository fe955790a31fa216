//! `make bench-engine`: how long a decision takes, in microseconds for one component. Prints; wanted are less than 20.
#![allow(clippy::expect_used, reason = "a benchmark may end with a message")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use scalableapp_engine::behavior::Behavior;
use scalableapp_engine::forecast::Forecast;
use scalableapp_engine::memory::Memory;
use scalableapp_engine::metric::{Metric, Target};
use scalableapp_engine::overrides::Overrides;
use scalableapp_engine::pod::{ByResource, Container, Phase, Pod, PodSample, Ready, ReadyStatus};
use scalableapp_engine::sample::Reading;
use scalableapp_engine::schedule::{CronLine, Schedule, time_zone};
use scalableapp_engine::season::{CELLS, Past, SEASONS, Season, Seasonal};
use scalableapp_engine::signal::{PodTarget, PodTiming};
use scalableapp_engine::{Input, decide};

/// Decisions of one series, each on what the one before left behind.
const DECISIONS: u32 = 400;
/// Series of which the median is printed.
const SERIES: usize = 31;

/// Forecasts of a rise of 90 s, by trend and by the season of a day.
const TREND: Forecast = Forecast { horizon: SignedDuration::from_secs(90), season: None };
const SEASON: Forecast = Forecast { season: Some(SignedDuration::from_hours(24)), ..TREND };

/// A component at its load.
struct Component {
    metrics: Vec<Metric>,
    schedules: Vec<Schedule>,
    forecast: Option<Forecast>,
    seasons: BTreeMap<String, Seasonal>,
    overrides: Overrides,
    pods: usize,
}

fn main() {
    let rate = || metric("rps", Target::RequestRate { per_replica: 50_000 });
    let latency =
        || metric("p99", Target::Latency { quantile: 0.99, target: SignedDuration::from_millis(300) });
    let cpu = || metric("cpu", Target::Cpu(PodTarget::Utilization(70)));
    let components = [
        ("request rate", vec![rate()], 0, None, 10),
        ("request rate with a forecast", vec![rate()], 0, Some(TREND), 10),
        ("request rate with a season", vec![rate()], 0, Some(SEASON), 10),
        ("request rate with a schedule", vec![rate()], 1, None, 10),
        ("rate, latency, CPU", vec![rate(), latency(), cpu()], 0, None, 10),
        ("the same, schedule, forecast", vec![rate(), latency(), cpu()], 1, Some(TREND), 10),
        ("the same with 100 pods", vec![rate(), latency(), cpu()], 1, Some(TREND), 100),
    ];
    println!("{:32}{:>12}{:>12}", "one component", "median us", "slowest us");
    for (name, metrics, schedules, forecast, pods) in components {
        let component = Component {
            metrics,
            schedules: (0..schedules).map(|_| office_hours()).collect(),
            forecast,
            seasons: BTreeMap::from([("rps".to_owned(), learned())]),
            overrides: Overrides::default(),
            pods,
        };
        let mut series: Vec<f64> = (0..SERIES).map(|_| component.time()).collect();
        series.sort_by(f64::total_cmp);
        println!("{name:32}{:12.2}{:12.2}", series[SERIES / 2], series[SERIES - 1]);
    }
    let begin = Instant::now();
    black_box(learned());
    println!("Learning a season from seven days takes {:.0} ms.", begin.elapsed().as_secs_f64() * 1e3);
}

impl Component {
    /// Microseconds for a decision, on average over a series with a tick of 5 s and a load that comes and goes.
    fn time(&self) -> f64 {
        let behavior = Behavior::default();
        let mut memory = Memory::default();
        let mut now = Timestamp::from_second(1_800_000_000).expect("a valid time");
        let mut replicas = i32::try_from(self.pods).expect("a small number");
        let full = f64::from(replicas) * 50.0;
        let mut pods: Vec<Pod> = (0..self.pods).map(|index| pod(index, now)).collect();
        let mut spent = std::time::Duration::ZERO;
        for round in 0..DECISIONS {
            now += SignedDuration::from_secs(5);
            let share = 0.7 + 0.3 * (f64::from(round) / 30.0).sin();
            for pod in &mut pods {
                let milli = (share * 1000.0) as i64;
                pod.usage.cpu = Some(PodSample { milli, at: now, window: SignedDuration::from_secs(30) });
            }
            let reading = |value| Reading { values: vec![value], at: Some(now), coverage: None };
            let readings = BTreeMap::from([
                ("rps".to_owned(), reading(full * share)),
                ("p99".to_owned(), reading(0.2 * share)),
            ]);
            let begin = Instant::now();
            let decision = decide(black_box(&Input {
                now,
                min_replicas: 2,
                schedules: &self.schedules,
                max_replicas: 200,
                metrics: &self.metrics,
                behavior: &behavior,
                current_replicas: replicas,
                status_replicas: replicas,
                pods: &pods,
                readings: &readings,
                max_sample_age: SignedDuration::from_secs(60),
                timing: PodTiming::default(),
                forecast: self.forecast,
                seasons: &self.seasons,
                fallback: None,
                overrides: &self.overrides,
                memory: &memory,
            }));
            spent += begin.elapsed();
            replicas = decision.desired;
            memory = decision.memory;
            if let Some(change) = &decision.change {
                memory.record(change, &behavior);
            }
        }
        spent.as_secs_f64() * 1e6 / f64::from(DECISIONS)
    }
}

/// The season of a day whose load comes and goes.
fn learned() -> Seasonal {
    let load = |cell: usize| 350.0 + 150.0 * (cell as f64 / CELLS as f64 * std::f64::consts::TAU).sin();
    let values = (0..SEASONS * CELLS).map(|cell| Some(load(cell))).collect();
    let past = Past { until: Timestamp::UNIX_EPOCH, values };
    let season = Season::learn(&past, SignedDuration::from_hours(24), TREND.horizon);
    season.map_or(Seasonal::Awaited, Seasonal::Learned)
}

fn metric(name: &str, target: Target) -> Metric {
    Metric { name: name.to_owned(), target }
}

fn office_hours() -> Schedule {
    Schedule {
        name: "office-hours".to_owned(),
        time_zone: time_zone("Europe/Zurich").expect("a time zone"),
        from: CronLine::parse("0 8 * * 1-5").expect("a cron line"),
        to: CronLine::parse("0 18 * * 1-5").expect("a cron line"),
        min_replicas: 3,
    }
}

fn pod(index: usize, since: Timestamp) -> Pod {
    let since = since - SignedDuration::from_hours(1);
    let requests = ByResource { cpu: Some(1000), memory: Some(1 << 30) };
    Pod {
        name: format!("pod-{index}"),
        phase: Phase::Running,
        deleting: false,
        ready: Some(Ready { status: ReadyStatus::True, since }),
        start: Some(since),
        containers: vec![Container { name: "app".to_owned(), requests }],
        requests: ByResource::default(),
        usage: ByResource::default(),
    }
}
