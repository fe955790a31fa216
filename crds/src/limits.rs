//! Every maximum of what the operator writes: the schema uses it, and written values are cut to it. Pure.
//!
//! The API server refuses a whole status for one text that is too long, so everything is [`Clip`]ped before it is
//! written.

use std::borrow::Cow;

/// Characters of a reason, and of the type of a condition.
pub const REASON: usize = 64;
/// Conditions of an app.
pub const CONDITIONS: usize = 16;
/// Conditions of an override.
pub const OVERRIDE_CONDITIONS: usize = 8;
/// Characters of a condition's message.
pub const CONDITION_MESSAGE: usize = 1024;
/// Components of an app.
pub const COMPONENTS: usize = 20;
/// Characters of the name of a component or metric.
pub const NAME: usize = 20;
/// Characters of `replicas` of an app.
pub const APP_REPLICAS: usize = 32;
/// Characters of `limitedBy` of an app.
pub const APP_LIMITED_BY: usize = 256;
/// Characters of `limitedBy` of a component.
pub const LIMITED_BY: usize = 128;
/// Revisions of a component that the status lists.
pub const REVISIONS: usize = 5;
/// Characters of the hash of a revision.
pub const REVISION: usize = 16;
/// Characters of the message of a decision.
pub const DECISION_MESSAGE: usize = 512;
/// Metrics of a component.
pub const METRICS: usize = 8;
/// Characters of a metric's value.
pub const VALUE: usize = 96;
/// Characters of a metric's target.
pub const TARGET: usize = 48;
/// Stages of a decision.
pub const STAGES: usize = 8;
/// Characters of the effect of a stage.
pub const EFFECT: usize = 200;
/// Changes of replicas that are kept over a restart.
pub const SCALE_EVENTS: usize = 16;

/// Replicas of a component.
pub const MOST_REPLICAS: i32 = 10_000;

/// Steps of a canary.
pub const CANARY_STEPS: usize = 20;
/// Revisions of a component that were stable before and are remembered.
pub const EARLIER_REVISIONS: usize = 5;
/// Aborted revisions of a component that are remembered.
pub const REJECTED_REVISIONS: usize = 5;
/// Overrides in force that acted on the rollout of a component.
pub const ROLLOUT_ACTS: usize = 8;
/// Characters of a UID.
pub const UID: usize = 64;

/// Replicas of a component that stay because of others: one for each of its calls, and one for its callers.
pub const HOLDS: usize = CALLS + 1;
/// Dependencies and components that a component calls.
pub const CALLS: usize = 8;
/// Gateways of a route.
pub const ROUTE_PARENTS: usize = 8;
/// Host names of a route.
pub const ROUTE_HOSTNAMES: usize = 16;
/// Dependencies of an app.
pub const DEPENDENCIES: usize = 20;
/// Characters of the name of a circuit breaker.
pub const BREAKER: usize = 128;
/// Values of a query for circuit breakers.
pub const CIRCUIT_VALUES: usize = 16;

/// The end of a text that was cut.
const CUT: &str = " …";
/// A cut is made between two words if that leaves at most this many characters unused.
const LONGEST_WORD: usize = 128;

/// A value that must be within the maximums of its schema.
pub trait Clip {
    /// Cuts the value to its maximums: texts end early, lists lose their last items.
    #[must_use]
    fn clip(self) -> Self;
}

/// The text, cut to the maximum: after a whole word where possible, and with ` …` at the end.
#[must_use]
pub fn clip(text: &str, length: usize) -> Cow<'_, str> {
    if text.char_indices().nth(length).is_none() {
        return Cow::Borrowed(text);
    }
    let start: String = text.chars().take(length.saturating_sub(CUT.chars().count())).collect();
    let words = start
        .rsplit_once(' ')
        .filter(|(_, cut)| cut.len() < LONGEST_WORD)
        .map_or(start.as_str(), |(words, _)| words);
    Cow::Owned(format!("{words}{CUT}"))
}

/// Cuts a text in place.
pub(crate) fn clip_text(text: &mut String, length: usize) {
    if let Cow::Owned(clipped) = clip(text, length) {
        *text = clipped;
    }
}

/// Cuts a list in place, and each of its items.
pub(crate) fn clip_list<T: Clip>(list: &mut Vec<T>, length: usize) {
    list.truncate(length);
    *list = std::mem::take(list).into_iter().map(T::clip).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_is_kept_and_a_longer_one_ends_with_a_word() {
        assert_eq!(clip("two words", 9), "two words");
        assert_eq!(clip("two words", 8), "two …");
        assert_eq!(clip("wörter", 5), "wör …", "a single word is cut all the same");
        for length in 0..12 {
            assert!(clip("one two three", length).chars().count() <= length.max(2), "{length}");
        }
    }
}
