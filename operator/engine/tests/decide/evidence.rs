//! The effect of incomplete evidence.

use crate::fixture::{Component, cpu, rate};
use crate::{effect, value};
use jiff::SignedDuration;
use scalableapp_engine::evidence::sample::{Coverage, Reading};
use scalableapp_engine::evidence::zero::BELIEVED_AFTER;
use scalableapp_engine::{ComponentDecision, reason};

/// Four replicas that would scale in at once at less than 150/s, with the evidence that `evidence` returns.
fn decided(rps: f64, evidence: impl FnOnce(&mut Reading)) -> ComponentDecision {
    let mut app = four();
    evidence(app.rates(rps));
    app.decide()
}

fn four() -> Component {
    let mut app = Component::new(4, &[rate(50)]);
    app.behavior.scale_down.stabilization_window_seconds = 0;
    app
}

fn three_of_four() -> Coverage {
    Coverage { reporting: 3 }
}

fn in_window(reading: &mut Reading, change: impl FnOnce(&mut scalableapp_engine::evidence::sample::Window)) {
    change(reading.window.as_mut().expect("a window"));
}

#[test]
fn whole_evidence_scales_in() {
    let decision = decided(90.0, |_| {});
    assert_eq!((decision.desired, decision.reason), (2, reason::ALL_METRICS_BELOW_TARGET));
}

#[test]
fn the_pods_that_report_may_ask_for_more_and_never_for_fewer() {
    let part = |reading: &mut Reading| reading.coverage = Some(three_of_four());
    let fewer = decided(90.0, part);
    assert_eq!((fewer.desired, fewer.hold), (4, Some(reason::NO_VALID_METRIC)));
    assert_eq!(value(&fewer, "rps"), "absent: 3 of 4 pods report");

    let more = decided(310.0, part);
    assert_eq!((more.desired, more.reason), (7, reason::METRIC_ABOVE_TARGET));
    assert_eq!(value(&more, "rps"), "at least 77.5/s per replica; absent: 3 of 4 pods report");
    assert_eq!(more.invalid["rps"].reason, reason::METRIC_ABSENT, "it is still said");
}

#[test]
fn a_counter_that_began_anew_takes_no_replica_while_it_is_in_the_window() {
    let decision = decided(90.0, |reading| in_window(reading, |window| window.resets = 2));
    assert_eq!((decision.desired, decision.limited_by.as_slice()), (4, &[reason::WINDOW_INCOMPLETE][..]));
    let said = "2 is below the incomplete 60 s window of rps (counters were reset 2 times in its window) 4";
    assert_eq!(effect(&decision, "bounds"), said);
}

#[test]
fn a_pod_that_was_not_seen_when_the_window_began_takes_no_replica() {
    let decision = decided(90.0, |reading| in_window(reading, |window| window.start = three_of_four()));
    assert_eq!((decision.desired, decision.limited_by.as_slice()), (4, &[reason::WINDOW_INCOMPLETE][..]));
    let said = "2 is below the incomplete 60 s window of rps (3 of 4 pods were seen when its window began) 4";
    assert_eq!(effect(&decision, "bounds"), said);
}

#[test]
fn a_window_that_is_not_whole_does_not_stop_scale_out_and_is_named_only_where_it_binds() {
    for (load, desired) in [(310.0, 7), (205.0, 4)] {
        let decision = decided(load, |reading| in_window(reading, |window| window.resets = 2));
        assert_eq!((decision.desired, decision.limited_by), (desired, vec![]), "{load}");
    }
}

#[test]
fn the_return_of_every_pod_at_once_takes_none() {
    let mut app = four();
    app.rates(90.0);
    let since = app.now - SignedDuration::from_secs(20);
    app.pods.iter_mut().flat_map(|pod| &mut pod.ready).for_each(|ready| ready.since = since);
    let decision = app.decide();
    assert_eq!((decision.desired, decision.limited_by.as_slice()), (4, &[reason::WINDOW_INCOMPLETE][..]));
    app.later(40).rates(90.0);
    assert_eq!(app.decide().desired, 2);
}

#[test]
fn what_nobody_serves_is_no_lack_of_demand() {
    let mut app = four();
    app.rates(0.0);
    app.pods.iter_mut().for_each(|pod| pod.ready = None);
    let decision = app.decide();
    assert_eq!((decision.desired, decision.hold), (4, Some(reason::NO_VALID_METRIC)));
    assert_eq!(value(&decision, "rps"), "absent: no pod is ready, so the demand is not known");
    app.pods.truncate(1);
    app.all_pods_ready();
    assert_eq!(app.decide().desired, 1);
}

#[test]
fn zero_while_requests_are_served_is_not_believed() {
    let decision = decided(0.0, |reading| reading.in_flight = Some(12));
    assert_eq!((decision.desired, decision.hold), (4, Some(reason::NO_VALID_METRIC)));
    assert_eq!(decision.invalid["rps"].reason, reason::ZERO_WHILE_SERVING);
    assert_eq!(value(&decision, "rps"), "implausible: 0/s while 12 requests are in flight");
}

