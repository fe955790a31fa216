//! What circuit breakers make of the replicas of callers and callees.

use crate::effect;
use crate::fixture::{Component, cpu, email, latency, metric, pod, rate};
use jiff::SignedDuration;
use scalableapp_engine::bounds::circuit::DependencyState;
use scalableapp_engine::evidence::backlog::BacklogReading;
use scalableapp_engine::evidence::circuit::CircuitState::{self, Closed, HalfOpen, Implausible, Open};
use scalableapp_engine::memory::AppMemory;
use scalableapp_engine::propose::metric::{Metric, Target};
use scalableapp_engine::record::RecordedInput;
use scalableapp_engine::{Decision, decide, reason};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Six replicas that call `payments`, at a target of 50 requests per second each, without a stabilization window.
fn web(metrics: &[Metric]) -> Component {
    let mut web = Component::new(6, metrics);
    web.behavior.scale_down.stabilization_window_seconds = 0;
    web
}

fn degraded(web: &Component) -> Option<(u32, u32)> {
    match web.decide().dependencies["payments"] {
        DependencyState::Degraded { open, of, .. } => Some((open, of)),
        _ => None,
    }
}

#[test]
fn no_replica_of_a_caller_goes_while_its_breakers_are_open() {
    for open in [Open, HalfOpen] {
        let mut web = web(&[rate(50)]);
        let decision = web.breaks(open).reads("rps", 10.0).decide();
        assert_eq!((decision.desired, decision.limited_by.clone()), (6, vec![reason::DEPENDENCY_DEGRADED]));
        assert_eq!(
            effect(&decision, "bounds"),
            "1 is below the degraded dependency payments (open on up to 6 of 6 pods) 6"
        );
        assert!(
            decision.message().contains("This is the degraded dependency payments."),
            "{}",
            decision.message()
        );
        assert_eq!(degraded(&web), Some((6, 6)));
        assert_eq!(web.breaks(Closed).reads("rps", 10.0).decide().desired, 1, "without an open one");
    }
}

#[test]
fn calls_that_wait_add_no_replica_and_work_does() {
    let mut busy = web(&[rate(50)]);
    assert_eq!(busy.breaks(Open).reads("rps", 450.0).decide().desired, 9, "requests are demand");
    let mut hot = web(&[cpu(50)]);
    hot.uses_cpu(900);
    assert_eq!(hot.breaks(Open).decide().desired, 11, "so is CPU");
    let carts = metric("carts", Target::Prometheus { per_replica: 1000 });
    let mut queue = web(&[rate(50), carts]);
    queue.reads("rps", 300.0);
    let decision = queue.breaks(Open).reads("carts", 15.0).decide();
    assert_eq!((decision.desired, decision.limited_by), (6, vec![reason::DEPENDENCY_DEGRADED]));
    assert_eq!(queue.breaks(Closed).reads("carts", 15.0).decide().desired, 12);
}

#[test]
fn a_backlog_behind_a_degraded_dependency_adds_no_worker() {
    let mut pool = web(&[email()]);
    let waiting = BacklogReading {
        waiting: 4000.0,
        arrivals_per_second: 10.0,
        finished_per_second: Some(10.0),
        running: Some(48.0),
        seconds_per_job: Some(1.0),
        ..BacklogReading::default()
    };
    assert!(pool.breaks(Closed).backlog(waiting).decide().desired > 6);
    let decision = pool.breaks(Open).backlog(waiting).decide();
    assert_eq!((decision.desired, decision.limited_by), (6, vec![reason::DEPENDENCY_DEGRADED]));
    assert_eq!(pool.breaks(Open).backlog(BacklogReading::default()).decide().desired, 6, "nor removes one");
}

#[test]
fn bounds_that_people_set_still_act() {
    let mut web = web(&[rate(50)]);
    web.max = 4;
    assert_eq!(web.breaks(Open).reads("rps", 10.0).decide().desired, 4);
    (web.max, web.min) = (20, 8);
    assert_eq!(web.breaks(Open).reads("rps", 10.0).decide().desired, 8);
}

#[test]
fn a_breaker_that_a_few_pods_see_open_holds_nothing() {
    let mut web = web(&[rate(50)]);
    let decision = web.breakers(&[Open, Open, Closed, Closed, Closed, Closed]).reads("rps", 10.0).decide();
    assert_eq!(decision.desired, 1);
    let pods = ["pod-0", "pod-1"].map(str::to_owned).to_vec();
    assert_eq!(decision.dependencies["payments"], DependencyState::OpenOnSomePods(pods));
}

