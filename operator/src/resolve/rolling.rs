//! Surge and unavailable pods of a rolling update, in the types of the engine. Pure.

use super::invalid::Problems;
use super::path::Path;
use scalableapp_crds as api;
use scalableapp_crds::IntOrPercent;
use scalableapp_engine::rollout::rolling::{Amount, Rolling};

/// The most pods that a user may name.
const MOST_PODS: i32 = 1000;

pub(super) fn resolve(written: Option<&api::Rolling>, path: Path<'_>, problems: &mut Problems) -> Rolling {
    let written = written.cloned().unwrap_or_default();
    let path = Path::Field(&path, "rolling");
    let mut amount = |field, written: Option<IntOrPercent>, default| {
        written.map_or(default, |written| amount(&written, Path::Field(&path, field), problems))
    };
    let default = Rolling::default();
    let rolling = Rolling {
        max_surge: amount("maxSurge", written.max_surge, default.max_surge),
        max_unavailable: amount("maxUnavailable", written.max_unavailable, default.max_unavailable),
    };
    if is_zero(rolling.max_surge) && is_zero(rolling.max_unavailable) {
        problems.refuse(path, "raise maxSurge or maxUnavailable above 0, or no pod could ever be replaced");
    }
    rolling
}

fn amount(written: &IntOrPercent, path: Path<'_>, problems: &mut Problems) -> Amount {
    // A percentage of 100 pods is the number before its sign.
    match (written, written.of_rounded_down(100)) {
        (IntOrPercent::Int(_), Ok(pods)) if (0..=MOST_PODS).contains(&pods) => return Amount::Pods(pods),
        (IntOrPercent::Percent(_), Ok(percent)) if (0..=100).contains(&percent) => {
            return Amount::Percent(percent);
        }
        (_, Ok(_)) => problems.refuse(path, format!("use 0 to {MOST_PODS} pods, or 0% to 100% of them")),
        (_, Err(invalid)) => problems.refuse(path, invalid.to_string()),
    }
    Amount::Pods(1)
}

fn is_zero(amount: Amount) -> bool {
    matches!(amount, Amount::Pods(0) | Amount::Percent(0))
}
