//! The connections of a database over scaling, rollouts and pods that leave.

use crate::effect;
use crate::fixture::{Component, NAME, pod, rate, restored};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use scalableapp_crds::ScalingMemory;
use scalableapp_engine::evidence::connections::{ConnectionsReading, PoolReading};
use scalableapp_engine::evidence::recorded::RecordedEvidence;
use scalableapp_engine::evidence::sample::Reading;
use scalableapp_engine::limits::Limits;
use scalableapp_engine::memory::AppMemory;
use scalableapp_engine::reason;
use scalableapp_engine::record::RecordedInput;
use scalableapp_engine::rollout::rolling::{Amount, Revision, Rolling};
use scalableapp_engine::stack::{self, Database, Pool, Stack};
use scalableapp_engine::state::{Observed, State, Undecided};
use scalableapp_engine::{ComponentDecision, Decision, decide};
use std::collections::BTreeMap;
use std::sync::Arc;

const MAIN: &str = "main";

/// A pod of a simulated cluster.
#[derive(Clone, Debug)]
struct SimulatedPod {
    revision: String,
    is_ready: bool,
    /// Steps until it has ended, once it is being deleted.
    leaves: Option<u32>,
    /// The pool size that it uses.
    size: i32,
}

/// A component of a simulated cluster.
#[derive(Clone, Debug)]
struct Simulated {
    declared: stack::Component,
    revisions: Vec<(String, i32)>,
    pods: Vec<SimulatedPod>,
    /// Requests per second.
    load: f64,
    /// The pool size in its settings.
    told: i32,
    /// A write that the cache does not show.
    unshown: BTreeMap<String, i32>,
    shown: Vec<(String, i32)>,
}

/// An app in a simulated cluster: every pod exists as soon as it is written, and leaves late.
struct Cluster {
    now: Timestamp,
    components: BTreeMap<String, Simulated>,
    memory: AppMemory,
    limit: i32,
    others: i64,
    /// Sessions of the app that are reported although their pods have ended.
    ended: i64,
    reports: bool,
}

fn pool(size: i32, min_size: i32, hidden_per_pod: i32) -> Option<Pool> {
    Some(Pool { database: MAIN.to_owned(), size, min_size, hidden_per_pod })
}

/// A component that wants a replica for each 50 requests per second.
fn declared(pool: Option<Pool>, min: i32) -> stack::Component {
    let mut app = Component::new(1, &[rate(50)]);
    (app.min, app.max) = (min, 30);
    app.behavior.scale_down.stabilization_window_seconds = 0;
    let input = app.input();
    let component = stack::Component::clone(&input.stack.components[NAME]);
    stack::Component { pool, ..component }
}

impl Simulated {
    fn new(declared: stack::Component) -> Self {
        let told = declared.pool.as_ref().map_or(0, |pool| pool.size);
        let (revisions, pods, unshown) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { declared, shown: Vec::new(), revisions, pods, load: 0.0, told, unshown }
    }

    fn pool(&self) -> &Pool {
        self.declared.pool.as_ref().expect("a pool")
    }

    /// Connections of its pods, if each uses all that it may once it has read its settings.
    fn held(&self) -> i64 {
        let hidden = self.pool().hidden_per_pod;
        self.pods.iter().map(|pod| i64::from(pod.size.max(self.told) + hidden)).sum()
    }

    /// Connections of its pods, if each uses all that it may now.
    fn used(&self) -> i64 {
        self.pods.iter().map(|pod| i64::from(pod.size + self.pool().hidden_per_pod)).sum()
    }

    fn ready(&self, revision: &str) -> i32 {
        let ready =
            self.pods.iter().filter(|pod| pod.revision == revision && pod.is_ready && pod.leaves.is_none());
        i32::try_from(ready.count()).expect("few")
    }

    fn observed(&self, now: Timestamp) -> Observed {
        let target = &self.declared.revision;
        let revision = |(hash, replicas): &(String, i32)| Revision {
            hash: hash.clone(),
            replicas: *replicas,
            available: self.ready(hash),
            is_target: hash == target,
        };
        let pods = self.pods.iter().enumerate().map(|(index, one)| {
            let mut pod = pod(&format!("pod-{index}"), now - SignedDuration::from_hours(1));
            pod.deleting = one.leaves.is_some();
            pod.ready = pod.ready.filter(|_| one.is_ready);
            pod
        });
        Observed {
            revisions: self.shown.iter().map(revision).collect(),
            existing_replicas: self.shown.iter().map(|(_, replicas)| replicas).sum(),
            pods: pods.collect(),
            unshown: self.unshown.clone(),
            undecided: (!self.unshown.is_empty()).then_some(Undecided::WriteNotShown),
            ..Observed::default()
        }
    }

