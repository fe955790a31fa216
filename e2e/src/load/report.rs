//! The results of the requests. Pure.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The counts of one run. `sent` is the sum of `ok` and all `failed`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Requests of the profile.
    pub sent: u64,
    /// Answers with a 2xx status.
    pub ok: u64,
    /// The others, by cause.
    pub failed: Failed,
    /// Latency of answers with any status.
    pub latency_ms: Latency,
}

/// Requests that were not answered with a 2xx status, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Shed for lack of capacity or of a dependency: 503 with the reference service's mark.
    pub shed: u64,
    /// Answered with another status.
    pub status: u64,
    /// No connection could be opened.
    pub connect: u64,
    /// Not answered in time.
    pub timeout: u64,
    /// The connection ended before the answer.
    pub reset: u64,
    /// Not sent, because all connections waited for answers.
    pub saturated: u64,
}

impl Failed {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.shed + self.status + self.connect + self.timeout + self.reset + self.saturated
    }
}

/// Milliseconds from the scheduled time of a request to the end of its answer, so that a late start counts, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

/// The result of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    Shed,
    Status,
    Connect,
    Timeout,
    Reset,
    Saturated,
}

/// Collects results during the run.
pub(super) struct Tally {
    report: Report,
    microseconds: Histogram<u64>,
}

impl Tally {
    pub(super) fn new() -> anyhow::Result<Self> {
        const LONGEST: u64 = 3_600_000_000;
        let microseconds = Histogram::new_with_bounds(1, LONGEST, 3)?;
        Ok(Self { report: Report::default(), microseconds })
    }

    pub(super) fn add(&mut self, outcome: Outcome, latency: std::time::Duration) {
        self.report.sent += 1;
        let failed = &mut self.report.failed;
        match outcome {
            Outcome::Ok => self.report.ok += 1,
            Outcome::Shed => failed.shed += 1,
            Outcome::Status => failed.status += 1,
            Outcome::Connect => failed.connect += 1,
            Outcome::Timeout => failed.timeout += 1,
            Outcome::Reset => failed.reset += 1,
            Outcome::Saturated => failed.saturated += 1,
        }
        if matches!(outcome, Outcome::Ok | Outcome::Shed | Outcome::Status) {
            let microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
            self.microseconds.saturating_record(microseconds);
        }
    }

    pub(super) fn report(&self) -> Report {
        let at = |quantile| milliseconds(self.microseconds.value_at_quantile(quantile));
        let latency_ms =
            Latency { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: milliseconds(self.microseconds.max()) };
        Report { latency_ms, ..self.report.clone() }
    }
}

fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_request_is_counted_once() {
        let outcomes = [
            Outcome::Ok,
            Outcome::Shed,
            Outcome::Status,
            Outcome::Connect,
            Outcome::Timeout,
            Outcome::Reset,
            Outcome::Saturated,
        ];
        let mut tally = Tally::new().unwrap();
        for outcome in outcomes {
            tally.add(outcome, Duration::from_millis(7));
        }
        let report = tally.report();
        assert_eq!(report.sent, 7);
        assert_eq!(report.ok + report.failed.total(), report.sent);
        assert!((report.latency_ms.p50 - 7.0).abs() < 0.1, "{report:?}");
    }

    #[test]
    fn the_report_is_one_line_that_reads_back() {
        let line = serde_json::to_string(&Report { sent: 2, ok: 2, ..Report::default() }).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Report>(&line).unwrap().ok, 2);
    }
}
