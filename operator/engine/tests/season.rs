//! Promises of a forecast by season.
#![allow(clippy::expect_used, clippy::panic, reason = "clippy sees tests only in functions marked as such")]

mod fixture;

use fixture::{Component, DAY, daily, past, rate};
use jiff::{SignedDuration, Timestamp};
use scalableapp_engine::forecast::season::{CELLS, Past, Season, Seasonal, Unlearned};
use scalableapp_engine::{ComponentDecision, reason};

const HORIZON: SignedDuration = SignedDuration::from_mins(10);

fn now() -> Timestamp {
    Component::new(1, &[]).now
}

/// The hour of the day of the tests: 8 o'clock.
fn hour() -> f64 {
    now().as_second().rem_euclid(DAY.as_secs()) as f64 / 3600.0
}

/// A load of 100/s that rises by 600/s each hour from some minutes after now on, for an hour, and is gone 8 hours later.
fn workday(minutes: f64) -> impl Fn(f64) -> f64 {
    move |at| {
        let since = (at - hour() - minutes / 60.0).rem_euclid(24.0);
        100.0 + 600.0 * since.min(1.0) * f64::from(u8::from(since < 8.0))
    }
}

/// A repeatable difference from day to day.
fn noisy(mut past: Past, most: f64) -> Past {
    let mut state = 1_u64;
    for value in past.values.iter_mut().flatten() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *value += most * ((state >> 33) as f64 / f64::from(1_u32 << 31) * 2.0 - 1.0);
    }
    past
}

fn learn(past: &Past) -> Result<Season, Unlearned> {
    Season::learn(past, DAY, HORIZON)
}

/// The decision on a component of 2 replicas at a load of 100/s after two horizons, with this knowledge of its season.
fn decided(seasonal: Seasonal) -> ComponentDecision {
    let mut app = Component::new(2, &[rate(50)]);
    app.forecast = daily(HORIZON.as_secs());
    app.now -= HORIZON * 2;
    app.seasons.insert("rps".to_owned(), seasonal);
    app.reads("rps", 100.0).act();
    (0..40).map(|_| app.later(30).reads("rps", 100.0).act()).last().expect("a decision")
}

fn forecast(decision: &ComponentDecision) -> &str {
    &decision.stages.iter().find(|stage| stage.name == "forecast").expect("a stage").effect
}

#[test]
fn pods_start_before_the_rise_of_every_day() {
    let season = learn(&noisy(past(now(), 7, workday(6.0)), 10.0)).expect("a season");
    let decision = decided(Seasonal::Learned(season));
    assert_eq!((decision.desired, decision.limited_by.as_slice()), (3, &[reason::FORECAST][..]));
    assert!(forecast(&decision).starts_with("rps: 3 for 139.7 in 600 s, error "), "{}", forecast(&decision));
}

#[test]
fn between_two_rises_the_metric_decides_alone() {
    let season = learn(&noisy(past(now(), 7, workday(60.0)), 10.0)).expect("a season");
    let decision = decided(Seasonal::Learned(season));
    assert_eq!((decision.desired, decision.limited_by), (2, vec![]));
}

#[test]
fn a_load_without_a_season_is_not_foretold() {
    let Ok(season) = learn(&noisy(past(now(), 7, |_| 500.0), 200.0)) else { panic!("a season") };
    assert!(!season.errors.admit(), "{:?}", season.errors);
    let decision = decided(Seasonal::Learned(season));
    assert_eq!((decision.desired, decision.limited_by.len()), (2, 0));
    assert!(forecast(&decision).ends_with(", not used"), "{}", forecast(&decision));
}

#[test]
fn a_rise_that_moved_to_another_hour_takes_the_say_away() {
    // Six days with the rise in the morning, and one with the rise half a day later.
    let mut known = past(now(), 7, workday(6.0));
    let moved = past(now(), 1, workday(725.0));
    let start = known.values.len() - CELLS;
    known.values[start..].clone_from_slice(&moved.values);
    let season = learn(&noisy(known, 1.0)).expect("a season");
    assert!(!season.errors.admit(), "{:?}", season.errors);
    assert!(forecast(&decided(Seasonal::Learned(season))).contains(" in the last season, "));
}

#[test]
fn days_that_are_alike_by_chance_take_no_say_away() {
    let mut known = past(now(), 7, workday(6.0));
    for (day, values) in known.values.chunks_mut(CELLS).enumerate() {
        let traffic = [0.9, 1.1, 0.9, 1.0, 1.0, 1.0, 1.0][day];
        values.iter_mut().flatten().for_each(|value| *value *= traffic);
    }
    let season = learn(&noisy(known, 1.0)).expect("a season");
    assert!(season.errors.admit(), "{:?}", season.errors);
}

#[test]
fn an_incident_of_one_day_is_not_expected_the_next() {
    let mut known = past(now(), 7, workday(300.0));
    let yesterday = known.values.len() - CELLS;
    // From now on for half an hour, a day ago.
    known.values[yesterday..yesterday + 5].fill(Some(5_000.0));
    let season = learn(&noisy(known, 1.0)).expect("a season");
    assert_eq!(decided(Seasonal::Learned(season)).desired, 2);
}

#[test]
fn three_days_must_be_known_and_gaps_be_few() {
    assert_eq!(learn(&past(now(), 2, workday(6.0))), Err(Unlearned::TooShort(2.0)));
    let mut young = past(now(), 7, workday(6.0));
    young.values[..4 * CELLS].fill(None);
    assert!(learn(&young).is_ok());
    young.values[5 * CELLS..5 * CELLS + 100].fill(None);
    assert!(matches!(learn(&young), Err(Unlearned::Gaps(_))));
    let mut wrong = past(now(), 3, workday(6.0));
    wrong.values[0] = Some(f64::INFINITY);
    assert_eq!(learn(&wrong), Err(Unlearned::Implausible));
}

#[test]
fn until_the_history_is_there_nothing_scales_in() {
    let mut app = Component::new(9, &[rate(50)]);
    app.forecast = daily(HORIZON.as_secs());
    app.behavior.scale_down.stabilization_window_seconds = 0;
    for _ in 0..200 {
        let decision = app.later(5).reads("rps", 100.0).act();
        assert_eq!((decision.desired, decision.limited_by), (9, vec![reason::FORECAST_LEARNING]));
    }
    app.seasons.insert("rps".to_owned(), Seasonal::Unusable("0.5 of 3 seasons known".to_owned()));
    let decision = app.later(5).reads("rps", 100.0).act();
    assert_eq!((decision.desired, forecast(&decision)), (2, "rps: 0.5 of 3 seasons known, not used"));
}

#[test]
fn what_was_foretold_counts_until_it_was_due() {
    let season = learn(&noisy(past(now(), 7, workday(6.0)), 10.0)).expect("a season");
    let mut app = Component::new(2, &[rate(50)]);
    app.forecast = daily(HORIZON.as_secs());
    app.behavior.scale_down.stabilization_window_seconds = 0;
    app.now -= HORIZON * 2;
    app.seasons.insert("rps".to_owned(), Seasonal::Learned(season));
    app.reads("rps", 100.0).act();
    (0..40).for_each(|_| assert!(app.later(30).reads("rps", 100.0).act().desired >= 2));
    assert_eq!(app.replicas, 3);
    // The load dips for a moment, as noise does.
    assert_eq!(app.later(30).reads("rps", 60.0).act().desired, 3);
}