    /// Writes the replicas of a revision: pods are there at once, and those that leave take some steps.
    fn write(&mut self, revision: &str, replicas: i32, leave_after: u32) {
        if !self.revisions.iter().any(|(hash, _)| hash == revision) {
            self.revisions.push((revision.to_owned(), 0));
        }
        self.revisions.iter_mut().filter(|(hash, _)| hash == revision).for_each(|(_, to)| *to = replicas);
        let living = self.pods.iter().filter(|pod| pod.revision == revision && pod.leaves.is_none()).count();
        let replicas = usize::try_from(replicas).expect("not negative");
        for _ in living..replicas {
            let revision = revision.to_owned();
            self.pods.push(SimulatedPod { revision, is_ready: false, leaves: None, size: self.told });
        }
        let surplus = living.saturating_sub(replicas);
        let living = self.pods.iter_mut().rev();
        let living = living.filter(|pod| pod.revision == revision && pod.leaves.is_none());
        living.take(surplus).for_each(|pod| pod.leaves = Some(leave_after));
    }
}

impl Cluster {
    /// A server with this `max_connections`, and an app that keeps nothing in reserve.
    fn new(limit: i32, components: &[(&str, stack::Component)]) -> Self {
        let component = |(name, declared): &(&str, stack::Component)| {
            ((*name).to_owned(), Simulated::new(declared.clone()))
        };
        Self {
            now: Component::new(1, &[]).now,
            components: components.iter().map(component).collect(),
            memory: AppMemory::default(),
            limit,
            others: 0,
            ended: 0,
            reports: true,
        }
    }

    fn one(&mut self, name: &str) -> &mut Simulated {
        self.components.get_mut(name).expect("a component")
    }

    fn held(&self) -> i64 {
        self.components.values().map(Simulated::held).sum()
    }

    /// Connections for the app.
    fn budget(&self) -> i64 {
        i64::from(self.limit) - 3 - self.others
    }

    fn input(&self) -> RecordedInput {
        let all = || self.components.iter();
        let reading = |load: f64| Reading { values: vec![load], at: Some(self.now), ..Reading::default() };
        let pools = |one: &Simulated| PoolReading {
            at: Some(self.now),
            reporting: u32::try_from(one.pods.len()).expect("few"),
            largest: one.pods.iter().map(|pod| f64::from(pod.size)).fold(0.0, f64::max),
        };
        let connections = ConnectionsReading {
            at: Some(self.now).filter(|_| self.reports),
            most: f64::from(self.limit - 3),
            own: (self.components.values().map(Simulated::used).sum::<i64>() + self.ended) as f64,
            others: self.others as f64,
        };
        RecordedInput {
            now: self.now,
            stack: Stack {
                components: all().map(|(name, one)| (name.clone(), Arc::new(one.declared.clone()))).collect(),
                databases: BTreeMap::from([(MAIN.to_owned(), Database { limit: None, reserve: 0 })]),
                ..Stack::default()
            },
            state: State {
                components: all().map(|(name, one)| (name.clone(), one.observed(self.now))).collect(),
            },
            evidence: RecordedEvidence {
                max_age: SignedDuration::from_secs(60),
                readings: all()
                    .map(|(name, one)| {
                        (name.clone(), BTreeMap::from([("rps".to_owned(), reading(one.load))]))
                    })
                    .collect(),
                connections: BTreeMap::from([(MAIN.to_owned(), connections)]),
                pools: all().map(|(name, one)| (name.clone(), pools(one))).collect(),
                ..RecordedEvidence::default()
            },
            limits: Limits::default(),
            memory: self.memory.clone(),
        }
    }

