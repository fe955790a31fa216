//! How long to wait before a call is repeated. No I/O.

use std::time::Duration;

/// Exponential backoff with full jitter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    /// The longest wait before the first repetition.
    pub(crate) base: Duration,
    /// The longest wait before any repetition.
    pub(crate) max: Duration,
}

impl Backoff {
    /// A random time between zero and `min(max, base × 2^retry)`; `retry` is 0 for the first repetition.
    ///
    /// Full jitter, after "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): clients that failed
    /// together do not come back together.
    pub(crate) fn delay(self, retry: u32) -> Duration {
        self.ceiling(retry).mul_f64(fastrand::f64())
    }

    fn ceiling(self, retry: u32) -> Duration {
        self.base.saturating_mul(2_u32.saturating_pow(retry)).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { base: Duration::from_millis(50), max: Duration::from_millis(300) };

    #[test]
    fn the_ceiling_doubles_up_to_the_maximum() {
        let ceilings = [0, 1, 2, 3, 40].map(|retry| BACKOFF.ceiling(retry).as_millis());
        assert_eq!(ceilings, [50, 100, 200, 300, 300]);
    }

    #[test]
    fn the_jitter_is_full() {
        let delays: Vec<Duration> = (0..1000).map(|_| BACKOFF.delay(2)).collect();
        let within = |low: u64, high: u64| {
            delays.iter().filter(|delay| (low..high).contains(&(delay.as_millis() as u64))).count()
        };
        // A quarter of them in each quarter of 0 to 200 ms; fewer than 150 of 1000 is a chance below 1e-14.
        for low in [0, 50, 100, 150] {
            assert!(within(low, low + 50) > 150, "{low} ms: {}", within(low, low + 50));
        }
        assert_eq!(within(0, 200), 1000);
    }
}
