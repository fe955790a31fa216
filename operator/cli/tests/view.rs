//! The text output, one snapshot for each situation.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy sees tests only in functions marked as such"
)]

use kubectl_scalableapp::live::Unavailable;
use kubectl_scalableapp::overview;
use kubectl_scalableapp::status::AppStatus;
use kubectl_scalableapp::view::{changes, render};
use scalableapp_crds::{LiveApp, LiveCache, ScalableApp, ScalingOverride};
use serde_json::{Value, json};

/// Unlimited width, as for a pipe.
const WIDE: usize = usize::MAX;

fn app(status: &Value) -> ScalableApp {
    serde_json::from_value(json!({
        "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp",
        "metadata": {"name": "shop", "namespace": "store", "generation": 2},
        "spec": {"image": "shop:1", "services": [{"name": "web", "port": 8080}, {"name": "checkout", "port": 8080}]},
        "status": status
    }))
    .expect("a ScalableApp")
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "observedGeneration": 2, "lastTransitionTime": "2026-01-02T03:04:05Z",
           "reason": reason, "message": message})
}

fn decision(time: &str, from: i32, to: i32, reason: &str, message: &str) -> Value {
    let proposals =
        json!([{"metric": "rps", "value": "89/s per replica", "target": "20/s per replica", "replicas": to}]);
    json!({"time": time, "from": from, "to": to, "reason": reason, "message": message, "proposals": proposals})
}

fn scaling_out() -> ScalableApp {
    app(&json!({
        "observedGeneration": 2,
        "conditions": [
            condition("Ready", "True", "UpAsDeclared", "All components are up as declared."),
            condition("ScalingLimited", "True", "MaxReplicas", "web proposes 9 replicas and maxReplicas is 6."),
            condition("MetricsAvailable", "True", "Fresh", "Every metric is fresh.")
        ],
        "components": [
            {"name": "web", "tier": "service", "desired": 6, "ready": 4, "limitedBy": "MaxReplicas",
             "lastDecision": decision("2026-01-02T03:05:00Z", 2, 6, "MetricAboveTarget", "At least one metric is above its target, so more replicas are needed.")},
            {"name": "checkout", "tier": "service", "desired": 1, "ready": 1}
        ]
    }))
}

fn live() -> LiveApp {
    serde_json::from_value(json!({
        "observedAt": "2026-01-02T03:05:07.25Z",
        "components": [
            {"name": "web", "desired": 6, "ready": 5, "current": 6, "requestRate": 178.04,
             "latency": {"p50": 0.011, "p99": 0.2346},
             "metrics": [
                {"name": "rps", "value": "89/s per replica", "target": "20/s per replica", "quality": "Fresh", "proposal": 9},
                {"name": "cpu", "value": "the sample is 95 s old", "target": "70%", "quality": "Stale", "proposal": null}], "reason": "MetricAboveTarget",
             "message": "At least one metric is above its target, so more replicas are needed."},
            {"name": "checkout", "desired": 1, "ready": 1, "current": 1, "requestRate": null, "latency": null,
             "metrics": [], "reason": "", "message": ""}
        ]
    }))
    .expect("the operator's answer")
}

#[test]
fn live_view_shows_measurements_and_what_deviates() {
    let status = AppStatus::new(&scaling_out(), &Ok(live()));
    insta::assert_snapshot!(render(&[status], WIDE));
}

#[test]
fn a_cache_is_shown_with_its_shards_and_hits_and_another_component_is_not() {
    let mut live = live();
    live.components[1].cache = Some(LiveCache {
        shards: 3,
        hit_ratio: Some(0.9512),
        evictions_per_second: 2.54,
        used_memory_ratio: None,
    });
    let text = render(&[AppStatus::new(&scaling_out(), &Ok(live))], WIDE);
    let rows: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("CACHE ")).take(3).collect();
    let header = "CACHE     SHARDS  HIT RATIO  EVICTED/S  MEMORY";
    assert_eq!(rows, [header, "checkout  3       95.1%      2.5        -", ""], "{text}");
}

