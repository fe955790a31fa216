//! What limits the recommendation, and in which words. Pure.

use crate::bounds::{Bound, Bounds};
use crate::hpa::normalize::{Limitation, Normalized, Stabilization};
use crate::hpa::scale::{Outcome, Step};
use crate::reason::{self, Reason};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Time for which a limit of load is still named after it was last active. Load that hovers at a limit would otherwise
/// change the status with every measurement.
const RECENT: SignedDuration = SignedDuration::from_secs(60);

/// The limits of circuit breakers and of a bottleneck. They end with their cause.
const OF_CAUSES: [Reason; 5] = [
    reason::BOTTLENECK_ELSEWHERE,
    reason::DEPENDENCY_DEGRADED,
    reason::DEPENDENCY_RECOVERING,
    reason::CALLERS_SILENT,
    reason::CIRCUIT_UNKNOWN,
];

/// When each limit was last active since the replicas last changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct RecentLimits(BTreeMap<Reason, Timestamp>);

impl RecentLimits {
    /// The limits to name: the active ones, and those that were active a short time ago and may still be named.
    pub(crate) fn named(
        &mut self,
        now: Timestamp,
        binding: Vec<Reason>,
        may_be_named: impl Fn(Reason) -> bool,
    ) -> Vec<Reason> {
        self.0.retain(|limit, bound| now.duration_since(*bound) <= RECENT && may_be_named(*limit));
        self.0.extend(binding.into_iter().map(|reason| (reason, now)));
        let mut limits: Vec<Reason> = self.0.keys().copied().collect();
        limits.sort_by_key(|limit| rank(*limit));
        limits
    }
}

/// The active limits. `asked` are the replicas without bounds, if known.
///
/// A bound that would also limit without the stabilization window is named instead of the window: the limit of an idle
/// component at its minimum does not change when the window ends. A `minReplicas` of 1 is not named: a service has no
/// smaller number, and one idle worker is what was declared.
pub(crate) fn binding(step: &Step, bounds: &Bounds, asked: Option<i32>) -> Vec<Reason> {
    let (range, floor, ceiling) = (bounds.range(), bounds.floor.reason, bounds.ceiling.reason);
    let (at_min, at_max) = (step.desired == range.min, step.desired == range.max);
    let limits_nothing =
        floor == reason::LAST_DECISION || (floor == reason::MIN_REPLICAS && bounds.floor.replicas <= 1);
    let mut reasons = bounds.conflict();
    match asked {
        Some(asked) if asked < range.min && at_min => reasons.extend((!limits_nothing).then_some(floor)),
        Some(asked) if asked > range.max && at_max => reasons.push(ceiling),
        Some(_) => {
            if let Some(normalized) = step.outcome.normalized() {
                reasons.extend(stabilization(normalized).into_iter().chain(limitation(normalized, bounds)));
            }
        }
        None => {
            reasons.extend((at_min && is_set(floor)).then_some(floor));
            reasons.extend((at_max && is_set(ceiling)).then_some(ceiling));
        }
    }
    reasons.extend((step.outcome == Outcome::AboveMax && asked.is_none()).then_some(ceiling));
    reasons.extend((ceiling == reason::HELD).then_some(ceiling));
    reasons
}

/// Whether a limit that was active a short time ago may still be named. Load returns, and its limit too. A schedule or
/// an override that has ended does not. `is_blind` is whether nothing is known of the load.
pub(crate) fn may_still_be_named(limit: Reason, bounds: &Bounds, desired: i32, is_blind: bool) -> bool {
    let range = bounds.range();
    let binds = |bound: &Bound, replicas: i32| bound.reason == limit && desired == replicas;
    let is_bound = binds(&bounds.floor, range.min) || binds(&bounds.ceiling, range.max);
    match limit {
        reason::MIN_REPLICAS | reason::MAX_REPLICAS => is_bound && !is_blind,
        _ if is_set(limit) || OF_CAUSES.contains(&limit) => is_bound,
        _ => !is_blind,
    }
}

