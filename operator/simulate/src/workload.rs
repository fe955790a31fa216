//! The requests of a load trace: arrival, duration and pod of each. Pure.

use fastrand::Rng;

/// Mean time that a worker spends on a request, in seconds.
pub const MEAN_SERVICE: f64 = 0.1;
/// Standard deviation of that time as a share of its mean.
pub const SERVICE_VARIATION: f64 = 0.5;

/// Seconds before the trace with its first rate, so that every contender has settled at its start.
pub const LEAD_IN: usize = 1200;

/// The highest valid rate, in requests per second.
const MOST_REQUESTS: f64 = 10_000.0;

/// Days of history before the first replayed one.
pub const KNOWN_DAYS: usize = 4;
/// Replayed days: half to train, half to measure.
pub const REPLAYED_DAYS: usize = 16;
/// Largest deviation of a day's load from the trace at its start, as a share.
pub const DAY_FACTOR: f64 = 0.1;
/// Largest shift of a day, in seconds.
pub const DAY_SHIFT: usize = 30;

/// The shortest valid trace, in seconds.
pub const SHORTEST: usize = 1200;

/// Why a trace cannot be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// A line is no number of requests.
    #[error("write one number of requests per second a line")]
    NotARate {
        /// Its number, from 1.
        line: usize,
    },
    /// It is too short for training.
    #[error("use a trace of at least {SHORTEST} seconds")]
    TooShort,
}

/// One request.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    /// Arrival within its second, in seconds.
    pub(crate) offset: f32,
    /// Seconds of work.
    pub(crate) service: f32,
    /// The ready pod that gets it, as a share of `u32::MAX`.
    pub(crate) route: u32,
}

/// A trace and its requests, the same for every contender.
pub struct Workload {
    /// Name of the trace.
    pub name: String,
    /// Requests per second, one number for each second, the lead-in first.
    pub rates: Vec<f64>,
    /// Requests of each second of the days before the lead-in; empty if there are none.
    past: Vec<u32>,
    /// Seconds of a day, if there are several.
    pub day: Option<usize>,
    requests: Vec<Request>,
    /// Index of the first request of each second, and the number of all.
    starts: Vec<usize>,
}

impl Workload {
    /// Draws the requests of a trace: a text with one number a line, the requests per second of one second.
    ///
    /// # Errors
    /// When a line is no such number, or the trace is shorter than [`SHORTEST`].
    pub fn parse(name: String, trace: &str, seed: u64) -> Result<Self, TraceError> {
        let mut rates = Vec::new();
        for (index, line) in trace.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let rate = line.trim().parse().ok().filter(|rate| (0.0..=MOST_REQUESTS).contains(rate));
            rates.push(rate.ok_or(TraceError::NotARate { line: index + 1 })?);
        }
        if rates.len() < SHORTEST {
            return Err(TraceError::TooShort);
        }
        let lead_in = std::iter::repeat_n(rates[0], LEAD_IN);
        Ok(Self::draw(name, lead_in.chain(rates.iter().copied()).collect(), seed))
    }

    /// The trace repeated day after day: each day begins with its own share of the load, which changes to that of the
    /// next day, and is slightly shifted.
    #[must_use]
    pub fn of_days(&self, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let trace = &self.rates[LEAD_IN..];
        let mut rates = Vec::with_capacity(trace.len() * (KNOWN_DAYS + REPLAYED_DAYS));
        let factor = |rng: &mut Rng| 1.0 + DAY_FACTOR * (2.0 * rng.f64() - 1.0);
        let mut begin = factor(&mut rng);
        for _ in 0..KNOWN_DAYS + REPLAYED_DAYS {
            let shift = trace.len() + rng.usize(0..=2 * DAY_SHIFT) - DAY_SHIFT;
            let end = factor(&mut rng);
            rates.extend((0..trace.len()).map(|second| {
                let passed = second as f64 / trace.len() as f64;
                (begin + passed * (end - begin)) * trace[(second + shift) % trace.len()]
            }));
            begin = end;
        }
        let known = KNOWN_DAYS * trace.len() - LEAD_IN;
        let past = Self::draw(String::new(), rates[..known].to_vec(), seed + 1);
        let past = past.starts.windows(2).map(|ends| (ends[1] - ends[0]) as u32).collect();
        let replayed = Self::draw(format!("{} for days", self.name), rates.split_off(known), seed + 2);
        Self { past, day: Some(trace.len()), ..replayed }
    }

    /// Draws the requests of these rates.
    pub(crate) fn draw(name: String, rates: Vec<f64>, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut requests = Vec::new();
        let mut starts = Vec::with_capacity(rates.len() + 1);
        let mut next = 0.0;
        for (second, rate) in rates.iter().enumerate() {
            starts.push(requests.len());
            let end = (second + 1) as f64;
            if *rate <= 0.0 {
                next = end;
                continue;
            }
            next = f64::max(next, second as f64);
            while next < end {
                requests.push(Request {
                    offset: (next - second as f64) as f32,
                    service: service_time(&mut rng) as f32,
                    route: rng.u32(..),
                });
                next -= (1.0 - rng.f64()).ln() / rate;
            }
        }
        starts.push(requests.len());
        Self { name, rates, past: Vec::new(), day: None, requests, starts }
    }

    /// The requests that arrive within one second.
    pub(crate) fn second(&self, second: usize) -> &[Request] {
        &self.requests[self.starts[second]..self.starts[second + 1]]
    }

    /// Requests of a second, which may be before the lead-in.
    fn count(&self, second: i64) -> u32 {
        match usize::try_from(second) {
            Ok(second) => (self.starts[second + 1] - self.starts[second]) as u32,
            Err(_) => usize::try_from(second + self.past.len() as i64).map_or(0, |index| self.past[index]),
        }
    }

    /// Requests per second over a window that ends with a second; `None` where it is not known yet.
    pub(crate) fn rate_before(&self, second: i64, window: i64) -> Option<f64> {
        (second - window + self.past.len() as i64 >= 0).then(|| {
            (second - window..second).map(|second| f64::from(self.count(second))).sum::<f64>() / window as f64
        })
    }

    /// Length in seconds.
    #[must_use]
    pub fn seconds(&self) -> usize {
        self.rates.len()
    }
}

