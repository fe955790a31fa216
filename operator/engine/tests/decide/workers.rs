//! How many workers a backlog asks for, from zero and back to it.

use crate::bounds::{named, office_hours};
use crate::fixture::{Component, cpu, email};
use crate::{effect, value};
use jiff::SignedDuration;
use scalableapp_engine::bounds::fallback::Fallback;
use scalableapp_engine::bounds::overrides::Overrides;
use scalableapp_engine::evidence::backlog::BacklogReading;
use scalableapp_engine::hpa::behavior::SelectPolicy;
use scalableapp_engine::record::Record;
use scalableapp_engine::{ComponentDecision, reason};

/// A pool of 0 to 20 workers.
pub fn pool(replicas: i32) -> Component {
    let mut pool = Component::new(replicas, &[email()]);
    pool.min = 0;
    pool
}

/// A backlog of jobs of 0.8 s.
fn jobs(arrivals: f64, waiting: f64) -> BacklogReading {
    BacklogReading {
        arrivals_per_second: arrivals,
        waiting,
        seconds_per_job: Some(0.8),
        finished_per_second: Some(arrivals),
        ..BacklogReading::default()
    }
}

pub const IDLE: BacklogReading = BacklogReading {
    at: None,
    arrivals_per_second: 0.0,
    finished_per_second: Some(0.0),
    waiting: 0.0,
    running: Some(0.0),
    oldest_seconds: 0.0,
    seconds_per_job: None,
};

#[test]
fn a_backlog_asks_for_the_pods_that_drain_it_in_time() {
    // (arrivals per second, waiting) and the pods: (arrivals + waiting / 60) × 0.8 / (8 × 0.8), rounded up.
    for (arrivals, waiting, pods) in [
        (12.5, 340.0, 3), // 18.17 × 0.125 = 2.27
        (40.0, 0.0, 5),
        (40.1, 0.0, 6),
        (0.0, 4_800.0, 10),
        (0.0, 1.0, 1),
        (0.001, 0.0, 1),
        (1e300, 1e300, 20),
        (f64::MAX, f64::MAX, 20),
    ] {
        let decision = pool(0).backlog(jobs(arrivals, waiting)).decide();
        assert_eq!(decision.desired, pods, "{arrivals}/s arrive, {waiting} wait");
    }
}

#[test]
fn the_decision_says_what_it_is_based_on() {
    let mut pool = pool(1);
    let decision = pool.backlog(BacklogReading { oldest_seconds: 95.0, ..jobs(12.5, 340.0) }).decide();
    assert_eq!(value(&decision, "email"), "340 waiting, oldest 95s");
    assert_eq!(decision.proposals[0].target, "drained within 60s, none older than 120s");
    let words = "3 recommended by email: 12.5/s arrive, 340 wait, 0.8 s a job, 8 at a time in each pod";
    assert_eq!(effect(&decision, "recommendation"), words);
    assert_eq!((decision.desired, decision.reason), (3, reason::METRIC_ABOVE_TARGET));
}

#[test]
fn the_first_job_starts_one_pod_at_once_and_no_policy_delays_more() {
    let first = BacklogReading { waiting: 1.0, ..IDLE };
    let mut pool = pool(0);
    assert_eq!(pool.backlog(IDLE).act().desired, 0);
    assert_eq!(pool.later(5).backlog(first).decide().desired, 1);
    pool.behavior.scale_up.select_policy = SelectPolicy::Disabled;
    pool.behavior.scale_up.stabilization_window_seconds = 300;
    assert_eq!(pool.backlog(jobs(0.0, 4_800.0)).decide().desired, 10);
    pool.max = 7;
    let decision = pool.decide();
    assert_eq!((decision.desired, decision.limited_by), (7, vec![reason::MAX_REPLICAS]));
}

