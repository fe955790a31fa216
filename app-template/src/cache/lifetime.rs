//! How long values are kept, from how stale an answer may be. Pure but for the jitter.

use std::time::Duration;

/// A message that says that a value is outdated may get lost on its way to a process; so it keeps nothing
/// for long.
const LONGEST_LOCAL: Duration = Duration::from_secs(1);

/// How long a value lives in the process, and in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub(super) local: Duration,
    pub(super) shared: Duration,
}

impl Lifetime {
    /// The longest that keep an answer from being older than `tolerance`, even if every invalidation gets
    /// lost: what a process has read from Redis at the last moment it keeps for the local time.
    pub(super) fn within(tolerance: Duration) -> Self {
        let local = (tolerance / 4).min(LONGEST_LOCAL);
        Self { local, shared: tolerance - local }
    }
}

/// Up to a tenth less, so that values that were filled together do not run out together.
pub(super) fn jittered(lifetime: Duration) -> Duration {
    lifetime.mul_f64(0.1f64.mul_add(-fastrand::f64(), 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lifetimes_together_stay_within_the_tolerance() {
        for tolerance in [0, 1, 100, 3999, 4000, 4001, 3_600_000].map(Duration::from_millis) {
            let lifetime = Lifetime::within(tolerance);
            assert_eq!(lifetime.local + lifetime.shared, tolerance);
            assert!(lifetime.local <= LONGEST_LOCAL);
        }
    }

    #[test]
    fn the_jitter_takes_at_most_a_tenth_and_is_spread() {
        let all: Vec<Duration> = (0..1000).map(|_| jittered(Duration::from_secs(100))).collect();
        assert!(all.iter().all(|one| (90_000..=100_000).contains(&one.as_millis())));
        let early = all.iter().filter(|one| one.as_secs() < 95).count();
        assert!((300..700).contains(&early), "{early} of 1000 in the first half");
    }
}