#[test]
fn a_hold_lasts_while_half_of_the_pods_that_began_it_see_the_breaker_open() {
    let mut web = web(&[rate(50)]);
    web.breakers(&[Open, Open, Open, Open, Closed, Closed]).reads("rps", 10.0).act();
    let decision =
        web.later(5).breakers(&[Open, Open, Closed, Closed, Closed, Closed]).reads("rps", 10.0).act();
    assert_eq!((decision.desired, decision.limited_by[0]), (6, reason::DEPENDENCY_DEGRADED));
    assert_eq!(degraded(&web), Some((4, 6)));
    let decision =
        web.later(5).breakers(&[Open, Closed, Closed, Closed, Closed, Closed]).reads("rps", 10.0).act();
    assert_eq!((decision.desired, decision.limited_by[0]), (6, reason::DEPENDENCY_RECOVERING));
}

#[test]
fn a_breaker_of_which_nothing_is_known_is_not_closed() {
    for states in [&[][..], &[Closed, Closed], &[Implausible; 6]] {
        let mut web = web(&[rate(50)]);
        let decision = web.breakers(states).reads("rps", 10.0).decide();
        assert_eq!(
            (decision.desired, decision.limited_by.clone()),
            (6, vec![reason::CIRCUIT_UNKNOWN]),
            "{states:?}"
        );
        assert_eq!(decision.dependencies["payments"], DependencyState::Unknown);
        assert!(effect(&decision, "bounds").contains("the unknown circuit of payments ("), "{states:?}");
        assert_eq!(web.reads("rps", 450.0).decide().desired, 9, "more is possible");
    }
}

#[test]
fn silence_does_not_end_a_hold() {
    let mut web = web(&[rate(50)]);
    web.breaks(Open).reads("rps", 10.0).act();
    for _ in 0..100 {
        let decision = web.later(60).breakers(&[]).reads("rps", 10.0).act();
        assert_eq!((decision.desired, decision.limited_by), (6, vec![reason::DEPENDENCY_DEGRADED]));
    }
    assert_eq!(degraded(&web), Some((6, 6)), "as last seen");
}

#[test]
fn replicas_stay_for_one_window_after_the_breakers_closed() {
    for (window, kept) in [(0, 60), (300, 300)] {
        let mut web = web(&[rate(50)]);
        web.behavior.scale_down.stabilization_window_seconds = window;
        web.breaks(Open).reads("rps", 10.0).act();
        let decision = web.later(5).breaks(Closed).reads("rps", 10.0).act();
        assert_eq!((decision.desired, decision.limited_by[0]), (6, reason::DEPENDENCY_RECOVERING));
        assert_eq!(decision.dependencies["payments"], DependencyState::Well);
        assert_eq!(web.later(i64::from(kept) - 1).breaks(Closed).reads("rps", 10.0).act().desired, 6);
        assert_eq!(web.later(2).breaks(Closed).reads("rps", 10.0).act().desired, 1, "window {window}");
    }
}

#[test]
fn a_probe_that_fails_begins_the_window_anew() {
    let mut web = web(&[rate(50)]);
    for state in [Open, HalfOpen, Closed, Open, Closed] {
        web.later(40).breaks(state).reads("rps", 10.0).act();
    }
    assert_eq!(web.later(59).breaks(Closed).reads("rps", 10.0).act().desired, 6);
    assert_eq!(web.later(2).breaks(Closed).reads("rps", 10.0).act().desired, 1);
}

#[test]
fn replicas_that_went_just_before_a_breaker_was_seen_open_come_back() {
    let mut web = web(&[rate(50)]);
    web.breaks(Closed).reads("rps", 300.0).act();
    assert_eq!(web.later(15).breaks(Closed).reads("rps", 100.0).act().desired, 2);
    let decision = web.later(15).breaks(Open).reads("rps", 100.0).act();
    assert_eq!((decision.desired, decision.reason), (6, reason::DEPENDENCY_DEGRADED));
    let mut long_ago = web.clone();
    long_ago.breaks(Closed);
    for seconds in [61; 5] {
        long_ago.later(seconds).breaks(Closed).reads("rps", 100.0).act();
    }
    assert_eq!(long_ago.replicas, 2);
    assert_eq!(long_ago.later(15).breaks(Open).reads("rps", 100.0).act().desired, 2);
}

