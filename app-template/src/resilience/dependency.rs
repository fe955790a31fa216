//! One thing that this process calls, and the policy by which it calls it. No I/O of its own.
//!
//! From the outside in: a bulkhead, a deadline, retries within a budget, and for each attempt the circuit
//! breaker and a time-out.

use std::error::Error;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge};
use tokio::time::{Instant, sleep, timeout};
use tower::retry::budget::{Budget, TpsBudget};

use super::backoff::Backoff;
use super::breaker::{Breaker, BreakerSettings, BreakerState, Outcome, Ticket};
use super::bulkhead::{Bulkhead, Full};

/// How one dependency is called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// How many calls run at the same time; one more is refused at once.
    pub(crate) concurrency: usize,
    /// How long one attempt may take.
    pub(crate) attempt_timeout: Duration,
    /// How long all attempts and the waits between them may take: no retry begins that could last longer.
    pub(crate) deadline: Duration,
    /// How often a call is repeated at most; 0 where repeating could do harm.
    pub(crate) retries: u32,
    pub(crate) backoff: Backoff,
    /// How many retries are allowed for each call of the last ten seconds, from 0 to 1: the most load that
    /// retries may add. One more a second is allowed on top, ten at once, for a client with few calls.
    pub(crate) retry_share: f32,
    pub(crate) breaker: BreakerSettings,
    /// What callers do without the dependency, in a few words for `/healthz`.
    pub(crate) fallback: &'static str,
}

