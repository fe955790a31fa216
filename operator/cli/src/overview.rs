//! Apps of many namespaces as text, in common tables. Pure.

use crate::status::{AppStatus, Component, Deviation, Override};
use crate::view::{broken, component_row, condition_rows, health, missing, name, override_row, table};

/// All apps: their components, bad conditions, overrides, and notes.
///
/// Sentences are wrapped at `columns` characters.
#[must_use]
pub fn render(apps: &[AppStatus], columns: usize) -> String {
    let mut blocks = vec![
        table(
            ["NAMESPACE", "APP", "HEALTH", "COMPONENT", "REQ/S", "P99", "READY/DESIRED", "REASON"],
            apps.iter().flat_map(components),
            columns,
        ),
        table(
            ["NAMESPACE", "APP", "CONDITION", "STATUS", "REASON", "MESSAGE"],
            apps.iter().flat_map(|app| conditions(app, &app.deviations)),
            columns,
        ),
        table(
            ["NAMESPACE", "APP", "OVERRIDE", "STATE", "BY", "UNTIL", "REASON"],
            apps.iter().flat_map(|app| app.overrides.iter().map(|one| of_override(app, one))),
            columns,
        ),
        notes(apps).iter().map(|note| broken(note, columns).join("\n") + "\n").collect(),
    ];
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n")
}

/// An app without components has a row nevertheless.
fn components(app: &AppStatus) -> Vec<[String; 8]> {
    let row = |cells: [String; 5]| {
        let [component, rate, p99, replicas, reason] = cells;
        let (namespace, name, health) = (app.namespace.clone(), app.name.clone(), health(app).to_owned());
        [namespace, name, health, component, rate, p99, replicas, reason]
    };
    let of = |component: &Component| row(component_row(app, component));
    if app.components.is_empty() {
        return vec![row(std::array::from_fn(|_| missing()))];
    }
    app.components.iter().map(of).collect()
}

fn conditions<'a>(app: &'a AppStatus, deviations: &'a [Deviation]) -> impl Iterator<Item = [String; 6]> + 'a {
    condition_rows(deviations).map(|[type_, status, reason, message]| {
        [app.namespace.clone(), app.name.clone(), type_, status, reason, message]
    })
}

fn of_override(app: &AppStatus, one: &Override) -> [String; 7] {
    let [name, state, by, until, reason] = override_row(one);
    [app.namespace.clone(), app.name.clone(), name, state, by, until, reason]
}

/// Each note once: a note on every app has no name.
fn notes(apps: &[AppStatus]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for app in apps {
        for note in &app.notes {
            let is_of_all = apps.len() > 1 && apps.iter().all(|other| other.notes.contains(note));
            let told = if is_of_all { note.clone() } else { format!("{}: {note}", name(app)) };
            if !notes.contains(&told) {
                notes.push(told);
            }
        }
    }
    notes
}