#[test]
fn a_restart_ends_no_hold_and_no_window() {
    let mut web = web(&[rate(50)]);
    web.breaks(Open).reads("rps", 10.0).act();
    web.status = web.memory.persist(web.now, &web.behavior);
    web.later(5).restart().breakers(&[]).reads("rps", 10.0);
    assert_eq!(web.act().limited_by, [reason::DEPENDENCY_DEGRADED], "which nothing but the status knows");
    web.later(5).breaks(Closed).reads("rps", 10.0).act();
    web.status = web.memory.persist(web.now, &web.behavior);
    web.later(30).restart().breaks(Closed).reads("rps", 10.0);
    assert_eq!(web.act().desired, 6);
    assert_eq!(web.later(29).breaks(Closed).reads("rps", 10.0).act().desired, 6);
    assert_eq!(web.later(2).breaks(Closed).reads("rps", 10.0).act().desired, 1);
}

#[test]
fn what_is_remembered_of_a_hold_is_the_same_after_the_status() {
    let mut web = web(&[rate(50)]);
    web.breaks(Open).reads("rps", 10.0).act();
    web.later(5).breaks(Closed).reads("rps", 10.0).act();
    let holds = web.memory.holds();
    assert_eq!(holds.len(), 1);
    web.status = web.memory.persist(web.now, &web.behavior);
    assert_eq!(web.restart().memory.holds(), holds);
}

#[test]
fn a_dependency_that_is_no_longer_called_holds_nothing() {
    let mut web = web(&[rate(50)]);
    web.breaks(Open).reads("rps", 10.0).act();
    web.calls.clear();
    assert_eq!(web.later(5).reads("rps", 10.0).act().desired, 1);
    assert!(web.memory.holds().is_empty());
}

#[test]
fn what_an_open_breaker_made_of_a_decision_is_recorded() {
    let mut web = web(&[rate(50), latency(300)]);
    web.breaks(Open).reads("rps", 10.0).reads("p99", 5.0);
    assert!(web.record().replays());
}

/// `web` calls `payments` and `api`, `api` calls `store`.
struct Shop {
    components: BTreeMap<&'static str, Component>,
}

impl Shop {
    fn new() -> Self {
        let component = || web(&[rate(50)]);
        let mut shop = Self { components: ["web", "api", "store"].map(|name| (name, component())).into() };
        shop.states(Closed);
        shop
    }

    /// The same state on every pod of `web`.
    fn states(&mut self, state: CircuitState) -> &mut Self {
        self.web().breaks(state);
        self
    }

    fn web(&mut self) -> &mut Component {
        self.components.get_mut("web").expect("the component")
    }

    /// Every component has this request rate, after some seconds.
    fn at(&mut self, seconds: i64, rate: f64) -> &mut Self {
        self.components.values_mut().for_each(|one| {
            one.later(seconds).reads("rps", rate);
        });
        self
    }

    fn input(&self) -> RecordedInput {
        let mut whole: Option<RecordedInput> = None;
        for (name, component) in &self.components {
            let mut input = component.input();
            let name = (*name).to_owned();
            let only = "web";
            let mut declared = (*input.stack.components[only]).clone();
            declared.calls = match name.as_str() {
                "web" => vec!["payments".to_owned(), "api".to_owned()],
                "api" => vec!["store".to_owned()],
                _ => Vec::new(),
            };
            input.stack.components = BTreeMap::from([(name.clone(), Arc::new(declared))]);
            let moved = whole.get_or_insert_with(|| {
                let mut empty = input.clone();
                empty.stack.components.clear();
                empty.state.components.clear();
                empty.evidence.readings.clear();
                empty.evidence.circuits.clear();
                empty.memory.components.clear();
                empty
            });
            moved.stack.components.extend(input.stack.components);
            moved.stack.dependencies.extend(input.stack.dependencies);
            moved.state.components.extend(input.state.components.remove(only).map(|one| (name.clone(), one)));
            moved
                .evidence
                .readings
                .extend(input.evidence.readings.remove(only).map(|one| (name.clone(), one)));
            moved
                .evidence
                .circuits
                .extend(input.evidence.circuits.remove(only).map(|one| (name.clone(), one)));
            moved.memory.components.extend(input.memory.components.remove(only).map(|one| (name, one)));
        }
        whole.expect("components")
    }

