//! Of caches and read replicas one changes at a time.

use crate::effect;
use crate::fixture::{Component, metric, pod, rate, restored, together};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use scalableapp_engine::hpa::behavior::Behavior;
use scalableapp_engine::memory::AppMemory;
use scalableapp_engine::propose::metric::{Metric, Target};
use scalableapp_engine::record::RecordedInput;
use scalableapp_engine::stack::{Cache, ReadReplicas, Workload};
use scalableapp_engine::{ComponentDecision, Decision, decide, reason};
use std::collections::BTreeMap;

const TURN: SignedDuration = SignedDuration::from_mins(5);

fn cache(metrics: Vec<Metric>) -> Workload {
    Workload::Cache(Cache { metrics, max_memory: None })
}

fn readers(metrics: Vec<Metric>) -> Workload {
    Workload::ReadReplicas(ReadReplicas { metrics })
}

/// A data tier that needs one replica for each unit of load.
fn data(workload: fn(Vec<Metric>) -> Workload, replicas: i32) -> Component {
    let mut data = Component::new(replicas, &[metric("load", Target::Prometheus { per_replica: 1000 })]);
    data.workload = Some(workload);
    data.behavior.scale_down.stabilization_window_seconds = 0;
    data
}

/// An app with its memory, in which nothing but replicas and loads changes.
struct App {
    components: BTreeMap<&'static str, Component>,
    memory: AppMemory,
}

impl App {
    /// A cache, two databases with read replicas, and a service.
    fn new() -> Self {
        let mut web = Component::new(2, &[rate(50)]);
        web.behavior.scale_down.stabilization_window_seconds = 0;
        let components = [
            ("archive", data(readers, 2)),
            ("main", data(readers, 2)),
            ("sessions", data(cache, 2)),
            ("web", web),
        ];
        let mut app = Self { components: components.into(), memory: AppMemory::default() };
        app.loads([2.0, 2.0, 2.0], 100.0);
        // The first decision is that of a process that has just started.
        app.step();
        app
    }

    fn loads(&mut self, data: [f64; 3], requests: f64) {
        for (name, load) in ["archive", "main", "sessions"].iter().zip(data) {
            self.of(name).reads("load", load);
        }
        self.of("web").reads("rps", requests);
    }

    fn of(&mut self, name: &str) -> &mut Component {
        self.components.get_mut(name).expect("a component")
    }

    fn input(&self) -> RecordedInput {
        let components: Vec<_> = self.components.iter().map(|(name, one)| (*name, one)).collect();
        RecordedInput { memory: self.memory.clone(), ..together(&components) }
    }

    fn later(&mut self, seconds: i64) {
        self.components.values_mut().for_each(|one| _ = one.later(seconds));
    }

    fn now(&self) -> Timestamp {
        self.components["web"].now
    }

    /// Decides and writes. New pods are not useful yet, and those that leave are still there.
    fn step(&mut self) -> Decision {
        let decision = decide(&self.input().as_input());
        self.memory = decision.memory.clone();
        for (name, one) in &mut self.components {
            let decided = &decision.components[*name];
            self.memory.commit(name, decided, &one.behavior, true);
            if decided.desired != one.replicas {
                one.available = Some(one.available.unwrap_or(one.replicas));
                one.replicas = decided.desired;
            }
        }
        decision
    }

    fn settle(&mut self, name: &str) {
        let one = self.of(name);
        one.available = None;
        one.all_pods_ready();
    }
}

fn desired(decision: &Decision) -> [i32; 4] {
    ["archive", "main", "sessions", "web"].map(|name| decision.components[name].desired)
}

fn waits(decision: &ComponentDecision) -> bool {
    effect(decision, "bounds").contains("the wait for")
}

#[test]
fn of_those_that_ask_at_the_same_time_the_cache_changes_first_and_a_service_does_not_wait() {
    let mut app = App::new();
    app.loads([4.0, 4.0, 4.0], 400.0);
    let decision = app.step();
    assert_eq!(desired(&decision), [2, 2, 4, 6], "the service is limited by its own policies alone");
    let main = &decision.components["main"];
    assert_eq!((main.reason, &main.limited_by[..]), (reason::WAITS_FOR_TURN, &[reason::WAITS_FOR_TURN][..]));
    assert_eq!(effect(main, "bounds"), "4 is above the wait for sessions 2");
    let sentence = main.sentence(reason::WAITS_FOR_TURN);
    assert!(sentence.ends_with("take that long. This is the wait for sessions."), "{sentence}");
}

