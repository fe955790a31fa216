//! The plugin as a process against an API server on loopback: its output and exit codes.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy sees tests only in functions marked as such"
)]

#[path = "plugin/rollout.rs"]
mod rollout;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Answers by path: each path has a list of answers, of which the last one is repeated.
type Script = Vec<(&'static str, Vec<(u16, Value)>)>;
type Answers = Arc<Mutex<BTreeMap<&'static str, VecDeque<(u16, Value)>>>>;

const APPS: &str = "/apis/scalableapp.dev/v1alpha1/namespaces/store/scalableapps";
const ALL_APPS: &str = "/apis/scalableapp.dev/v1alpha1/scalableapps";
const ALL_OVERRIDES: &str = "/apis/scalableapp.dev/v1alpha1/scalingoverrides";
const APP: &str = "/apis/scalableapp.dev/v1alpha1/namespaces/store/scalableapps/shop";
const OVERRIDES: &str = "/apis/scalableapp.dev/v1alpha1/namespaces/store/scalingoverrides";
const HOLD: &str = "/apis/scalableapp.dev/v1alpha1/namespaces/store/scalingoverrides/shop.web.hold";
const CAP: &str = "/apis/scalableapp.dev/v1alpha1/namespaces/store/scalingoverrides/shop.web.replicas";
const PAUSE: &str = "/apis/scalableapp.dev/v1alpha1/namespaces/store/scalingoverrides/shop.pause";
const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const LIVE: &str = "/apis/live.scalableapp.dev/v1alpha1/namespaces/store/scalableapps/shop";

struct ApiServer {
    folder: tempfile::TempDir,
    kubeconfig: PathBuf,
}

impl ApiServer {
    async fn start(script: Script) -> Self {
        let answers = script.into_iter().map(|(path, answers)| (path, answers.into())).collect();
        let router = Router::new().fallback(answer).with_state(Answers::new(Mutex::new(answers)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, router).await });
        Self::at(&format!("http://{address}"))
    }

    fn at(server: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("config");
        let content = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "store"}}]
        });
        std::fs::write(&kubeconfig, content.to_string()).unwrap();
        Self { folder, kubeconfig }
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-scalableapp"));
        command
            .args(arguments.split_whitespace())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &str) -> (i32, String, String) {
        let child = self.command(arguments).output();
        let Output { status, stdout, stderr } =
            tokio::time::timeout(Duration::from_secs(30), child).await.expect("the plugin ends").unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().expect("an exit code"), text(stdout), text(stderr))
    }
}

async fn answer(State(answers): State<Answers>, uri: Uri) -> (StatusCode, String) {
    let mut answers = answers.lock().unwrap();
    let Some(answers) = answers.get_mut(uri.path()) else {
        return (StatusCode::NOT_FOUND, "404 page not found\n".to_owned());
    };
    let (code, body) = if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() };
    // Anything but an object is text, as some refusals of an API server are.
    let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
    (StatusCode::from_u16(code).unwrap(), body)
}

fn refusal(code: u16, reason: &str) -> (u16, Value) {
    let message = format!("refused: {reason}");
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}),
    )
}

fn app(ready: bool, replicas: i32, reason: &str) -> Value {
    json!({
        "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp",
        "metadata": {"name": "shop", "namespace": "store", "generation": 1},
        "spec": {"image": "shop:1", "services": [{"name": "web", "port": 8080}]},
        "status": {
            "observedGeneration": 1,
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }, "observedGeneration": 1,
                "lastTransitionTime": "2026-01-02T03:04:05Z", "reason": "R", "message": "Because."}],
            "components": [{"name": "web", "tier": "service", "desired": replicas, "ready": replicas,
                "lastDecision": {"time": format!("2026-01-02T03:04:{replicas:02}Z"), "from": 1, "to": replicas,
                    "reason": reason, "message": format!("{reason} proposes {replicas}.")}}]
        }
    })
}

/// An app without known components.
fn unseen(conditions: &[Value]) -> Value {
    let mut app = app(false, 1, "R");
    app["status"] = json!({"observedGeneration": 1, "conditions": conditions});
    app
}

fn stalled() -> Value {
    json!({"type": "Stalled", "status": "True", "observedGeneration": 1, "reason": "R",
           "lastTransitionTime": "2026-01-02T03:04:05Z", "message": "web has no image: set one"})
}

fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableAppList", "metadata": {}, "items": items})
}

fn live() -> (u16, Value) {
    (
        200,
        json!({"kind": "LiveApp", "metadata": {"name": "shop", "namespace": "store"}, "observedAt": "2026-01-02T03:05:07Z", "components": [
        {"name": "web", "desired": 2, "ready": 2, "current": 2, "requestRate": 37.5,
         "latency": {"p50": 0.01, "p99": 0.042}, "metrics": [], "reason": "R", "message": "rps proposes 2."}]}),
    )
}

