//! What a diagnosis says of an app over time, and what it makes of the replicas.

use crate::fixture::{Component, NAME, metric, rate};
use jiff::{SignedDuration, Timestamp};
use scalableapp_engine::diagnose::observation::{Call, Observation, Span};
use scalableapp_engine::diagnose::standing::{Bottleneck, DiagnosisMemory};
use scalableapp_engine::diagnose::verdict::Intervention;
use scalableapp_engine::evidence::Evidence;
use scalableapp_engine::evidence::backlog::BacklogReading;
use scalableapp_engine::evidence::cache::CacheReading;
use scalableapp_engine::evidence::canary::CanaryReading;
use scalableapp_engine::evidence::circuit::CircuitReading;
use scalableapp_engine::evidence::connections::{ConnectionsReading, PoolReading};
use scalableapp_engine::evidence::recent::RecentRate;
use scalableapp_engine::evidence::recorded::{RecordedEvidence, Recorder};
use scalableapp_engine::evidence::sample::Reading;
use scalableapp_engine::forecast::season::Seasonal;
use scalableapp_engine::hpa::pod::{Pod, PodSample, Resource};
use scalableapp_engine::memory::AppMemory;
use scalableapp_engine::propose::metric::Target;
use scalableapp_engine::reason::{self, Reason};
use scalableapp_engine::record::{Record, RecordedInput};
use scalableapp_engine::stack::Pool;
use scalableapp_engine::{Decision, Input, decide};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Seconds between two samples.
const STEP: i64 = 15;
/// Seconds of the judged window.
const WINDOW: i64 = 120;

/// Samples that the operator keeps.
const KEPT: usize = 120;

/// Evidence with an observation.
struct Observing<'a> {
    evidence: &'a RecordedEvidence,
    observation: Observation,
    at: Timestamp,
}

impl Evidence for Observing<'_> {
    fn max_age(&self) -> SignedDuration {
        self.evidence.max_age()
    }
    fn reading(&self, component: &str, metric: &str) -> Option<Cow<'_, Reading>> {
        self.evidence.reading(component, metric)
    }
    fn usage(&self, pod: &Pod, resource: Resource) -> Option<PodSample> {
        self.evidence.usage(pod, resource)
    }
    fn season(&self, component: &str, metric: &str) -> Option<Cow<'_, Seasonal>> {
        self.evidence.season(component, metric)
    }
    fn backlog(&self, component: &str, metric: &str) -> Option<Cow<'_, BacklogReading>> {
        self.evidence.backlog(component, metric)
    }
    fn cache(&self, component: &str, metric: &str) -> Option<Cow<'_, CacheReading>> {
        self.evidence.cache(component, metric)
    }
    fn circuit(&self, component: &str, dependency: &str) -> Option<Cow<'_, CircuitReading>> {
        self.evidence.circuit(component, dependency)
    }
    fn connections(&self, database: &str) -> Option<ConnectionsReading> {
        self.evidence.connections(database)
    }
    fn pools(&self, component: &str) -> Option<PoolReading> {
        self.evidence.pools(component)
    }
    fn recent_rate(&self, component: &str) -> Option<RecentRate> {
        self.evidence.recent_rate(component)
    }
    fn canary(&self, component: &str) -> Option<Cow<'_, CanaryReading>> {
        self.evidence.canary(component)
    }
    fn observation(&self, after: Option<Timestamp>) -> Option<Observation> {
        after.is_none_or(|after| self.at > after).then(|| self.observation.clone())
    }
}

/// The levels of a moment.
#[derive(Clone, Copy)]
struct Level {
    latency: f64,
    query: f64,
    wait: f64,
    cpu: f64,
}

const FINE: Level = Level { latency: 0.05, query: 0.01, wait: 0.001, cpu: 0.3 };
const SLOW_QUERY: Level = Level { latency: 0.6, query: 0.25, wait: 0.2, ..FINE };
const HOT: Level = Level { latency: 0.6, cpu: 0.98, ..FINE };