#[test]
fn a_canary_in_progress_is_a_line_of_the_status_and_no_other_rollout_is() {
    let text = |phase: &str| {
        let mut app = scaling_out();
        let rollout = json!({"phase": phase, "stable": "a1", "canary": "b2", "step": 2, "steps": 3, "weight": 25,
            "message": "It waits for more evidence on errors."});
        app.status.as_mut().expect("a status").components[0].rollout =
            Some(serde_json::from_value(rollout).expect("a rollout"));
        render(&[AppStatus::new(&app, &Ok(live()))], WIDE)
    };
    let shown = text("Progressing");
    let rows: Vec<&str> = shown.lines().skip_while(|line| !line.starts_with("ROLLOUT ")).take(3).collect();
    let header = "ROLLOUT  REVISION  STEP  WEIGHT  WHY";
    assert_eq!(
        rows,
        [header, "web      b2        2/3   25%     It waits for more evidence on errors.", ""],
        "{shown}"
    );
    assert!(!text("Aborted").contains("ROLLOUT ") && !text("Complete").contains("ROLLOUT "));
}

#[test]
fn overrides_that_have_not_ended_are_shown_with_who_made_them_until_when_and_why() {
    let overrides: Vec<ScalingOverride> = serde_json::from_value(json!([
        {"metadata": {"name": "shop.web.replicas", "namespace": "store"},
         "spec": {"app": "shop", "component": "web", "replicas": {"max": 6}, "by": "jane", "reason": "a sale", "expiresAt": "2026-01-02T04:00:00Z"},
         "status": {"conditions": [condition("InForce", "True", "InForce", "acts")]}},
        {"metadata": {"name": "shop.hold", "namespace": "store"},
         "spec": {"app": "shop", "hold": {}, "by": "ci", "reason": "a release", "expiresAt": "2026-01-02T05:00:00Z"}},
        {"metadata": {"name": "ended", "namespace": "store"},
         "spec": {"app": "shop", "hold": {}, "by": "jane", "reason": "a sale", "expiresAt": "2026-01-02T03:00:00Z"}},
        {"metadata": {"name": "of-another-namespace", "namespace": "stage"},
         "spec": {"app": "shop", "hold": {}, "by": "jane", "reason": "a sale", "expiresAt": "2026-01-02T04:00:00Z"}},
        {"metadata": {"name": "of-another", "namespace": "store"},
         "spec": {"app": "other", "hold": {}, "by": "jane", "reason": "a sale", "expiresAt": "2026-01-02T04:00:00Z"}},
    ]))
    .expect("overrides");
    let now = "2026-01-02T03:30:00Z".parse().expect("a time");
    let status = AppStatus::new(&scaling_out(), &Ok(live())).with_overrides(&overrides, now);
    let text = render(&[status], WIDE);
    let rows: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("OVERRIDE")).take(4).collect();
    let bounds = "shop.web.replicas  InForce  jane  2026-01-02 04:00:00Z  a sale";
    let hold = "shop.hold          -        ci    2026-01-02 05:00:00Z  a release";
    assert_eq!(rows[1..], [bounds, hold, ""], "{text}");
}

#[test]
fn a_pause_is_the_reason_of_every_component() {
    let pause = "override act by jane pauses the app until 2026-01-02T04:00:00Z: repair";
    let app = app(&json!({
        "observedGeneration": 2,
        "conditions": [condition("ScalingLimited", "True", "Paused", pause)],
        "components": [{"name": "web", "tier": "service", "desired": 6, "ready": 6,
            "lastDecision": decision("2026-01-02T03:05:00Z", 2, 6, "MetricAboveTarget", "At least one metric is above its target.")}]
    }));
    let status = AppStatus::new(&app, &Err(Unavailable::NoLeader));
    assert_eq!(status.components[0].reason, pause);
}

#[test]
fn without_live_measurements_the_status_is_shown_and_said_to_be_all() {
    let why = Unavailable::Forbidden("store".to_owned());
    let status = AppStatus::new(&scaling_out(), &Err(why));
    insta::assert_snapshot!(render(&[status], WIDE));
}

#[test]
fn a_narrow_terminal_gets_whole_sentences_on_more_lines() {
    let status = AppStatus::new(&scaling_out(), &Err(Unavailable::NoLeader));
    let text = render(&[status], 80);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn an_app_that_no_operator_has_seen_is_said_to_be_so() {
    let unseen = app(&json!({"observedGeneration": -1}));
    insta::assert_snapshot!(render(&[AppStatus::new(&unseen, &Err(Unavailable::NotMeasured))], WIDE));
}

#[test]
fn an_operator_that_answers_is_not_said_to_be_down() {
    let unseen = app(&json!({"observedGeneration": -1}));
    let notes = |live| AppStatus::new(&unseen, &live).notes.join(" ");
    let is_doubted = |notes: String| notes.contains("check that it is running");
    assert!(!is_doubted(notes(Ok(live()))) && !is_doubted(notes(Err(Unavailable::NotMeasured))));
    assert!(is_doubted(notes(Err(Unavailable::NoLeader))));
}

#[test]
fn absent_measurements_do_not_look_like_zero() {
    let mut idle = live();
    idle.components[0].request_rate = Some(0.0);
    idle.components[0].latency = None;
    let text = render(&[AppStatus::new(&scaling_out(), &Ok(idle))], WIDE);
    let row = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).expect("a row");
        line.split_whitespace().take(4).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("web"), ["web", "0.0", "-", "5/6"]);
    assert_eq!(row("checkout"), ["checkout", "-", "-", "1/1"]);
}

