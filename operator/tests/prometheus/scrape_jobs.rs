//! The limits of the chart's scrape jobs for a target.

use serde_json::Value;

fn jobs() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/scalableapp/files/prometheus.yaml");
    let config: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    config["scrape_configs"].as_array().unwrap().clone()
}

#[test]
fn no_target_sends_prometheus_elsewhere_or_names_another_apps_series() {
    for job in jobs() {
        assert_eq!((&job["follow_redirects"], &job["honor_labels"]), (&false.into(), &false.into()), "{job}");
    }
}

#[test]
fn no_target_takes_the_memory_that_all_share() {
    for job in jobs() {
        let limits = ["sample_limit", "label_limit", "label_name_length_limit", "label_value_length_limit"];
        assert!(limits.iter().all(|limit| job[limit].as_u64().is_some_and(|limit| limit > 0)), "{job}");
        assert!(job["body_size_limit"].is_string(), "{job}");
    }
}

#[test]
fn targets_without_the_labels_of_an_app_and_a_component_are_dropped() {
    let jobs = jobs();
    let rules = jobs[0]["relabel_configs"].as_array().unwrap();
    let labels =
        ["app", "component"].map(|label| format!("__meta_kubernetes_pod_label_scalableapp_dev_{label}"));
    let keeps = |rule: &&Value| {
        rule["source_labels"] == serde_json::json!(labels)
            && rule["action"] == "keep"
            && rule["regex"] == ".+;.+"
    };
    assert_eq!(rules.iter().filter(keeps).count(), 1);
}