    /// Decides, tells the sizes, and writes the plan in its order. `check` sees every state on the way.
    fn act(&mut self, leave_after: u32, mut check: impl FnMut(&Self)) -> Decision {
        let decision = decide(&self.input().as_input());
        self.memory = decision.memory.clone();
        for (name, size) in &decision.pools {
            self.one(name).told = *size;
        }
        check(self);
        let shown: Vec<(String, String, i32)> = self
            .components
            .iter()
            .flat_map(|(name, one)| {
                let target = (one.declared.revision.clone(), 0);
                let is_missing = one.shown.iter().all(|(hash, _)| *hash != target.0);
                let all = one.shown.iter().cloned().chain(is_missing.then_some(target));
                all.map(|(hash, replicas)| (name.clone(), hash, replicas)).collect::<Vec<_>>()
            })
            .collect();
        let live = shown.iter().map(|(name, hash, replicas)| (name.as_str(), hash.as_str(), *replicas));
        for step in decision.plan.steps(live) {
            let (revision, to) = (step.revision.to_owned(), step.to);
            let one = self.one(step.component);
            one.write(&revision, to, leave_after);
            one.unshown.insert(revision, to);
            check(self);
        }
        for one in self.components.values_mut() {
            let target = one.declared.revision.clone();
            if one.revisions.iter().all(|(hash, _)| *hash != target) {
                one.revisions.push((target, 0));
            }
        }
        for (name, one) in &decision.components {
            let behavior = self.components[name].declared.behavior.clone();
            self.memory.commit(name, one, &behavior, true);
        }
        decision
    }

    /// The cache shows what was written, and pods come up, read their settings and leave.
    fn later(&mut self, seconds: i64, becomes_ready: bool, reads_settings: bool) {
        self.now += SignedDuration::from_secs(seconds);
        for one in self.components.values_mut() {
            one.unshown.clear();
            let target = one.declared.revision.clone();
            let has_pods = |hash: &str| one.pods.iter().any(|pod| pod.revision == hash);
            one.revisions.retain(|(hash, replicas)| *hash == target || *replicas > 0 || has_pods(hash));
            one.shown = one.revisions.clone();
            let told = one.told;
            for pod in &mut one.pods {
                pod.is_ready |= becomes_ready;
                pod.leaves = pod.leaves.map(|steps| steps.saturating_sub(1));
                if reads_settings {
                    pod.size = told;
                }
            }
            one.pods.retain(|pod| pod.leaves != Some(0));
        }
    }

    /// Acts until nothing changes.
    fn settle(&mut self) -> Decision {
        let mut decision = self.act(1, |_| ());
        for _ in 0..60 {
            self.later(60, true, true);
            decision = self.act(1, |_| ());
        }
        decision
    }
}

fn pods(cluster: &Cluster, name: &str) -> usize {
    cluster.components[name].pods.len()
}

fn limits(decision: &ComponentDecision) -> Vec<&'static str> {
    decision.limited_by.iter().map(|limit| limit.name).collect()
}

#[test]
fn a_component_grows_to_the_last_connection_and_says_who_holds_them() {
    let mut cluster =
        Cluster::new(50, &[("email", declared(pool(4, 4, 0), 2)), ("web", declared(pool(4, 4, 1), 2))]);
    cluster.others = 12;
    cluster.one("web").load = 600.0;
    let decision = cluster.settle();
    // 50 - 3 - 12 = 35 connections: two workers hold 8, five pods of web 25.
    assert_eq!((pods(&cluster, "email"), pods(&cluster, "web")), (2, 5));
    let web = &decision.components["web"];
    assert_eq!((web.desired, limits(web)), (5, vec!["ConnectionBudget"]));
    assert_eq!(web.reason, reason::CONNECTION_BUDGET);
    assert_eq!(web.sentence(web.reason), "At most 5 replicas by the connection budget of database main.");
    let words = "main: 33 of 35 held (email 2x4, web 5x5); others 12; one more pod needs 5";
    assert_eq!(effect(web, "connections"), words);
    assert!(limits(&decision.components["email"]).iter().all(|limit| *limit != "ConnectionBudget"));
}

#[test]
fn sessions_of_others_shrink_the_budget_at_once_and_take_no_pod() {
    let mut cluster = Cluster::new(43, &[("web", declared(pool(4, 4, 0), 1))]);
    cluster.one("web").load = 300.0;
    cluster.settle();
    assert_eq!(pods(&cluster, "web"), 6);
    cluster.others = 30;
    cluster.one("web").load = 600.0;
    let decision = cluster.settle();
    assert_eq!((pods(&cluster, "web"), decision.components["web"].desired), (6, 6));
    cluster.others = 0;
    cluster.settle();
    assert_eq!(pods(&cluster, "web"), 10);
}