/// An app with a bad image: fewer pods than its minimum are ready.
fn below_minimum() -> ScalableApp {
    let cause = "pod shop-web-1 of revision 1: image shop:2 cannot be pulled";
    let short = format!("web: 1 of 2 replicas are ready: {cause}");
    let cause = format!("web: {cause}");
    app(&json!({
        "observedGeneration": 2,
        "conditions": [
            condition("Ready", "False", "ImagePullFailed", &cause),
            condition("Reconciling", "True", "ImagePullFailed", &cause),
            condition("RolloutProgressing", "True", "RollingOut", "web: revision 1 is taking over"),
            condition("ScalingLimited", "True", "ImagePullFailed", &short),
        ],
        "components": [{"name": "web", "tier": "service", "desired": 2, "ready": 1}]
    }))
}

#[test]
fn a_cause_that_several_conditions_give_is_said_once() {
    let mut measured = live();
    measured.components[0].message =
        "2 replicas stay. Only 1 of 2 replicas are ready: pod shop-web-1 of revision 1: image shop:2 cannot be pulled".to_owned();
    let status = AppStatus::new(&below_minimum(), &Ok(measured));
    let text = render(std::slice::from_ref(&status), WIDE);
    assert_eq!(text.matches("cannot be pulled").count(), 1, "{text}");
    insta::assert_snapshot!(text);
    assert_eq!(status.deviations[3].message.matches("cannot be pulled").count(), 1, "JSON is whole");
}

#[test]
fn apps_of_every_namespace_are_rows_with_their_namespace() {
    let mut other = below_minimum();
    (other.metadata.namespace, other.metadata.name) = (Some("stage".into()), Some("blog".into()));
    let mut unseen = app(&json!({"observedGeneration": -1}));
    unseen.metadata.name = Some("cart".into());
    let silent = || Err(Unavailable::NoLeader);
    let overrides: Vec<ScalingOverride> = serde_json::from_value(json!([
        {"metadata": {"name": "held", "namespace": "stage"},
         "spec": {"app": "blog", "hold": {}, "by": "jane", "reason": "a sale", "expiresAt": "2026-01-02T04:00:00Z"}},
    ]))
    .expect("overrides");
    let apps = [other, scaling_out(), unseen]
        .map(|app| AppStatus::new(&app, &silent()).with_overrides(&overrides, jiff::Timestamp::UNIX_EPOCH));
    insta::assert_snapshot!(overview::render(&apps, WIDE));
}

#[test]
fn each_change_between_two_looks_is_a_line() {
    let before = AppStatus::new(&scaling_out(), &Ok(live()));
    let mut after = AppStatus::new(
        &app(&json!({
            "observedGeneration": 2,
            "conditions": [condition("Ready", "False", "PodsNotReady", "4 of 7 pods are ready.")],
            "components": [{"name": "web", "tier": "service", "desired": 7, "ready": 4,
                "lastDecision": decision("2026-01-02T03:06:00Z", 6, 7, "MetricAboveTarget", "rps proposes 7.")}]
        })),
        &Err(Unavailable::NoLeader),
    );
    let new = std::mem::take(&mut after.decisions);
    let now = "2026-01-02T03:06:02Z".parse().expect("a time");
    insta::assert_snapshot!(changes(&before, &after, &new, now).join("\n"));
}

#[test]
fn nothing_changed_is_no_line() {
    let status = AppStatus::new(&scaling_out(), &Ok(live()));
    let mut later = live();
    later.components[0].request_rate = Some(180.0);
    let after = AppStatus::new(&scaling_out(), &Ok(later));
    assert!(changes(&status, &after, &[], jiff::Timestamp::UNIX_EPOCH).is_empty());
}