#[test]
fn a_zero_with_nothing_served_and_a_small_rate_are_believed() {
    assert_eq!(decided(0.0, |_| {}).desired, 1);
    assert_eq!(decided(0.2, |reading| reading.in_flight = Some(12)).desired, 1);
}

#[test]
fn a_zero_is_doubted_for_an_hour_and_after_a_restart_no_shorter() {
    let mut app = four();
    let mut decide = |seconds: i64, restarts: bool| {
        for _ in 0..seconds / 60 {
            app.later(60).rates(0.0).in_flight = Some(1);
            app.act();
        }
        app.later(seconds % 60).rates(0.0).in_flight = Some(1);
        if restarts {
            app.restart();
        }
        app.act().desired
    };
    assert_eq!(decide(0, false), 4);
    assert_eq!(decide(BELIEVED_AFTER.as_secs() - 1, true), 4);
    assert_eq!(decide(BELIEVED_AFTER.as_secs() - 1, false), 4);
    assert_eq!(decide(1, false), 1, "a gauge that is never taken back keeps nothing for ever");
}

#[test]
fn a_doubt_that_was_broken_off_begins_anew() {
    let mut app = four();
    app.rates(0.0).in_flight = Some(1);
    assert_eq!(app.act().desired, 4);
    app.readings.clear();
    assert_eq!(app.later(BELIEVED_AFTER.as_secs()).act().desired, 4);
    app.rates(0.0).in_flight = Some(1);
    assert_eq!(app.act().desired, 4, "nobody has seen zeros for an hour");
    for _ in 0..19 {
        app.readings.clear();
        assert_eq!(app.later(60).act().desired, 4);
        app.later(120).rates(0.0).in_flight = Some(1);
        assert_eq!(app.act().desired, 4);
    }
    app.later(180).rates(0.0).in_flight = Some(1);
    assert_eq!(app.act().desired, 1, "a scrape that fails now and then does not prolong it");
}

#[test]
fn a_doubt_that_takes_nothing_is_not_said() {
    let mut app = Component::new(1, &[rate(50)]);
    app.rates(0.0).in_flight = Some(1);
    let decision = app.decide();
    assert_eq!((decision.desired, decision.invalid.len()), (1, 0));
}

/// Four replicas at their target until Prometheus is down for ten minutes; then its window fills again from nothing.
#[test]
fn the_return_of_prometheus_takes_none_of_the_replicas_of_a_load_that_stayed() {
    let mut app = Component::new(4, &[cpu(70)]);
    for _ in 0..60 {
        assert_eq!(app.later(5).uses_cpu(700).act().desired, 4);
    }
    for _ in 0..120 {
        app.later(5).all_pods_ready();
        assert_eq!(app.act().desired, 4);
    }
    // A rate over two minutes. For a minute the second half was not scraped.
    for seen in 12..24 {
        assert_eq!(app.later(5).uses_cpu(700 * seen / 24).act().desired, 4, "{seen}");
    }
    for _ in 0..48 {
        assert_eq!(app.later(5).uses_cpu(700).act().desired, 4);
    }
}

#[test]
fn time_without_evidence_is_no_time_in_which_less_was_asked_for() {
    let mut app = Component::new(4, &[rate(50)]);
    let mut after = |blind: i64, seen: i64| {
        for _ in 0..blind {
            app.readings.clear();
            app.later(1).act();
        }
        for _ in 0..seen {
            app.later(1).rates(90.0);
            app.act();
        }
        app.replicas
    };
    assert_eq!(after(400, 200), 4);
    assert_eq!(after(400, 99), 4);
    assert_eq!(after(0, 3), 2, "what was seen for a window counts");
}

#[test]
fn what_is_asked_for_without_whole_evidence_takes_no_more_memory_with_time() {
    let mut app = Component::new(20, &[rate(50), cpu(70)]);
    app.behavior.scale_up.stabilization_window_seconds = 30;
    let mut size = |seconds: i64| {
        for second in 0..seconds {
            app.later(1).reads("rps", 2_000.0 + f64::from(second as i32 % 10) * 100.0).act();
        }
        serde_json::to_string(&app.memory).expect("a memory").len()
    };
    let (before, after) = (size(600), size(6_000));
    assert!(after < 2 * before, "{before} bytes, then {after}");
}

#[test]
fn less_that_is_asked_for_without_whole_evidence_does_not_forget_what_was_asked_for_before() {
    let mut app = Component::new(10, &[rate(50)]);
    let mut asks = |seconds: i64, replicas: f64, is_whole: bool| {
        for _ in 0..seconds / 5 {
            let reading = app.later(5).rates(replicas * 50.0);
            in_window(reading, |window| window.resets = u32::from(!is_whole));
            app.act();
        }
        app.replicas
    };
    asks(5, 10.0, false);
    assert_eq!(asks(285, 5.0, true), 10);
    asks(15, 8.0, false);
    asks(45, 5.0, false);
    assert_eq!(asks(100, 5.0, true), 8, "eight were asked for within the last five minutes of evidence");
}