fn forbidden() -> (u16, Value) {
    refusal(403, "Forbidden")
}

#[tokio::test]
async fn a_ready_app_is_shown_with_live_measurements_and_exits_0() {
    let server =
        ApiServer::start(vec![(APPS, vec![(200, list(&[app(true, 2, "Rate")]))]), (LIVE, vec![live()])])
            .await;
    let (code, out, error) = server.run("status").await;
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    let row = "web        37.5   42 ms  2/2            rps proposes 2.";
    assert!(out.contains("store/shop is ready, measured at 03:05:07Z") && out.contains(row), "{out}");
}

#[tokio::test]
async fn an_app_that_is_not_ready_exits_1_with_the_reason() {
    let server =
        ApiServer::start(vec![(APP, vec![(200, app(false, 2, "Rate"))]), (LIVE, vec![live()])]).await;
    let (code, out, _) = server.run("status shop").await;
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("Ready      False   R       Because."), "{out}");
}

#[tokio::test]
async fn why_there_are_no_live_measurements_is_said_and_the_status_is_shown() {
    let text = |code, text: &str| (code, Value::String(text.to_owned()));
    let cases = [
        (forbidden(), "no right to get scalableapps.live.scalableapp.dev in namespace store"),
        (refusal(404, "NotFound"), "the operator has not measured this app yet"),
        (refusal(503, "ServiceUnavailable"), "no replica of the operator leads"),
        (text(404, "404 page not found"), "liveApi.enabled=true"),
        (text(503, "service unavailable"), "kubectl describe apiservice v1alpha1.live.scalableapp.dev"),
        (refusal(500, "InternalError"), "refused: InternalError"),
    ];
    for (answer, sentence) in cases {
        let server =
            ApiServer::start(vec![(APP, vec![(200, app(true, 2, "Rate"))]), (LIVE, vec![answer])]).await;
        let (code, out, _) = server.run("status shop").await;
        assert_eq!(code, 0, "{out}");
        assert!(out.contains("store/shop is ready") && out.contains(sentence), "{out}");
    }
}

#[tokio::test]
async fn a_standby_is_asked_again_until_the_leader_answers() {
    let standby = refusal(503, "ServiceUnavailable");
    let server = ApiServer::start(vec![
        (APP, vec![(200, app(true, 2, "Rate"))]),
        (LIVE, vec![standby.clone(), standby, live()]),
    ])
    .await;
    let (_, out, _) = server.run("status shop").await;
    assert!(out.contains("37.5"), "{out}");
}

/// The object with an escape sequence and a line of its own in each string that the API does not restrict.
fn hostile(mut object: Value) -> Value {
    fn poison(value: &mut Value) {
        const PATTERNED: [&str; 11] = [
            "apiVersion",
            "kind",
            "uid",
            "type",
            "status",
            "tier",
            "time",
            "lastTransitionTime",
            "observedAt",
            "expiresAt",
            "app",
        ];
        match value {
            Value::String(text) => {
                text.push_str("\u{1b}]0;owned\u{7}\u{9b}2J\r\nstore/shop is ready\u{202e}");
            }
            Value::Array(items) => items.iter_mut().for_each(poison),
            Value::Object(fields) => fields
                .iter_mut()
                .filter(|(name, _)| !PATTERNED.contains(&name.as_str()) && *name != "metadata")
                .for_each(|(_, value)| poison(value)),
            _ => {}
        }
    }
    poison(&mut object);
    object
}

