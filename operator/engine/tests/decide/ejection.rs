//! Which pods leave their Service because they alone have an open circuit breaker, and which one is replaced.

use crate::fixture::{Component, cpu, email, rate};
use jiff::SignedDuration;
use proptest::prelude::*;
use scalableapp_engine::Ejected;
use scalableapp_engine::evidence::circuit::CircuitState::{self, Closed, HalfOpen, Implausible, Open};
use scalableapp_engine::memory::ComponentMemory;

/// Replicas that call `payments` and keep their number.
fn web(replicas: i32) -> Component {
    let mut web = Component::new(replicas, &[]);
    (web.min, web.max) = (replicas, replicas);
    web
}

/// The states of so many pods, of which the last ones have an open breaker.
fn open(open: usize, of: usize) -> Vec<CircuitState> {
    (0..of).map(|index| if index + open < of { Closed } else { Open }).collect()
}

/// The result some seconds later, with these states.
fn after(web: &mut Component, seconds: i64, states: &[CircuitState]) -> Ejected {
    web.later(seconds).breakers(states).act().ejected
}

fn names(ejected: &Ejected) -> Vec<&str> {
    ejected.pods.keys().map(String::as_str).collect()
}

#[test]
fn a_pod_that_alone_has_an_open_breaker_leaves_after_a_while() {
    for state in [Open, HalfOpen] {
        let mut web = web(4);
        let states = [Closed, Closed, Closed, state];
        assert_eq!(after(&mut web, 0, &states), Ejected::default());
        assert_eq!(after(&mut web, 29, &states), Ejected::default());
        let ejected = after(&mut web, 1, &states);
        assert_eq!(ejected.pods, [("pod-3".to_owned(), "payments".to_owned())].into());
        assert_eq!(after(&mut web, 5, &states), ejected, "it stays out");
    }
}

#[test]
fn a_short_opening_ejects_nothing() {
    let mut web = web(4);
    for _ in 0..20 {
        assert_eq!(after(&mut web, 5, &open(1, 4)), Ejected::default());
        assert_eq!(after(&mut web, 20, &open(1, 4)), Ejected::default());
        assert_eq!(after(&mut web, 5, &open(0, 4)), Ejected::default());
    }
}

#[test]
fn a_pod_returns_once_its_breaker_is_closed_and_each_time_later() {
    let mut web = web(4);
    web.ejection.replace_after = SignedDuration::ZERO;
    for stays in [120, 240, 480] {
        after(&mut web, 5, &open(1, 4));
        assert_eq!(names(&after(&mut web, 30, &open(1, 4))), ["pod-3"]);
        assert_eq!(
            names(&after(&mut web, stays - 1, &open(0, 4))),
            ["pod-3"],
            "a pod without calls may close it"
        );
        assert_eq!(after(&mut web, 1, &open(0, 4)), Ejected::default());
    }
}

#[test]
fn at_most_a_third_leaves_and_if_more_had_to_none_does() {
    for (bad, of, leave) in [(1, 2, 0), (1, 3, 1), (2, 5, 0), (2, 6, 2), (3, 9, 3), (4, 9, 0), (9, 9, 0)] {
        let mut web = web(of);
        let states = open(bad, of as usize);
        after(&mut web, 0, &states);
        assert_eq!(names(&after(&mut web, 30, &states)).len(), leave, "{bad} of {of}");
    }
}

#[test]
fn a_dependency_that_fails_for_all_takes_no_pod_out_and_replaces_none() {
    let mut web = web(4);
    after(&mut web, 0, &open(1, 4));
    assert_eq!(names(&after(&mut web, 30, &open(1, 4))), ["pod-3"]);
    for _ in 0..100 {
        assert_eq!(after(&mut web, 30, &open(4, 4)), Ejected::default(), "it returns at once");
    }
}

#[test]
fn a_breaker_that_closes_later_than_others_takes_no_pod_out() {
    let mut web = web(4);
    after(&mut web, 0, &open(4, 4));
    after(&mut web, 30, &open(1, 4));
    assert_eq!(after(&mut web, 270, &open(1, 4)), Ejected::default());
    assert_eq!(after(&mut web, 29, &open(1, 4)), Ejected::default(), "replicas are still held");
    after(&mut web, 1, &open(1, 4));
    assert_eq!(names(&after(&mut web, 30, &open(1, 4))), ["pod-3"]);
}