#[test]
fn an_empty_queue_returns_to_zero_after_the_window_of_a_scale_in() {
    let mut pool = pool(3);
    pool.backlog(jobs(20.0, 0.0)).act();
    assert_eq!(pool.later(5).backlog(IDLE).act().desired, 3);
    let decision = pool.later(290).backlog(IDLE).act();
    assert_eq!((decision.desired, decision.limited_by), (3, vec![reason::SCALE_DOWN_STABILIZED]));
    assert_eq!(pool.later(15).backlog(IDLE).act().desired, 0);
    let decision = pool.later(600).backlog(IDLE).act();
    assert_eq!((decision.desired, decision.reason, decision.limited_by), (0, reason::AT_TARGET, vec![]));
}

#[test]
fn one_pod_stays_while_anything_arrives_waits_or_runs() {
    for busy in [
        BacklogReading { arrivals_per_second: 0.001, ..IDLE },
        BacklogReading { waiting: 1.0, ..IDLE },
        BacklogReading { running: Some(1.0), ..IDLE },
    ] {
        let mut pool = pool(1);
        pool.behavior.scale_down.stabilization_window_seconds = 0;
        pool.backlog(BacklogReading { seconds_per_job: Some(0.8), ..busy });
        assert_eq!(pool.decide().desired, 1);
    }
}

#[test]
fn inside_the_tolerance_the_replicas_stay() {
    for (arrivals, pods) in [(36.1, 5), (40.0, 5), (43.9, 5), (44.1, 6), (35.9, 5), (31.9, 4)] {
        let mut pool = pool(5);
        pool.behavior.scale_down.stabilization_window_seconds = 0;
        assert_eq!(pool.backlog(jobs(arrivals, 0.0)).decide().desired, pods, "{arrivals}/s");
    }
}

#[test]
fn until_a_job_has_ended_only_the_age_asks_for_more_than_the_first_pod() {
    let waiting = BacklogReading { waiting: 5_000.0, arrivals_per_second: 9.0, ..IDLE };
    let decision = pool(0).backlog(waiting).decide();
    assert_eq!(decision.desired, 1);
    assert_eq!(
        effect(&decision, "recommendation"),
        "1 recommended by email: 5000 wait, and the duration of a job is not known yet"
    );
    let mut pool = pool(3);
    pool.behavior.scale_down.stabilization_window_seconds = 0;
    assert_eq!(pool.backlog(waiting).decide().desired, 3, "nor does anything scale in");
}

#[test]
fn the_last_known_duration_counts_while_no_job_ends() {
    let mut pool = pool(1);
    pool.backlog(jobs(8.0, 0.0)).act();
    pool.later(5).backlog(BacklogReading { waiting: 2_400.0, ..IDLE });
    assert_eq!(pool.decide().desired, 5);
    pool.memory.forget_metric("email");
    assert_eq!(pool.decide().desired, 1);
}

#[test]
fn an_old_job_asks_for_more_in_proportion_and_at_most_for_twice_as_many() {
    for (oldest, pods) in [(119.0, 4), (120.0, 4), (121.0, 5), (180.0, 6), (240.0, 8), (1e9, 8)] {
        let mut pool = pool(4);
        pool.backlog(jobs(32.0, 0.0)).act();
        let old = BacklogReading { waiting: 1.0, oldest_seconds: oldest, ..jobs(32.0, 0.0) };
        let decision = pool.later(5).backlog(old).decide();
        assert_eq!(decision.desired, pods, "{oldest} s");
    }
}

#[test]
fn an_old_job_gets_one_step_until_its_effect_is_known_and_keeps_the_pods_meanwhile() {
    let mut pool = pool(4);
    pool.behavior.scale_down.stabilization_window_seconds = 0;
    let old = BacklogReading { waiting: 1.0, oldest_seconds: 200.0, ..jobs(32.0, 0.0) };
    pool.backlog(jobs(32.0, 0.0)).act();
    let decision = pool.later(5).backlog(old).act();
    assert_eq!(decision.desired, 7);
    assert_eq!(effect(&decision, "recommendation"), "7 recommended by email: its oldest job is 200s old");
    for pod in &mut pool.pods[4..] {
        pod.ready = None;
    }
    let decision = pool.later(60).backlog(old).decide();
    assert_eq!((decision.desired, decision.reason), (7, reason::AT_TARGET));
    pool.all_pods_ready();
    let decision = pool.backlog(old).act();
    assert_eq!((decision.desired, decision.reason), (7, reason::THROUGHPUT_DOES_NOT_RISE));
    assert_eq!(value(&decision, "email"), "1 waiting, oldest 200s; throughput does not rise with pods");
    assert_eq!(effect(&decision, "bounds"), "12 is above the limit of the stalled email 7");
}