#[tokio::test]
async fn nothing_of_others_acts_on_the_terminal_or_makes_a_line_of_its_own() {
    let mut shown = app(false, 2, "Rate");
    let said = |type_: &str, message: &str| {
        json!({"type": type_, "status": "False", "observedGeneration": 1, "lastTransitionTime": "2026-01-02T03:04:05Z",
            "reason": "R", "message": message})
    };
    let missing = [said("MetricsAvailable", "web: cpu: no"), said("Stalled", "web: Because.")];
    shown["status"]["conditions"].as_array_mut().unwrap().extend(missing);
    // Status is an object here, and a string in a condition.
    shown["status"] = hostile(shown["status"].take());
    let mut measured = live().1;
    measured["components"][0]["metrics"] =
        json!([{"name": "rps", "value": "1/s", "target": "2/s", "quality": "Stale"}]);
    let measured = hostile(measured);
    let refused = (422, hostile(refusal(422, "Invalid").1));
    let mut replaced = hostile(hold());
    replaced["spec"]["expiresAt"] = json!("9000-01-01T00:00:00Z");
    let server = ApiServer::start(vec![
        (ALL_APPS, vec![(200, list(std::slice::from_ref(&shown)))]),
        (APP, vec![(200, shown)]),
        (LIVE, vec![(200, measured)]),
        (HOLD, vec![(200, replaced)]),
        (CAP, vec![refused]),
        (OVERRIDES, vec![(200, json!({"metadata": {}, "items": [hostile(hold())]}))]),
    ])
    .await;
    for arguments in [
        "status shop",
        "status shop --watch --timeout 1s",
        "status -A",
        "explain shop",
        "override shop --component web --hold --for 2h --reason test",
        "override shop --component web --max 3 --for 2h --reason test",
        "resume shop",
    ] {
        let (_, out, error) = server.run(arguments).await;
        let text = out + &error;
        assert!(!text.is_empty(), "{arguments}");
        assert!(text.chars().all(|one| one == '\n' || !one.is_control()), "{arguments}: {text:?}");
        assert!(!text.contains('\u{202e}'), "{arguments}: {text:?}");
        assert!(!text.lines().any(|line| line.starts_with("store/shop is ready")), "{arguments}: {text}");
    }
}

#[tokio::test]
async fn a_watch_appends_a_line_for_each_decision_and_ends_when_ready() {
    let looks = vec![(200, app(false, 2, "Rate")), (200, app(false, 5, "Rate")), (200, app(true, 5, "Rate"))];
    let server = ApiServer::start(vec![(APP, looks), (LIVE, vec![forbidden()])]).await;
    let (code, out, _) = server.run("status shop --watch --timeout 20s").await;
    assert_eq!(code, 0, "{out}");
    let line = "2026-01-02 03:04:05Z  store/shop web  1 -> 5  Rate proposes 5.";
    assert_eq!(out.matches(line).count(), 1, "{out}");
    assert!(out.trim_end().ends_with("store/shop is ready"), "{out}");
}

#[tokio::test]
async fn a_watch_that_is_not_ready_in_time_exits_2() {
    let server =
        ApiServer::start(vec![(APP, vec![(200, app(false, 2, "Rate"))]), (LIVE, vec![forbidden()])]).await;
    let (code, out, _) = server.run("status shop --watch --timeout 1s").await;
    assert_eq!(code, 2, "{out}");
}

/// The app while an image cannot be pulled.
fn bad_image() -> Value {
    let mut app = app(false, 2, "Rate");
    let ready = &mut app["status"]["conditions"][0];
    (ready["reason"], ready["message"]) =
        (json!("ImagePullFailed"), json!("web: image shop:1 cannot be pulled"));
    app
}

#[tokio::test]
async fn a_watch_that_runs_out_of_time_says_what_was_waited_for() {
    let watch = async |looks| {
        let server = ApiServer::start(vec![(APP, looks), (LIVE, vec![forbidden()])]).await;
        server.run("status shop --watch --timeout 6s").await
    };
    let failing = vec![(200, bad_image()), refusal(500, "InternalError")];
    let ((code, _, error), (failed, _, why)) = tokio::join!(watch(vec![(200, bad_image())]), watch(failing));
    let sentence = "timed out: store/shop is not ready: ImagePullFailed: web: image shop:1 cannot be pulled";
    assert_eq!((code, error), (2, format!("error: {sentence}\n")));
    let is_old = why.contains("ImagePullFailed");
    assert!(failed == 2 && why.contains("refused: InternalError") && !is_old, "{why}");
}

#[tokio::test]
async fn a_watch_with_a_timeout_ends_at_once_when_waiting_does_not_help() {
    let mut stuck = bad_image();
    stuck["status"]["conditions"].as_array_mut().unwrap().push(stalled());
    let server = ApiServer::start(vec![(APP, vec![(200, stuck)]), (LIVE, vec![forbidden()])]).await;
    let (code, _, error) = server.run("status shop --watch --timeout 1h").await;
    let sentence = "error: store/shop is stalled: R: web has no image: set one\n";
    assert_eq!((code, error.as_str()), (1, sentence));
}

#[tokio::test]
async fn a_timeout_counts_while_the_api_server_does_not_answer_and_may_be_as_long_as_anybody_likes() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = ApiServer::at(&format!("http://{}", silent.local_addr().unwrap()));
    let (code, _, error) = server.run("status shop --watch --timeout 1s").await;
    assert_eq!((code, error.as_str()), (2, "error: timed out: the API server has not answered\n"));
    let server = ApiServer::start(vec![(APP, vec![(200, app(true, 2, "Rate"))]), (LIVE, vec![live()])]).await;
    let (code, _, error) = server.run("status shop --watch --timeout 9223372036854775807s").await;
    assert_eq!((code, error.as_str()), (0, ""));
}

