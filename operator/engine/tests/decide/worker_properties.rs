//! Properties of every pool of workers, backlog and history.

use crate::fixture::Component;
use crate::workers::pool;
use proptest::prelude::*;
use scalableapp_engine::evidence::backlog::BacklogReading;
use scalableapp_engine::record::Record;

/// The time until a decision and what is measured then; nothing if a query fails.
type Moment = (i64, Option<BacklogReading>);

fn backlogs() -> impl Strategy<Value = BacklogReading> {
    let amount = |most: f64| prop_oneof![1 => Just(0.0), 4 => 0.0..most];
    let seconds_per_job = proptest::option::weighted(0.8, 0.01..100.0_f64);
    let finished = proptest::option::weighted(0.8, amount(100.0));
    let rates = (amount(100.0), finished);
    let running = proptest::option::weighted(0.8, amount(200.0));
    (rates, amount(5_000.0), running, amount(400.0), seconds_per_job).prop_map(
        |((arrivals_per_second, finished_per_second), waiting, running, oldest_seconds, seconds_per_job)| {
            BacklogReading {
                at: None,
                arrivals_per_second,
                finished_per_second,
                waiting,
                running,
                oldest_seconds,
                seconds_per_job,
            }
        },
    )
}

fn moments() -> impl Strategy<Value = Vec<Moment>> {
    proptest::collection::vec((1..200_i64, proptest::option::weighted(0.8, backlogs())), 0..20)
}

fn live(pool: &mut Component, moments: &[Moment]) {
    for (seconds, backlog) in moments {
        pool.later(*seconds).backlogs.clear();
        if let Some(backlog) = backlog {
            pool.backlog(*backlog);
        }
        pool.act();
    }
}

proptest! {
    #[test]
    fn workers_stay_within_their_bounds_and_every_record_replays(
        replicas in 0..60_i32, min in 0..5_i32, more in 0..20_i32, moments in moments(),
    ) {
        let mut pool = pool(replicas);
        (pool.min, pool.max) = (min, (min + more).max(1));
        for moment in &moments {
            live(&mut pool, std::slice::from_ref(moment));
            prop_assert!((pool.min..=pool.max).contains(&pool.replicas), "{}", pool.replicas);
            let written = serde_json::to_string(&pool.record()).expect("a line");
            let read: Record = serde_json::from_str(&written).expect("a record");
            prop_assert!(read.replays(), "{written}");
        }
    }

    #[test]
    fn more_jobs_never_lead_to_fewer_workers(
        replicas in 0..20_i32, moments in moments(), backlog in backlogs(),
        arrivals in 0.0..50.0_f64, waiting in 0.0..2_000.0_f64,
    ) {
        let mut pool = pool(replicas);
        live(&mut pool, &moments);
        let less = pool.later(5).backlog(backlog).decide().desired;
        let more = pool.backlog(BacklogReading {
            arrivals_per_second: backlog.arrivals_per_second + arrivals,
            waiting: backlog.waiting + waiting,
            ..backlog
        });
        let many = more.decide().desired;
        prop_assert!(less <= many, "{less} and then {many}");
    }

    #[test]
    fn missing_evidence_never_removes_a_worker(replicas in 0..20_i32, moments in moments()) {
        let mut pool = pool(replicas);
        live(&mut pool, &moments);
        let before = pool.replicas;
        live(&mut pool, &[(400, None)]);
        prop_assert_eq!(pool.replicas, before);
    }

    #[test]
    fn with_jobs_at_least_one_worker_runs_and_without_any_none_is_added(
        replicas in 0..20_i32, moments in moments(), backlog in backlogs(),
    ) {
        let mut pool = pool(replicas);
        pool.behavior.scale_down.stabilization_window_seconds = 0;
        live(&mut pool, &moments);
        let has_jobs = backlog.arrivals_per_second > 0.0 || backlog.waiting > 0.0 || backlog.running > Some(0.0);
        let before = pool.replicas;
        live(&mut pool, &[(5, Some(backlog))]);
        let is_right = if has_jobs { pool.replicas > 0 } else { pool.replicas <= before };
        prop_assert!(is_right, "{before} to {}", pool.replicas);
    }
}