/// A log-normal time, by Box and Muller.
fn service_time(rng: &mut Rng) -> f64 {
    let variance = (1.0 + SERVICE_VARIATION * SERVICE_VARIATION).ln();
    let normal = (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos();
    MEAN_SERVICE * (variance.sqrt() * normal - variance / 2.0).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requests_have_the_rate_and_the_service_time_of_the_trace() {
        let workload = Workload::draw("test".to_owned(), vec![200.0; 500], 1);
        let count = workload.requests.len() as f64;
        assert!((count / 500.0 - 200.0).abs() < 3.0, "{count}");
        let mean = workload.requests.iter().map(|one| f64::from(one.service)).sum::<f64>() / count;
        assert!((mean - MEAN_SERVICE).abs() < 0.002, "{mean}");
        let variance =
            workload.requests.iter().map(|one| (f64::from(one.service) - mean).powi(2)).sum::<f64>() / count;
        assert!((variance.sqrt() / mean - SERVICE_VARIATION).abs() < 0.02);
    }

    #[test]
    fn a_trace_that_cannot_be_replayed_is_refused_with_its_line() {
        let parse = |trace: &str| Workload::parse("test".to_owned(), trace, 1).map(drop);
        assert_eq!(parse(&"1\n".repeat(SHORTEST)), Ok(()));
        assert_eq!(parse("1\n\nmany\n"), Err(TraceError::NotARate { line: 3 }));
        assert_eq!(parse("1\n-1\n"), Err(TraceError::NotARate { line: 2 }));
        assert_eq!(parse("1\n2\n"), Err(TraceError::TooShort));
    }

    #[test]
    fn days_differ_and_none_begins_with_a_jump() {
        let days = Workload::draw("test".to_owned(), vec![2.0; LEAD_IN + 3600], 1).of_days(1);
        let steps = days.rates.windows(2).map(|pair| (pair[1] - pair[0]).abs());
        assert!(steps.fold(0.0, f64::max) < 2.0 / 3600.0, "much less than the load in a day");
        let least = days.rates.iter().copied().fold(f64::INFINITY, f64::min);
        let most = days.rates.iter().copied().fold(0.0, f64::max);
        assert!((1.8..1.9).contains(&least) && (2.1..2.2).contains(&most), "{least} to {most}");
    }

    #[test]
    fn a_seed_gives_the_same_requests() {
        let routes = |seed| {
            let workload = Workload::draw("test".to_owned(), vec![50.0; 20], seed);
            workload.requests.iter().map(|one| one.route).collect::<Vec<_>>()
        };
        assert_eq!(routes(1), routes(1));
        assert_ne!(routes(1), routes(2));
    }
}