#[tokio::test]
async fn nobody_who_reads_the_output_is_no_error_and_ends_no_act_half_way() {
    let mut pause = hold();
    pause["metadata"]["name"] = json!("shop.pause");
    let server = ApiServer::start(vec![
        (APPS, vec![(200, list(&[app(true, 2, "Rate")]))]),
        (APP, vec![(200, app(true, 2, "Rate"))]),
        (LIVE, vec![live()]),
        (OVERRIDES, vec![(200, json!({"metadata": {}, "items": [hold(), pause]}))]),
        (HOLD, vec![(200, hold())]),
        (PAUSE, vec![refusal(403, "Forbidden")]),
    ])
    .await;
    for (arguments, ends) in [
        ("status", (Some(141), "")),
        ("status -o json", (Some(141), "")),
        ("status --watch", (Some(141), "")),
        ("explain shop", (Some(141), "")),
        ("resume shop", (Some(3), "ask for the ClusterRole 'edit'")),
        ("--help", (Some(0), "")),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = server.command(arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(30), child.wait_with_output()).await;
        let Output { status, stderr, .. } = ended.expect("the plugin ends").unwrap();
        let error = String::from_utf8(stderr).unwrap();
        let (code, sentence) = ends;
        assert_eq!((status.code(), error.is_empty()), (code, sentence.is_empty()), "{arguments}: {error}");
        assert!(error.contains(sentence), "{arguments}: {error}");
    }
}

#[tokio::test]
async fn an_error_that_nobody_reads_is_still_an_exit_code() {
    let server = ApiServer::start(vec![]).await;
    for stream in ["stdout", "stderr"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = server.command("status shop");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let command = if stream == "stdout" { command.stdout(writer) } else { command.stderr(writer) };
        assert_eq!(command.status().await.unwrap().code(), Some(3), "{stream}");
    }
}

#[tokio::test]
async fn every_namespace_is_listed_with_its_measurements_and_its_overrides() {
    let mut other = app(false, 1, "Rate");
    (other["metadata"]["namespace"], other["metadata"]["name"]) = (json!("stage"), json!("blog"));
    let mut act = hold();
    act["spec"]["expiresAt"] = json!("9000-01-01T00:00:00Z");
    let server = ApiServer::start(vec![
        (ALL_APPS, vec![(200, list(&[app(true, 2, "Rate"), other]))]),
        (ALL_OVERRIDES, vec![(200, json!({"metadata": {}, "items": [act]}))]),
        (LIVE, vec![live()]),
    ])
    .await;
    for arguments in ["status -A", "-n elsewhere status --all-namespaces", "status -A --watch --timeout 6s"] {
        let (code, out, _) = server.run(arguments).await;
        assert_eq!(code, if arguments.contains("watch") { 2 } else { 1 }, "{arguments}: {out}");
        let lines: Vec<String> =
            out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for line in [
            "NAMESPACE APP HEALTH COMPONENT REQ/S P99 READY/DESIRED REASON",
            "stage blog not ready web - - 1/1 Rate proposes 1.",
            "store shop ready web 37.5 42 ms 2/2 rps proposes 2.",
            "stage blog Ready False R Because.",
            "store shop shop.web.hold - jane 9000-01-01 00:00:00Z a test",
        ] {
            assert!(lines.iter().any(|one| one == line), "{arguments}: {line}: {out}");
        }
    }
}

#[tokio::test]
async fn a_watch_outlives_an_api_server_that_fails_for_a_while() {
    let looks = vec![(200, app(true, 2, "Rate")), refusal(500, "InternalError")];
    let server = ApiServer::start(vec![(APP, looks), (LIVE, vec![live()])]).await;
    let mut watch = Command::new(env!("CARGO_BIN_EXE_kubectl-scalableapp"))
        .args(["status", "shop", "--watch", "-o", "json"])
        .env("KUBECONFIG", &server.kubeconfig)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = async || -> Value {
        let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await.expect("a line");
        serde_json::from_str(&line.unwrap().expect("an open pipe")).unwrap()
    };
    assert_eq!(next().await[0]["health"], "Ready");
    let failed = next().await;
    assert_eq!(failed[0]["health"], "NotReady", "an old look does not pass for a current one");
    assert!(failed[0]["notes"][0].as_str().unwrap().contains("InternalError"), "{failed}");
    watch.kill().await.unwrap();
}

