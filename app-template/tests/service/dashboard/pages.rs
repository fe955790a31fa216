//! What the README and the guide say of series and variables. Pure.

use std::collections::BTreeSet;

use regex::Regex;

use super::series::{Series, TARGET};

/// A row of the README's table of metrics.
pub(super) struct Documented {
    series: Vec<String>,
    labels: BTreeSet<String>,
    /// The values of a label that it names, and the label.
    values: Vec<(String, Vec<String>)>,
    meaning: String,
}

/// The rows of the table of metrics.
pub(super) fn documented(readme: &str) -> Vec<Documented> {
    let table = readme.split("\n## Metrics\n").nth(1).unwrap();
    let rows = table.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    rows.take_while(|line| line.starts_with('|'))
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [series, labels, meaning] = cells[..] else { panic!("not three cells: {row}") };
            // What stands in brackets are the values of the label before.
            let values = Regex::new(r" \(([^)]*)\)").unwrap();
            let with_values = Regex::new(r"`(\w+)` \(([^)]*)\)").unwrap();
            let owned = |text: &str| words(text).map(str::to_owned).collect::<Vec<_>>();
            Documented {
                series: owned(series),
                labels: owned(&values.replace_all(labels, "")).into_iter().collect(),
                values: with_values
                    .captures_iter(labels)
                    .map(|found| (found[1].to_owned(), owned(&found[2])))
                    .collect(),
                meaning: meaning.to_owned(),
            }
        })
        .collect()
}

/// The series that the table says to be the same from every pod.
pub(super) fn same_from_every_pod(documented: &[Documented]) -> BTreeSet<String> {
    let rows = documented.iter().filter(|row| row.meaning.contains("the same from every pod"));
    rows.flat_map(|row| row.series.clone()).collect()
}

/// In what the table and a scrape differ.
pub(super) fn differences(documented: &[Documented], series: &Series) -> Vec<String> {
    let mut faults = Vec::new();
    let mut known = BTreeSet::new();
    for row in documented {
        for name in &row.series {
            let family = |family: &&str| match name.strip_suffix('*') {
                Some(prefix) => family.starts_with(prefix),
                None => family == name,
            };
            let families: Vec<&str> = series.families().into_iter().filter(family).collect();
            if families.is_empty() {
                faults.push(format!("the README describes {name}, and no scrape has it"));
            }
            for family in families {
                let labels: BTreeSet<String> = series.labels(family).into_iter().map(str::to_owned).collect();
                if labels != row.labels {
                    faults
                        .push(format!("{family} has the labels {labels:?}, and the README {:?}", row.labels));
                }
                for (label, values) in &row.values {
                    let there = series.values(family, label);
                    let missing: Vec<&String> =
                        values.iter().filter(|value| !there.contains(value.as_str())).collect();
                    if !missing.is_empty() {
                        faults
                            .push(format!("{family} has {label} {there:?}, and the README also {missing:?}"));
                    }
                }
                known.insert(family);
            }
        }
    }
    let unknown = series.families().into_iter().filter(|family| !known.contains(family));
    faults
        .extend(unknown.map(|family| format!("a scrape has {family}, and the README does not describe it")));
    faults
}

/// The queries of a page: its blocks of `promql`.
pub(super) fn queries(page: &str) -> Vec<String> {
    let blocks = page.split("```promql\n").skip(1);
    let queries: Vec<String> =
        blocks.map(|block| block.split("```").next().unwrap_or_default().trim().to_owned()).collect();
    assert!(!queries.is_empty(), "the page has no queries");
    queries
}

/// Words between backticks that look like a series or a variable and are none.
pub(super) fn unknown_words(page: &str, readme: &str, series: &Series) -> Vec<String> {
    let known = series.families();
    let labels: BTreeSet<&str> =
        known.iter().flat_map(|family| series.labels(family)).chain(TARGET).collect();
    let is_name = |word: &str, letters: fn(&char) -> bool| {
        word.contains('_') && word.chars().all(|letter| letter == '_' || letters(&letter))
    };
    words(page)
        .filter(|word| {
            let is_series = is_name(word, |letter| letter.is_ascii_lowercase());
            let is_variable = is_name(word, |letter| letter.is_ascii_uppercase());
            is_series && !known.contains(word) && !labels.contains(word)
                || is_variable && !readme.contains(&format!("`{word}`"))
        })
        .map(|word| format!("the guide speaks of `{word}`, which neither a scrape nor the README has"))
        .collect()
}

/// What stands between backticks on one line.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}
