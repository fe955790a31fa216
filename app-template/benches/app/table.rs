//! The figures, and whether they are what is wanted. I/O: stdout.

use crate::compare::Compared;

/// The least share of the other side's throughput.
const WANTED: f64 = 0.9;

pub(crate) fn heading() {
    println!(
        "answers a second, and microseconds of the server's CPU time for each; median, least and most of the pairs"
    );
    println!(
        "{:36}{:>9}{:>9}{:>7}{:>7}{:>7}{:>8}{:>9}{:>9}{:>9}{:>7}",
        "", "this app", "other", "ratio", "least", "most", "wanted", "reached", "this app", "other", "ratio"
    );
}

pub(crate) fn comparison(what: &str, compared: &Compared) {
    let Compared { ours, theirs, ratios, .. } = compared;
    let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
    let ratio = compared.median();
    println!(
        "{what:36}{:9.0}{:9.0}{ratio:7.2}{least:7.2}{most:7.2}{:>8}{:>9}{:9.1}{:9.1}{:7.2}",
        ours.throughput,
        theirs.throughput,
        format!(">= {WANTED}"),
        word(ratio >= WANTED),
        ours.cpu,
        theirs.cpu,
        ours.cpu / theirs.cpu
    );
}

/// A figure that has to be below another.
pub(crate) fn limit(what: &str, value: f64, below: f64) {
    println!("{what:36}{value:9.2}   wanted < {below}   {}", word(value < below));
}

fn word(reached: bool) -> &'static str {
    if reached { "yes" } else { "no" }
}