/// An error that knows whose fault it is.
pub(crate) trait Fault: Error + 'static {
    /// The dependency failed, so that the breaker counts it and a retry may help. Where the caller asked for
    /// something impossible, the dependency is well.
    fn is_fault(&self) -> bool;
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError<E: Error + 'static> {
    /// Not tried: it would probably have failed.
    #[error("{0} has been failing, and is left alone for a while")]
    Open(&'static str),
    /// Not tried: enough calls are under way.
    #[error("as many calls to {0} are under way as may be")]
    Full(&'static str),
    /// The last attempt got no answer in time; what it asked for may have happened all the same.
    #[error("{0} did not answer in time")]
    TimedOut(&'static str),
    /// The dependency's own answer.
    #[error(transparent)]
    Failed(E),
}

/// A dependency with its bulkhead, retry budget and breaker, shared by all that call it.
pub(crate) struct Dependency {
    name: &'static str,
    policy: Policy,
    bulkhead: Bulkhead,
    budget: TpsBudget,
    breaker: Mutex<Published>,
    calls: Calls,
    retries: Retries,
}

/// `circuit_breaker_calls_total`, by outcome.
struct Calls {
    success: Counter,
    failure: Counter,
    rejected: Counter,
    fallback: Counter,
}

/// `retry_attempts_total`, by outcome.
struct Retries {
    success: Counter,
    failure: Counter,
    /// Not sent, because the budget was spent.
    denied: Counter,
}

/// The budget's horizon, and how many retries a second it always allows.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);
const BUDGET_RESERVE: u32 = 1;

impl Dependency {
    /// All series of the dependency are shown from now on.
    pub(crate) fn new(name: &'static str, policy: Policy) -> Self {
        let calls =
            |outcome| shown(counter!("circuit_breaker_calls_total", "name" => name, "outcome" => outcome));
        let retries = |outcome| shown(counter!("retry_attempts_total", "name" => name, "outcome" => outcome));
        Self {
            name,
            policy,
            bulkhead: Bulkhead::new(name, policy.concurrency, 0),
            budget: TpsBudget::new(BUDGET_WINDOW, BUDGET_RESERVE, policy.retry_share),
            breaker: Mutex::new(Published::new(name, Breaker::new(policy.breaker, Instant::now()))),
            calls: Calls {
                success: calls("success"),
                failure: calls("failure"),
                rejected: calls("rejected"),
                fallback: calls("fallback"),
            },
            retries: Retries {
                success: retries("success"),
                failure: retries("failure"),
                denied: retries("denied"),
            },
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn fallback(&self) -> &'static str {
        self.policy.fallback
    }

    /// The breaker's state now; its series are brought up to date.
    pub(crate) fn state(&self) -> BreakerState {
        self.with_breaker(Breaker::state)
    }

    /// Counts an answer that was made without the dependency.
    pub(crate) fn fell_back(&self) {
        self.calls.fallback.increment(1);
    }

    /// Calls the dependency: `attempt` is made once, and again after a fault.
    pub(crate) async fn call<T, E, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, CallError<E>>
    where
        E: Fault,
        F: Future<Output = Result<T, E>>,
    {
        let last_start = Instant::now() + self.policy.deadline.saturating_sub(self.policy.attempt_timeout);
        let _place = self.bulkhead.enter().await.map_err(|Full| CallError::Full(self.name))?;
        self.budget.deposit();
        let mut outcome = self.attempt(attempt()).await;
        for retry in 0..self.policy.retries {
            let pause = self.policy.backoff.delay(retry);
            if !self.should_repeat(&outcome, Instant::now() + pause <= last_start) {
                break;
            }
            sleep(pause).await;
            let again = self.attempt(attempt()).await;
            // A breaker that opened meanwhile must not hide what the last attempt said.
            if matches!(again, Err(CallError::Open(_))) {
                break;
            }
            if again.is_ok() { &self.retries.success } else { &self.retries.failure }.increment(1);
            outcome = again;
        }
        outcome
    }

    fn should_repeat<T, E: Fault>(&self, outcome: &Result<T, CallError<E>>, in_time: bool) -> bool {
        let helps = match outcome {
            Err(CallError::TimedOut(_)) => true,
            Err(CallError::Failed(error)) => error.is_fault(),
            Ok(_) | Err(CallError::Open(_) | CallError::Full(_)) => false,
        };
        if !helps || !in_time {
            return false;
        }
        let allowed = self.budget.withdraw();
        if !allowed {
            self.retries.denied.increment(1);
        }
        allowed
    }

    async fn attempt<T, E: Fault>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        let Some(ticket) = self.with_breaker(Breaker::admit) else {
            self.calls.rejected.increment(1);
            return Err(CallError::Open(self.name));
        };
        let mut settlement =
            Settlement { dependency: self, ticket: Some(ticket), outcome: Outcome::Abandoned };
        let answer = timeout(self.policy.attempt_timeout, call).await;
        let failed = answer.as_ref().map_or(true, |answer| answer.as_ref().is_err_and(Fault::is_fault));
        settlement.outcome = if failed { Outcome::Failure } else { Outcome::Success };
        match answer {
            Ok(answer) => answer.map_err(CallError::Failed),
            Err(_) => Err(CallError::TimedOut(self.name)),
        }
    }

    /// Asks the breaker something, and shows the state that it has afterwards.
    fn with_breaker<T>(&self, ask: impl FnOnce(&mut Breaker, Instant) -> T) -> T {
        let mut published = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let answer = ask(&mut published.breaker, now);
        published.update(self.name, now);
        answer
    }
}

impl fmt::Debug for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dependency").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A breaker and what its series say: one of them is 1, the others 0.
struct Published {
    breaker: Breaker,
    state: BreakerState,
    series: [Gauge; BreakerState::ALL.len()],
}

impl Published {
    fn new(name: &'static str, breaker: Breaker) -> Self {
        let series = BreakerState::ALL
            .map(|state| gauge!("circuit_breaker_state", "name" => name, "state" => state.word()));
        let published = Self { breaker, state: BreakerState::Closed, series };
        published.show();
        published
    }

    fn update(&mut self, name: &'static str, now: Instant) {
        let state = self.breaker.state(now);
        if state == self.state {
            return;
        }
        tracing::warn!(
            dependency = name,
            from = self.state.word(),
            to = state.word(),
            "circuit breaker turned"
        );
        self.state = state;
        self.show();
    }

    fn show(&self) {
        for (state, series) in BreakerState::ALL.iter().zip(&self.series) {
            series.set(if *state == self.state { 1.0 } else { 0.0 });
        }
    }
}

/// Settles the ticket also if the caller goes away in the middle of its call.
struct Settlement<'a> {
    dependency: &'a Dependency,
    ticket: Option<Ticket>,
    outcome: Outcome,
}

impl Drop for Settlement<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        match self.outcome {
            Outcome::Success => self.dependency.calls.success.increment(1),
            Outcome::Failure => self.dependency.calls.failure.increment(1),
            Outcome::Abandoned => {}
        }
        self.dependency.with_breaker(|breaker, now| breaker.settle(ticket, self.outcome, now));
    }
}

/// A counter that is shown before it counts.
fn shown(counter: Counter) -> Counter {
    counter.absolute(0);
    counter
}

#[cfg(test)]
mod tests;
