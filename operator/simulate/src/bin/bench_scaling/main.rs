//! `make bench-scaling`: the replica-hours that each contender needs for a latency objective. I/O: reads traces, writes
//! a picture, prints.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use scalableapp_simulate::setting::Contender;
use scalableapp_simulate::workload::{TraceError, Workload};

use tune::{Tuned, tune};

mod picture;
mod search;
mod step;
mod table;
mod tune;

/// Replays load traces through a model of an app, for each contender at its best setting.
#[derive(Parser)]
struct Args {
    /// Traces: files with one number a line, the requests per second of one second. Those of this repository are in
    /// operator/simulate/traces.
    #[arg(required = true)]
    traces: Vec<PathBuf>,
    /// Mean times in seconds from the creation of a pod until it is ready.
    #[arg(long, value_delimiter = ',', default_values_t = [5.0, 30.0, 60.0, 180.0])]
    starts: Vec<f64>,
    /// Seed of the requests and of the search.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// File for the picture.
    #[arg(long, default_value = "target/bench-scaling.svg")]
    picture: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let once: Vec<Workload> = args.traces.iter().map(|path| read(path, args.seed)).collect::<Result<_>>()?;
    let days: Vec<Workload> = once.iter().map(|workload| workload.of_days(args.seed)).collect();
    let groups = [("Each trace once", once), ("Each trace day after day", days)];
    let begin = Instant::now();
    let cases: Vec<Case<'_>> = args
        .starts
        .iter()
        .flat_map(|start| groups.iter().map(move |group| (start, group)))
        .flat_map(|(start, (_, workloads))| {
            workloads.iter().map(move |workload| Case { workload, start: *start })
        })
        .collect();
    println!("{}\n{}", table::assumptions(), step::table());
    let results = tune_all(&cases, args.seed);
    let mut panels = Vec::new();
    for (case, tuned) in cases.iter().zip(&results) {
        let name = &case.workload.name;
        println!("{}\n{}", table::workload(name, case.start, tuned), table::comparison(tuned));
        panels.push((format!("{name}, pods start in {:.0} s", case.start), tuned.as_slice()));
    }
    let headings = args.starts.iter().flat_map(|start| groups.iter().map(move |group| (*start, group.0)));
    for ((start, name), results) in headings.zip(results.chunks(args.traces.len())) {
        let results: Vec<&[Tuned]> = results.iter().map(Vec::as_slice).collect();
        println!("{}", table::summary(name, start, &results));
    }
    std::fs::write(&args.picture, picture::draw(&panels)?)
        .with_context(|| format!("failed to write {}", args.picture.display()))?;
    println!("Picture: {}. Took {:.0} s.", args.picture.display(), begin.elapsed().as_secs_f64());
    Ok(())
}

fn read(path: &Path, seed: u64) -> Result<Workload> {
    let trace = std::fs::read_to_string(path)
        .with_context(|| format!("failed to read the trace {}", path.display()))?;
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    Workload::parse(name, &trace, seed).map_err(|error| match error {
        TraceError::NotARate { line } => anyhow!("{}:{line}: {error}", path.display()),
        TraceError::TooShort => anyhow!("{}: {error}", path.display()),
    })
}

/// A workload for an app whose pods take this many seconds to start.
struct Case<'a> {
    workload: &'a Workload,
    start: f64,
}

impl Case<'_> {
    /// All contenders for a workload: without earlier days there is no season to learn.
    fn contenders(&self) -> impl Iterator<Item = Contender> + use<> {
        let has_days = self.workload.day.is_some();
        Contender::ALL.into_iter().filter(move |one| has_days || *one != Contender::EngineSeason)
    }
}

/// Tunes every contender for every case, on all cores.
fn tune_all(cases: &[Case<'_>], seed: u64) -> Vec<Vec<Tuned>> {
    let jobs: Vec<(usize, Contender)> =
        (0..cases.len()).flat_map(|case| cases[case].contenders().map(move |one| (case, one))).collect();
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, jobs, next) = (sender.clone(), &jobs, &next);
            scope.spawn(move || {
                while let Some((case, contender)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Case { workload, start } = cases[*case];
                    let _ = sender.send((*case, tune(*contender, workload, start, seed)));
                }
            });
        }
        drop(sender);
        let mut results: Vec<Vec<Tuned>> = cases.iter().map(|_| Vec::new()).collect();
        for (case, tuned) in receiver {
            results[case].push(tuned);
        }
        for tuned in &mut results {
            tuned.sort_by_key(|one| Contender::ALL.iter().position(|contender| *contender == one.contender));
        }
        results
    })
}
