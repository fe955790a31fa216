//! The minimum replicas of a component with an incomplete averaging window. Pure.
//!
//! A rate over a minute divides by the whole minute, however little of it was scraped. After a gap, because Prometheus
//! was away or a pod was not scraped, it reads too low until the gap has left the window. A counter reset loses what
//! was counted since the last scrape. While no pod was ready, the demand is not known. Such a rate may propose more
//! replicas, never fewer.

use crate::app::subject::Subject;
use crate::bounds::Bound;
use crate::evidence::sample::SampleError;
use crate::hpa::pod::Pod;
use crate::propose::evaluate::Signal;
use crate::reason;

/// Why a window is incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Gap {
    #[error("{seen} of {expected} pods were seen when its window began")]
    Unseen { seen: u32, expected: u32 },
    #[error("counters were reset {0} times in its window")]
    Reset(u32),
    #[error("no pod was ready throughout its window")]
    Unserved,
}

/// The current replicas, if a metric's window is incomplete.
pub(crate) fn floor(subject: &Subject<'_>, signals: &[Signal<'_>]) -> Option<Bound> {
    let (signal, gap) = signals.iter().find_map(|signal| Some((signal, gap(signal, subject)?)))?;
    let (metric, window) = (&signal.metric.name, signal.window?.length.as_secs());
    let by = format!("the incomplete {window} s window of {metric}");
    let (replicas, reason) = (subject.current_replicas, reason::WINDOW_INCOMPLETE);
    Some(Bound { replicas, reason, by, measured: format!(" ({gap})") })
}

fn gap(signal: &Signal<'_>, subject: &Subject<'_>) -> Option<Gap> {
    let window = signal.window?;
    let served = |pod: &Pod| pod.is_ready_for(window.length, subject.now);
    // The first scrape of a pod may come only when a sample may be that old.
    let seen_for = window.length.saturating_add(subject.max_age());
    let lack = window.start.lack(&subject.pods, subject.now, seen_for);
    if let Some(SampleError::Partial { reporting, expected }) = lack {
        Some(Gap::Unseen { seen: reporting, expected })
    } else if window.resets > 0 {
        Some(Gap::Reset(window.resets))
    } else if !subject.pods.is_empty() && !subject.pods.iter().any(served) {
        Some(Gap::Unserved)
    } else {
        None
    }
}
