//! `make bench-diagnose`: how often the diagnosis is right on incidents with known causes. I/O: reads incidents, prints.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;

use answer::Rule;
use score::Scores;

mod answer;
mod baseline;
mod read;
mod score;
mod table;

/// Diagnoses incidents with known causes, and says how often that is right.
#[derive(Parser)]
struct Options {
    /// A folder of sets, or one set: DIR/SET/INCIDENT/{graph.csv, series.csv or series.csv.gz, incident.json,
    /// truth.json}.
    data: PathBuf,
    /// Only incidents whose folder begins with this.
    #[arg(long, default_value = "")]
    only: String,
    /// Print the answer to each incident.
    #[arg(long)]
    answers: bool,
}

fn main() -> Result<ExitCode> {
    let args = Options::parse();
    let begin = Instant::now();
    let (mut counted, mut refused) = (0, 0);
    println!("{}", table::LEGEND);
    for set in read::sets(&args.data)? {
        let mut scores = Rule::ALL.map(|contender| (contender, Scores::default()));
        for folder in read::incidents(&set, &args.only)? {
            match read::incident(&folder) {
                Ok(incident) => {
                    counted += 1;
                    for (contender, scores) in &mut scores {
                        let answers = answer::answers(*contender, &incident);
                        // Only now, with the answers given.
                        let truth = match read::truth(&folder) {
                            Ok(truth) => truth,
                            Err(error) => {
                                eprintln!("{error:#}");
                                break;
                            }
                        };
                        if args.answers && *contender == Rule::Ours {
                            println!("{}", table::line(&folder, &answers, &truth));
                        }
                        scores.add(&answers, &truth);
                    }
                }
                Err(error) => {
                    refused += 1;
                    eprintln!("{error:#}");
                }
            }
        }
        println!("{}", table::set(&set, &scores));
    }
    println!("{counted} incidents, {refused} refused, in {:.1} s.", begin.elapsed().as_secs_f64());
    Ok(if counted == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
