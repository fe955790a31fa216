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

/// Each step with the seconds until the first change and until enough replicas are written, as the median of the seeds.
pub(crate) fn table() -> String {
    let mut text = format!(
        "Seconds from a step in the load to more replicas and to enough of them, median of {SEEDS} draws
{:20}{:>18}{:>18}
{:20}{:>10}{:>8}{:>10}{:>8}\n",
        "", "two windows", "one window", "", "more", "enough", "more", "enough"
    );
    for (from, to) in STEPS {
        text += &format!("{:20}", format!("{from}/s to {to}/s"));
        for contender in [Contender::Engine, Contender::EngineOneWindow] {
            let reactions: Vec<Reaction> =
                (1..=SEEDS).map(|seed| reaction(contender, from, to, seed)).collect();
            let median = |of: fn(&Reaction) -> usize| {
                let mut seconds: Vec<usize> = reactions.iter().map(of).collect();
                seconds.sort_unstable();
                seconds[seconds.len() / 2]
            };
            text += &format!("{:10}{:8}", median(|one| one.more), median(|one| one.enough));
        }
        text.push('\n');
    }
    text
}

/// Seconds after a step.
struct Reaction {
    /// Until there are more pods than before.
    more: usize,
    /// Until there are enough for the new load, within the tolerance.
    enough: usize,
}

fn reaction(contender: Contender, from: u32, to: u32, seed: u64) -> Reaction {
    let step = STEP_AT + seed as usize;
    let line = |second: usize| format!("{}\n", if second < step { from } else { to });
    let trace: String = (0..SHORTEST).map(line).collect();
    let never = Reaction { more: SHORTEST, enough: SHORTEST };
    let Ok(workload) = Workload::parse("step".to_owned(), &trace, seed) else { return never };
    let outcome = replay(&Replay { workload: &workload, contender, setting: SETTING, start: 5.0 });
    let enough = (f64::from(to) / (PER_POD * (1.0 + SETTING.tolerance))).ceil() as u32;
    let (before, after) = outcome.pods.split_at(LEAD_IN + step);
    let until = |least: u32| after.iter().position(|pods| *pods >= least).unwrap_or(after.len());
    let current = before.last().copied().unwrap_or_default();
    Reaction { more: until(current + 1), enough: until(enough) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_windows_follow_a_doubled_load_sooner_than_one() {
        let sum = |contender, of: fn(&Reaction) -> usize| -> usize {
            (1..=3).map(|seed| of(&reaction(contender, 200, 400, seed))).sum()
        };
        for of in [|one: &Reaction| one.more, |one: &Reaction| one.enough] {
            let (two, one) = (sum(Contender::Engine, of), sum(Contender::EngineOneWindow, of));
            assert!(two * 4 <= one * 3, "{two} against {one}");
        }
    }
}
