//! Statuses as text for people. Pure.

use jiff::Timestamp;
use scalableapp_crds::{LiveBacklog, LiveMetric, RolloutStatus, condition_type};

use crate::printable::printable;
use crate::status::{AppStatus, Component, Decision, Deviation, Health, Override};

const GAP: &str = "  ";
/// Sentences are not wrapped at less than this many characters, however narrow the terminal is.
const NARROWEST_SENTENCE: usize = 20;

/// All apps: each with its components, bad conditions, and last decisions.
///
/// Sentences are wrapped at `columns` characters.
#[must_use]
pub fn render(apps: &[AppStatus], columns: usize) -> String {
    apps.iter().map(|app| render_app(app, columns)).collect::<Vec<_>>().join("\n")
}

fn render_app(app: &AppStatus, columns: usize) -> String {
    let measured = app.measured_at.map(|time| format!(", measured at {}", time.strftime("%H:%M:%SZ")));
    let mut blocks = vec![format!("{}{}\n", headline(app), measured.unwrap_or_default())];
    blocks.push(table(
        ["COMPONENT", "REQ/S", "P99", "READY/DESIRED", "REASON"],
        app.components.iter().map(|component| component_row(app, component)),
        columns,
    ));
    blocks.push(table(
        ["ROLLOUT", "REVISION", "STEP", "WEIGHT", "WHY"],
        app.components.iter().filter_map(canary_row),
        columns,
    ));
    let pools = app.components.iter().filter_map(|component| Some((component, component.backlog?)));
    blocks.push(table(
        ["WORKERS", "WAITING", "OLDEST", "IN FLIGHT", "DRAINING"],
        pools.map(|(component, backlog)| backlog_row(component, backlog)),
        columns,
    ));
    blocks.push(table(
        ["CACHE", "SHARDS", "HIT RATIO", "EVICTED/S", "MEMORY"],
        app.components.iter().filter_map(cache_row),
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
        condition_rows(&app.deviations),
        columns,
    ));
    blocks.push(table(
        ["OVERRIDE", "STATE", "BY", "UNTIL", "REASON"],
        app.overrides.iter().map(override_row),
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

/// A line for each difference between two states of an app: decisions, replicas, health, notes. Each names the app.
///
/// `decisions` are the new ones, the oldest first; `now` is the time of the second state.
#[must_use]
pub fn changes(before: &AppStatus, after: &AppStatus, decisions: &[Decision], now: Timestamp) -> Vec<String> {
    let app = name(after);
    let decided = |decision: &Decision| {
        let [time, component, replicas, reason] = decision_row(decision);
        [time, format!("{app} {component}"), replicas, reason].join(GAP)
    };
    let mut lines: Vec<String> = decisions.iter().map(decided).collect();
    let now = time(now);
    for component in &after.components {
        let known = before.components.iter().find(|known| known.name == component.name);
        if known.is_none_or(|known| (known.ready, known.desired) != (component.ready, component.desired)) {
            lines.push(format!("{now}  {app} {}  {} ready", component.name, replicas(component)));
        }
    }
    if after.health != before.health {
        lines.push(format!("{now}  {}", headline(after)));
    }
    let new_notes = after.notes.iter().filter(|note| !before.notes.contains(note));
    lines.extend(new_notes.map(|note| format!("{now}  {app}  {note}")));
    lines.iter().map(|line| printable(line)).collect()
}

/// Why an app is not ready, for a watch that has ended.
#[must_use]
pub fn obstacle(app: &AppStatus) -> String {
    let condition = |type_: &str| {
        let deviation = app.deviations.iter().find(|deviation| deviation.type_ == type_)?;
        Some(format!("{}: {}", deviation.reason, deviation.message))
    };
    let first_note = || app.notes.first().cloned();
    let why = match app.health {
        Health::Ready => None,
        Health::Stalled => condition(condition_type::STALLED).or_else(first_note),
        Health::NotReady if app.up_to_date => condition(condition_type::READY),
        Health::NotReady => first_note(),
    };
    [Some(headline(app)), why].into_iter().flatten().collect::<Vec<_>>().join(": ")
}

pub(crate) fn name(app: &AppStatus) -> String {
    format!("{}/{}", app.namespace, app.name)
}

fn headline(app: &AppStatus) -> String {
    printable(&format!("{} is {}", name(app), health(app)))
}

pub(crate) fn health(app: &AppStatus) -> &'static str {
    match app.health {
        Health::Ready => "ready",
        Health::NotReady => "not ready",
        Health::Stalled => "stalled",
    }
}

pub(crate) fn component_row(app: &AppStatus, component: &Component) -> [String; 5] {
    let decided = if component.reason.is_empty() { "no decision yet" } else { &component.reason };
    let mut ready = app.deviations.iter().filter(|deviation| deviation.type_ == condition_type::READY);
    let cause = ready.find_map(|ready| ready.message.strip_prefix(&component.name)?.strip_prefix(": "));
    let rest = cause.and_then(|cause| before_cause(decided, cause));
    let reason =
        rest.map_or_else(|| decided.to_owned(), |rest| format!("{rest}, see {}", condition_type::READY));
    [
        component.name.clone(),
        component.request_rate.map_or_else(missing, |rate| format!("{rate:.1}")),
        component.p99.map_or_else(missing, latency),
        replicas(component),
        reason,
    ]
}

/// The rollout of a component; `None` while none is in progress.
fn canary_row(component: &Component) -> Option<[String; 5]> {
    let RolloutStatus { canary, step, steps, weight, message, .. } = component.canary.as_ref()?;
    let (step, weight) = (format!("{step}/{steps}"), format!("{weight}%"));
    Some([component.name.clone(), canary.clone(), step, weight, message.clone()])
}

/// The use of a component's cache; `None` for a component that is none.
fn cache_row(component: &Component) -> Option<[String; 5]> {
    let cache = component.cache?;
    let percent = |ratio: Option<f64>| ratio.map_or_else(missing, |ratio| format!("{:.1}%", ratio * 100.0));
    Some([
        component.name.clone(),
        cache.shards.to_string(),
        percent(cache.hit_ratio),
        format!("{:.1}", cache.evictions_per_second),
        percent(cache.used_memory_ratio),
    ])
}

/// The conditions as rows. A cause that an earlier row gives is not repeated.
pub(crate) fn condition_rows(deviations: &[Deviation]) -> impl Iterator<Item = [String; 4]> {
    deviations.iter().enumerate().map(|(place, one)| {
        let message = deviations.iter().take(place).find_map(|earlier| beside(one, earlier));
        let message = message.unwrap_or_else(|| one.message.clone());
        [one.type_.clone(), format!("{:?}", one.status), one.reason.clone(), message]
    })
}

/// The text of a condition beside another with the same cause; `None` if it has none or another.
fn beside(one: &Deviation, earlier: &Deviation) -> Option<String> {
    if one.message == earlier.message {
        return Some(format!("see {}", earlier.type_));
    }
    let (component, cause) = earlier.message.split_once(": ")?;
    let rest = before_cause(&one.message, cause)?;
    rest.starts_with(&format!("{component}: ")).then(|| format!("{rest}, see {}", earlier.type_))
}

/// The part of a sentence before `: CAUSE`.
fn before_cause<'a>(sentence: &'a str, cause: &str) -> Option<&'a str> {
    sentence.strip_suffix(cause)?.strip_suffix(": ")
}

