//! `make bench-engine`: prints how long a decision takes, in microseconds for one component. The goal is less than 20.
#![allow(clippy::expect_used, reason = "a benchmark may end with a message")]

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::hint::black_box;
use std::time::{Duration, Instant};

use fixture::{Component, NAME, cpu, latency, rate};
use jiff::{SignedDuration, Timestamp};
use scalableapp_engine::bounds::cron::CronLine;
use scalableapp_engine::bounds::schedule::{Schedule, time_zone};
use scalableapp_engine::decide;
use scalableapp_engine::forecast::Forecast;
use scalableapp_engine::forecast::season::{CELLS, Past, SEASONS, Season, Seasonal};
use scalableapp_engine::record::RecordedInput;

/// Decisions of one series, each on the memory of the one before.
const DECISIONS: u32 = 400;
/// Series of which the median is printed.
const SERIES: usize = 31;

/// Forecasts of a rise of 90 s, by trend and by the season of a day.
const TREND: Forecast = Forecast { horizon: SignedDuration::from_secs(90), season: None };
const SEASON: Forecast = Forecast { season: Some(SignedDuration::from_hours(24)), ..TREND };

fn main() {
    let all = [rate(50), latency(300), cpu(70)];
    let components = [
        ("request rate", &all[..1], 0, None, 10),
        ("request rate with a forecast", &all[..1], 0, Some(TREND), 10),
        ("request rate with a season", &all[..1], 0, Some(SEASON), 10),
        ("request rate with a schedule", &all[..1], 1, None, 10),
        ("rate, latency, CPU", &all, 0, None, 10),
        ("the same, schedule, forecast", &all, 1, Some(TREND), 10),
        ("the same with 100 pods", &all, 1, Some(TREND), 100),
    ];
    println!("{:32}{:>12}{:>12}", "one component", "median us", "slowest us");
    for (name, metrics, schedules, forecast, pods) in components {
        let mut component = Component::new(pods, metrics);
        (component.min, component.max) = (2, 200);
        component.schedules = (0..schedules).map(|_| office_hours()).collect();
        component.forecast = forecast;
        component.seasons.insert("rps".to_owned(), learned());
        let mut series: Vec<f64> = (0..SERIES).map(|_| time(component.clone())).collect();
        series.sort_by(f64::total_cmp);
        println!("{name:32}{:12.2}{:12.2}", series[SERIES / 2], series[SERIES - 1]);
    }
    let begin = Instant::now();
    black_box(learned());
    println!("Learning a season from seven days takes {:.0} ms.", begin.elapsed().as_secs_f64() * 1e3);
}

/// Microseconds for a decision: the average over a series with a tick of 5 s and a load that rises and falls. The
/// number of pods stays the same.
fn time(mut component: Component) -> f64 {
    let full = f64::from(component.replicas) * 50.0;
    // A schedule caches whether it is active, so the component is reused, as in the operator.
    let stack = component.input().stack;
    let mut spent = Duration::ZERO;
    for round in 0..DECISIONS {
        let share = 0.7 + 0.3 * (f64::from(round) / 30.0).sin();
        component.later(5).uses_cpu((share * 1000.0) as i64).reads("p99", 0.2 * share);
        component.rates(full * share);
        let input = RecordedInput { stack: stack.clone(), ..component.input() };
        let begin = Instant::now();
        let decision = decide(&black_box(&input).as_input());
        spent += begin.elapsed();
        let mut memory = decision.memory;
        let decision = &decision.components[NAME];
        memory.commit(NAME, decision, &component.behavior, true);
        component.replicas = decision.desired;
        component.memory = memory.components.remove(NAME).expect("a memory");
    }
    spent.as_secs_f64() * 1e6 / f64::from(DECISIONS)
}

/// The season of a day whose load rises and falls.
fn learned() -> Seasonal {
    let load = |cell: usize| 350.0 + 150.0 * (cell as f64 / CELLS as f64 * std::f64::consts::TAU).sin();
    let values = (0..SEASONS * CELLS).map(|cell| Some(load(cell))).collect();
    let past = Past { until: Timestamp::UNIX_EPOCH, values };
    let season = Season::learn(&past, SignedDuration::from_hours(24), TREND.horizon);
    season.map_or(Seasonal::Awaited, Seasonal::Learned)
}

fn office_hours() -> Schedule {
    let [from, to] = ["0 8 * * 1-5", "0 18 * * 1-5"].map(|line| CronLine::parse(line).expect("a cron line"));
    let zone = time_zone("Europe/Zurich").expect("a time zone");
    Schedule::new("office-hours".to_owned(), zone, from, to, 3)
}
