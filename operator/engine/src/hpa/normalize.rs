//! Limits of a recommendation: stabilization, rates and bounds. Pure.

use crate::hpa::behavior::{Behavior, Limit, Policy, ScalingRules, SelectPolicy};
use crate::hpa::convert::to_i32;
use crate::hpa::history::{History, TimestampedRecommendation, changed_within, credited_within, seconds};
use crate::hpa::range::Range;
use jiff::Timestamp;

/// Effect of stabilization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stabilization {
    /// Nothing.
    ReadyForNewScale,
    /// A recent lower recommendation holds more replicas back.
    ScaleUpStabilized,
    /// A recent higher recommendation holds fewer replicas back.
    ScaleDownStabilized,
}

/// What limited the stabilized number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limitation {
    /// Nothing.
    DesiredWithinRange,
    /// The minimum.
    TooFewReplicas,
    /// The maximum.
    TooManyReplicas,
    /// The rate at which replicas may be added.
    ScaleUpLimit,
    /// The rate at which replicas may be removed.
    ScaleDownLimit,
}

/// A recommendation after stabilization, and after rates and bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Normalized {
    /// Replicas after stabilization.
    pub stabilized: i32,
    /// Effect of stabilization.
    pub stabilization: Stabilization,
    /// Replicas after rates and bounds.
    pub replicas: i32,
    /// What limited them, whether or not it changed the number.
    pub limitation: Limitation,
}

impl Normalized {
    /// Whether rates or bounds changed the stabilized number.
    pub fn is_limited(&self) -> bool {
        self.replicas != self.stabilized
    }
}

/// Normalizes with a behavior (KEP-853), and records the recommendation.
pub fn with_behavior(
    behavior: &Behavior,
    range: Range,
    history: &mut History,
    now: Timestamp,
    current: i32,
    recommended: i32,
) -> Normalized {
    let stabilized = stabilize(behavior, history, now, current, recommended);
    let stabilization = match recommended {
        _ if stabilized == recommended => Stabilization::ReadyForNewScale,
        _ if recommended >= current => Stabilization::ScaleUpStabilized,
        _ => Stabilization::ScaleDownStabilized,
    };
    let (replicas, limitation) = if stabilized > current {
        limit_up(behavior, range, history, now, current, stabilized)
    } else if stabilized < current {
        limit_down(behavior, range, history, now, current, stabilized)
    } else {
        (stabilized, Limitation::DesiredWithinRange)
    };
    Normalized { stabilized, stabilization, replicas, limitation }
}

fn stabilize(
    behavior: &Behavior,
    history: &mut History,
    now: Timestamp,
    current: i32,
    recommended: i32,
) -> i32 {
    let up_window = seconds(behavior.scale_up.stabilization_window_seconds);
    let down_window = seconds(behavior.scale_down.stabilization_window_seconds);
    let (mut lowest, mut highest) = (recommended, recommended);
    for past in &history.recommendations {
        if past.age(now) < up_window {
            lowest = lowest.min(past.replicas);
        }
        if past.seen_age(now) < down_window {
            highest = highest.max(past.replicas);
        }
    }
    let newest = TimestampedRecommendation {
        blind: history.blind.is_some(),
        ..TimestampedRecommendation::new(now, recommended)
    };
    history.recommend(newest, |past| past.age(now) > up_window && past.seen_age(now) > down_window);
    if newest.blind {
        history.thin_out(recommended, |past| past.age(now) > up_window);
    }
    current.max(lowest).min(highest)
}

fn limit_up(
    behavior: &Behavior,
    range: Range,
    history: &History,
    now: Timestamp,
    current: i32,
    stabilized: i32,
) -> (i32, Limitation) {
    let rules = &behavior.scale_up;
    let allowed = rules.policies.iter().map(|policy| {
        let base = current
            .wrapping_sub(changed_within(&history.ups, now, policy.period_seconds))
            .wrapping_add(credited_within(&history.downs, now, policy.period_seconds));
        raised(policy, base)
    });
    let rate = match rules.select_policy {
        SelectPolicy::Disabled => None,
        SelectPolicy::Max => allowed.max(),
        SelectPolicy::Min => allowed.min(),
    };
    let rate = rate.unwrap_or(current).max(current);
    let (cap, limitation) = if range.max > rate {
        (rate, Limitation::ScaleUpLimit)
    } else {
        (range.max, Limitation::TooManyReplicas)
    };
    if stabilized > cap { (cap, limitation) } else { (stabilized, Limitation::DesiredWithinRange) }
}

fn limit_down(
    behavior: &Behavior,
    range: Range,
    history: &History,
    now: Timestamp,
    current: i32,
    stabilized: i32,
) -> (i32, Limitation) {
    let rules: &ScalingRules = &behavior.scale_down;
    let allowed = rules.policies.iter().map(|policy| {
        let base = current
            .wrapping_sub(credited_within(&history.ups, now, policy.period_seconds))
            .wrapping_add(changed_within(&history.downs, now, policy.period_seconds));
        lowered(policy, base)
    });
    let rate = match rules.select_policy {
        SelectPolicy::Disabled => None,
        SelectPolicy::Max => allowed.min(),
        SelectPolicy::Min => allowed.max(),
    };
    let rate = rate.unwrap_or(current).min(current);
    let (floor, limitation) = if range.min < rate {
        (rate, Limitation::ScaleDownLimit)
    } else {
        (range.min, Limitation::TooFewReplicas)
    };
    if stabilized < floor { (floor, limitation) } else { (stabilized, Limitation::DesiredWithinRange) }
}

fn raised(policy: &Policy, base: i32) -> i32 {
    match policy.limit {
        Limit::Pods(pods) => base.wrapping_add(pods),
        Limit::Percent(percent) => to_i32((f64::from(base) * (1.0 + f64::from(percent) / 100.0)).ceil()),
    }
}

fn lowered(policy: &Policy, base: i32) -> i32 {
    match policy.limit {
        Limit::Pods(pods) => base.wrapping_sub(pods),
        Limit::Percent(percent) => to_i32(f64::from(base) * (1.0 - f64::from(percent) / 100.0)),
    }
}

/// Normalizes without a behavior, as HPA v1 did, and records the recommendation.
///
/// Only fewer replicas are stabilized, and only more are limited: to twice the current ones, or 4.
pub fn without_behavior(
    window_seconds: i32,
    range: Range,
    history: &mut History,
    now: Timestamp,
    current: i32,
    recommended: i32,
) -> Normalized {
    let window = seconds(window_seconds);
    let is_old = |past: &TimestampedRecommendation| past.age(now) > window;
    let recent = history.recommendations.iter().filter(|past| !is_old(past)).map(|past| past.replicas);
    let stabilized = recent.fold(recommended, i32::max);
    history.recommend(TimestampedRecommendation::new(now, recommended), is_old);
    let stabilization = if stabilized == recommended {
        Stabilization::ReadyForNewScale
    } else {
        Stabilization::ScaleDownStabilized
    };

    let rate = current.wrapping_mul(2).max(4);
    let (cap, above) = if range.max > rate {
        (rate, Limitation::ScaleUpLimit)
    } else {
        (range.max, Limitation::TooManyReplicas)
    };
    let (replicas, limitation) = if stabilized < range.min {
        (range.min, Limitation::TooFewReplicas)
    } else if stabilized > cap {
        (cap, above)
    } else {
        (stabilized, Limitation::DesiredWithinRange)
    };
    Normalized { stabilized, stabilization, replicas, limitation }
}