/// `web` over the database `main`, from which it waits for connections.
struct Shop {
    web: Component,
    memory: AppMemory,
    past: Vec<(f64, Level)>,
}

impl Shop {
    fn new() -> Self {
        // Requests in progress rise while they wait.
        let waiting = metric("waiting", Target::Prometheus { per_replica: 1000 });
        let web = Component::new(4, &[rate(50), waiting]);
        Self { web, memory: AppMemory::default(), past: Vec::new() }
    }

    fn of(level: impl Fn(usize) -> Level, samples: usize) -> Self {
        let mut shop = Self::new();
        (0..samples).for_each(|index| drop(shop.step(level(index))));
        shop
    }

    fn observation(&self) -> Observation {
        let now = self.past.last().expect("a sample").0;
        let border = now - WINDOW as f64 + STEP as f64 / 2.0;
        let call = Call { caller: NAME.into(), callee: "main".into(), is_async: false };
        let mut observation = Observation {
            calls: vec![call],
            window: Span { from: border, until: now },
            normal: vec![Span { from: self.past[0].0, until: border.next_down() }],
            entry: Some(NAME.into()),
            ..Observation::default()
        };
        type Value = fn(&Level) -> f64;
        let series: [(&str, &str, Value); 6] = [
            (NAME, "latency_p50_seconds", |level| level.latency / 2.0),
            (NAME, "latency_p99_seconds", |level| level.latency),
            (NAME, "requests_per_second", |_| 100.0),
            (NAME, "cpu_share", |level| level.cpu),
            (NAME, "pool_wait_seconds", |level| level.wait),
            ("main", "query_seconds", |level| level.query),
        ];
        for (node, name, value) in series {
            let noise = |index: usize| 1.0 + 0.01 * ((index * 7 % 5) as f64 - 2.0);
            let of = |(index, (at, level)): (usize, &(f64, Level))| (*at, value(level) * noise(index));
            observation.insert(node, name, self.past.iter().enumerate().map(of).collect());
        }
        observation
    }

    fn input(&self) -> RecordedInput {
        let mut input = self.web.input();
        input.memory.diagnosis = self.memory.diagnosis.clone();
        let web = Arc::make_mut(input.stack.components.get_mut(NAME).expect("web"));
        web.calls = vec!["main".into()];
        input
    }

    /// A pass after the next sample.
    fn step(&mut self, level: Level) -> Decision {
        self.web.later(STEP);
        self.past.push((self.web.now.as_duration().as_secs_f64(), level));
        self.forget();
        self.web.rates(200.0);
        self.web.reads("waiting", if level.latency > 0.3 { 15.0 } else { 4.0 });
        let decision = self.pass().0;
        self.memory = decision.memory.clone();
        decision
    }

    /// Drops what the operator does not keep: the oldest sample, or the oldest one of an incident.
    fn forget(&mut self) {
        if self.past.len() > KEPT {
            let incident = self.memory.diagnosis.incident().map(|one| one.as_second() as f64);
            let of_incident = |incident| self.past.iter().position(|(at, _)| *at >= incident);
            self.past.remove(incident.and_then(of_incident).unwrap_or(0));
        }
    }

    /// A pass now, and its record.
    fn pass(&self) -> (Decision, Record) {
        let input = self.input();
        let observing =
            Observing { evidence: &input.evidence, observation: self.observation(), at: self.web.now };
        let recorder = Recorder::new(&observing);
        let decision = decide(&Input { evidence: &recorder, ..input.as_input() });
        let decisions = decision.components.iter();
        let decisions: BTreeMap<_, _> =
            decisions.map(|(name, one)| (name.clone(), one.record(self.web.now))).collect();
        let kept = RecordedInput { evidence: recorder.into_read(), ..input.clone() };
        (decision, Record::new(("shop", "shop"), kept, decisions))
    }

    fn said(&self) -> Option<(&str, Reason, Intervention)> {
        let Bottleneck { component, cause, advice, .. } = self.memory.diagnosis.standing()?;
        Some((component.as_str(), *cause, *advice))
    }
}