#[test]
fn what_is_not_known_changes_nothing() {
    let mut web = web(4);
    after(&mut web, 0, &open(1, 4));
    assert_eq!(names(&after(&mut web, 30, &open(1, 4))), ["pod-3"]);
    for states in [&[][..], &[Implausible; 4], &[Closed, Closed, Closed]] {
        let ejected = after(&mut web, 600, states);
        assert_eq!((names(&ejected), &ejected.replace), (vec!["pod-3"], &None), "{states:?}");
    }
}

#[test]
fn a_pod_that_stays_bad_is_replaced_while_its_peers_are_well() {
    let mut web = web(4);
    after(&mut web, 0, &open(1, 4));
    assert_eq!(after(&mut web, 299, &open(1, 4)).replace, None);
    let silent_peer = [Closed, Closed, Implausible, Open];
    assert_eq!(after(&mut web, 60, &silent_peer).replace, None, "nothing is known of a peer");
    assert_eq!(after(&mut web, 0, &open(1, 4)).replace.as_deref(), Some("pod-3"));
    let mut rolling = web.clone();
    rolling.existing = Some(5);
    rolling.pods.push(rolling.pods[0].clone());
    assert_eq!(
        rolling.breakers(&open(1, 4)).decide().ejected.replace,
        None,
        "a pod more than there should be"
    );
    web.ejection.replace_after = SignedDuration::ZERO;
    assert_eq!(after(&mut web, 600, &open(1, 4)).replace, None, "never");
}

#[test]
fn the_next_pod_is_replaced_after_a_longer_wait() {
    let mut web = web(4);
    let mut waits = Vec::new();
    for index in 0..3 {
        let bad = format!("bad-{index}");
        let mut waited = 0;
        loop {
            web.pods[3].name = bad.as_str().into();
            let ejected = web.later(10).breakers(&open(1, 4)).decide_and_remember();
            web.memory = ejected.1;
            web.ejected = ejected.0.ejected.pods.keys().cloned().collect();
            waited += 10;
            if ejected.0.ejected.replace.as_deref() == Some(&bad) {
                break;
            }
            assert!(waited < 10_000);
        }
        waits.push(waited);
    }
    assert_eq!(waits, [310, 310, 610]);
}

#[test]
fn a_new_process_keeps_a_pod_out_until_it_is_known_to_be_well() {
    let mut web = web(4);
    after(&mut web, 0, &open(1, 4));
    after(&mut web, 300, &open(1, 4));
    web.memory = ComponentMemory::default();
    let ejected = after(&mut web, 5, &[]);
    assert_eq!(names(&ejected), ["pod-3"]);
    let ejected = after(&mut web, 5, &open(1, 4));
    assert_eq!((names(&ejected), &ejected.replace), (vec!["pod-3"], &None), "the wait begins again");
    assert_eq!(after(&mut web, 120, &open(0, 4)), Ejected::default());
}

#[test]
fn workers_have_no_service_to_leave() {
    let mut pool = Component::new(4, &[email()]);
    after(&mut pool, 0, &open(1, 4));
    assert_eq!(after(&mut pool, 300, &open(1, 4)), Ejected::default());
}

#[test]
fn the_idle_cpu_of_a_pod_without_requests_removes_no_replica() {
    let mut web = Component::new(4, &[cpu(50), rate(1)]);
    web.behavior.scale_down.stabilization_window_seconds = 0;
    web.ejected = ["pod-3".to_owned()].into();
    web.breakers(&open(1, 4)).reads("rps", 1.0).uses_cpu(500);
    if let Some(usage) = &mut web.pods[3].usage.cpu {
        usage.milli = 0;
    }
    assert_eq!(web.decide().desired, 4, "3 of 4 pods use half a core each");
}

proptest! {
    #[test]
    fn whatever_the_breakers_say_a_third_at_most_is_out_and_one_pod_serves(
        replicas in 1..12_usize,
        moments in proptest::collection::vec((0..200_i64, proptest::collection::vec(0..8_u8, 12)), 1..30),
    ) {
        let mut web = web(replicas as i32);
        for (seconds, states) in &moments {
            let state = |one: &u8| match one { 0 => Open, 1 => HalfOpen, 2 => Implausible, _ => Closed };
            let states: Vec<_> = states.iter().take(replicas).map(state).collect();
            let ejected = after(&mut web, *seconds, &states);
            prop_assert!(ejected.pods.len() * 3 <= replicas);
            prop_assert!(ejected.replace.iter().all(|pod| ejected.pods.contains_key(pod)));
            let bad = states.iter().filter(|one| matches!(one, Open | HalfOpen)).count();
            prop_assert!(ejected.replace.is_none() || bad == 1);
        }
    }
}
