//! Every decision of ScalableApp, as functions. Pure.
//!
//! No clock, no I/O, no async, no logging: [`Input`] goes in, [`Decision`] comes out, and the same input always gives
//! the same output. There are two entry points: [`decide`] for one app, and [`grant`] once a tick for what several apps
//! share. The stages of a decision, in order:
//!
//! | stage | scope | module | may |
//! |---|---|---|---|
//! | PROPOSE | a component | [`propose`]: [`evidence`] checks each sample, [`hpa::signal`] does HPA's arithmetic, a backlog has its own; [`forecast`] | propose replicas |
//! | DIAGNOSE | the app | [`diagnose`] | name one cause, or none; [`diagnose::standing`] says it once it lasts |
//! | BOUND | a component | [`bounds`]: `minReplicas` and `maxReplicas`, schedules, overrides, fallback, an incomplete averaging window, a throughput that does not rise, pods that are not granted, circuit breakers, a bottleneck elsewhere | set minimum and maximum replicas |
//! | ALLOT | the app | [`allot`] | lower the maximum to what is available, and hold replicas until it is their turn |
//! | STABILIZE | a component | [`hpa::scale`] does one HPA step with [`hpa::normalize`], [`hpa::behavior`] and [`hpa::history`] | delay, limit, clamp |
//! | PLAN | the app | [`rollout`]; a decision does not ask [`rollout::judge`] yet | return the next safe step over revisions |
//!
//! `app/mod.rs` runs the stages in this order, `app/component.rs` has those of one component, and `app/explain.rs` has
//! their words. [`record`] stores a decision with its input, for a replay. [`memory`] is kept between decisions and
//! partly over restarts. [`reason`] lists every reason.
//!
//! The arithmetic in [`hpa`] is that of HorizontalPodAutoscaler v2: `tests/hpa_vectors.rs` compares it with results of
//! Kubernetes' own controller.
//!
//! # Example
//!
//! ```
//! use jiff::{SignedDuration, Timestamp};
//! use scalableapp_engine::evidence::recorded::RecordedEvidence;
//! use scalableapp_engine::evidence::sample::Reading;
//! use scalableapp_engine::hpa::behavior::Behavior;
//! use scalableapp_engine::limits::Limits;
//! use scalableapp_engine::memory::AppMemory;
//! use scalableapp_engine::propose::metric::{Metric, Target};
//! use scalableapp_engine::rollout::rolling::{Revision, Rolling};
//! use scalableapp_engine::stack::{Component, Service, Stack, Workload};
//! use scalableapp_engine::state::{Observed, State};
//! use scalableapp_engine::{Input, decide, reason};
//! use std::collections::BTreeMap;
//!
//! fn of_web<T>(value: T) -> BTreeMap<String, T> {
//!     BTreeMap::from([("web".to_owned(), value)])
//! }
//!
//! let now = Timestamp::UNIX_EPOCH;
//! let rps = Metric { name: "rps".into(), target: Target::RequestRate { per_replica: 50_000 } };
//! let web = Component {
//!     workload: Workload::Service(Service { metrics: vec![rps], forecast: None }),
//!     min_replicas: 2,
//!     max_replicas: 40,
//!     schedules: vec![],
//!     fallback: None,
//!     behavior: Behavior::default(),
//!     revision: "7c9f8d".into(),
//!     rolling: Rolling::default(),
//!     canary: None,
//!     blue_green: None,
//!     calls: vec![],
//!     pool: None,
//! };
//! let revision = Revision { hash: "7c9f8d".into(), replicas: 4, available: 4, is_target: true };
//! let observed = Observed { revisions: vec![revision], existing_replicas: 4, ..Observed::default() };
//! let reading = Reading { values: vec![340.0], at: Some(now), ..Reading::default() };
//!
//! let decision = decide(&Input {
//!     now,
//!     stack: &Stack { components: of_web(web.into()), ..Stack::default() },
//!     state: &State { components: of_web(observed) },
//!     evidence: &RecordedEvidence {
//!         max_age: SignedDuration::from_secs(60),
//!         readings: of_web(BTreeMap::from([("rps".into(), reading)])),
//!         ..RecordedEvidence::default()
//!     },
//!     limits: &Limits::default(),
//!     memory: &AppMemory::default(),
//! });
//! let web = &decision.components["web"];
//! assert_eq!(web.desired, 7);
//! assert_eq!(web.reason, reason::METRIC_ABOVE_TARGET);
//! assert_eq!(web.proposals[0].value, "85/s per replica");
//! assert_eq!(decision.plan.replicas["web"]["7c9f8d"], 7);
//!
//! // The next decision starts from this memory in any case. A change that was written is added.
//! let mut memory = decision.memory;
//! memory.commit("web", web, &Behavior::default(), true);
//! ```

pub mod allot;
mod app;
pub mod bounds;
pub mod diagnose;
pub mod evidence;
pub mod forecast;
pub mod hpa;
mod input;
pub mod limits;
pub mod memory;
pub mod propose;
pub mod reason;
pub mod record;
pub mod rollout;
pub mod stack;
pub mod state;

pub use allot::grants::grant;
pub use app::decide;
pub use app::decision::{ComponentDecision, Decision};
pub use app::ejection::Ejected;
pub use input::Input;
pub use propose::evaluate::Invalid;
pub use propose::latency::LatencyStep;