#[test]
fn a_slow_query_is_named_at_the_database_once_it_lasts_and_no_longer_than_it_does() {
    let mut shop = Shop::of(|_| FINE, 60);
    assert_eq!(shop.said(), None);
    let mut steps = 0;
    while shop.said().is_none() && steps < 20 {
        shop.step(SLOW_QUERY);
        steps += 1;
    }
    assert_eq!(shop.said(), Some(("main", reason::DATABASE_SLOW, Intervention::Query)));
    // Half of the window, and once more.
    assert!((5..=7).contains(&steps), "{steps}");
    let message = shop.memory.diagnosis.standing().expect("a verdict").message();
    assert!(message.starts_with("main: Queries take longer"), "{message}");
    assert!(message.contains("query_seconds of main 0.2") && message.contains("normally 0.01,"), "{message}");
    let mut steps = 0;
    while shop.said().is_some() && steps < 20 {
        shop.step(FINE);
        steps += 1;
    }
    assert!((4..=10).contains(&steps), "{steps}");
}

#[test]
fn a_verdict_stays_as_it_began_and_an_incident_does_not_become_normal() {
    let mut shop = Shop::of(|index| if index < 60 { FINE } else { SLOW_QUERY }, 75);
    let begun = shop.memory.diagnosis.standing().cloned();
    assert!(begun.is_some());
    for _ in 0..600 {
        shop.step(SLOW_QUERY);
    }
    assert_eq!(shop.memory.diagnosis.standing().cloned(), begun);
}

#[test]
fn what_is_left_of_an_incident_is_not_taken_for_the_code() {
    let begun = || Shop::of(|index| if index < 60 { FINE } else { SLOW_QUERY }, 75);
    let left = Level { latency: 0.6, ..FINE };
    let mut shop = begun();
    let mut said = Vec::new();
    for step in 0..40 {
        shop.step(left);
        said.extend(shop.said().map(|(_, cause, _)| (step, cause)));
    }
    let first = said.iter().find(|(_, cause)| *cause != reason::DATABASE_SLOW);
    let (step, cause) = first.expect("what lasts is said");
    assert_eq!(*cause, reason::NOT_A_SCALING_PROBLEM);
    // Half of a window, and then twelve looks.
    assert!((12..=20).contains(step), "{step}");
    let mut shop = begun();
    for step in 0..30 {
        shop.step(if step < 8 { left } else { FINE });
        assert!(shop.said().is_none_or(|(_, cause, _)| cause == reason::DATABASE_SLOW), "{step}");
    }
    assert_eq!(shop.said(), None);
}

#[test]
fn an_incident_of_360_windows_is_normal_from_then_on() {
    let mut shop = Shop::of(|index| if index < KEPT { FINE } else { SLOW_QUERY }, KEPT + 20);
    assert!(shop.said().is_some());
    let mut steps = 20;
    while shop.said().is_some() && steps < 4000 {
        shop.step(SLOW_QUERY);
        steps += 1;
    }
    assert!((2680..2720).contains(&steps), "{steps}");
    for _ in 0..60 {
        shop.step(SLOW_QUERY);
        assert_eq!(shop.said(), None);
    }
    assert!(shop.memory.diagnosis.is_judged());
    for _ in 0..12 {
        shop.step(Level { query: 2.0, latency: 4.0, wait: 1.5, ..SLOW_QUERY });
    }
    assert!(shop.said().is_some(), "what is worse than that is said");
}

#[test]
fn less_than_half_of_a_window_and_too_little_history_say_nothing() {
    let mut shop = Shop::of(|index| if index < 60 { FINE } else { SLOW_QUERY }, 63);
    for _ in 0..20 {
        shop.step(FINE);
        assert_eq!(shop.said(), None);
    }
    // A new process during an incident has no normal operation to compare with.
    let mut shop = Shop::of(|_| SLOW_QUERY, 30);
    assert_eq!((shop.said(), shop.memory.diagnosis.is_judged()), (None, false));
    for _ in 0..40 {
        shop.step(SLOW_QUERY);
        assert_eq!(shop.said(), None);
    }
    assert!(shop.memory.diagnosis.is_judged());
}

