//! What `decide` promises, case by case.
#![allow(clippy::expect_used, reason = "clippy sees tests only in functions marked as such")]

mod app;
mod bounds;
mod caches;
mod circuits;
mod connections;
mod diagnosis;
mod ejection;
mod evidence;
#[path = "../fixture/mod.rs"]
mod fixture;
mod forecast;
mod latency;
mod memory;
mod metrics;
mod recent;
mod record;
mod said;
mod turns;
mod ungranted;
mod worker_properties;
mod worker_queue;
mod workers;

use scalableapp_engine::ComponentDecision;

fn value(decision: &ComponentDecision, metric: &str) -> String {
    let proposal = decision.proposals.iter().find(|proposal| proposal.metric == metric);
    proposal.expect("a proposal").value.clone()
}

fn effect(decision: &ComponentDecision, stage: &str) -> String {
    decision.stages.iter().find(|one| one.name == stage).expect("a stage").effect.clone()
}