/// A pool of six whose growth from four did not help.
fn stalled() -> (Component, ComponentDecision) {
    let mut pool = pool(4);
    pool.backlog(jobs(32.0, 0.0)).act();
    let stuck = BacklogReading { running: Some(48.0), ..jobs(32.0, 960.0) };
    assert_eq!(pool.later(5).backlog(stuck).act().desired, 6);
    let decision = pool.later(120).backlog(BacklogReading { waiting: 6_000.0, ..stuck }).act();
    (pool, decision)
}

#[test]
fn a_throughput_that_does_not_rise_stops_the_growth_and_is_named() {
    let (mut pool, decision) = stalled();
    assert_eq!((decision.desired, decision.reason), (6, reason::THROUGHPUT_DOES_NOT_RISE));
    assert_eq!(decision.limited_by, [reason::THROUGHPUT_DOES_NOT_RISE]);
    pool.schedules = vec![office_hours(9)];
    assert_eq!(pool.decide().desired, 9, "a minimum still counts");
    pool.schedules.clear();
    pool.max = 6;
    assert_eq!(
        pool.decide().limited_by,
        [reason::THROUGHPUT_DOES_NOT_RISE],
        "more than maxReplicas would not help"
    );
    pool.backlogs.clear();
    assert_eq!(pool.later(5).act().desired, 6);
}

#[test]
fn growth_goes_on_when_throughput_rises_or_the_backlog_goes_or_the_pool_shrinks() {
    let stuck = BacklogReading { running: Some(48.0), ..jobs(32.0, 6_000.0) };
    let (pool, _) = stalled();
    let later = |change: &dyn Fn(&mut Component)| {
        let mut pool = pool.clone();
        pool.later(15);
        change(&mut pool);
        pool.act().desired
    };
    let finishing = |finished_per_second| {
        let reading = BacklogReading { finished_per_second: Some(finished_per_second), ..stuck };
        later(&|pool| {
            pool.backlog(reading);
        })
    };
    // In proportion to the pods it would rise from 32/s to 48/s.
    assert_eq!([32.0, 39.9, 40.0].map(finishing), [6, 6, 12]);
    let gone = |pool: &mut Component| {
        pool.backlog(jobs(32.0, 0.0)).act();
        pool.later(5).backlog(stuck);
    };
    assert_eq!(later(&gone), 12);
    let shrunk = |pool: &mut Component| {
        pool.replicas = 5;
        pool.all_pods_ready();
        pool.backlog(stuck);
    };
    assert_eq!(later(&shrunk), 10);
}

#[test]
fn a_restart_judges_the_last_growth_against_what_was_before_it() {
    for (finished, desired) in [(32.0, 6), (40.0, 12)] {
        let (mut pool, _) = stalled();
        let stuck = BacklogReading {
            running: Some(48.0),
            finished_per_second: Some(finished),
            seconds_per_job: None,
            ..jobs(32.0, 6_000.0)
        };
        pool.restart().later(20).backlog(stuck);
        assert_eq!(pool.act().desired, desired, "{finished}/s");
    }
}

#[test]
fn a_pool_whose_ended_jobs_nobody_counts_grows_without_a_judgement() {
    let (mut pool, _) = stalled();
    let unknown = BacklogReading { finished_per_second: None, running: None, ..jobs(32.0, 6_000.0) };
    pool.behavior.scale_down.stabilization_window_seconds = 0;
    assert_eq!(pool.later(15).backlog(unknown).act().desired, 12);
    let idle = BacklogReading { finished_per_second: None, running: None, ..IDLE };
    assert_eq!(pool.later(400).backlog(idle).act().desired, 0);
}