    /// Decides and applies.
    fn act(&mut self) -> Decision {
        let decision = decide(&self.input().as_input());
        let mut memory: AppMemory = decision.memory.clone();
        for (name, component) in &mut self.components {
            let decided = &decision.components[*name];
            memory.commit(name, decided, &component.behavior, true);
            component.memory = memory.components[*name].clone();
            component.replicas = decided.desired;
            let was_ready = component.pods.iter().any(scalableapp_engine::hpa::pod::Pod::is_ready);
            if was_ready {
                component.all_pods_ready();
            }
        }
        decision
    }
}

fn desired(decision: &Decision) -> [i32; 3] {
    ["web", "api", "store"].map(|name| decision.components[name].desired)
}

#[test]
fn the_callees_of_a_caller_with_an_open_breaker_keep_their_replicas() {
    let mut shop = Shop::new();
    assert_eq!(desired(&shop.at(0, 300.0).act()), [6, 6, 6]);
    let decision = shop.at(5, 10.0).states(Open).act();
    assert_eq!(desired(&decision), [6, 6, 6]);
    for callee in ["api", "store"] {
        assert_eq!(decision.components[callee].limited_by, [reason::CALLERS_SILENT]);
        let bounds = effect(&decision.components[callee], "bounds");
        assert_eq!(bounds, "1 is below the silent web 6");
    }
    shop.at(600, 10.0).states(Closed).act();
    assert_eq!(desired(&shop.at(59, 10.0).states(Closed).act()), [6, 6, 6]);
    assert_eq!(desired(&shop.at(2, 10.0).states(Closed).act()), [1, 1, 1]);
}

#[test]
fn callees_are_held_for_as_long_as_their_caller() {
    let mut shop = Shop::new();
    shop.at(0, 300.0).act();
    shop.at(5, 10.0).web().breakers(&[Open, Open, Open, Open, Closed, Closed]);
    shop.act();
    for _ in 0..60 {
        shop.at(10, 10.0).web().breakers(&[Open, Open, Closed, Closed, Closed, Closed]);
        let decision = shop.act();
        assert_eq!(desired(&decision), [6, 6, 6]);
        assert_eq!(decision.components["api"].limited_by, [reason::CALLERS_SILENT]);
    }
}

#[test]
fn the_callees_of_a_caller_without_a_ready_pod_keep_their_replicas() {
    let mut shop = Shop::new();
    assert_eq!(desired(&shop.at(0, 300.0).act()), [6, 6, 6]);
    shop.web().pods.clear();
    for _ in 0..60 {
        let decision = shop.at(10, 0.0).act();
        assert_eq!(desired(&decision)[1..], [6, 6]);
        assert_eq!(decision.components["api"].limited_by, [reason::CALLERS_SILENT]);
    }
    shop.web().all_pods_ready();
    for _ in 0..5 {
        assert_eq!(desired(&shop.at(10, 0.0).states(Closed).act())[1..], [6, 6]);
    }
    assert_eq!(desired(&shop.at(20, 0.0).states(Closed).act())[1..], [1, 1]);
}

#[test]
fn a_callee_whose_callers_call_scales_in() {
    let mut shop = Shop::new();
    assert_eq!(desired(&shop.at(0, 10.0).act()), [1, 1, 1]);
}

#[test]
fn a_caller_of_which_nothing_is_known_neither_silences_nor_comes_back() {
    let mut shop = Shop::new();
    shop.web().breakers(&[]);
    assert_eq!(desired(&shop.at(0, 10.0).act()), [6, 1, 1], "its own replicas stay");
    let mut shop = Shop::new();
    shop.at(0, 10.0).states(Open).act();
    for _ in 0..50 {
        shop.web().breakers(&[]);
        assert_eq!(desired(&shop.at(60, 10.0).act()), [6, 6, 6]);
    }
}

#[test]
fn pods_that_start_have_no_say() {
    let mut web = web(&[rate(50)]);
    web.breaks(Closed).reads("rps", 300.0);
    let young = web.now - SignedDuration::from_secs(10);
    web.pods.extend((6..20).map(|index| pod(&format!("pod-{index}"), young)));
    assert_eq!(web.decide().dependencies["payments"], DependencyState::Well);
}
