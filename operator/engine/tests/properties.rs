//! Properties of every component, load and history.
#![allow(clippy::expect_used, reason = "clippy sees tests only in functions marked as such")]

mod fixture;

use fixture::{Component, DAY, cpu, daily, latency, past, rate, trend};
use jiff::SignedDuration;
use proptest::prelude::*;
use scalableapp_engine::bounds::cron::CronLine;
use scalableapp_engine::bounds::schedule::{Schedule, time_zone};
use scalableapp_engine::decide;
use scalableapp_engine::evidence::sample::Coverage;
use scalableapp_engine::forecast::Forecast;
use scalableapp_engine::forecast::season::{Season, Seasonal};
use scalableapp_engine::hpa::behavior::{Behavior, Limit, Policy, ScalingRules, SelectPolicy};
use scalableapp_engine::record::Record;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Learned once for all cases.
static SEASON: LazyLock<Seasonal> = LazyLock::new(season);

/// The events between two decisions.
#[derive(Clone, Debug)]
struct Moment {
    seconds: i64,
    /// Requests per second; nothing if the query fails.
    load: Option<f64>,
    /// The same over a short window.
    recent: Option<f64>,
    latency: Option<f64>,
    /// Thousandths of a core on each pod; nothing if the kubelets do not answer.
    cpu: Option<i64>,
    flaw: Option<Flaw>,
}

/// Why a request rate is lower than the demand.
#[derive(Clone, Copy, Debug)]
enum Flaw {
    /// A pod does not report.
    Partial,
    /// A pod did not report at the start of the window.
    Unseen,
    /// A counter was reset.
    Reset,
    /// No pod was ready all through the window.
    Unserved,
    /// No pod is ready.
    NobodyServes,
    /// Requests are in flight and none ends: the rate is zero.
    Hanging,
}

const FLAWS: [Flaw; 6] =
    [Flaw::Partial, Flaw::Unseen, Flaw::Reset, Flaw::Unserved, Flaw::NobodyServes, Flaw::Hanging];

fn moments(length: usize) -> impl Strategy<Value = Vec<Moment>> {
    let load = prop_oneof![4 => (0.0..2_000.0).prop_map(Some), 1 => Just(None)];
    let recent = prop_oneof![2 => (0.0..4_000.0).prop_map(Some), 1 => Just(None)];
    let latency = prop_oneof![4 => (0.05..1.5).prop_map(Some), 1 => Just(None)];
    let cpu = prop_oneof![4 => (0..2_000_i64).prop_map(Some), 1 => Just(None)];
    let flaw = prop_oneof![2 => Just(None), 1 => proptest::sample::select(&FLAWS[..]).prop_map(Some)];
    let moment = (1..90_i64, load, recent, latency, cpu, flaw).prop_map(
        |(seconds, load, recent, latency, cpu, flaw)| Moment { seconds, load, recent, latency, cpu, flaw },
    );
    proptest::collection::vec(moment, 1..length)
}

fn rules(windows: &'static [i32], percent: i32) -> impl Strategy<Value = ScalingRules> {
    let limit = prop_oneof![(1..12_i32).prop_map(Limit::Pods), (1..=percent).prop_map(Limit::Percent)];
    let policy = (limit, 1..400_i32).prop_map(|(limit, period_seconds)| Policy { limit, period_seconds });
    let select = prop_oneof![4 => Just(SelectPolicy::Max), 3 => Just(SelectPolicy::Min), 1 => Just(SelectPolicy::Disabled)];
    (proptest::sample::select(windows), select, proptest::collection::vec(policy, 1..3)).prop_map(
        |(stabilization_window_seconds, select_policy, policies)| ScalingRules {
            stabilization_window_seconds,
            select_policy,
            policies,
            tolerance: 0.1,
        },
    )
}

fn behaviors() -> impl Strategy<Value = Behavior> {
    let any = (rules(&[0, 0, 20, 120], 300), rules(&[0, 30, 300], 100))
        .prop_map(|(scale_up, scale_down)| Behavior { scale_up, scale_down });
    prop_oneof![1 => Just(Behavior::default()), 3 => any]
}