#[test]
fn missing_evidence_never_scales_in_and_starts_nothing() {
    let stale = |pool: &mut Component| {
        pool.backlog(IDLE).later(61);
    };
    let absent = |pool: &mut Component| pool.backlogs.clear();
    let implausible = |pool: &mut Component| {
        pool.backlog(BacklogReading { waiting: f64::NAN, ..IDLE });
    };
    let flaws: [&dyn Fn(&mut Component); 3] = [&stale, &absent, &implausible];
    for (replicas, flaw) in [0, 4].into_iter().flat_map(|replicas| flaws.map(|flaw| (replicas, flaw))) {
        let mut pool = pool(replicas);
        pool.behavior.scale_down.stabilization_window_seconds = 0;
        flaw(&mut pool);
        let decision = pool.act();
        assert_eq!((decision.desired, decision.hold), (replicas, Some(reason::NO_VALID_METRIC)));
        assert!(decision.message().starts_with("No metric has fresh evidence"), "{}", decision.message());
        pool.fallback = Some(Fallback { after: SignedDuration::ZERO, replicas: 6 });
        let decision = pool.decide();
        assert_eq!((decision.desired, decision.reason), (6, reason::FALLBACK));
    }
}

#[test]
fn a_schedule_and_an_override_raise_a_pool_from_zero_and_an_override_of_zero_empties_it() {
    let mut pool = pool(0);
    pool.backlog(IDLE).schedules = vec![office_hours(2)];
    let decision = pool.decide();
    assert_eq!((decision.desired, decision.reason), (2, reason::SCHEDULE));
    pool.backlog(jobs(0.0, 4_800.0));
    assert_eq!(pool.decide().desired, 10, "a minimum takes nothing from the metrics");
    pool.backlog(IDLE).schedules.clear();
    pool.overrides = Overrides { min: named(3), max: named(3), ..Overrides::default() };
    assert_eq!((pool.decide().desired, pool.decide().reason), (3, reason::OVERRIDE));
    pool.overrides = Overrides { min: named(0), max: named(0), ..Overrides::default() };
    for replicas in [0, 5] {
        pool.replicas = replicas;
        pool.backlog(jobs(0.0, 4_800.0));
        let decision = pool.decide();
        assert_eq!((decision.desired, decision.limited_by), (0, vec![reason::OVERRIDE]));
    }
}

#[test]
fn a_pool_without_pods_needs_no_usage_of_pods() {
    let mut pool = Component::new(0, &[cpu(70), email()]);
    pool.min = 0;
    let decision = pool.backlog(IDLE).act();
    assert_eq!((decision.desired, decision.invalid.len(), decision.hold), (0, 0, None));
    assert_eq!(value(&decision, "cpu"), "no pods; scale-in is not blocked");
    assert_eq!(pool.later(5).backlog(jobs(0.0, 480.0)).act().desired, 1);
    let decision = pool.later(5).backlog(jobs(0.0, 480.0)).act();
    assert_eq!((decision.desired, decision.invalid.len()), (1, 1));
}

#[test]
fn a_record_of_a_backlog_replays() {
    let (mut pool, _) = stalled();
    for waiting in [340.0, f64::NAN, f64::INFINITY] {
        let written = serde_json::to_string(&pool.backlog(jobs(40.0, waiting)).record()).expect("a line");
        let read: Record = serde_json::from_str(&written).expect("a record");
        assert!(read.replays(), "{written}");
        assert!(!read.input.evidence.backlogs.is_empty());
        let mut without = read;
        without.input.evidence.backlogs.clear();
        assert!(waiting.is_nan() || waiting.is_infinite() || !without.replays());
    }
}

#[test]
fn after_a_restart_nothing_scales_in_before_a_window_has_passed() {
    let mut pool = pool(0);
    pool.backlog(jobs(0.0, 4_800.0)).act();
    assert_eq!(pool.replicas, 10);
    let running = BacklogReading { running: Some(4.0), ..IDLE };
    pool.later(400).restart();
    assert_eq!(pool.backlog(running).act().desired, 10);
    assert_eq!(pool.later(299).backlog(running).act().desired, 10);
    assert_eq!(pool.later(2).backlog(running).act().desired, 1);
}
