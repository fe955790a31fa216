//! `kubectl scalableapp rollout`.

use super::{APP, ApiServer, OVERRIDES, Script, WHO, app, forbidden, refusal};
use serde_json::{Value, json};

const PROMOTE: &str = "/apis/scalableapp.dev/v1alpha1/namespaces/store/scalingoverrides/shop.web.promote";
const HOLD: &str = "/apis/scalableapp.dev/v1alpha1/namespaces/store/scalingoverrides/shop.web.hold-rollout";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/store/deployments";
const LIVE: &str = super::LIVE;

/// An app whose service has a canary with this status.
fn with_canary(rollout: &Value) -> Value {
    let mut app = app(true, 6, "Rate");
    app["spec"]["services"][0]["rollout"] = json!({"canary": {"steps": [{"weight": 25}, {"weight": 50}]}});
    app["status"]["components"][0]["rollout"] = rollout.clone();
    app["status"]["components"][0]["revisions"] = json!([
        {"hash": "b2", "replicas": 2, "ready": 2},
        {"hash": "a1", "replicas": 6, "ready": 6},
    ]);
    app
}

/// The status of a rollout without a canary in progress.
fn ended(phase: &str) -> Value {
    json!({"phase": phase, "stable": "a1", "canary": "b2", "step": 0, "steps": 0, "weight": 0, "message": "It is worse."})
}

fn progressing() -> Value {
    json!({"phase": "Progressing", "stable": "a1", "canary": "b2", "step": 1, "steps": 2, "weight": 25,
        "begun": "2026-01-02T03:04:05Z", "stepBegun": "2026-01-02T03:04:35Z",
        "message": "It waits for more evidence on errors.",
        "rejected": [{"hash": "c3", "message": "The canary is worse in errors: canary 9.00% (90 of 1000), stable 0.10% (1 of 1000)."}]})
}

fn live() -> Value {
    let kind = |kind: &str, canary_bad, stable_bad, is_enough| {
        json!({"kind": kind, "canaryBad": canary_bad, "canaryRequests": 2500.0, "stableBad": stable_bad,
            "stableRequests": 7500.0, "isEnough": is_enough})
    };
    json!({"kind": "LiveApp", "metadata": {"name": "shop", "namespace": "store"}, "observedAt": "2026-01-02T03:05:07Z",
        "components": [{"name": "web", "desired": 6, "ready": 8, "current": 8, "requestRate": 100.0, "latency": null,
            "metrics": [], "reason": "R", "message": "", "rollout": {"podShare": 0.25, "requestShare": 0.2504,
                "verdict": "Hold", "expectedSeconds": 252.0,
                "message": "Not decided yet in errors: canary 0.40% (10 of 2500), stable 0.39% (29 of 7500); expected in 252 s if it is as good.",
                "evidence": [kind("errors", 10.0, 29.0, false), kind("slow requests", 25.0, 80.0, true)]}}]})
}

fn deployments() -> Value {
    let one = |hash: &str, image: &str| {
        json!({"metadata": {"name": format!("shop-web-{hash}"), "labels": {
                "scalableapp.dev/app": "shop", "scalableapp.dev/component": "web", "scalableapp.dev/revision": hash}},
            "spec": {"selector": {}, "template": {"spec": {"containers": [
                {"name": "proxy", "image": "proxy:1"}, {"name": "web", "image": image}]}}}})
    };
    json!({"metadata": {}, "items": [one("a1", "shop:1"), one("b2", "shop:2")]})
}

