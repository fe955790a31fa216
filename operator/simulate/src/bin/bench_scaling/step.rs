//! How soon a step in the load is followed, with the short window of the request rate and without. Pure.

use scalableapp_simulate::setting::{Contender, Setting};
use scalableapp_simulate::workload::{LEAD_IN, SHORTEST, Workload};
use scalableapp_simulate::{Replay, replay};

/// Steps of the load in requests per second.
const STEPS: [(u32, u32); 5] = [(20, 40), (50, 100), (200, 400), (200, 300), (200, 800)];
/// Draws of the requests of each step.
const SEEDS: u64 = 20;
/// Seconds from the start of the trace to the step, and one more for each seed, so that ticks differ.
const STEP_AT: usize = 120;
/// The operator's defaults, and two thirds of what a pod can do as the target.
const SETTING: Setting =
    Setting { target: 0.66, tolerance: 0.1, scale_down_window: 300, rate_window: 60, poll: 15, horizon: 60 };
/// Requests per second of a pod at the target.
const PER_POD: f64 = 13.2;

/// Each step with the seconds until enough replicas are written: the median and the maximum of the seeds.
pub(crate) fn table() -> String {
    let mut text = format!(
        "Seconds from a step in the load to enough replicas, median and maximum of {SEEDS} draws
{:24}{:>16}{:>16}\n",
        "", "two windows", "one window"
    );
    for (from, to) in STEPS {
        text += &format!("{:24}", format!("{from}/s to {to}/s"));
        for contender in [Contender::Engine, Contender::EngineOneWindow] {
            let mut seconds: Vec<usize> =
                (1..=SEEDS).map(|seed| reaction(contender, from, to, seed)).collect();
            seconds.sort_unstable();
            text += &format!("{:9}{:7}", seconds[seconds.len() / 2], seconds[seconds.len() - 1]);
        }
        text.push('\n');
    }
    text
}

/// Seconds until there are enough pods for the new load, within the tolerance.
fn reaction(contender: Contender, from: u32, to: u32, seed: u64) -> usize {
    let step = STEP_AT + seed as usize;
    let line = |second: usize| format!("{}\n", if second < step { from } else { to });
    let trace: String = (0..SHORTEST).map(line).collect();
    let Ok(workload) = Workload::parse("step".to_owned(), &trace, seed) else { return SHORTEST };
    let outcome = replay(&Replay { workload: &workload, contender, setting: SETTING, start: 5.0 });
    let enough = (f64::from(to) / (PER_POD * (1.0 + SETTING.tolerance))).ceil() as u32;
    let after = &outcome.pods[LEAD_IN + step..];
    after.iter().position(|pods| *pods >= enough).unwrap_or(after.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_windows_follow_a_step_in_half_the_time_of_one() {
        let of = |contender| (1..=3).map(|seed| reaction(contender, 200, 400, seed)).sum::<usize>();
        let (two, one) = (of(Contender::Engine), of(Contender::EngineOneWindow));
        assert!(two * 2 <= one, "{two} against {one}");
    }
}
