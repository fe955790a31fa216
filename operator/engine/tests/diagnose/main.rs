//! The diagnosis on systems that nobody tuned it to, and each cause on its own numbers.

#![allow(clippy::panic, reason = "clippy sees tests only in functions marked as such")]

mod causes;
mod system;

use scalableapp_engine::diagnose::diagnose;
use scalableapp_engine::diagnose::observation::Observation;
use scalableapp_engine::diagnose::verdict::{Diagnosis, Verdict};
use scalableapp_engine::reason;
use system::{FAULTY, Fault, Style, node, observe};

const SEEDS: std::ops::Range<u64> = 0..2;

/// Share of cases that hold, over all services and seeds.
fn share(holds: impl Fn(usize, u64) -> bool) -> f64 {
    let cases: Vec<(usize, u64)> =
        FAULTY.flat_map(|service| SEEDS.map(move |seed| (service, seed))).collect();
    let count = cases.len();
    cases.into_iter().filter(|(service, seed)| holds(*service, *seed)).count() as f64 / count as f64
}

fn names(diagnosis: &Diagnosis, expected: &str) -> bool {
    let first = diagnosis.ranking.first();
    first.is_some_and(|first| first == expected || first.starts_with(&format!("{expected}-")))
}

#[track_caller]
fn finds(style: Style, fault: fn(usize) -> Fault, at_least: f64) {
    let right = share(|service, seed| {
        let diagnosis = diagnose(&observe(style, fault(service), seed));
        let is_right = names(&diagnosis, &node(style, service));
        if !is_right {
            println!("{style:?} {:?} {seed}: {diagnosis:?}", fault(service));
        }
        is_right
    });
    assert!(right >= at_least, "{style:?} {:?}: {right}", fault(0));
}

#[test]
fn with_calls_and_a_symptom_the_node_is_found() {
    finds(Style::Mesh, Fault::Cpu, 0.95);
    finds(Style::Mesh, Fault::Delay, 0.95);
    finds(Style::Mesh, Fault::Errors, 0.95);
}

#[test]
fn without_calls_a_used_up_resource_is_found() {
    finds(Style::Minutes, Fault::Cpu, 0.95);
    finds(Style::Minutes, Fault::Memory, 0.95);
    finds(Style::Minutes, Fault::Delay, 0.9);
}

#[test]
fn pods_count_as_the_service_that_the_calls_name() {
    finds(Style::Pods, Fault::Cpu, 0.95);
    finds(Style::Pods, Fault::Delay, 0.95);
}

#[test]
fn machines_without_latency_are_diagnosed_by_their_resources() {
    finds(Style::Machines, Fault::Cpu, 0.95);
    finds(Style::Machines, Fault::Memory, 0.95);
}

#[test]
fn a_used_up_resource_is_named() {
    for (fault, cause) in [(Fault::Cpu as fn(usize) -> Fault, reason::CPU_SATURATED)] {
        for style in [Style::Mesh, Style::Minutes, Style::Pods, Style::Machines] {
            let right =
                share(|service, seed| diagnose(&observe(style, fault(service), seed)).reason() == cause);
            assert!(right >= 0.9, "{style:?} {cause:?}: {right}");
        }
    }
}

#[test]
fn errors_without_a_resource_are_no_scaling_problem() {
    for style in [Style::Mesh, Style::Minutes, Style::Pods] {
        let right = share(|service, seed| {
            let diagnosis = diagnose(&observe(style, Fault::Errors(service), seed));
            matches!(diagnosis.verdict, Verdict::NotAScalingProblem { .. })
        });
        assert!(right >= 0.9, "{style:?}: {right}");
    }
}

#[test]
fn health_and_load_are_met_with_silence() {
    for style in [Style::Mesh, Style::Minutes, Style::Pods, Style::Machines] {
        for fault in [Fault::Nothing, Fault::Load] {
            let silent =
                (0..20).filter(|seed| diagnose(&observe(style, fault, *seed)).verdict == Verdict::Healthy);
            let silent = silent.count();
            assert!(silent >= 20, "{style:?} {fault:?}: silent in {silent} of 20");
        }
    }
}

#[test]
fn what_nobody_waits_for_is_not_blamed() {
    let blamed =
        share(|service, seed| names(&diagnose(&observe(Style::Mesh, Fault::Delay(service), seed)), "mailer"));
    assert_eq!(blamed, 0.0);
}

#[test]
fn nothing_measured_is_no_reason_to_panic() {
    let told = Observation { told: true, ..Observation::default() };
    assert!(matches!(diagnose(&told).verdict, Verdict::NotAScalingProblem { .. }));
    assert_eq!(diagnose(&Observation::default()).verdict, Verdict::Healthy);
}
