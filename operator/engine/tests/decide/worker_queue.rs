//! A pool of workers and its queue over time: bursts, a steady load, and jobs that do not end.

use crate::fixture::{Component, pod};
use crate::workers::pool;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use scalableapp_engine::evidence::backlog::BacklogReading;
use scalableapp_engine::{ComponentDecision, reason};
use std::collections::VecDeque;

/// Seconds from the creation of a pod until it is ready.
const START: i64 = 20;
/// Seconds between two decisions.
const TICK: i64 = 5;
/// Seconds of the averaging window.
const WINDOW: usize = 60;
/// Jobs that a pod runs at the same time.
const CONCURRENCY: f64 = 8.0;

/// What happened within a second.
#[derive(Clone, Copy, Default)]
struct Second {
    arrived: f64,
    ended: f64,
    /// Seconds of work on jobs.
    worked: f64,
}

/// A queue whose jobs are a fluid, and the pool that works on it.
struct Queue {
    pool: Component,
    start: Timestamp,
    /// When each pod becomes ready.
    ready_at: Vec<i64>,
    second: i64,
    /// Waiting jobs and when they arrived.
    waiting: VecDeque<(i64, f64)>,
    running: f64,
    seconds_per_job: f64,
    /// The most jobs per second that a shared dependency lets end.
    limit: f64,
    past: VecDeque<Second>,
    last: Option<ComponentDecision>,
}

impl Queue {
    fn new(replicas: i32, seconds_per_job: f64) -> Self {
        let mut pool = pool(replicas);
        pool.max = 100;
        Self {
            start: pool.now,
            pool,
            ready_at: vec![-3600; replicas as usize],
            second: 0,
            waiting: VecDeque::new(),
            running: 0.0,
            seconds_per_job,
            limit: f64::INFINITY,
            past: VecDeque::new(),
            last: None,
        }
    }

    fn waiting(&self) -> f64 {
        self.waiting.iter().map(|(_, jobs)| jobs).sum()
    }

    /// Lets a number of jobs arrive in each second, and returns the replicas of each decision.
    fn live(&mut self, seconds: i64, arrivals: f64) -> Vec<i32> {
        let mut replicas = Vec::new();
        for _ in 0..seconds {
            self.second += 1;
            self.pool.later(1);
            self.work(arrivals);
            if self.second % TICK == 0 {
                replicas.push(self.decide());
            }
        }
        replicas
    }

    /// A second in steps of a tenth.
    fn work(&mut self, arrivals: f64) {
        self.waiting.push_back((self.second, arrivals));
        let slots = CONCURRENCY * self.ready_at.iter().filter(|at| **at <= self.second).count() as f64;
        let mut second = Second { arrived: arrivals, ..Second::default() };
        for _ in 0..10 {
            while let Some((_, jobs)) = self.waiting.front_mut() {
                let taken = jobs.min((slots - self.running).max(0.0));
                *jobs -= taken;
                self.running += taken;
                if *jobs > 1e-9 {
                    break;
                }
                self.waiting.pop_front();
            }
            second.worked += self.running / 10.0;
            let ended = (self.running / self.seconds_per_job).min(self.limit) / 10.0;
            let ended = if self.limit > 0.0 && self.running - ended < 1e-3 { self.running } else { ended };
            self.running -= ended.min(self.running);
            second.ended += ended;
        }
        self.past.push_back(second);
        if self.past.len() > WINDOW {
            self.past.pop_front();
        }
    }

    fn decide(&mut self) -> i32 {
        let sum = |of: fn(&Second) -> f64| self.past.iter().map(of).sum::<f64>();
        let (arrived, ended, worked) = (sum(|one| one.arrived), sum(|one| one.ended), sum(|one| one.worked));
        let reading = BacklogReading {
            at: None,
            arrivals_per_second: arrived / WINDOW as f64,
            finished_per_second: Some(ended / WINDOW as f64),
            waiting: self.waiting(),
            running: Some(self.running),
            oldest_seconds: self.waiting.front().map_or(0.0, |(at, _)| (self.second - at) as f64),
            seconds_per_job: (ended > 0.0).then(|| worked / ended),
        };
        self.pool.backlog(reading);
        let decision = self.pool.act();
        self.ready_at.resize(decision.desired as usize, self.second + START);
        let pods = self.ready_at.iter().enumerate().map(|(index, ready_at)| {
            let mut pod = pod(&format!("pod-{index}"), self.start + SignedDuration::from_secs(*ready_at));
            pod.ready = pod.ready.filter(|_| *ready_at <= self.second);
            pod
        });
        self.pool.pods = pods.collect();
        let desired = decision.desired;
        self.last = Some(decision);
        desired
    }

