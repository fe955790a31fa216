//! How many workers a backlog asks for, from zero and back to it.

use crate::fixture::{Component, email};
use crate::{effect, value};
use scalableapp_engine::evidence::backlog::BacklogReading;
use scalableapp_engine::reason;

/// A pool of 0 to 20 workers.
fn pool(replicas: i32) -> Component {
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
        finished_per_second: arrivals,
        ..BacklogReading::default()
    }
}

const IDLE: BacklogReading = BacklogReading {
    at: None,
    arrivals_per_second: 0.0,
    finished_per_second: 0.0,
    waiting: 0.0,
    running: 0.0,
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
    pool.behavior.scale_up.policies.truncate(0);
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
        BacklogReading { running: 1.0, ..IDLE },
    ] {
        let mut pool = pool(1);
        pool.behavior.scale_down.stabilization_window_seconds = 0;
        pool.backlog(BacklogReading { seconds_per_job: Some(0.8), ..busy });
        assert_eq!(pool.decide().desired, 1);
    }
}
