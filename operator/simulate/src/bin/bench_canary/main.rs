//! `make bench-canary`: how often the judge of a canary is right, beside rules with a threshold. I/O: prints.

use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use fastrand::Rng;
use scalableapp_engine::rollout::judge::policy::CanaryPolicy;

use course::{End, Plan};
use figures::Figure;
use peeking::LOOKS;
use table::Proportion;
use thresholds::RULES;

mod course;
mod figures;
mod peeking;
mod table;
mod thresholds;
mod traffic;

/// Rolls out canaries in a model, good ones and bad ones, and counts what the judge makes of them.
#[derive(Parser)]
struct BenchOptions {
    /// Rollouts for each figure.
    #[arg(long, default_value_t = 500)]
    rollouts: u32,
    /// Seed of the random numbers. The same seed gives the same table.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Weights of the steps, in percent.
    #[arg(long, default_value = "20,50", value_delimiter = ',')]
    weights: Vec<f64>,
    /// Minutes that a step takes at least.
    #[arg(long, default_value_t = 5)]
    step_minutes: u32,
    /// Probability of aborting a good canary.
    #[arg(long, default_value_t = 0.01)]
    false_abort: f64,
    /// Only figures whose first words contain this.
    #[arg(long, default_value = "")]
    only: String,
}

/// Minutes until a rollout that is neither aborted nor promoted is left.
const END: u32 = 30;

/// The results of a function of numbers, in their order, over all processors.
fn parallel<T: Send>(count: u32, one: impl Fn(u32) -> Result<T> + Sync) -> Result<Vec<T>> {
    let threads = thread::available_parallelism().map_or(1, |count| count.get() as u32);
    let mut all: Vec<(u32, T)> = thread::scope(|scope| {
        let one = &one;
        let workers: Vec<_> = (0..threads)
            .map(|first| {
                scope.spawn(move || {
                    let numbers = (first..count).step_by(threads as usize);
                    numbers.map(|number| Ok((number, one(number)?))).collect::<Result<Vec<_>>>()
                })
            })
            .collect();
        let results = workers.into_iter().map(|worker| match worker.join() {
            Ok(results) => results,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        results.collect::<Result<Vec<_>>>().map(|parts| parts.into_iter().flatten().collect())
    })?;
    all.sort_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, one)| one).collect())
}

fn rng(seed: u64, row: usize, number: u32) -> Rng {
    Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((row as u64) << 32) ^ u64::from(number))
}

fn ends(
    options: &BenchOptions,
    policy: &CanaryPolicy,
    row: usize,
    figure: &Figure,
) -> Result<Vec<(End, [End; RULES.len()])>> {
    let asked = || options.weights.iter().map(|percent| percent / 100.0).collect();
    let weights = figure.weights.map_or_else(asked, <[f64]>::to_vec);
    let step_seconds = figure.step_seconds.unwrap_or(60 * options.step_minutes);
    let plan = Plan { weights, step_seconds, end: 60 * END };
    let rollouts = (f64::from(options.rollouts) * figure.part).ceil() as u32;
    parallel(rollouts, |number| {
        let mut rng = rng(options.seed, row, number);
        let ours = course::judged(policy, &plan, &figure.scenario, &mut rng)?;
        Ok((ours, course::by_thresholds(&plan, &figure.scenario, &mut rng)))
    })
}

fn main() -> Result<ExitCode> {
    let options = BenchOptions::parse();
    let begin = Instant::now();
    let policy = CanaryPolicy { false_abort: options.false_abort, ..CanaryPolicy::default() };
    println!("{}", table::head());
    let mut missed = 0;
    for (row, figure) in figures::figures().iter().enumerate() {
        if figure.title.contains(&options.only) {
            let (text, is_met) = table::row(figure, &ends(&options, &policy, row, figure)?);
            println!("{text}");
            missed += u32::from(!is_met);
        }
    }
    if options.only.is_empty() {
        let found =
            parallel(options.rollouts, |number| Ok(peeking::found(&mut rng(options.seed, 1000, number))?))?;
        let share = |at: usize| {
            let of = |pick: fn(&(bool, bool)) -> bool| Proportion::of(found.iter().map(|one| pick(&one[at])));
            (of(|one| one.0), of(|one| one.1))
        };
        let shares: [(Proportion, Proportion); LOOKS.len()] = std::array::from_fn(share);
        println!("\n{}", table::peeking(&shares));
        missed += u32::from(shares.iter().any(|(_, ours)| ours.value() > peeking::NOMINAL));
    }
    println!("\n{missed} goals missed (!), in {:.0} s.", begin.elapsed().as_secs_f64());
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
