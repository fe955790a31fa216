//! The request rate of a short window, and whether it may be used. Pure.
//!
//! It may only ask for more replicas, so a window with a doubt is ignored: nothing else depends on it.

use crate::evidence::exact;
use crate::evidence::sample::{Coverage, judge_number, judge_time};
use crate::hpa::pod::Pod;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Scrapes of a pod within the window, at least. A window has room for four, because the newest may come late.
pub const SCRAPES: u32 = 3;

/// The requests per second of a component over a short window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecentRate {
    /// Time of the oldest sample behind it; `None` if not known.
    pub at: Option<Timestamp>,
    /// Requests per second, as Prometheus' `rate` extrapolates them to the whole window.
    #[serde(with = "exact::number")]
    pub rate: f64,
    /// Requests between the first and the last sample of each series within the window.
    #[serde(with = "exact::number")]
    pub requests: f64,
    /// Length of the window.
    pub length: SignedDuration,
    /// Pods that were scraped [`SCRAPES`] times or more within the window.
    pub pods: u32,
    /// Counter resets within the window, or within a longer one that ends with it.
    pub resets: u32,
}

impl RecentRate {
    /// The rate, if its window is complete: it ends now, and every pod that has been ready for as long was scraped
    /// often enough in it.
    pub(crate) fn complete(&self, pods: &[Pod], now: Timestamp) -> Option<f64> {
        [self.rate, self.requests].into_iter().try_for_each(judge_number).ok()?;
        judge_time(self.at, now, self.length).ok()?;
        let is_covered = Coverage { reporting: self.pods }.lack(pods, now, self.length).is_none();
        (is_covered && self.pods > 0 && self.resets == 0).then_some(self.rate)
    }
}
