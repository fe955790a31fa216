//! History of scaling: recommendations and scale events, kept as HPA keeps them. Pure.
//!
//! The lists never shrink: an expired entry is overwritten by the next one. After a change of the behavior the results
//! depend on which entry that was, so the order of the lists is part of the definition.

use crate::hpa::behavior::Behavior;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Recommendations and scale events of one component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    pub(crate) recommendations: Vec<TimestampedRecommendation>,
    pub(crate) ups: Vec<ScaleEvent>,
    pub(crate) downs: Vec<ScaleEvent>,
    /// Whether the lists started from the status. Their order is then lost, and with it which old events would have
    /// been overwritten first. So all old events are removed, and none gives credit that the lost lists would not have
    /// given.
    pub(crate) restored: bool,
    /// The last decision, if a metric was missing or incomplete then.
    #[serde(default)]
    pub(crate) blind: Option<Timestamp>,
}

/// A recommendation before stabilization, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TimestampedRecommendation {
    pub(crate) replicas: i32,
    pub(crate) at: Timestamp,
    /// Time since then with a missing or incomplete metric.
    #[serde(default)]
    pub(crate) unseen: SignedDuration,
    /// Whether a metric was missing or incomplete then.
    #[serde(default)]
    pub(crate) blind: bool,
}

impl TimestampedRecommendation {
    pub(crate) fn new(now: Timestamp, replicas: i32) -> Self {
        Self { replicas, at: now, unseen: SignedDuration::ZERO, blind: false }
    }

    pub(crate) fn age(&self, now: Timestamp) -> SignedDuration {
        now.duration_since(self.at)
    }

    /// Its age for a scale-in. Only time with evidence counts: recommendations from before an outage hold replicas
    /// after it for as long as they would have, because a rate then averages over a gap.
    pub(crate) fn seen_age(&self, now: Timestamp) -> SignedDuration {
        self.age(now) - self.unseen
    }
}

/// A change of replicas that was written.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ScaleEvent {
    /// Replicas added or removed, above 0.
    pub(crate) change: i32,
    pub(crate) at: Timestamp,
    /// Older than every period of its direction at some time in the past; it may be overwritten.
    pub(crate) outdated: bool,
    /// Known only from the status, where events may be merged: it limits its own direction, but gives no credit to the
    /// other, so a restart never enlarges a change.
    pub(crate) restored: bool,
}

pub(crate) fn seconds(seconds: i32) -> SignedDuration {
    SignedDuration::from_secs(i64::from(seconds))
}

impl History {
    /// Starts the recommendations with the current replicas, so nothing scales in before these expire.
    pub(crate) fn seed(&mut self, now: Timestamp, current_replicas: i32) {
        if self.recommendations.is_empty() {
            self.recommendations.push(TimestampedRecommendation::new(now, current_replicas));
        }
    }

    /// Counts the time since the last decision as without evidence, if a metric was missing or incomplete then.
    /// `is_blind` is the same for now.
    pub(crate) fn note_evidence(&mut self, now: Timestamp, is_blind: bool) {
        if let Some(since) = self.blind {
            let unseen = now.duration_since(since).max(SignedDuration::ZERO);
            for past in &mut self.recommendations {
                past.unseen = past.unseen.saturating_add(unseen);
            }
        }
        self.blind = is_blind.then_some(now);
    }

    /// Removes the recommendations, so a scale-in waits one full window again.
    pub(crate) fn forget_recommendations(&mut self) {
        self.recommendations.clear();
        self.blind = None;
    }

    /// Adds a recommendation in place of the last expired one.
    pub(crate) fn recommend(
        &mut self,
        newest: TimestampedRecommendation,
        is_old: impl Fn(&TimestampedRecommendation) -> bool,
    ) {
        match self.recommendations.iter_mut().rev().find(|one| is_old(one)) {
            Some(old) => *old = newest,
            None => self.recommendations.push(newest),
        }
    }

    /// Removes recommendations without evidence that are past the window of a scale-out and no larger than the newest:
    /// they do not age while evidence is missing, so their number would grow without bounds.
    pub(crate) fn thin_out(&mut self, newest: i32, is_past: impl Fn(&TimestampedRecommendation) -> bool) {
        self.recommendations.retain(|one| !one.blind || !is_past(one) || one.replicas > newest);
    }

    /// Adds a change of replicas that was written.
    pub fn record_scale(&mut self, behavior: &Behavior, now: Timestamp, from: i32, to: i32) {
        let (events, rules) = if to > from {
            (&mut self.ups, &behavior.scale_up)
        } else {
            (&mut self.downs, &behavior.scale_down)
        };
        let period = seconds(rules.longest_period_seconds());
        for event in events.iter_mut() {
            event.outdated |= now.duration_since(event.at) > period;
        }
        if self.restored {
            events.retain(|event| !event.outdated);
        }
        let change = to.wrapping_sub(from).wrapping_abs();
        let newest = ScaleEvent { change, at: now, outdated: false, restored: false };
        match events.iter_mut().rev().find(|event| event.outdated) {
            Some(old) => *old = newest,
            None => events.push(newest),
        }
    }
}

/// Sum of the changes inside the period that ends now.
pub(crate) fn changed_within(events: &[ScaleEvent], now: Timestamp, period_seconds: i32) -> i32 {
    sum_within(events.iter(), now, period_seconds)
}

/// The same sum for the rules of the other direction.
pub(crate) fn credited_within(events: &[ScaleEvent], now: Timestamp, period_seconds: i32) -> i32 {
    sum_within(events.iter().filter(|event| !event.restored), now, period_seconds)
}

fn sum_within<'a>(events: impl Iterator<Item = &'a ScaleEvent>, now: Timestamp, period_seconds: i32) -> i32 {
    events
        .filter(|event| now.duration_since(event.at) < seconds(period_seconds))
        .fold(0, |sum, event| sum.wrapping_add(event.change))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_old_events(restored: bool) -> History {
        let at = Timestamp::UNIX_EPOCH;
        let event = ScaleEvent { change: 3, at, outdated: false, restored };
        History { ups: vec![event, event], restored, ..History::default() }
    }

    fn changes_after_one_more(mut history: History) -> Vec<i32> {
        let now = Timestamp::UNIX_EPOCH + seconds(60);
        history.record_scale(&Behavior::default(), now, 4, 5);
        history.ups.iter().map(|event| event.change).collect()
    }

    #[test]
    fn a_new_event_overwrites_one_that_is_outdated() {
        assert_eq!(changes_after_one_more(two_old_events(false)), [3, 1]);
    }

    #[test]
    fn after_a_restart_no_outdated_event_is_left() {
        assert_eq!(changes_after_one_more(two_old_events(true)), [1]);
    }
}