/// Grows `main` by one replica, which is useful after this many seconds.
fn grow_main(app: &mut App, seconds: i64) {
    let replicas = app.of("main").replicas;
    app.loads([2.0, f64::from(replicas + 1), 2.0], 100.0);
    assert_eq!(app.step().components["main"].desired, replicas + 1);
    app.later(seconds);
    app.settle("main");
    app.loads([2.0, f64::from(replicas + 1), 2.0], 100.0);
    app.step();
}

#[test]
fn the_time_that_a_read_replica_takes_is_learnt() {
    let mut app = App::new();
    let seconds = |app: &App, name: &str| app.memory.components[name].seconds_to_useful();
    assert_eq!(seconds(&app, "main"), None, "the first replicas teach nothing");
    grow_main(&mut app, 40);
    assert_eq!(seconds(&app, "main"), Some(40));
    grow_main(&mut app, 80);
    assert_eq!(seconds(&app, "main"), Some(60), "half of it is the new one");
    assert_eq!(seconds(&app, "sessions"), None);
    let main = &app.memory.components["main"];
    let status = main.persist(app.now(), &Behavior::default());
    assert_eq!(restored(&status, 4, app.now()).seconds_to_useful(), Some(60), "a restart keeps it");
}

#[test]
fn of_replicas_that_are_cloned_one_after_another_each_takes_its_part() {
    let mut app = App::new();
    app.loads([2.0, 4.0, 2.0], 100.0);
    app.step();
    app.later(100);
    app.loads([2.0, 4.0, 2.0], 100.0);
    app.step();
    app.settle("main");
    app.step();
    assert_eq!(app.memory.components["main"].seconds_to_useful(), Some(50));
}

#[test]
fn what_a_scale_in_ends_and_a_restart_forgets_teaches_nothing() {
    let mut app = App::new();
    app.loads([2.0, 4.0, 2.0], 100.0);
    app.step();
    app.later(5);
    app.loads([2.0, 2.0, 2.0], 100.0);
    assert_eq!(app.step().components["main"].desired, 2);
    app.later(5);
    app.settle("main");
    app.step();
    assert_eq!(app.memory.components["main"].seconds_to_useful(), None);
    app.loads([2.0, 3.0, 2.0], 100.0);
    app.step();
    app.memory = AppMemory::default();
    app.later(5);
    app.settle("main");
    app.step();
    assert_eq!(app.memory.components["main"].seconds_to_useful(), None);
}

#[test]
fn read_replicas_that_are_known_to_take_longer_have_a_longer_turn() {
    for (seconds, turn) in [(40, 300), (200, 400), (4000, 900)] {
        let mut app = App::new();
        grow_main(&mut app, seconds);
        app.loads([2.0, 4.0, 2.0], 100.0);
        app.step();
        app.later(turn - 1);
        app.loads([3.0, 4.0, 2.0], 100.0);
        assert_eq!(app.step().components["archive"].desired, 2, "{turn}");
        app.later(1);
        app.loads([3.0, 4.0, 2.0], 100.0);
        assert_eq!(app.step().components["archive"].desired, 3, "{turn}");
    }
}

#[test]
fn a_turn_ends_once_the_change_has_its_effect() {
    let mut app = App::new();
    app.loads([4.0, 4.0, 4.0], 100.0);
    for _ in 0..3 {
        assert_eq!(desired(&app.step()), [2, 2, 4, 2]);
        app.later(5);
        app.loads([4.0, 4.0, 4.0], 100.0);
    }
    app.settle("sessions");
    assert_eq!(desired(&app.step()), [4, 2, 4, 2], "of two that have waited as long, the first by name");
    app.settle("archive");
    app.loads([4.0, 4.0, 6.0], 100.0);
    assert_eq!(desired(&app.step()), [4, 4, 4, 2], "the cache has just begun to wait");
    app.settle("main");
    assert_eq!(desired(&app.step()), [4, 4, 6, 2]);
}

#[test]
fn a_turn_without_effect_ends_after_five_minutes() {
    let mut app = App::new();
    app.loads([2.0, 4.0, 4.0], 100.0);
    app.step();
    app.later(299);
    app.loads([2.0, 4.0, 4.0], 100.0);
    assert_eq!(desired(&app.step())[1], 2);
    app.later(1);
    app.loads([2.0, 4.0, 6.0], 100.0);
    assert_eq!(desired(&app.step()), [2, 4, 4, 2], "who waited goes before who had its turn");
}