#[tokio::test]
async fn each_mistake_exits_3_with_one_sentence_that_says_what_to_do() {
    let not_found = refusal(404, "NotFound");
    let no_such_kind = (404, Value::Null);
    let cases: Vec<(Script, &str, &str)> = vec![
        (
            vec![(APP, vec![not_found.clone()]), (APPS, vec![(200, list(&[app(true, 1, "R")]))])],
            "status shop",
            "the names there are shop",
        ),
        (vec![(APP, vec![not_found]), (APPS, vec![(200, list(&[]))])], "status shop", "there is none"),
        (vec![(APPS, vec![(200, list(&[]))])], "status", "name another namespace with -n"),
        (vec![(APPS, vec![no_such_kind])], "status", "install the chart first"),
        (vec![], "status shop", "install the chart first"),
        (vec![(APPS, vec![forbidden()])], "status", "no right to in namespace store"),
        (vec![(ALL_APPS, vec![forbidden()])], "status -A", "name a namespace with -n"),
        (vec![(ALL_APPS, vec![(200, list(&[]))])], "status -A", "in any namespace"),
        (vec![(APPS, vec![forbidden()])], "status -n store", "no right to in namespace store"),
        (vec![(APPS, vec![forbidden()])], "-n store status", "no right to in namespace store"),
        (vec![(APPS, vec![refusal(401, "Unauthorized")])], "status", "renew them"),
        (
            vec![(APP, vec![(200, unseen(&[]))])],
            "explain shop",
            "explain shop: the operator has not seen it yet",
        ),
        (vec![(APP, vec![(200, unseen(&[]))])], "explain shop web", "the operator has not seen it yet"),
        (
            vec![(APP, vec![(200, unseen(&[stalled()]))])],
            "explain shop",
            "explain shop: web has no image: set one",
        ),
        (vec![], "status --kubeconfig /nowhere", "correct it, or pass another"),
        (vec![], "status --context nowhere", "correct it, or pass another"),
    ];
    for (answers, arguments, sentence) in cases {
        let server = ApiServer::start(answers).await;
        let (code, out, error) = server.run(arguments).await;
        assert_eq!((code, out.as_str()), (3, ""), "{arguments}: {error}");
        assert!(error.contains(sentence) && error.lines().count() == 1, "{arguments}: {error}");
    }
}

#[tokio::test]
async fn a_decision_is_explained_stage_by_stage() {
    let mut explained = app(true, 2, "Rate");
    let decision = &mut explained["status"]["components"][0]["lastDecision"];
    decision["proposals"] = json!([{"metric": "rps", "value": "89/s per replica", "target": "50/s per replica", "replicas": 2},
               {"metric": "cpu", "value": "absent: no sample", "target": "70 %"}]);
    decision["stages"] = json!([{"name": "evidence", "effect": "1 of 2 metrics can be evaluated; not cpu"},
                                {"name": "recommendation", "effect": "2 recommended by rps"}]);
    explained["status"]["components"][0]["memory"] = json!({"secondsToUseful": 40});
    let server = ApiServer::start(vec![(APP, vec![(200, explained)])]).await;
    let (code, out, error) = server.run("explain shop web").await;
    assert_eq!((code, error.as_str()), (0, ""));
    insta::assert_snapshot!(out);
    let (_, json, _) = server.run("explain shop -o json").await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["web"]["stages"][1]["effect"], "2 recommended by rps");
    let (code, _, error) = server.run("explain shop api").await;
    assert_eq!(
        (code, error.as_str()),
        (3, "error: failed to find component api of shop: its components are web\n")
    );
}

fn slow_query() -> Value {
    json!({
        "verdict": "DatabaseSlow", "component": "main", "advice": "Query", "since": "2026-01-02T03:00:00Z",
        "message": "main: Queries take longer, so they hold their connections longer.", "step": "Add an index.",
        "confidence": 0.8, "held": ["web"], "historySeconds": 1800.0,
        "evidence": [{"component": "main", "measure": "query_seconds", "normal": 0.01, "atBegin": 0.3, "now": 0.28,
            "query": "sum(rate(db_client_operation_duration_seconds_sum[1m]))"}],
        "headroom": [{"component": "web", "freeShare": 0.6, "until": "2026-01-02T04:00:00Z"},
            {"component": "api", "freeShare": 0.0, "until": null}],
    })
}