#[test]
fn without_measurements_the_last_budget_counts_and_before_the_first_one_nothing_grows() {
    let mut cluster = Cluster::new(43, &[("web", declared(pool(4, 4, 0), 2))]);
    cluster.reports = false;
    cluster.one("web").load = 600.0;
    let decision = cluster.settle();
    let web = &decision.components["web"];
    assert_eq!((pods(&cluster, "web"), limits(web)), (2, vec!["ConnectionBudget"]));
    let words = "At most 2 replicas by the unknown connection budget of database main.";
    assert_eq!(web.sentence(web.reason), words);
    cluster.reports = true;
    cluster.others = 20;
    cluster.settle();
    assert_eq!(pods(&cluster, "web"), 5);
    (cluster.reports, cluster.others) = (false, 0);
    cluster.settle();
    assert_eq!(pods(&cluster, "web"), 5, "what was measured last still counts");
}

#[test]
fn a_declared_limit_counts_without_measurements_and_these_can_only_lower_it() {
    let desired = |limit, most: Option<i32>| {
        let mut cluster = Cluster::new(most.unwrap_or(0) + 3, &[("web", declared(pool(4, 4, 0), 1))]);
        cluster.reports = most.is_some();
        cluster.settle();
        cluster.one("web").load = 1000.0;
        let mut input = cluster.input();
        input.stack.databases.insert(MAIN.to_owned(), Database { limit: Some(limit), reserve: 4 });
        let web = decide(&input.as_input()).components.remove("web").expect("a decision");
        web.sentence(reason::CONNECTION_BUDGET)
    };
    let words = |most| format!("At most {most} replicas by the connection budget of database main.");
    assert_eq!(desired(27, None), words(5));
    assert_eq!(desired(27, Some(12)), words(2));
}

#[test]
fn minimum_replicas_above_the_budget_are_said_in_words() {
    let mut cluster = Cluster::new(23, &[("web", declared(pool(4, 4, 0), 8))]);
    let decision = cluster.settle();
    let web = &decision.components["web"];
    assert_eq!((pods(&cluster, "web"), limits(web)), (5, vec!["ConnectionBudget", "MinReplicas"]));
    let words =
        "At most 5 replicas by the connection budget of database main, which wins over 8 by minReplicas.";
    assert_eq!(web.sentence(reason::CONNECTION_BUDGET), words);
}

#[test]
fn a_rollout_without_connections_for_a_surge_replaces_pods_one_by_one() {
    let mut cluster = Cluster::new(23, &[("web", declared(pool(4, 4, 0), 5))]);
    cluster.settle();
    assert_eq!(pods(&cluster, "web"), 5);
    cluster.one("web").declared.revision = "new".to_owned();
    let decision = cluster.act(2, |cluster| assert!(cluster.held() <= 20));
    let words = effect(&decision.components["web"], "connections");
    assert!(words.ends_with("; none for a surge, so old pods leave first"), "{words}");
    for _ in 0..40 {
        cluster.later(10, true, true);
        cluster.act(2, |cluster| assert!(cluster.held() <= 20));
        let one = &cluster.components["web"];
        let serving: i32 = one.revisions.iter().map(|(hash, _)| one.ready(hash)).sum();
        assert!(serving >= 4, "{one:?}");
    }
    assert!(cluster.components["web"].pods.iter().all(|pod| pod.revision == "new"));
    assert_eq!(pods(&cluster, "web"), 5);
}

#[test]
fn a_rollout_with_connections_for_a_surge_keeps_every_pod_until_its_successor_serves() {
    let mut cluster = Cluster::new(27, &[("web", declared(pool(4, 4, 0), 5))]);
    cluster.settle();
    cluster.one("web").declared.revision = "new".to_owned();
    for _ in 0..40 {
        cluster.act(2, |cluster| assert!(cluster.held() <= 24));
        cluster.later(10, true, true);
        let one = &cluster.components["web"];
        let serving: i32 = one.revisions.iter().map(|(hash, _)| one.ready(hash)).sum();
        assert!(serving >= 5, "{one:?}");
    }
    assert!(cluster.components["web"].pods.iter().all(|pod| pod.revision == "new"));
}

