//! Every decision of ScalableApp, in functions. Pure.
//!
//! No clock, no I/O, no async, no logging: what a decision depends on comes in as [`Input`], what it leads to goes out
//! as [`Decision`], and the same input always gives the same output. The stages of a decision, in their order:
//!
//! | stage | module | may |
//! |---|---|---|
//! | signals | [`propose`]: [`evidence`] judges each sample, [`hpa::signal`] does HPA's arithmetic, [`propose::metric`] names target and unit | propose |
//! | combine | [`hpa::combine`] | take the largest; nothing scales in while a metric is missing |
//! | bounds | [`bounds`]: `minReplicas` and `maxReplicas`, schedules, overrides, fallback, an incomplete averaging window; [`forecast`] | name the minimum and the maximum replicas |
//! | behavior | [`hpa::scale`] does one HPA step with [`hpa::normalize`], [`hpa::behavior`] and [`hpa::history`] | delay, limit, clamp |
//!
//! `app/component.rs` runs the stages in this order, and `app/explain.rs` words them. [`record`] keeps a decision with its
//! input, to be made once more. [`memory`] is what lasts between decisions and over restarts, [`reason`] lists every
//! reason that can be given, and [`rollout`] moves the decided replicas between revisions.
//!
//! The arithmetic in [`hpa`] is that of HorizontalPodAutoscaler v2: `tests/hpa_vectors.rs` compares it with what
//! Kubernetes' own controller computed.
//!
//! # Example
//!
//! ```
//! use jiff::{SignedDuration, Timestamp};
//! use scalableapp_engine::hpa::behavior::Behavior;
//! use scalableapp_engine::memory::Memory;
//! use scalableapp_engine::propose::metric::{Metric, Target};
//! use scalableapp_engine::bounds::overrides::Overrides;
//! use scalableapp_engine::evidence::sample::Reading;
//! use scalableapp_engine::hpa::signal::PodTiming;
//! use scalableapp_engine::{Input, decide, reason};
//! use std::collections::BTreeMap;
//!
//! let now = Timestamp::UNIX_EPOCH;
//! let metrics = [Metric { name: "rps".into(), target: Target::RequestRate { per_replica: 50_000 } }];
//! let reading = Reading { values: vec![340.0], at: Some(now), ..Reading::default() };
//! let behavior = Behavior::default();
//!
//! let input = Input {
//!     now,
//!     min_replicas: 2,
//!     schedules: &[],
//!     max_replicas: 40,
//!     metrics: &metrics,
//!     behavior: &behavior,
//!     current_replicas: 4,
//!     decided_replicas: Some(4),
//!     status_replicas: 4,
//!     pods: &[],
//!     readings: &BTreeMap::from([("rps".into(), reading)]),
//!     max_sample_age: SignedDuration::from_secs(60),
//!     timing: PodTiming::default(),
//!     forecast: None,
//!     seasons: &BTreeMap::new(),
//!     fallback: None,
//!     overrides: &Overrides::default(),
//! };
//! let decision = decide(&input, Memory::default());
//! assert_eq!(decision.desired, 7);
//! assert_eq!(decision.reason, reason::METRIC_ABOVE_TARGET);
//! assert_eq!(decision.proposals[0].value, "85/s per replica");
//!
//! // Whatever comes of it, the next decision starts from this memory; a change that was written is added.
//! let mut memory = decision.memory;
//! if let Some(change) = &decision.change {
//!     memory.record(change, &behavior);
//! }
//! ```

mod app;
pub mod bounds;
pub mod evidence;
pub mod forecast;
pub mod hpa;
mod input;
pub mod memory;
pub mod propose;
pub mod reason;
pub mod record;
pub mod rollout;

pub use app::component::decide;
pub use app::decision::Decision;
pub use input::Input;
pub use propose::evaluate::Invalid;
pub use propose::latency::LatencyStep;
