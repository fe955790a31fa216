//! `make bench-scaling`: which contender meets a latency objective with the fewest replicas? I/O: reads traces, writes a
//! picture, prints.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;

use setting::Contender;
use tune::{Tuned, tune};
use workload::Workload;

mod app;
mod autoscaler;
mod picture;
mod setting;
mod table;
mod tune;
mod workload;

/// Replays load traces through a model of an app, for each contender at its best setting.
#[derive(Parser)]
struct Args {
    /// Traces: files with one number a line, the requests per second of one second.
    #[arg(required = true)]
    traces: Vec<PathBuf>,
    /// Seed of the requests and of the search.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// File for the picture.
    #[arg(long, default_value = "target/bench-scaling.svg")]
    picture: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let workloads: Vec<Workload> =
        args.traces.iter().map(|path| Workload::read(path, args.seed)).collect::<Result<_>>()?;
    let begin = Instant::now();
    let results = tune_all(&workloads, args.seed);
    println!("{}", table::assumptions());
    for (workload, tuned) in workloads.iter().zip(&results) {
        println!("{}\n{}", table::workload(workload, tuned), table::comparison(tuned));
    }
    println!("{}", table::total(&results));
    let panels: Vec<(&str, &[Tuned])> = workloads
        .iter()
        .zip(&results)
        .map(|(workload, tuned)| (workload.name.as_str(), tuned.as_slice()))
        .collect();
    std::fs::write(&args.picture, picture::draw(&panels)?)
        .with_context(|| format!("failed to write {}", args.picture.display()))?;
    println!("Picture: {}. Took {:.0} s.", args.picture.display(), begin.elapsed().as_secs_f64());
    Ok(())
}

/// Tunes every contender to every workload, on all cores.
fn tune_all(workloads: &[Workload], seed: u64) -> Vec<Vec<Tuned>> {
    let jobs: Vec<(usize, Contender)> = (0..workloads.len())
        .flat_map(|workload| Contender::ALL.map(|contender| (workload, contender)))
        .collect();
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, jobs, next) = (sender.clone(), &jobs, &next);
            scope.spawn(move || {
                while let Some((workload, contender)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tuned = tune(*contender, &workloads[*workload], seed);
                    let _ = sender.send((*workload, tuned));
                }
            });
        }
        drop(sender);
        let mut results: Vec<Vec<Tuned>> = workloads.iter().map(|_| Vec::new()).collect();
        for (workload, tuned) in receiver {
            results[workload].push(tuned);
        }
        for tuned in &mut results {
            tuned.sort_by_key(|one| Contender::ALL.iter().position(|contender| *contender == one.contender));
        }
        results
    })
}