/// Precedence of a limit: what overrules the others is named first, whatever the load is.
fn rank(limit: Reason) -> (u8, Reason) {
    let rank = match limit {
        reason::CONNECTION_BUDGET => 0,
        reason::HELD => 1,
        reason::MAX_REPLICAS => 2,
        reason::OVERRIDE => 3,
        reason::SCALE_UP_LIMIT
        | reason::SCALE_DOWN_LIMIT
        | reason::SCALE_UP_STABILIZED
        | reason::SCALE_DOWN_STABILIZED => 5,
        _ => 4,
    };
    (rank, limit)
}

/// A reason as a sentence, with its bound unless it is one of load.
pub(crate) fn sentence(reason: Reason, bounds: &Bounds) -> String {
    let Bounds { floor, ceiling } = bounds;
    let (is_floor, is_ceiling) = (floor.reason == reason, ceiling.reason == reason);
    if (is_floor || is_ceiling) && floor.replicas > ceiling.replicas {
        let (least, most) = (floor.replicas, replicas(ceiling.replicas));
        return format!("At most {most} by {}, which wins over {least} by {}.", ceiling.by, floor.by);
    }
    let names_its_bound =
        [reason::WINDOW_INCOMPLETE, reason::WAITS_FOR_TURN].contains(&reason) || OF_CAUSES.contains(&reason);
    if names_its_bound && (is_floor || is_ceiling) {
        let by = if is_floor { &floor.by } else { &ceiling.by };
        return format!("{} This is {by}.", reason.sentence);
    }
    if reason::PROBLEMS.contains(&reason) && is_ceiling {
        return format!("{} At most {} by {}.", reason.sentence, replicas(ceiling.replicas), ceiling.by);
    }
    if !is_set(reason) {
        return reason.sentence.to_owned();
    }
    let (least, most) = (replicas(floor.replicas), replicas(ceiling.replicas));
    match (is_floor, is_ceiling) {
        (true, true) if floor == ceiling => format!("Exactly {least} by {}.", floor.by),
        // The other bound has the same number, and its reason comes first.
        (true, _) if reason == reason::HELD => format!("Exactly {least} by {}.", floor.by),
        (_, true) if reason == reason::HELD => format!("Exactly {most} by {}.", ceiling.by),
        (true, _) => format!("At least {least} by {}.", floor.by),
        (_, true) => format!("At most {most} by {}.", ceiling.by),
        (false, false) => reason.sentence.to_owned(),
    }
}

/// A number of replicas in words.
pub(crate) fn replicas(number: i32) -> String {
    if number == 1 { "1 replica".to_owned() } else { format!("{number} replicas") }
}

/// Whether a bound comes from people, a schedule, a database or a time without evidence, and not from load.
fn is_set(limit: Reason) -> bool {
    matches!(
        limit,
        reason::SCHEDULE
            | reason::FALLBACK
            | reason::OVERRIDE
            | reason::HELD
            | reason::SYNCHRONOUS_REPLICAS
            | reason::CONNECTION_BUDGET
    )
}

fn stabilization(normalized: &Normalized) -> Option<Reason> {
    match normalized.stabilization {
        Stabilization::ReadyForNewScale => None,
        Stabilization::ScaleUpStabilized => Some(reason::SCALE_UP_STABILIZED),
        Stabilization::ScaleDownStabilized => Some(reason::SCALE_DOWN_STABILIZED),
    }
}

fn limitation(normalized: &Normalized, bounds: &Bounds) -> Option<Reason> {
    match normalized.limitation {
        _ if !normalized.is_limited() => None,
        Limitation::DesiredWithinRange => None,
        Limitation::TooFewReplicas => Some(bounds.floor.reason),
        Limitation::TooManyReplicas => Some(bounds.ceiling.reason),
        Limitation::ScaleUpLimit => Some(reason::SCALE_UP_LIMIT),
        Limitation::ScaleDownLimit => Some(reason::SCALE_DOWN_LIMIT),
    }
}