#[tokio::test]
async fn a_bottleneck_is_shown_with_its_numbers_and_their_queries() {
    let (_, mut live) = live();
    live["diagnosis"] = slow_query();
    let script = vec![(APP, vec![(200, app(true, 2, "Rate"))]), (LIVE, vec![(200, live)])];
    let server = ApiServer::start(script).await;
    let (code, out, error) = server.run("diagnose shop").await;
    assert_eq!((code, error.as_str()), (0, ""));
    let words: Vec<&str> = out.split_whitespace().collect();
    let shown = words.join(" ");
    for part in [
        "shop: DatabaseSlow of main, since 2026-01-02 03:00:00Z, confidence 80 %",
        "query_seconds main 0.01 0.3 0.28",
        "query_seconds sum(rate(db_client_operation_duration_seconds_sum[1m]))",
        "web 60 % of maxReplicas 2026-01-02 04:00:00Z api 0 % of maxReplicas -",
        "No replica is added because requests wait: web.",
    ] {
        assert!(shown.contains(part), "{part}: {out}");
    }
    let (_, json, _) = server.run("diagnose shop -o json").await;
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), slow_query());
}

#[tokio::test]
async fn without_live_measurements_a_bottleneck_is_that_of_the_status_or_an_error() {
    let mut slow = app(true, 2, "Rate");
    slow["status"]["bottleneck"] = json!({"component": "main", "cause": "DatabaseSlow", "advice": "Query",
        "since": "2026-01-02T03:00:00Z", "message": "main: Queries take longer."});
    let server = ApiServer::start(vec![(APP, vec![(200, slow)]), (LIVE, vec![forbidden()])]).await;
    let (code, out, _) = server.run("diagnose shop").await;
    assert_eq!(code, 0);
    let head = "shop: DatabaseSlow of main, since 2026-01-02 03:00:00Z\nmain: Queries take longer.\n";
    assert!(out.starts_with(head) && out.contains("ask for the ClusterRole 'view'"), "{out}");
    let script = vec![(APP, vec![(200, app(true, 2, "Rate"))]), (LIVE, vec![forbidden()])];
    let (code, _, error) = ApiServer::start(script).await.run("diagnose shop").await;
    assert_eq!(code, 3);
    assert!(error.starts_with("error: failed to diagnose shop: its status names no bottleneck"), "{error}");
}

#[tokio::test]
async fn a_missing_metric_is_explained_in_no_fewer_words_than_its_condition_has() {
    let cause = "failed to reach Prometheus at p:9090: connection refused";
    let explain = async |message: &str| {
        let mut app = app(true, 2, "Rate");
        app["status"]["components"][0]["lastDecision"]["proposals"] = json!([
            {"metric": "cpu", "value": "absent: no sample", "target": "70 %", "reason": "MetricAbsent"},
            {"metric": "cpu-2", "value": "1", "target": "2"},
        ]);
        app["status"]["conditions"].as_array_mut().unwrap().push(json!(
            {"type": "MetricsAvailable", "status": "False", "observedGeneration": 1, "reason": "MetricAbsent",
             "lastTransitionTime": "2026-01-02T03:04:05Z", "message": message}));
        ApiServer::start(vec![(APP, vec![(200, app)])]).await.run("explain shop").await.1
    };
    let out = explain(&format!("web: cpu: {cause}")).await;
    let beside = format!("absent: no sample (MetricAbsent); MetricsAvailable is False: {cause}\n");
    assert!(out.contains(&beside) && out.matches(cause).count() == 1, "{out}");
    let out = explain(&format!("web: memory: {cause}")).await;
    assert!(out.contains(&format!("\nMetricsAvailable is False: memory: {cause}\n")), "{out}");
    let out = explain(&format!("webshop: cpu: {cause}")).await;
    assert!(!out.contains(cause), "that is another component: {out}");
}

fn hold() -> Value {
    json!({"apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalingOverride",
        "metadata": {"name": "shop.web.hold", "namespace": "store", "uid": "1"},
        "spec": {"app": "shop", "component": "web", "expiresAt": "2026-01-02T03:04:05Z", "by": "jane",
                 "reason": "a test", "hold": {}}})
}

#[tokio::test]
async fn an_override_is_applied_and_ended_in_words() {
    let server = ApiServer::start(vec![
        (APP, vec![(200, app(true, 2, "Rate"))]),
        (WHO, vec![(201, json!({"status": {"userInfo": {"username": "jane"}}}))]),
        (HOLD, vec![refusal(404, "NotFound"), (200, hold())]),
        (OVERRIDES, vec![(200, json!({"metadata": {}, "items": [hold()]}))]),
    ])
    .await;
    let (code, out, error) = server.run("override shop --component web --hold --for 2h --reason test").await;
    assert_eq!((code, error.as_str()), (0, ""));
    let end = "end it with: kubectl scalableapp resume shop -n store";
    assert!(out.starts_with("scalingoverride shop.web.hold applied, until ") && out.contains(end), "{out}");
    assert_eq!(out.lines().count(), 1, "nothing was there before: {out}");
    let (code, out, error) = server.run("resume shop").await;
    let ended = "scalingoverride shop.web.hold ended; it was by jane until 2026-01-02T03:04:05Z: a test\n";
    assert_eq!((code, out.as_str(), error.as_str()), (0, ended, ""));
}