#[test]
fn what_leaves_holds_the_turn_until_its_pods_are_gone() {
    let mut app = App::new();
    app.loads([2.0, 2.0, 1.0], 100.0);
    assert_eq!(desired(&app.step()), [2, 2, 1, 2]);
    app.loads([2.0, 4.0, 1.0], 100.0);
    assert_eq!(desired(&app.step())[1], 2);
    let sessions = app.of("sessions");
    let mut leaving = pod("leaving", sessions.now);
    leaving.deleting = true;
    (sessions.available, sessions.replicas) = (None, 1);
    sessions.all_pods_ready();
    sessions.pods.push(leaving);
    assert_eq!(desired(&app.step())[1], 2);
    app.settle("sessions");
    assert_eq!(desired(&app.step())[1], 4);
}

#[test]
fn what_people_set_waits_for_no_turn() {
    let mut app = App::new();
    app.loads([2.0, 2.0, 4.0], 100.0);
    app.step();
    app.loads([2.0, 9.0, 4.0], 100.0);
    app.of("main").min = 3;
    assert_eq!(desired(&app.step())[1], 3, "the minimum, and no more");
    app.of("main").max = 1;
    app.of("main").min = 1;
    assert_eq!(desired(&app.step())[1], 1);
}

#[test]
fn a_new_process_takes_what_is_not_whole_for_a_change() {
    let mut app = App::new();
    app.loads([2.0, 2.0, 4.0], 100.0);
    app.step();
    app.memory = AppMemory::default();
    app.loads([2.0, 4.0, 4.0], 100.0);
    let decision = app.step();
    assert_eq!((desired(&decision)[1], waits(&decision.components["main"])), (2, true));
    app.settle("sessions");
    assert_eq!(desired(&app.step())[1], 4);
}

#[test]
fn a_shard_that_crashes_takes_no_turn() {
    let mut app = App::new();
    app.of("sessions").available = Some(1);
    app.loads([2.0, 4.0, 2.0], 100.0);
    assert_eq!(desired(&app.step())[1], 4);
}

/// What happens before a decision.
#[derive(Clone, Debug)]
struct Moment {
    seconds: i64,
    loads: [f64; 3],
    requests: f64,
    /// Who becomes whole.
    settles: [bool; 3],
    restarts: bool,
}

fn moments() -> impl Strategy<Value = Vec<Moment>> {
    let loads = proptest::array::uniform3((1..12_i32).prop_map(f64::from));
    let settles = proptest::array::uniform3(prop::bool::weighted(0.2));
    let moment = (1..60_i64, loads, 1.0..900.0_f64, settles, prop::bool::weighted(0.05)).prop_map(
        |(seconds, loads, requests, settles, restarts)| Moment {
            seconds,
            loads,
            requests,
            settles,
            restarts,
        },
    );
    proptest::collection::vec(moment, 1..25)
}

const DATA: [&str; 3] = ["archive", "main", "sessions"];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_data_tier_changes_at_a_time_and_a_service_is_decided_as_if_it_were_alone(moments in moments()) {
        let mut app = App::new();
        // When the change of each began that has not had its effect.
        let mut changing: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for moment in moments {
            app.later(moment.seconds);
            app.loads(moment.loads, moment.requests);
            let now = app.now();
            for (name, _) in DATA.into_iter().zip(moment.settles).filter(|(_, settles)| *settles) {
                app.settle(name);
            }
            changing.retain(|name, _| !app.components[name].is_whole());
            if moment.restarts {
                app.memory.turns = AppMemory::default().turns;
                changing.values_mut().for_each(|since| *since = now);
            }
            let before = app.input();
            let decision = app.step();
            let mut alone = before.clone();
            alone.stack.components.retain(|name, _| name == "web");
            alone.state.components.retain(|name, _| name == "web");
            prop_assert_eq!(&decide(&alone.as_input()).components["web"], &decision.components["web"]);
            for name in DATA {
                if decision.components[name].change.is_none() {
                    continue;
                }
                let is_turn = |since: &Timestamp| now.duration_since(*since) < TURN;
                let other = changing.iter().find(|(other, since)| **other != name && is_turn(since));
                prop_assert!(other.is_none(), "{name} changes beside {other:?}");
                let since = changing.entry(name).or_insert(now);
                *since = if is_turn(since) { *since } else { now };
            }
        }
    }

    #[test]
    fn nobody_waits_longer_than_the_turns_of_the_others(moments in moments()) {
        let mut app = App::new();
        let mut since: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for moment in moments.iter().chain(&moments).chain(&moments) {
            app.later(moment.seconds);
            app.loads(moment.loads, moment.requests);
            let decision = app.step();
            for name in DATA {
                if !waits(&decision.components[name]) {
                    since.remove(name);
                    continue;
                }
                let waited = app.now().duration_since(*since.entry(name).or_insert(app.now()));
                // Two others, and the time between two decisions for each.
                prop_assert!(waited < 2 * (TURN + SignedDuration::from_mins(1)), "{name} waited {waited:#}");
            }
        }
    }
}
