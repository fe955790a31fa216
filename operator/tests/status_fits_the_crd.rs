//! The API server accepts every status that the operator can write.
#![allow(clippy::expect_used, reason = "clippy sees tests only in functions marked as such")]

#[path = "../../crds/tests/rules/structural.rs"]
mod structural;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use proptest::collection::vec;
use proptest::prelude::*;
use scalableapp_crds::{
    DecisionRecord, LastGood, PoolGrowth, Proposal, Quantity, ReplicaHold, ScalableAppStatus, ScaleEvent,
    ScalingMemory, Stage, crds,
};
use scalableapp_engine::bounds::circuit::DependencyState;
use scalableapp_engine::diagnose::standing::Bottleneck;
use scalableapp_engine::diagnose::verdict::{Intervention, Number};
use scalableapp_engine::reason::{self, Reason};
use scalableapp_operator::decide::component_state::{ComponentState, Failure, MetricsState};
use scalableapp_operator::kinds::Kind;
use scalableapp_operator::observe::cluster::workload::LiveRevision;
use scalableapp_operator::report::StatusUpdate;
use serde_json::Value;
use std::sync::{Arc, LazyLock};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let crd = serde_json::to_value(&crds()[0]).expect("JSON");
    assert_eq!(crd["spec"]["names"]["kind"], "ScalableApp");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"].clone()
});

/// Texts of any length and script.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z0-9-]{1,20}", 1 => "\\PC{0,3000}", 1 => "(wörter ){0,400}"]
}

fn any_reason() -> impl Strategy<Value = Reason> {
    proptest::sample::select(reason::all().collect::<Vec<_>>())
}

fn failure() -> impl Strategy<Value = Option<Failure>> {
    proptest::option::of((any_reason(), text()).prop_map(|(reason, message)| Failure { reason, message }))
}

fn revision() -> impl Strategy<Value = LiveRevision> {
    (text(), any::<i32>(), any::<i32>()).prop_map(|(hash, replicas, ready)| LiveRevision {
        hash,
        kind: Kind::Deployment,
        workload: Arc::default(),
        replicas,
        pods: ready,
        // A sum over revisions fits the type.
        ready: ready % 10_000,
        refusal: None,
    })
}

fn record() -> impl Strategy<Value = DecisionRecord> {
    let proposal = (text(), text(), text()).prop_map(|(metric, value, target)| Proposal {
        metric,
        value: value.clone(),
        target,
        replicas: None,
        reason: value,
    });
    let stage = (text(), text()).prop_map(|(name, effect)| Stage { name, effect });
    (any::<i32>(), text(), text(), vec(proposal, 0..20), vec(stage, 0..20)).prop_map(
        |(from, reason, message, proposals, stages)| DecisionRecord {
            time: Time(Timestamp::UNIX_EPOCH),
            from,
            to: from,
            reason,
            message,
            proposals,
            stages,
        },
    )
}

fn memory() -> impl Strategy<Value = ScalingMemory> {
    let events = vec(any::<i32>(), 0..40).prop_map(|changes| {
        let event = |change| ScaleEvent { time: MicroTime(Timestamp::UNIX_EPOCH), change };
        changes.into_iter().map(event).collect()
    });
    let value: Quantity = serde_json::from_value(serde_json::json!("1")).expect("a quantity");
    let good = vec(text(), 0..20).prop_map(move |metrics| {
        let time = Time(Timestamp::UNIX_EPOCH);
        let good = |metric| LastGood { metric, value: value.clone(), time: time.clone() };
        metrics.into_iter().map(good).collect()
    });
    let holds = vec(proptest::option::of(text()), 0..20).prop_map(|dependencies| {
        let time = Time(Timestamp::UNIX_EPOCH);
        let hold = |dependency| ReplicaHold {
            dependency,
            since: time.clone(),
            replicas: i32::MAX,
            open: u32::MAX >> 1,
            of: u32::MAX >> 1,
            ended: Some(time.clone()),
        };
        dependencies.into_iter().map(hold).collect()
    });
    let growth = proptest::option::of((text(), any::<i32>()));
    (events, good, holds, growth).prop_map(|(events, last_good, holds, growth)| {
        let number = |text: &str| Quantity(text.to_owned());
        let growth = growth.map(|(metric, replicas)| PoolGrowth {
            metric,
            replicas,
            throughput: number("0.5"),
            seconds_per_job: Some(number("9223372036854775.807")),
        });
        ScalingMemory {
            events,
            last_good,
            latency_step: None,
            growth,
            holds,
            seconds_to_useful: Some(i32::MAX),
        }
    })
}

fn dependency() -> impl Strategy<Value = DependencyState> {
    prop_oneof![
        any::<u32>().prop_map(|open| DependencyState::Degraded {
            since: Timestamp::UNIX_EPOCH,
            open,
            of: open
        }),
        vec(text(), 0..9).prop_map(DependencyState::OpenOnSomePods),
        Just(DependencyState::Unknown),
        Just(DependencyState::Well),
        Just(DependencyState::NotYet),
    ]
}

fn component() -> impl Strategy<Value = ComponentState> {
    let said = (text(), failure(), failure(), failure(), proptest::option::of(text()), text());
    let kept = (proptest::option::of(record()), proptest::option::of(memory()));
    let limits = vec(any_reason(), 0..40);
    let dependencies = proptest::collection::btree_map(text(), dependency(), 0..9);
    let replicas = (vec(revision(), 0..9), any::<bool>(), 0..10_000_i32);
    (said, kept, limits, dependencies, replicas).prop_map(
        |(said, (record, memory), limited_by, dependencies, (revisions, decided, desired))| {
            let (name, problem, failure, missing, paused, limit) = said;
            ComponentState {
                name,
                decided,
                desired,
                revisions,
                problem,
                failure,
                paused,
                limited_by,
                limit,
                calls_dependencies: !dependencies.is_empty(),
                dependencies,
                record,
                memory,
                measured: missing.map_or(MetricsState::Fresh, MetricsState::Missing),
                ..ComponentState::default()
            }
        },
    )
}

fn bottleneck() -> impl Strategy<Value = Bottleneck> {
    (text(), any_reason(), text()).prop_map(|(component, cause, deciding)| Bottleneck {
        component: component.clone(),
        cause,
        advice: Intervention::Query,
        since: Timestamp::UNIX_EPOCH,
        confidence: 0.5,
        numbers: vec![Number {
            node: component,
            series: "query_seconds".to_owned(),
            normal: 0.1,
            value: 1e9,
            z: 9.0,
        }],
        deciding,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_status_is_valid_by_the_crd_and_small_enough_for_etcd(
        components in vec(component(), 0..24),
        of_the_app in failure(),
        wrong in proptest::option::of(bottleneck()),
    ) {
        let components: Vec<&ComponentState> = components.iter().collect();
        let mut known: Option<ScalableAppStatus> = None;
        for failure in [None, of_the_app.as_ref()] {
            let update = StatusUpdate::of(known.as_ref(), 1, &components, failure);
            let update = update.with_bottleneck(wrong.as_ref());
            let status = update.status(known.as_ref(), Timestamp::UNIX_EPOCH);
            for status in [&status, &status.reduced()] {
                let written = serde_json::to_value(status).expect("JSON");
                let mut refused = structural::refused(&SCHEMA, &written);
                // Names are unique by the schema of the spec.
                refused.retain(|path| !(path.starts_with("components[") && path.ends_with(']') && !path.contains('.')));
                prop_assert_eq!(refused, Vec::<String>::new());
                prop_assert!(written.to_string().chars().count() < 256 << 10);
            }
            known = Some(status);
        }
    }
}