fn act(kind: &str, act: &Value, condition: Option<(&str, &str)>) -> Value {
    let mut one = json!({"apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalingOverride",
        "metadata": {"name": format!("shop.web.{kind}"), "namespace": "store", "uid": kind},
        "spec": {"app": "shop", "component": "web", "expiresAt": "9000-01-02T03:04:05Z", "by": "jane",
                 "reason": "the errors are known"}});
    one["spec"].as_object_mut().unwrap().extend(act.as_object().unwrap().clone());
    if let Some((reason, message)) = condition {
        one["status"] = json!({"conditions": [{"type": "InForce", "status": "True", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-02T03:04:05Z", "reason": reason, "message": message}]});
    }
    one
}

fn overrides() -> Value {
    let said = "jane promoted revision b2 from step 1 of 3 to step 2";
    let items = [
        act("promote", &json!({"promote": {}}), Some(("Acted", said))),
        act("hold-rollout", &json!({"holdRollout": {}}), None),
        act("hold", &json!({"hold": {}}), None),
    ];
    json!({"metadata": {}, "items": items})
}

fn script(rollout: &Value) -> Script {
    vec![
        (APP, vec![(200, with_canary(rollout))]),
        (LIVE, vec![(200, live())]),
        (DEPLOYMENTS, vec![(200, deployments())]),
        (OVERRIDES, vec![(200, overrides())]),
    ]
}

#[tokio::test]
async fn a_canary_is_shown_with_its_evidence_and_what_people_asked_for() {
    let server = ApiServer::start(script(&progressing())).await;
    let (code, out, error) = server.run("rollout status shop web").await;
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    insta::assert_snapshot!(out);
}

#[tokio::test]
async fn a_canary_is_shown_without_what_cannot_be_read() {
    let script = vec![
        (APP, vec![(200, with_canary(&progressing()))]),
        (DEPLOYMENTS, vec![forbidden()]),
        (LIVE, vec![forbidden()]),
    ];
    let (code, out, error) = ApiServer::start(script).await.run("rollout status shop").await;
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    assert!(out.starts_with("store/shop/web has new revision b2 at step 1 of 2, weight 25%\n"), "{out}");
    assert!(out.contains("It waits for more evidence on errors.\n"), "{out}");
    assert!(out.contains("live measurements are not shown: you have no right"), "{out}");
}

#[tokio::test]
async fn a_watched_rollout_ends_with_the_canary_and_its_exit_code_tells_an_abort() {
    let ends = |end: Value| {
        let mut script = script(&progressing());
        script[0].1.push((200, with_canary(&end)));
        script
    };
    let server = ApiServer::start(ends(ended("Aborted"))).await;
    let (code, out, error) = server.run("rollout status shop --watch").await;
    assert_eq!((code, error.as_str()), (1, ""), "{out}");
    assert!(out.contains("store/shop/web has aborted revision b2\n"), "{out}");
    let server = ApiServer::start(ends(ended("Complete"))).await;
    let (code, out, _) = server.run("rollout status shop --watch -o json").await;
    assert_eq!((code, out.lines().count()), (0, 2), "{out}");
    let server = ApiServer::start(script(&progressing())).await;
    assert_eq!(server.run("rollout status shop --watch --timeout 1s").await.0, 2);
}

#[tokio::test]
async fn an_act_takes_the_place_of_the_earlier_one_as_a_new_object() {
    let server = ApiServer::start(vec![
        (APP, vec![(200, with_canary(&progressing()))]),
        (WHO, vec![(201, json!({"status": {"userInfo": {"username": "jane"}}}))]),
        (PROMOTE, vec![(200, act("promote", &json!({"promote": {}}), None))]),
        (OVERRIDES, vec![(201, act("promote", &json!({"promote": {"full": true}}), None))]),
    ])
    .await;
    let (code, out, error) = server.run("rollout promote shop web --full --reason known").await;
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    let said = "scalingoverride shop.web.promote applied, it counts once; see what becomes of it with: kubectl scalableapp \
                rollout status shop web -n store\nit replaces the promote of jane until 9000-01-02 03:04:05Z: the errors are \
                known\n";
    assert_eq!(out, said);
}

#[tokio::test]
async fn an_act_that_will_find_nothing_says_so_at_once() {
    for (phase, verb, said) in [
        ("Complete", "promote", "web has no rollout in progress"),
        ("Complete", "retry", "the declared revision of web was not aborted"),
        ("Aborted", "promote", "the declared revision of web was aborted: retry it first"),
    ] {
        let act = act(verb, &json!({verb: {}}), None);
        let path: &'static str = if verb == "promote" { PROMOTE } else { RETRY };
        let server = ApiServer::start(vec![
            (APP, vec![(200, with_canary(&ended(phase)))]),
            (path, vec![refusal(404, "NotFound")]),
            (OVERRIDES, vec![(201, act)]),
        ])
        .await;
        let (code, out, error) =
            server.run(&format!("rollout {verb} shop web --reason known --by jane")).await;
        assert_eq!((code, error.as_str()), (0, ""), "{out}");
        assert_eq!(out.lines().nth(1), Some(said), "{out}");
    }
}

const RETRY: &str = "/apis/scalableapp.dev/v1alpha1/namespaces/store/scalingoverrides/shop.web.retry";

#[tokio::test]
async fn a_hold_of_a_canary_ends_by_itself_and_says_how_to_end_it_before() {
    let held = act("hold-rollout", &json!({"holdRollout": {}}), None);
    let server = ApiServer::start(vec![
        (APP, vec![(200, with_canary(&progressing()))]),
        (HOLD, vec![refusal(404, "NotFound"), (200, held)]),
    ])
    .await;
    let (code, out, error) = server.run("rollout hold shop web --for 2h --reason known --by jane").await;
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    assert!(out.starts_with("scalingoverride shop.web.hold-rollout applied, until "), "{out}");
    assert!(out.contains("kubectl scalableapp resume shop -n store"), "{out}");
}

#[tokio::test]
async fn a_component_without_a_canary_is_refused_in_words() {
    let script = || vec![(APP, vec![(200, app(true, 2, "Rate"))])];
    for (arguments, sentence) in [
        (
            "rollout promote shop web --reason known --by jane",
            "failed to find a rollout of web: set rollout.canary",
        ),
        (
            "rollout hold shop --for 1h --reason known --by jane",
            "failed to find a rollout of shop: set rollout.canary",
        ),
        ("rollout abort shop api --reason known --by jane", "its components are web"),
        (
            "rollout status shop web",
            "failed to find a rollout of web: the services with rollout.canary or rollout.blueGreen are: none",
        ),
        ("rollout retry shop web", "--reason"),
    ] {
        let (code, out, error) = ApiServer::start(script()).await.run(arguments).await;
        assert_eq!((code, out.as_str()), (3, ""), "{arguments}: {error}");
        assert!(error.contains(sentence), "{arguments}: {error}");
    }
}

#[tokio::test]
async fn nothing_of_others_in_a_rollout_acts_on_the_terminal() {
    const EVIL: &str = "\u{1b}[2J\u{9b}2J\r\nstore/shop/web has no rollout in progress\u{202e}";
    let mut rollout = progressing();
    for field in ["stable", "canary", "message"] {
        rollout[field] = json!(EVIL);
    }
    rollout["rejected"] = json!([{"hash": EVIL, "message": EVIL}]);
    let mut live = live();
    let measured = &mut live["components"][0]["rollout"];
    (measured["verdict"], measured["message"]) = (json!(EVIL), json!(EVIL));
    measured["evidence"][0]["kind"] = json!(EVIL);
    let mut deployments = deployments();
    deployments["items"][0]["metadata"]["labels"]["scalableapp.dev/revision"] = json!(EVIL);
    deployments["items"][0]["spec"]["template"]["spec"]["containers"][1]["image"] = json!(EVIL);
    let mut promote = act("promote", &json!({"promote": {}}), Some((EVIL, EVIL)));
    (promote["metadata"]["name"], promote["spec"]["by"]) = (json!(EVIL), json!(EVIL));
    promote["spec"]["reason"] = json!(EVIL);
    let server = ApiServer::start(vec![
        (APP, vec![(200, with_canary(&rollout))]),
        (LIVE, vec![(200, live)]),
        (DEPLOYMENTS, vec![(200, deployments)]),
        (OVERRIDES, vec![(200, json!({"metadata": {}, "items": [promote]}))]),
    ])
    .await;
    for arguments in ["rollout status shop", "rollout status shop -o json", "status shop"] {
        let (code, out, error) = server.run(arguments).await;
        assert_eq!((code, error.as_str()), (0, ""), "{arguments}");
        assert!(out.contains("2J"), "{arguments}: {out}");
        assert!(out.chars().all(|one| one == '\n' || !one.is_control()), "{arguments}: {out:?}");
        assert!(!out.contains('\u{202e}'), "{arguments}: {out:?}");
        let is_forged = |line: &str| line.starts_with("store/shop/web has no rollout");
        assert!(!out.lines().any(is_forged), "{arguments}: {out}");
    }
}

#[tokio::test]
async fn a_blue_green_rollout_is_shown_and_promoted_like_a_canary() {
    let mut rollout = progressing();
    (rollout["steps"], rollout["weight"]) = (json!(3), json!(0));
    let mut app = with_canary(&rollout);
    app["spec"]["services"][0]["rollout"] = json!({"blueGreen": {"approval": true}});
    let server = ApiServer::start(vec![
        (APP, vec![(200, app)]),
        (DEPLOYMENTS, vec![(200, deployments())]),
        (PROMOTE, vec![refusal(404, "NotFound")]),
        (OVERRIDES, vec![(201, act("promote", &json!({"promote": {}}), None))]),
    ])
    .await;
    let (code, out, error) = server.run("rollout status shop").await;
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    assert!(out.starts_with("store/shop/web has new revision b2 at step 1 of 3, weight 0%\n"), "{out}");
    assert!(out.contains("\nnew     b2        2/2             -        -            shop:2\n"), "{out}");
    let (code, out, error) = server.run("rollout promote shop web --reason known --by jane").await;
    assert_eq!((code, error.as_str(), out.lines().count()), (0, "", 1), "{out}");
}