fn forecasts() -> impl Strategy<Value = Option<Forecast>> {
    let horizons = proptest::sample::select(&[30, 60, 120][..]);
    (horizons, 0..3).prop_map(|(horizon, kind)| match kind {
        0 => None,
        1 => trend(horizon),
        _ => daily(horizon),
    })
}

/// A known season of the load: steep enough that a horizon makes a difference.
fn season() -> Seasonal {
    let start = Component::new(1, &[]).now;
    let past = past(start, 4, |hour| 500.0 + 400.0 * (hour * 40.0).sin());
    let season = Season::learn(&past, DAY, SignedDuration::from_secs(120)).expect("a season");
    assert!(season.errors.admit());
    Seasonal::Learned(season)
}

fn component(replicas: i32, behavior: Behavior, forecast: Option<Forecast>) -> Component {
    let mut app = Component::new(replicas, &[rate(50), cpu(70), latency(300)]);
    app.behavior = behavior;
    app.forecast = forecast;
    if forecast.is_some_and(|forecast| forecast.season.is_some()) {
        app.seasons.insert("rps".to_owned(), SEASON.clone());
    }
    app.max = 40;
    app
}

fn live(app: &mut Component, moment: &Moment) {
    app.later(moment.seconds);
    app.readings.clear();
    app.recent_rate = None;
    if let Some(recent) = moment.recent {
        app.recently(recent);
    }
    if let Some(load) = moment.load {
        flawed_rate(app, load, moment.flaw);
    }
    if let Some(latency) = moment.latency {
        app.reads("p99", latency);
    }
    if let Some(milli) = moment.cpu {
        app.uses_cpu(milli);
    }
    app.act();
}

fn fewer(coverage: &mut Coverage) {
    coverage.reporting = coverage.reporting.saturating_sub(1);
}

fn flawed_rate(app: &mut Component, load: f64, flaw: Option<Flaw>) {
    let recently = app.now - SignedDuration::from_secs(20);
    let reading = app.rates(load);
    match (flaw, &mut reading.coverage, &mut reading.window) {
        (Some(Flaw::Partial), Some(coverage), _) => fewer(coverage),
        (Some(Flaw::Unseen), _, Some(window)) => fewer(&mut window.start),
        (Some(Flaw::Reset), _, Some(window)) => window.resets = 1,
        (Some(Flaw::Hanging), ..) => (reading.values[0], reading.in_flight) = (0.0, Some(3)),
        _ => {}
    }
    for pod in &mut app.pods {
        match flaw {
            Some(Flaw::Unserved) => pod.ready.iter_mut().for_each(|ready| ready.since = recently),
            Some(Flaw::NobodyServes) => pod.ready = None,
            _ => {}
        }
    }
}

fn every_other_minute(min_replicas: i32) -> Schedule {
    let line = |text| CronLine::parse(text).expect("a cron line");
    let (from, to) = (line("*/2 * * * *"), line("1-59/2 * * * *"));
    Schedule::new("flicker".to_owned(), time_zone("UTC").expect("a zone"), from, to, min_replicas)
}

