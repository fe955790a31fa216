//! `make bench-canary` as its user sees it: the same seed prints the same table, and its goals decide the exit code.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

use std::process::{Command, Output};

fn run(options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench_canary")).args(options).output().unwrap()
}

/// The rows, without the line that has the time.
fn rows(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().filter(|line| !line.contains("goals missed")).map(str::to_owned).collect()
}

#[test]
fn a_seed_gives_the_same_table_and_met_goals_succeed() {
    let options = ["--rollouts", "10", "--only", "no errors", "--seed", "4"];
    let output = run(&options);
    assert!(output.status.success(), "{output:?}");
    let rows = rows(&output);
    assert_eq!(rows, self::rows(&run(&options)));
    assert!(rows.iter().any(|row| row.starts_with("no errors at all") && row.contains("100.0%")), "{rows:?}");
}

#[test]
fn a_missed_goal_is_marked_and_fails() {
    // A step that begins with one request in a thousand finds nothing in ten minutes.
    let output = run(&["--rollouts", "5", "--only", "x5", "--weights", "0.1,50"]);
    assert!(!output.status.success());
    assert!(rows(&output).iter().any(|row| row.contains(">=95%") && row.contains('!')), "{output:?}");
}
