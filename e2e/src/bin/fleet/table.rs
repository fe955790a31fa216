//! A table of the arms' figures.

use std::time::Duration;

use scalableapp_e2e::fleet::{Arm, Reaction, Rest};

use crate::{REACTING, SPREAD};

/// The figures of one arm.
pub(crate) struct Measured {
    pub(crate) arm: Arm,
    pub(crate) load_time: Duration,
    pub(crate) out: Reaction,
    pub(crate) back: Reaction,
    /// Upper bounds in seconds: of 95 % of the ticks, and of all.
    pub(crate) lateness: (String, String),
    pub(crate) rest: Rest,
    /// CPU of the API server without the operator, in cores.
    pub(crate) api_server_alone: f64,
}

/// A line of the table: its label, and the figure of an arm.
type Line = (&'static str, fn(&Measured) -> String);

const LINES: [Line; 15] = [
    ("until all were up, s", |one| format!("{:.0}", one.load_time.as_secs_f64())),
    ("metric set -> first change, s: p50 / p95 / max", |one| one.out.first.to_string()),
    ("metric set -> 10 replicas, s", |one| one.out.arrived.to_string()),
    ("metric set back -> 1 replica, s", |one| one.back.arrived.to_string()),
    ("ticks late by at most, s: 95 % / all", |one| format!("{} / {}", one.lateness.0, one.lateness.1)),
    ("operator CPU at rest, cores", |one| format!("{:.3}", one.rest.operator_cores)),
    ("operator memory, MiB: at rest / at most", |one| {
        format!("{:.1} / {:.1}", one.rest.operator_mib.0, one.rest.operator_mib.1)
    }),
    ("Prometheus queries/s at rest", |one| format!("{:.1}", one.rest.queries)),
    ("API requests/s at rest, everybody's", |one| format!("{:.2}", one.rest.requests)),
    ("API requests/s at rest, the operator's", |one| {
        format!("{:.2}", one.rest.operator_requests.values().sum::<f64>())
    }),
    ("  by verb", |one| {
        let verbs = one.rest.operator_requests.iter().map(|(verb, rate)| format!("{verb} {rate:.2}"));
        verbs.collect::<Vec<_>>().join(", ")
    }),
    ("its writes at rest: Lease / others", |one| {
        format!("{} / {}", one.rest.lease_writes, one.rest.other_writes)
    }),
    ("API server CPU at rest, 20 s median, cores: with", |one| format!("{:.3}", one.rest.api_server_cores)),
    ("  without the operator", |one| format!("{:.3}", one.api_server_alone)),
    ("  ratio", |one| format!("{:.2}", one.rest.api_server_cores / one.api_server_alone)),
];

/// Prints the table.
pub(crate) fn print(apps: usize, arms: &[Measured]) {
    let row = |name: &str, cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("{cell:>28}")).collect();
        println!("{name:<48}{cells}");
    };
    let conditions = format!("{apps} apps, tick 5 s, {REACTING} change in {} s", SPREAD.as_secs());
    row(&conditions, arms.iter().map(|one| one.arm.name().to_owned()).collect());
    for (name, figure) in LINES {
        row(name, arms.iter().map(figure).collect());
    }
}