/// As set by the environment (`PROPTEST_CASES`), with as many rejected inputs as a thorough run needs.
fn config() -> ProptestConfig {
    ProptestConfig { max_global_rejects: 1 << 20, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn desired_is_within_bounds(
        replicas in 0..60_i32, min in 1..20_i32, more in 0..20_i32,
        behavior in behaviors(), forecast in forecasts(), scheduled in 1..60_i32, moments in moments(12),
    ) {
        let mut app = component(replicas, behavior, forecast);
        app.min = min;
        app.max = min + more;
        app.schedules = vec![every_other_minute(scheduled)];
        for moment in &moments {
            live(&mut app, moment);
            prop_assert!((min..=min + more).contains(&app.replicas));
        }
    }

    #[test]
    fn a_decision_that_was_written_and_read_is_made_again(
        replicas in 0..40_i32, behavior in behaviors(), forecast in forecasts(), scheduled in 1..60_i32,
        moments in moments(12),
    ) {
        let mut app = component(replicas, behavior, forecast);
        app.schedules = vec![every_other_minute(scheduled)];
        for moment in &moments {
            live(&mut app, moment);
            let written = serde_json::to_string(&app.record()).expect("a line");
            let read: Record = serde_json::from_str(&written).expect("a record");
            prop_assert_eq!(&read, &app.record());
            let again = decide(&read.input.as_input()).components;
            let again = again.into_iter().map(|(name, one)| (name, one.record(read.input.now)));
            prop_assert_eq!(again.collect::<BTreeMap<_, _>>(), read.decisions);
        }
    }

    /// Without a forecast: a load that proves a forecast wrong disables it (ADR 13).
    #[test]
    fn more_load_never_means_fewer_replicas(
        replicas in 1..40_i32, behavior in behaviors(), moments in moments(30),
        load in 0.0..3_000.0_f64, more in 0.0..500.0_f64,
    ) {
        let mut app = component(replicas, behavior, None);
        app.metrics.truncate(1);
        for moment in &moments {
            live(&mut app, moment);
        }
        let less = app.later(5).reads("rps", load).decide().desired;
        let many = app.reads("rps", load + more).decide().desired;
        prop_assert!(less <= many, "{less} replicas for {load}/s, {many} for {more}/s more");
    }

    #[test]
    fn a_short_window_adds_replicas_and_changes_no_scale_in(
        replicas in 1..40_i32, behavior in behaviors(), forecast in forecasts(), moments in moments(12),
        load in 0.0..2_000.0_f64, recent in 0.0..4_000.0_f64,
    ) {
        let mut app = component(replicas, behavior, forecast);
        for moment in &moments {
            live(&mut app, moment);
        }
        app.later(5).rates(load);
        app.recent_rate = None;
        let without = app.decide().desired;
        app.recently(recent);
        let with = app.decide().desired;
        prop_assert!(with >= without);
        prop_assert!(with == without || with > app.replicas, "{without} without, {with} with, from {}", app.replicas);
    }

    #[test]
    fn inside_the_tolerance_nothing_changes(
        replicas in 1..40_i32, noise in proptest::collection::vec(0.9..1.1_f64, 1..30),
    ) {
        let mut app = component(replicas, Behavior::default(), None);
        for ratio in noise {
            let load = f64::from(replicas) * 50.0 * ratio;
            app.later(5).reads("rps", load).uses_cpu((700.0 * ratio).round() as i64);
            let decision = app.act();
            prop_assert_eq!((decision.desired, &decision.change), (replicas, &None));
            prop_assert_eq!((decision.limited_by, decision.hold), (vec![], None));
        }
    }

    #[test]
    fn noise_of_a_quarter_of_the_tolerance_is_no_trend(
        replicas in 1..40_i32, noise in proptest::collection::vec(0.976..1.024_f64, 1..200),
    ) {
        let mut app = Component::new(replicas, &[rate(50)]);
        (app.max, app.forecast) = (60, trend(60));
        for ratio in noise {
            app.later(5).reads("rps", f64::from(replicas) * 50.0 * ratio);
            prop_assert_eq!(app.act().desired, replicas);
        }
    }

    #[test]
    fn floors_only_ever_raise(
        replicas in 1..40_i32, behavior in behaviors(), forecast in forecasts(), scheduled in 1..60_i32,
        moments in moments(40),
    ) {
        let mut app = component(replicas, behavior, forecast);
        for moment in &moments {
            live(&mut app, moment);
        }
        app.later(5).reads("rps", 500.0);
        let mut plain = app.clone();
        plain.forecast = None;
        let without = plain.decide().desired;
        prop_assert!(app.decide().desired >= without);
        plain.schedules = vec![every_other_minute(scheduled)];
        // Below its minimum a component first scales to it, as HPA does with minReplicas, and then follows the metrics.
        prop_assert!(plain.decide().desired >= without.min(scheduled));
    }

    #[test]
    fn deciding_again_at_once_changes_nothing(
        replicas in 1..40_i32, behavior in behaviors(), forecast in forecasts(), moments in moments(30),
    ) {
        let mut app = component(replicas, behavior, forecast);
        for moment in &moments {
            live(&mut app, moment);
        }
        app.later(5).reads("rps", 500.0);
        let (first, memory) = app.decide_and_remember();
        app.memory = memory;
        let second = app.decide();
        prop_assert_eq!((first.desired, first.reason), (second.desired, second.reason));
    }

    #[test]
    fn absent_never_scales_in(
        replicas in 1..40_i32, behavior in behaviors(), forecast in forecasts(), moments in moments(12),
        load in proptest::option::of(0.0..2_000.0_f64), usage in proptest::option::of(0..2_000_i64),
    ) {
        prop_assume!(load.is_none() || usage.is_none());
        let mut app = component(replicas, behavior, forecast);
        for moment in &moments {
            live(&mut app, moment);
        }
        let before = app.replicas;
        live(&mut app, &Moment { seconds: 400, load, recent: None, latency: None, cpu: usage, flaw: None });
        prop_assert!(app.replicas >= before, "{before} to {}", app.replicas);
    }

    #[test]
    fn a_rate_that_is_not_whole_never_scales_in(
        replicas in 1..40_i32, behavior in behaviors(), forecast in forecasts(), moments in moments(12),
        load in 0.0..2_000.0_f64, flaw in proptest::sample::select(&FLAWS[..]),
    ) {
        let mut app = component(replicas, behavior, forecast);
        for moment in &moments {
            live(&mut app, moment);
        }
        let before = app.replicas;
        live(&mut app, &Moment { seconds: 400, load: Some(load), recent: None, latency: None, cpu: Some(10), flaw: Some(flaw) });
        prop_assert!(app.replicas >= before, "{before} to {}", app.replicas);
    }

    /// Without CPU, whose pods a fault may affect too, and without a forecast, which learns from complete rates alone.
    #[test]
    fn a_rate_that_is_not_whole_scales_out_as_a_whole_one(
        replicas in 1..40_i32, behavior in behaviors(), moments in moments(12),
        load in 0.0..2_000.0_f64, flaw in proptest::sample::select(&FLAWS[..5]),
    ) {
        let mut app = component(replicas, behavior, None);
        app.metrics.truncate(1);
        for moment in &moments {
            live(&mut app, moment);
        }
        let before = app.replicas;
        let mut whole = app.clone();
        let moment = |flaw| Moment { seconds: 5, load: Some(load), recent: None, latency: None, cpu: None, flaw };
        live(&mut whole, &moment(None));
        live(&mut app, &moment(Some(flaw)));
        prop_assert_eq!(app.replicas, whole.replicas.max(before));
    }

    #[test]
    fn a_restart_neither_hastens_scale_in_nor_widens_a_change(
        replicas in 1..40_i32, behavior in behaviors(), forecast in forecasts(),
        before in moments(30), after in moments(30),
    ) {
        let mut steady = component(replicas, behavior, forecast);
        for moment in &before {
            live(&mut steady, moment);
        }
        let mut restarted = steady.clone();
        restarted.restart();
        let start = restarted.now;
        let window = i64::from(restarted.behavior.scale_down.stabilization_window_seconds);
        for moment in &after {
            let from = steady.replicas;
            live(&mut steady, moment);
            live(&mut restarted, moment);
            let (without, with) = (steady.replicas, restarted.replicas);
            prop_assert!(
                (from.min(without)..=from.max(without)).contains(&with),
                "from {from}: {without} without a restart, {with} with one"
            );
            // The first decision starts from the current replicas and dates the first recommendation then.
            let age = restarted.now.duration_since(start).as_secs() - after[0].seconds;
            prop_assert!(with >= from || age >= window, "scale-in {age} s after the restart");
            if without != with {
                break;
            }
        }
    }
}
