//! Statuses as text for people. Pure.

use jiff::Timestamp;
use scalableapp_crds::LiveMetric;

use crate::printable::printable;
use crate::status::{AppStatus, Component, Decision, Health};

const GAP: &str = "  ";
/// Sentences are not broken into less than this many characters, however narrow the terminal is.
const NARROWEST_SENTENCE: usize = 20;

/// All apps: each with its components, the conditions that are not as they should be, and its last decisions.
///
/// Sentences go on in the next line where a line would be longer than `columns` characters.
#[must_use]
pub fn render(apps: &[AppStatus], columns: usize) -> String {
    apps.iter().map(|app| render_app(app, columns)).collect::<Vec<_>>().join("\n")
}

fn render_app(app: &AppStatus, columns: usize) -> String {
    let measured = app.measured_at.map(|time| format!(", measured at {}", time.strftime("%H:%M:%SZ")));
    let mut blocks = vec![format!("{}{}\n", headline(app), measured.unwrap_or_default())];
    blocks.push(table(
        ["COMPONENT", "REQ/S", "P99", "READY/DESIRED", "REASON"],
        app.components.iter().map(component_row),
        columns,
    ));
    blocks.push(table(
        ["COMPONENT", "METRIC", "ASKS FOR", "TARGET", "VALUE"],
        app.components
            .iter()
            .flat_map(|component| component.metrics.iter().map(|metric| metric_row(component, metric))),
        columns,
    ));
    blocks.push(table(
        ["CONDITION", "STATUS", "REASON", "MESSAGE"],
        app.deviations.iter().map(|deviation| {
            let status = format!("{:?}", deviation.status);
            [deviation.type_.clone(), status, deviation.reason.clone(), deviation.message.clone()]
        }),
        columns,
    ));
    blocks.push(table(
        ["OVERRIDE", "STATE", "BY", "UNTIL", "REASON"],
        app.overrides.iter().map(|one| {
            let state = if one.state.is_empty() { missing() } else { one.state.clone() };
            [one.name.clone(), state, one.by.clone(), time(one.until), one.reason.clone()]
        }),
        columns,
    ));
    blocks.push(table(
        ["DECIDED AT", "COMPONENT", "REPLICAS", "REASON"],
        app.decisions.iter().map(decision_row),
        columns,
    ));
    blocks.push(app.notes.iter().map(|note| broken(note, columns).join("\n") + "\n").collect());
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n")
}

/// A line for each thing that differs between two looks at an app: decisions, replicas, health, notes.
///
/// `decisions` are those that are new, the oldest first; `now` is when the second look was taken.
#[must_use]
pub fn changes(before: &AppStatus, after: &AppStatus, decisions: &[Decision], now: Timestamp) -> Vec<String> {
    let mut lines: Vec<String> = decisions.iter().map(|decision| decision_row(decision).join(GAP)).collect();
    let now = time(now);
    for component in &after.components {
        let known = before.components.iter().find(|known| known.name == component.name);
        if known.is_none_or(|known| (known.ready, known.desired) != (component.ready, component.desired)) {
            lines.push(format!("{now}  {}  {} ready", component.name, replicas(component)));
        }
    }
    if after.health != before.health {
        lines.push(format!("{now}  {}", headline(after)));
    }
    let new_notes = after.notes.iter().filter(|note| !before.notes.contains(note));
    lines.extend(new_notes.map(|note| format!("{now}  {note}")));
    lines.iter().map(|line| printable(line)).collect()
}

fn headline(app: &AppStatus) -> String {
    let health = match app.health {
        Health::Ready => "ready",
        Health::NotReady => "not ready",
        Health::Stalled => "stalled",
    };
    printable(&format!("{}/{} is {health}", app.namespace, app.name))
}

fn component_row(component: &Component) -> [String; 5] {
    let reason = if component.reason.is_empty() { "no decision yet" } else { &component.reason };
    [
        component.name.clone(),
        component.request_rate.map_or_else(missing, |rate| format!("{rate:.1}")),
        component.p99.map_or_else(missing, latency),
        replicas(component),
        reason.to_owned(),
    ]
}

fn metric_row(component: &Component, metric: &LiveMetric) -> [String; 5] {
    let asks = metric.proposal.map_or_else(missing, |replicas| replicas.to_string());
    let doubt = if metric.quality == "Fresh" { String::new() } else { format!(" ({})", metric.quality) };
    let value = format!("{}{doubt}", metric.value);
    [component.name.clone(), metric.name.clone(), asks, metric.target.clone(), value]
}

fn decision_row(decision: &Decision) -> [String; 4] {
    [
        time(decision.time),
        decision.component.clone(),
        format!("{} -> {}", decision.from, decision.to),
        reason(decision),
    ]
}

/// The numbers that a decision stands on, and its sentence.
#[must_use]
pub fn reason(decision: &Decision) -> String {
    let sentences = decision.evidence.iter().chain([&decision.message]);
    sentences.map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn replicas(component: &Component) -> String {
    format!("{}/{}", component.ready, component.desired)
}

/// Absent is not zero, so it does not look like zero.
pub(crate) fn missing() -> String {
    "-".to_owned()
}

fn latency(seconds: f64) -> String {
    if seconds < 0.01 {
        format!("{:.1} ms", seconds * 1e3)
    } else if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

pub(crate) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Columns as wide as their widest cell, but for the last, which is a sentence; nothing at all without rows.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    columns: usize,
) -> String {
    let mut lines = vec![header.map(str::to_owned)];
    // The last cell is a sentence, whose words are made printable as it is broken.
    lines.extend(rows.map(|mut row| {
        row[..N - 1].iter_mut().for_each(|cell| *cell = printable(cell));
        row
    }));
    if lines.len() == 1 {
        return String::new();
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N - 1).map(width).collect();
    let indent = widths.iter().map(|width| width + GAP.len()).sum();
    let mut text = String::new();
    for line in &lines {
        for (cell, width) in line.iter().zip(&widths) {
            text.push_str(&format!("{cell:<width$}{GAP}"));
        }
        let sentence = broken(&line[N - 1], columns.saturating_sub(indent));
        text.push_str(sentence.join(&format!("\n{:indent$}", "")).trim_end());
        text.push('\n');
    }
    text
}

/// A sentence as lines of at most that many characters, unless a word is longer.
fn broken(sentence: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(NARROWEST_SENTENCE);
    let mut lines = vec![String::new()];
    for word in sentence.split_whitespace().map(printable) {
        if let Some(line) = lines.last_mut() {
            if line.is_empty() {
                line.push_str(&word);
            } else if line.chars().count() + 1 + word.chars().count() <= columns {
                line.push(' ');
                line.push_str(&word);
            } else {
                lines.push(word);
            }
        }
    }
    lines
}