/// A time that the API server accepts and that cannot be parsed here.
const NEVER: &str = "9999-12-31T23:59:59Z";

#[tokio::test]
async fn an_override_that_cannot_be_read_is_ended_like_any_other() {
    let one = |name: &str, app: &str| {
        json!({"metadata": {"name": name, "uid": name, "managedFields": [{"time": NEVER}]},
            "spec": {"app": app, "hold": {}, "by": "jane", "reason": "a test", "expiresAt": NEVER}})
    };
    let overrides = json!({"items": [one("shop.web.hold", "shop"), one("other", "blog")]});
    let script = vec![
        (APP, vec![(200, app(true, 2, "R"))]),
        (OVERRIDES, vec![(200, overrides)]),
        (HOLD, vec![(200, one("shop.web.hold", "shop"))]),
    ];
    let (code, out, error) = ApiServer::start(script).await.run("resume shop").await;
    let ended = format!("scalingoverride shop.web.hold ended; it was by jane until {NEVER}: a test\n");
    assert_eq!((code, out, error.as_str()), (0, ended, ""));
}

#[tokio::test]
async fn one_app_that_cannot_be_read_is_named_and_hides_no_other() {
    let mut unreadable = app(true, 2, "R");
    (unreadable["metadata"]["name"], unreadable["spec"]["services"]) = (json!("blog"), json!("web"));
    let mut shop = app(true, 2, "R");
    shop["metadata"]["managedFields"] = json!([{"time": NEVER}]);
    let apps = json!({"metadata": {}, "items": [unreadable, shop]});
    let server = ApiServer::start(vec![(APPS, vec![(200, apps)])]).await;
    let (code, out, error) = server.run("status").await;
    let sentence = "This ScalableApp cannot be read: ";
    assert!(out.contains("\nstore/shop is ready") && out.starts_with("store/blog is stalled"), "{out}");
    assert!(out.contains(sentence), "{out}");
    assert_eq!((code, error.as_str()), (1, ""), "not every app is ready");
    let (code, _, error) = server.run("status --watch --timeout 1h").await;
    let start = format!("error: store/blog is stalled: {sentence}");
    assert!(code == 1 && error.starts_with(&start) && error.lines().count() == 1, "{error}");
}

#[tokio::test]
async fn an_override_that_takes_the_place_of_another_says_so() {
    let cap = |end: &str| {
        let mut cap = hold();
        cap["metadata"]["name"] = json!("shop.web.replicas");
        cap["spec"]["expiresAt"] = json!(end);
        cap["spec"]["replicas"] = json!({"max": 3});
        cap["spec"].as_object_mut().unwrap().remove("hold");
        (200, cap)
    };
    let server = ApiServer::start(vec![
        (APP, vec![(200, app(true, 2, "Rate"))]),
        (CAP, vec![cap("9000-01-01T00:00:00Z"), cap("9000-01-01T00:00:00Z"), cap("2026-01-01T00:00:00Z")]),
    ])
    .await;
    let act = "override shop --component web --max 5 --for 1h --reason test";
    let (code, out, error) = server.run(act).await;
    assert_eq!((code, error.as_str()), (0, ""));
    let replaced = "\nit replaces the replicas --max 3 of jane until 9000-01-01 00:00:00Z: a test\n";
    assert!(out.contains("shop.web.replicas applied") && out.ends_with(replaced), "{out}");
    let (_, out, _) = server.run(act).await;
    assert!(!out.contains("replaces"), "that one had ended: {out}");
}

#[tokio::test]
async fn an_override_that_cannot_be_is_refused_in_words() {
    let script = || vec![(APP, vec![(200, app(true, 2, "Rate"))]), (HOLD, vec![forbidden()])];
    for (arguments, sentence) in [
        ("override shop --for 2h --reason test", "--hold"),
        ("override shop --exact 3 --min 2 --for 2h --reason test", "cannot be used with"),
        ("override shop --exact -1 --for 2h --reason test", "--exact"),
        ("override shop --min 0 --for 2h --reason test", "1..=10000"),
        ("override shop --hold --for 2 --reason test", "write it as 90s, 10m or 1h"),
        ("pause shop --for 2h", "--reason"),
        ("pause shop --for 80000000h --reason test", "write a shorter one"),
        ("override shop --component api --hold --for 2h --reason test", "its components are web"),
        ("override shop --component web --hold --for 2h --reason test", "ask for the ClusterRole 'edit'"),
    ] {
        let (code, out, error) = ApiServer::start(script()).await.run(arguments).await;
        assert_eq!((code, out.as_str()), (3, ""), "{arguments}: {error}");
        assert!(error.contains(sentence), "{arguments}: {error}");
    }
}

