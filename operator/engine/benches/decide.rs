//! `make bench-engine`: how long a decision takes, in microseconds for one component. Prints; wanted are less than 20.
#![allow(clippy::expect_used, reason = "a benchmark may end with a message")]

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::hint::black_box;
use std::time::{Duration, Instant};

use fixture::{Component, cpu, latency, rate};
use jiff::SignedDuration;
use scalableapp_engine::schedule::{CronLine, Schedule, time_zone};

/// Decisions of one series, each on what the one before left behind.
const DECISIONS: u32 = 400;
/// Series of which the median is printed.
const SERIES: usize = 31;

fn main() {
    let all = [rate(50), latency(300), cpu(70)];
    let components = [
        ("request rate", &all[..1], 0, false, 10),
        ("request rate with a forecast", &all[..1], 0, true, 10),
        ("request rate with a schedule", &all[..1], 1, false, 10),
        ("rate, latency, CPU", &all, 0, false, 10),
        ("the same, schedule, forecast", &all, 1, true, 10),
        ("the same with 100 pods", &all, 1, true, 100),
    ];
    println!("{:32}{:>12}{:>12}", "one component", "median us", "slowest us");
    for (name, metrics, schedules, forecast, pods) in components {
        let mut component = Component::new(pods, metrics);
        (component.min, component.max) = (2, 200);
        component.schedules = (0..schedules).map(|_| office_hours()).collect();
        component.forecast = forecast.then(|| SignedDuration::from_secs(90));
        let mut series: Vec<f64> = (0..SERIES).map(|_| time(component.clone())).collect();
        series.sort_by(f64::total_cmp);
        println!("{name:32}{:12.2}{:12.2}", series[SERIES / 2], series[SERIES - 1]);
    }
}

/// Microseconds for a decision, on average over a series with a tick of 5 s and a load that comes and goes. The pods
/// stay as many as they are.
fn time(mut component: Component) -> f64 {
    let full = f64::from(component.replicas) * 50.0;
    let mut spent = Duration::ZERO;
    for round in 0..DECISIONS {
        let share = 0.7 + 0.3 * (f64::from(round) / 30.0).sin();
        component.later(5).uses_cpu((share * 1000.0) as i64).reads("p99", 0.2 * share);
        component.rates(full * share);
        let begin = Instant::now();
        let decision = black_box(&component).decide();
        spent += begin.elapsed();
        component.replicas = decision.desired;
        component.memory = decision.memory;
        if let Some(change) = &decision.change {
            component.memory.record(change, &component.behavior);
        }
    }
    spent.as_secs_f64() * 1e6 / f64::from(DECISIONS)
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