pub(crate) fn override_row(one: &Override) -> [String; 5] {
    let state = if one.state.is_empty() { missing() } else { one.state.clone() };
    [one.name.clone(), state, one.by.clone(), time(one.until), one.reason.clone()]
}

fn metric_row(component: &Component, metric: &LiveMetric) -> [String; 5] {
    let asks = metric.proposal.map_or_else(missing, |replicas| replicas.to_string());
    let doubt = if metric.quality == "Fresh" { String::new() } else { format!(" ({})", metric.quality) };
    let value = format!("{}{doubt}", metric.value);
    [component.name.clone(), metric.name.clone(), asks, metric.target.clone(), value]
}

fn backlog_row(component: &Component, backlog: LiveBacklog) -> [String; 5] {
    let LiveBacklog { waiting, running, oldest_seconds, draining } = backlog;
    [
        component.name.clone(),
        format!("{waiting:.0}"),
        format!("{oldest_seconds:.0} s"),
        running.map_or_else(missing, |running| format!("{running:.0}")),
        draining.to_string(),
    ]
}

fn decision_row(decision: &Decision) -> [String; 4] {
    [
        time(decision.time),
        decision.component.clone(),
        format!("{} -> {}", decision.from, decision.to),
        reason(decision),
    ]
}

/// The measurements of a decision, and its sentence.
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

/// Columns as wide as their widest cell, except the last, which is a sentence; empty without rows.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    columns: usize,
) -> String {
    let mut lines = vec![header.map(str::to_owned)];
    // The last cell is a sentence, whose words are made printable when it is wrapped.
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

/// A sentence in lines of at most this many characters, unless a word is longer.
pub(crate) fn broken(sentence: &str, columns: usize) -> Vec<String> {
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