    fn reason(&self) -> &'static str {
        self.last.as_ref().map_or("", |decision| decision.reason.name)
    }
}

#[test]
fn a_burst_drains_in_time_and_the_pool_returns_to_its_steady_size_and_to_zero() {
    let mut queue = Queue::new(2, 0.8);
    queue.live(300, 10.0);
    queue.live(1, 1_200.0);
    queue.live(60 + START + TICK, 10.0);
    assert_eq!(queue.waiting(), 0.0);
    queue.live(600, 10.0);
    assert_eq!(queue.live(3_600, 10.0), [2; 720], "a steady load");
    queue.live(600, 0.0);
    assert_eq!(queue.live(60, 0.0), [0; 12]);
}

#[test]
fn a_burst_from_zero_drains_in_time_with_one_start_more_to_learn_how_long_a_job_takes() {
    let mut queue = Queue::new(0, 0.8);
    assert_eq!(queue.live(60, 0.0), [0; 12]);
    queue.live(1, 1_200.0);
    assert_eq!(queue.live(5, 0.0), [1]);
    queue.live(60 + 2 * (START + TICK), 0.0);
    assert_eq!(queue.waiting(), 0.0);
    queue.live(600, 0.0);
    queue.live(1, 1_200.0);
    assert!(queue.live(5, 0.0)[0] > 1, "the duration is known by now");
    queue.live(60 + START + TICK, 0.0);
    assert_eq!(queue.waiting(), 0.0);
}

#[test]
fn long_jobs_are_no_stuck_queue() {
    let mut queue = Queue::new(1, 600.0);
    // 32 run at the same time: five pods at 80 percent.
    let replicas = queue.live(4 * 3_600, 8.0 * 4.0 / 600.0);
    assert_eq!(replicas.last(), Some(&5), "{replicas:?}");
}

#[test]
fn a_stuck_queue_stops_growing_and_grows_again_when_jobs_end() {
    let mut queue = Queue::new(4, 0.8);
    queue.live(600, 30.0);
    queue.limit = 0.0;
    let replicas = queue.live(1_800, 30.0);
    let most = replicas[359];
    assert!((5..20).contains(&most), "{replicas:?}");
    assert_eq!(replicas[60..], [most; 300], "it has stopped within five minutes");
    assert_eq!(queue.reason(), reason::THROUGHPUT_DOES_NOT_RISE.name);
    queue.limit = f64::INFINITY;
    assert!(queue.live(300, 30.0)[59] > most);
    queue.live(600, 30.0);
    assert_eq!(queue.waiting(), 0.0);
    queue.live(600, 30.0);
    assert_eq!(queue.live(600, 30.0), [4; 120]);
}

#[test]
fn behind_a_slow_dependency_the_pool_stops_growing_although_each_job_becomes_slower() {
    let mut queue = Queue::new(5, 0.8);
    queue.live(600, 40.0);
    queue.limit = 30.0;
    let replicas = queue.live(1_800, 40.0);
    let most = replicas[359];
    assert!((6..20).contains(&most), "{replicas:?}");
    assert_eq!(replicas[60..], [most; 300], "it has stopped within five minutes");
    assert_eq!(queue.reason(), reason::THROUGHPUT_DOES_NOT_RISE.name);
    queue.limit = f64::INFINITY;
    queue.live(1_200, 40.0);
    assert_eq!(queue.waiting(), 0.0);
    queue.live(600, 40.0);
    assert_eq!(queue.live(600, 40.0), [5; 120]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_steady_load_is_met_and_never_makes_the_pool_oscillate(
        pods in 0.05..40.0_f64, seconds_per_job in 0.1..20.0_f64, replicas in 0..60_i32,
    ) {
        let mut queue = Queue::new(replicas, seconds_per_job);
        let arrivals = pods * CONCURRENCY * 0.8 / seconds_per_job;
        queue.live(1_800, arrivals);
        let settled = queue.live(900, arrivals);
        prop_assert_eq!(&settled, &vec![settled[0]; 180]);
        // Between the pods that the load needs, and those within the tolerance of them.
        let most = (pods / 0.9).ceil().max(1.0);
        prop_assert!(f64::from(settled[0]) >= pods / 1.1 - 1e-6 && f64::from(settled[0]) <= most, "{}", settled[0]);
        prop_assert!(queue.waiting() < 1.0 + arrivals);
        queue.live(900, 0.0);
        prop_assert_eq!(queue.live(60, 0.0), [0; 12]);
    }
}