#[test]
fn the_only_pod_stays_until_there_are_connections_for_a_second_one() {
    let mut cluster = Cluster::new(7, &[("web", declared(pool(4, 4, 0), 1))]);
    cluster.settle();
    cluster.one("web").declared.revision = "new".to_owned();
    let serving = |cluster: &Cluster| {
        let one = &cluster.components["web"];
        one.revisions.iter().map(|(hash, _)| one.ready(hash)).sum::<i32>()
    };
    for _ in 0..20 {
        let decision = cluster.act(2, |cluster| assert_eq!(cluster.held(), 4));
        let web = &decision.components["web"];
        let words = effect(web, "connections");
        assert!(web.rollout_waits && words.ends_with("; none for a surge, so the rollout waits"), "{words}");
        cluster.later(10, false, true);
        assert_eq!(serving(&cluster), 1);
    }
    cluster.limit = 11;
    for _ in 0..20 {
        assert!(!cluster.act(2, |cluster| assert!(cluster.held() <= 8)).components["web"].rollout_waits);
        cluster.later(10, true, true);
        assert!(serving(&cluster) >= 1);
    }
    assert!(cluster.components["web"].pods.iter().all(|pod| pod.revision == "new"));
}

#[test]
fn the_only_pod_makes_room_for_its_successor_if_it_does_not_serve() {
    let mut cluster = Cluster::new(7, &[("web", declared(pool(4, 4, 0), 1))]);
    cluster.settle();
    cluster.one("web").pods.iter_mut().for_each(|pod| pod.is_ready = false);
    cluster.one("web").declared.revision = "repaired".to_owned();
    for _ in 0..10 {
        cluster.act(2, |cluster| assert!(cluster.held() <= 4));
        let is_new = cluster.components["web"].pods.iter().any(|pod| pod.revision == "repaired");
        cluster.later(10, is_new, true);
    }
    let web = &cluster.components["web"];
    assert!(web.pods.len() == 1 && web.pods[0].revision == "repaired", "{web:?}");
}

#[test]
fn a_rollout_proceeds_as_declared_while_the_budget_is_not_known() {
    let mut cluster = Cluster::new(7, &[("web", declared(pool(4, 4, 0), 1))]);
    cluster.reports = false;
    cluster.settle();
    cluster.one("web").declared.revision = "new".to_owned();
    for becomes_ready in [false, false, false, true, true, true, true] {
        cluster.act(2, |_| ());
        cluster.later(10, becomes_ready, true);
        let one = &cluster.components["web"];
        assert!(one.pods.iter().any(|pod| pod.is_ready), "{one:?}");
    }
    assert!(cluster.components["web"].pods.iter().all(|pod| pod.revision == "new"));
}

#[test]
fn an_app_without_a_pod_is_not_kept_down_by_sessions_of_pods_that_have_ended() {
    let mut web = declared(pool(4, 4, 0), 1);
    web.rolling = Rolling { max_surge: Amount::Pods(0), max_unavailable: Amount::Pods(1) };
    let mut cluster = Cluster::new(7, &[("web", web)]);
    cluster.settle();
    cluster.one("web").declared.revision = "new".to_owned();
    for _ in 0..20 {
        cluster.act(2, |cluster| assert!(cluster.held() <= 4));
        cluster.later(10, true, true);
        // Prometheus shows the sessions of the last scrape.
        cluster.ended = 4 * i64::from(pods(&cluster, "web") == 0);
    }
    let one = &cluster.components["web"];
    assert!(one.pods.len() == 1 && one.pods[0].revision == "new", "{one:?}");
}

#[test]
fn pools_shrink_to_their_minimum_before_a_pod_is_refused_and_grow_again() {
    let mut cluster = Cluster::new(43, &[("web", declared(pool(10, 4, 0), 1))]);
    cluster.one("web").load = 200.0;
    cluster.settle();
    assert_eq!((pods(&cluster, "web"), cluster.components["web"].told), (4, 10));
    cluster.one("web").load = 400.0;
    let decision = cluster.act(1, |_| ());
    assert_eq!(
        (decision.pools["web"], pods(&cluster, "web")),
        (5, 4),
        "no pod comes before the pools are smaller"
    );
    cluster.settle();
    assert_eq!((pods(&cluster, "web"), cluster.components["web"].told), (8, 5));
    cluster.one("web").load = 1500.0;
    cluster.settle();
    assert_eq!((pods(&cluster, "web"), cluster.components["web"].told), (10, 4));
    cluster.one("web").load = 100.0;
    cluster.settle();
    assert_eq!((pods(&cluster, "web"), cluster.components["web"].told), (2, 10));
}

#[test]
fn a_component_that_is_not_decided_holds_its_connections() {
    let mut cluster =
        Cluster::new(43, &[("api", declared(pool(4, 4, 0), 5)), ("web", declared(pool(4, 4, 0), 1))]);
    cluster.settle();
    cluster.one("web").load = 1000.0;
    for why in [Undecided::Paused, Undecided::WriteFailed, Undecided::NotMeasured] {
        let mut input = cluster.input();
        input.state.components.get_mut("api").expect("a component").undecided = Some(why);
        let decision = decide(&input.as_input());
        let words = effect(&decision.components["web"], "connections");
        assert!(words.starts_with("main: 24 of 40 held (api 5x4, web 1x4)"), "{words}");
    }
}

