//! The alerts of the chart read series that exist, and each has a runbook.
#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

use promql_parser::label::MatchOp;
use promql_parser::parser::{self, Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use scalableapp_crds::condition_type;
use scalableapp_engine::reason;
use scalableapp_operator::runtime::metrics::DESCRIPTIONS;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn alerts() -> Vec<Value> {
    let path = root().join("charts/scalableapp/files/alerts.yaml");
    let rules: Value = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    rules["groups"][0]["rules"].as_array().unwrap().clone()
}

/// The selectors of a query.
#[derive(Default)]
struct Selectors(Vec<VectorSelector>);

impl ExprVisitor for Selectors {
    type Error = ();

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, ()> {
        match expr {
            Expr::VectorSelector(selector) => self.0.push(selector.clone()),
            Expr::MatrixSelector(selector) => self.0.push(selector.vs.clone()),
            _ => {}
        }
        Ok(true)
    }
}

fn selectors() -> Vec<VectorSelector> {
    let mut all = Selectors::default();
    for alert in alerts() {
        walk_expr(&mut all, &parser::parse(alert["expr"].as_str().unwrap()).unwrap()).unwrap();
    }
    all.0
}

/// The sources of a crate, as one text.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { sources(&path) } else { fs::read_to_string(path).unwrap_or_default() })
        .collect()
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let names: BTreeSet<String> =
        alerts().iter().map(|alert| alert["alert"].as_str().unwrap().to_owned()).collect();
    let folder = root().join("docs/runbooks");
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    let pages = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let pages: BTreeSet<String> = pages
        .map(|page| page.file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|page| page != "README")
        .collect();
    assert_eq!(names, pages);
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        assert_eq!(alert["annotations"]["runbook_url"], format!("{name}.md"));
        assert!(index.contains(&format!("[{name}]({name}.md)")), "{name} is not in the index");
        let page = fs::read_to_string(folder.join(format!("{name}.md"))).unwrap();
        for heading in [&format!("# {name}"), "## Meaning", "## Impact", "## Diagnosis", "## Mitigation"] {
            assert!(page.lines().any(|line| line == heading), "{name}: {heading}");
        }
    }
}

#[test]
fn every_alert_says_how_severe_it_is_and_waits() {
    for alert in alerts() {
        assert!(["warning", "critical"].iter().any(|word| alert["labels"]["severity"] == *word), "{alert}");
        assert!(alert["for"].is_string(), "{alert}");
        assert!(alert["annotations"]["summary"].is_string(), "{alert}");
        assert!(alert["annotations"]["description"].is_string(), "{alert}");
    }
}

#[test]
fn every_alert_has_a_unit_test() {
    let tests = fs::read_to_string(root().join("charts/tests/alerts.yaml")).unwrap();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        assert!(tests.contains(&format!("alertname: {name}\n        exp_alerts:\n")), "{name}");
    }
}

#[test]
fn alerts_read_series_that_the_operator_or_the_reference_service_exports() {
    let of_apps = sources(&root().join("app-template/src"));
    for selector in selectors() {
        let name = selector.name.as_deref().unwrap();
        let own = DESCRIPTIONS.iter().find(|metric| metric.name == name);
        assert!(own.is_some() || of_apps.contains(&format!("\"{name}\"")), "nobody exports {name}");
        for matcher in own.iter().flat_map(|_| &selector.matchers.matchers) {
            assert!(own.unwrap().labels.contains(&matcher.name.as_str()), "{name} has no {}", matcher.name);
        }
    }
}

#[test]
fn alerts_name_conditions_and_reasons_that_exist() {
    let types = [
        condition_type::READY,
        condition_type::STALLED,
        condition_type::METRICS_AVAILABLE,
        condition_type::DEPENDENCY_DEGRADED,
        condition_type::SCALING_LIMITED,
    ];
    let mut named = 0;
    for matcher in selectors().into_iter().flat_map(|selector| selector.matchers.matchers) {
        assert!(matches!(matcher.op, MatchOp::Equal | MatchOp::NotEqual | MatchOp::Re(_)));
        for word in matcher.value.split('|') {
            named += 1;
            match matcher.name.as_str() {
                "type" => assert!(types.contains(&word), "{word}"),
                "reason" | "cause" => assert!(reason::all().any(|reason| reason.name == word), "{word}"),
                "status" => assert!(["True", "False", "Unknown"].contains(&word), "{word}"),
                _ => {}
            }
        }
    }
    assert!(named > 5, "{named}");
}
