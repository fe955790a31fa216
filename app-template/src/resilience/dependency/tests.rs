use std::cell::Cell;
use std::future::pending;

use super::*;

const POLICY: Policy = Policy {
    concurrency: 2,
    attempt_timeout: Duration::from_secs(1),
    deadline: Duration::from_secs(10),
    retries: 2,
    backoff: Backoff { base: Duration::from_millis(100), max: Duration::from_millis(300) },
    retry_share: 0.1,
    breaker: BreakerSettings {
        window: Duration::from_secs(10),
        minimum_calls: 1000,
        failure_share: 0.5,
        open_for: Duration::from_secs(5),
        probes: 2,
    },
    fallback: "",
};

const SENSITIVE: Policy =
    Policy { retries: 0, breaker: BreakerSettings { minimum_calls: 3, ..POLICY.breaker }, ..POLICY };

#[derive(Debug, thiserror::Error)]
#[error("on purpose")]
struct Oops {
    fault: bool,
}

impl Fault for Oops {
    fn is_fault(&self) -> bool {
        self.fault
    }
}

async fn call(dependency: &Dependency, attempts: &Cell<u32>, fault: bool) -> Result<(), CallError<Oops>> {
    dependency
        .call(|| {
            attempts.set(attempts.get() + 1);
            async move { Err(Oops { fault }) }
        })
        .await
}

async fn succeed(dependency: &Dependency) -> Result<u8, CallError<Oops>> {
    dependency.call(|| async { Ok(7) }).await
}

async fn hang(dependency: &Dependency) -> Result<(), CallError<Oops>> {
    dependency.call(pending).await
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_retried_as_often_as_the_policy_says_and_an_error_of_the_caller_never() {
    let dependency = Dependency::new("test", POLICY);
    let attempts = Cell::new(0);
    assert!(matches!(call(&dependency, &attempts, true).await, Err(CallError::Failed(_))));
    assert_eq!(attempts.replace(0), 3);
    assert!(matches!(call(&dependency, &attempts, false).await, Err(CallError::Failed(_))));
    assert_eq!(attempts.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn waits_between_attempts_stay_below_their_ceilings() {
    let dependency = Dependency::new("test", POLICY);
    let begun = Instant::now();
    let mut waited = false;
    // Each call takes two tokens of the ten that are always there.
    for _ in 0..5 {
        let before = Instant::now();
        let _ = call(&dependency, &Cell::new(0), true).await;
        // Timers are rounded up to the next millisecond.
        assert!(before.elapsed() <= Duration::from_millis(100 + 200 + 2));
        waited |= before.elapsed() > Duration::ZERO;
    }
    assert!(waited && begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn the_budget_bounds_the_load_that_retries_add() {
    let dependency = Dependency::new("test", POLICY);
    let attempts = Cell::new(0);
    for _ in 0..100 {
        let _ = call(&dependency, &attempts, true).await;
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    // One retry for ten calls, and ten more that are always allowed.
    let retries = attempts.get() - 100;
    assert!((10..=20).contains(&retries), "{retries} retries of 100 calls");
}

/// As README.md says it.
#[tokio::test(start_paused = true)]
async fn retries_are_a_tenth_of_the_calls_and_a_reserve_of_one_a_second() {
    const SECONDS: u32 = 60;
    for a_second in [2, 50] {
        let dependency = Dependency::new("test", Policy { concurrency: 1000, ..POLICY });
        let attempts = Cell::new(0);
        let at = |number| Duration::from_secs(1) * number / a_second;
        let calls = (0..SECONDS * a_second).map(|number| {
            let (dependency, attempts) = (&dependency, &attempts);
            async move {
                sleep(at(number)).await;
                call(dependency, attempts, true).await
            }
        });
        futures::future::join_all(calls).await;
        let calls = SECONDS * a_second;
        let retries = attempts.get() - calls;
        assert!((SECONDS / 2..=calls / 10 + SECONDS + 10).contains(&retries), "{retries} of {calls} calls");
    }
}

#[tokio::test(start_paused = true)]
async fn no_retry_begins_that_could_outlast_the_deadline() {
    let dependency = Dependency::new("test", Policy { deadline: Duration::from_millis(1500), ..POLICY });
    let begun = Instant::now();
    assert!(matches!(hang(&dependency).await, Err(CallError::TimedOut("test"))));
    assert!(begun.elapsed() <= Duration::from_millis(1001), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_dependency_that_hangs_is_left_alone_and_found_again_when_it_is_back() {
    let dependency = Dependency::new("test", SENSITIVE);
    for _ in 0..3 {
        assert!(matches!(hang(&dependency).await, Err(CallError::TimedOut("test"))));
    }
    assert_eq!(dependency.state(), BreakerState::Open);
    assert!(matches!(succeed(&dependency).await, Err(CallError::Open("test"))));

    tokio::time::advance(SENSITIVE.breaker.open_for).await;
    assert_eq!(dependency.state(), BreakerState::HalfOpen);
    for _ in 0..SENSITIVE.breaker.probes {
        assert_eq!(succeed(&dependency).await.unwrap(), 7);
    }
    assert_eq!(dependency.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_caller_leave_the_breaker_closed() {
    let dependency = Dependency::new("test", SENSITIVE);
    for _ in 0..10 {
        let _ = call(&dependency, &Cell::new(0), false).await;
    }
    assert_eq!(dependency.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_gives_back_its_place_and_its_probe() {
    let dependency = Dependency::new("test", SENSITIVE);
    for _ in 0..3 {
        let _ = hang(&dependency).await;
    }
    tokio::time::advance(SENSITIVE.breaker.open_for).await;
    for _ in 0..10 {
        assert!(timeout(Duration::from_millis(1), hang(&dependency)).await.is_err());
    }
    assert_eq!(succeed(&dependency).await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn one_call_more_than_the_bulkhead_holds_is_refused_at_once() {
    let dependency = Dependency::new("test", POLICY);
    let begun = Instant::now();
    let refused = async {
        let third = hang(&dependency).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        third
    };
    let (_, _, third) = tokio::join!(hang(&dependency), hang(&dependency), refused);
    assert!(matches!(third, Err(CallError::Full("test"))));
    assert_eq!(succeed(&dependency).await.unwrap(), 7);
}