#[test]
fn a_new_process_starts_from_what_is_measured() {
    let mut cluster = Cluster::new(43, &[("web", declared(pool(10, 4, 0), 1))]);
    cluster.one("web").load = 400.0;
    cluster.settle();
    assert_eq!((pods(&cluster, "web"), cluster.components["web"].told), (8, 5));
    let memory = restored(&ScalingMemory::default(), 8, cluster.now);
    cluster.memory =
        AppMemory { components: BTreeMap::from([("web".to_owned(), memory)]), ..AppMemory::default() };
    let decision = cluster.act(1, |_| ());
    assert_eq!((decision.pools["web"], decision.components["web"].desired), (5, 8));
    let mut unanswered = cluster.input();
    unanswered.memory.connections.clear();
    (unanswered.evidence.connections, unanswered.evidence.pools) = (BTreeMap::new(), BTreeMap::new());
    assert_eq!(
        decide(&unanswered.as_input()).pools.get("web"),
        None,
        "it tells no size that it does not know"
    );
}

/// What happens between two decisions.
#[derive(Clone, Debug)]
struct Moment {
    seconds: i64,
    loads: [f64; 3],
    /// A component whose declared revision changes.
    rolls: Option<usize>,
    others: i64,
    leave_after: u32,
    becomes_ready: bool,
    reads_settings: bool,
    is_shown: bool,
    reports: bool,
}

fn moments() -> impl Strategy<Value = Vec<Moment>> {
    let often = || prop_oneof![3 => Just(true), 1 => Just(false)];
    let moment = (
        1..90_i64,
        proptest::array::uniform3(0.0..900.0),
        prop_oneof![4 => Just(None), 1 => (0..3_usize).prop_map(Some)],
        0..14_i64,
        1..5_u32,
        (often(), often(), often(), often()),
    );
    let moment = moment.prop_map(|(seconds, loads, rolls, others, leave_after, flags)| {
        let (becomes_ready, reads_settings, is_shown, reports) = flags;
        Moment {
            seconds,
            loads,
            rolls,
            others,
            leave_after,
            becomes_ready,
            reads_settings,
            is_shown,
            reports,
        }
    });
    proptest::collection::vec(moment, 1..40)
}

fn components() -> impl Strategy<Value = [stack::Component; 3]> {
    let amount = || prop_oneof![(0..4).prop_map(Amount::Pods), (0..60).prop_map(Amount::Percent)];
    let one = (1..8_i32, 0..5_i32, 0..3_i32, 1..5_i32, amount(), amount()).prop_map(
        |(min_size, more, hidden, min, max_surge, max_unavailable)| {
            let rolling = Rolling { max_surge, max_unavailable };
            stack::Component { rolling, ..declared(pool(min_size + more, min_size, hidden), min) }
        },
    );
    proptest::array::uniform3(one)
}

proptest! {
    #[test]
    fn the_connections_of_all_pods_never_pass_the_budget(
        limit in 20..120_i32, components in components(), moments in moments(),
    ) {
        let names = ["api", "email", "web"];
        let named: Vec<(&str, stack::Component)> = names.into_iter().zip(components).collect();
        let mut cluster = Cluster::new(limit, &named);
        for (index, moment) in moments.iter().enumerate() {
            for (name, load) in names.iter().zip(moment.loads) {
                cluster.one(name).load = load;
            }
            if let Some(rolls) = moment.rolls {
                cluster.one(names[rolls]).declared.revision = format!("r{index}");
            }
            cluster.reports = moment.reports || index == 0;
            // Without a report the operator cannot know of new sessions.
            if cluster.reports {
                cluster.others = moment.others;
            }
            let (budget, before) = (cluster.budget(), std::cell::Cell::new(cluster.held()));
            let is_within = |cluster: &Cluster| {
                let held = cluster.held();
                assert!(held <= budget.max(before.get()), "{held} of {budget}, before {}", before.get());
                before.set(held);
            };
            cluster.act(moment.leave_after, is_within);
            if moment.is_shown {
                cluster.later(moment.seconds, moment.becomes_ready, moment.reads_settings);
            }
        }
    }
}