#[test]
fn without_a_measurement_of_what_users_feel_a_verdict_neither_begins_nor_ends() {
    let mut shop = Shop::of(|index| if index < 60 { FINE } else { SLOW_QUERY }, 75);
    let said = shop.memory.diagnosis.standing().cloned();
    assert!(said.is_some());
    for _ in 0..20 {
        shop.step(Level { latency: f64::NAN, ..FINE });
    }
    assert_eq!(shop.memory.diagnosis.standing().cloned(), said);
    assert!(!shop.memory.diagnosis.is_judged());
}

#[test]
fn waiting_for_a_slow_database_adds_no_pod_and_requests_do() {
    let mut shop = Shop::of(|index| if index < 60 { FINE } else { SLOW_QUERY }, 75);
    let (decision, _) = shop.pass();
    let web = &decision.components[NAME];
    assert_eq!((web.desired, web.limited_by.clone()), (4, vec![reason::BOTTLENECK_ELSEWHERE]), "{web:?}");
    assert!(web.message().contains("the bottleneck DatabaseSlow of main"), "{}", web.message());
    shop.web.rates(300.0);
    assert_eq!(shop.pass().0.components[NAME].desired, 6, "requests are demand");
    shop.web.rates(10.0);
    let fewer = shop.pass().0.components[NAME].desired;
    assert!(fewer <= 4, "the verdict neither asks for replicas nor takes one");
    shop.memory.diagnosis = DiagnosisMemory::default();
    shop.web.rates(200.0);
    assert!(shop.pass().0.components[NAME].desired > 4, "without a verdict they are asked for");
}

#[test]
fn a_service_without_cpu_is_named_and_not_held() {
    let shop = Shop::of(|index| if index < 60 { FINE } else { HOT }, 75);
    assert_eq!(shop.said(), Some((NAME, reason::CPU_SATURATED, Intervention::MorePods)));
    assert!(shop.pass().0.components[NAME].desired > 4);
}

#[test]
fn a_verdict_that_is_not_certain_is_said_and_holds_nothing() {
    let shop = Shop::of(|index| if index < 60 { FINE } else { SLOW_QUERY }, 75);
    let mut memory = serde_json::to_value(&shop.memory.diagnosis).expect("JSON");
    memory["standing"]["confidence"] = 0.2.into();
    let mut doubtful = Shop { web: shop.web.clone(), past: shop.past.clone(), memory: shop.memory.clone() };
    doubtful.memory.diagnosis = serde_json::from_value(memory).expect("a memory");
    assert_eq!(shop.pass().0.components[NAME].desired, 4);
    assert!(doubtful.pass().0.components[NAME].desired > 4);
}

#[test]
fn a_decision_under_a_verdict_is_replayed_without_the_series() {
    let shop = Shop::of(|index| if index < 60 { FINE } else { SLOW_QUERY }, 75);
    let (_, record) = shop.pass();
    let line = serde_json::to_string(&record).expect("JSON");
    assert!(line.len() < 8192, "{}", line.len());
    let read: Record = serde_json::from_str(&line).expect("a record");
    assert!(read.replays(), "{:?}", read.differences());
}

#[test]
fn those_who_wait_over_others_and_by_a_pool_are_held_and_the_database_is_not() {
    let shop = Shop::of(|index| if index < 60 { FINE } else { SLOW_QUERY }, 75);
    let mut input = shop.input();
    let web = Arc::make_mut(input.stack.components.get_mut(NAME).expect("web"));
    web.calls = vec!["api".into()];
    let mut api = web.clone();
    api.calls = Vec::new();
    api.pool = Some(Pool { database: "main".into(), size: 5, min_size: 5, hidden_per_pod: 0 });
    input.stack.components.insert("api".into(), Arc::new(api));
    let observing =
        Observing { evidence: &input.evidence, observation: shop.observation(), at: shop.web.now };
    let decision = decide(&Input { evidence: &observing, ..input.as_input() });
    assert_eq!(decision.components[NAME].limited_by, [reason::BOTTLENECK_ELSEWHERE]);
}