/// The operator's status of a component without metrics that has more replicas than its maximum.
fn decision_record(to: i32) -> String {
    let rules = |window: i32| json!({"stabilization_window_seconds": window, "select_policy": "Max", "policies": [], "tolerance": 0.1});
    let web = json!({
        "workload": {"Service": {"metrics": [], "forecast": null}}, "minReplicas": 1, "maxReplicas": 3,
        "schedules": [], "fallback": null, "behavior": {"scale_up": rules(0), "scale_down": rules(300)},
        "revision": "7c9f8d", "rolling": {"max_surge": {"Percent": 25}, "max_unavailable": {"Pods": 0}},
    });
    let revision = json!({"hash": "7c9f8d", "replicas": 5, "available": 5, "is_target": true});
    let input = json!({
        "now": "2026-01-02T03:04:05Z", "stack": {"components": {"web": web}},
        "state": {"components": {"web": {"revisions": [revision], "existingReplicas": 5}}},
        "evidence": {"maxAge": "PT90S"}, "limits": {}, "memory": {"components": {}},
    });
    let input: scalableapp_engine::record::RecordedInput = serde_json::from_value(input).unwrap();
    let mut decision = scalableapp_engine::decide(&input.as_input()).components["web"].record(input.now);
    decision.to = to;
    let decisions = [("web".to_owned(), decision)].into();
    let record = scalableapp_engine::record::Record::new(("store", "shop"), input, decisions);
    serde_json::to_string(&record).unwrap()
}

#[tokio::test]
async fn recorded_decisions_are_made_once_more() {
    let server = ApiServer::at("http://127.0.0.1:9");
    let file = server.folder.path().join("operator.log");
    let replay = format!("replay {}", file.display());
    std::fs::write(&file, format!("{{\"level\":\"INFO\"}}\n{}\n", decision_record(3))).unwrap();
    let (code, out, _) = server.run(&replay).await;
    assert_eq!((code, out.as_str()), (0, "1 decisions were made once more, 1 of them as recorded\n"));
    std::fs::write(&file, decision_record(4)).unwrap();
    let (code, out, _) = server.run(&replay).await;
    assert_eq!(code, 1, "{out}");
    assert!(out.starts_with("store/shop web at 2026-01-02T03:04:05Z: recorded 5 -> 4"), "{out}");
    let later = decision_record(3).replacen("\"version\":2", "\"version\":3", 1);
    std::fs::write(&file, format!("{}\n{later}\n", decision_record(3))).unwrap();
    let (code, out, _) = server.run(&replay).await;
    assert_eq!(code, 1, "{out}");
    assert!(out.starts_with("line 2: version 3 is later than 2"), "{out}");
    assert!(out.ends_with("1 of them as recorded; 1 records cannot be read\n"), "{out}");
    let damaged = decision_record(3).replacen("\"reason\":\"", "\"reason\":7,\"was\":\"", 1);
    let cut = &decision_record(3)[..300];
    std::fs::write(&file, format!("{damaged}\n2026-01-02T03:04:05Z {}\n{cut}\n", decision_record(3)))
        .unwrap();
    let (code, out, _) = server.run(&replay).await;
    assert_eq!(code, 1, "{out}");
    assert!(out.starts_with("line 1: invalid type: integer `7`") && out.contains("line 3: EOF"), "{out}");
    assert!(out.contains("1 decisions were made once more, 1 of them as recorded; 2 records"), "{out}");
    std::fs::write(&file, "nothing\n").unwrap();
    let (code, _, error) = server.run(&replay).await;
    assert!(code == 3 && error.contains("--decision-records"), "{error}");
}

#[tokio::test]
async fn no_cluster_exits_3_with_one_sentence_that_says_what_to_do() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut server = ApiServer::at(&format!("http://{gone}"));
    let (code, _, error) = server.run("status").await;
    assert!(code == 3 && error.contains("check that it is up") && error.contains("refused"), "{error}");
    server.kubeconfig = server.folder.path().join("missing");
    let (code, _, error) = server.run("status").await;
    assert!(code == 3 && error.contains("set KUBECONFIG"), "{error}");
    let (code, _, error) = server.run("status --timeout 1m").await;
    assert!(code == 3 && error.contains("--watch"), "a wrong command line is no time-out: {error}");
    let (code, out, _) = server.run("--help").await;
    assert!(code == 0 && out.contains("kubectl scalableapp"), "{out}");
}
