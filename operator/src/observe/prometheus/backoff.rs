//! Backoff for a failing server: exponential with equal jitter. Pure but for the random numbers.
//!
//! Equal jitter (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015) draws from half of the wait to
//! all of it: simultaneous failures are not retried simultaneously, and no wait is too short to help.

use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_secs(1);
/// Longest wait for queries of every tick.
pub const CAP: Duration = Duration::from_secs(30);

/// Counts the failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// Whether a query may be sent.
    #[must_use]
    pub fn admits(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now >= until)
    }

    /// Whether the last query succeeded, or none was sent yet.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.failures == 0
    }

    /// The server answered.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The server failed. No query is sent for up to 1 s, 2 s, 4 s and so on, at most `cap`.
    pub fn failed(&mut self, now: Instant, cap: Duration) {
        self.until = Some(now + wait(self.failures, cap));
        self.failures = self.failures.saturating_add(1);
    }
}

/// The wait after one more failure than these consecutive ones.
#[must_use]
pub fn wait(failures: u32, cap: Duration) -> Duration {
    let longest = FIRST.saturating_mul(2_u32.saturating_pow(failures)).min(cap);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_wait_longer_but_never_past_the_cap() {
        let now = Instant::now();
        let mut longest = [Duration::ZERO; 40];
        for _ in 0..200 {
            let mut backoff = Backoff::default();
            for most in &mut longest {
                backoff.failed(now, CAP);
                *most = (*most).max(backoff.until.unwrap() - now);
            }
        }
        assert!(longest[0] <= FIRST);
        assert!(longest[3] > FIRST && longest[3] <= FIRST * 8);
        assert!(longest.iter().all(|most| *most <= CAP));
        assert!(longest[39] > CAP / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_at_least_half_of_the_longest() {
        let now = Instant::now();
        for _ in 0..200 {
            let mut backoff = Backoff::default();
            (0..20).for_each(|_| backoff.failed(now, 2 * CAP));
            assert!(!backoff.admits(now + CAP - Duration::from_millis(1)) && backoff.admits(now + 2 * CAP));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_ends_the_wait() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        (0..9).for_each(|_| backoff.failed(now, CAP));
        assert!(backoff.admits(now + CAP) && !backoff.is_at_rest());
        backoff.succeeded();
        assert!(backoff.admits(now) && backoff.is_at_rest());
    }
}
