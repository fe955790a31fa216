//! Every decision of ScalableApp, as pure functions.
//!
//! No clock, no I/O, no async, no logging: what a decision depends on comes in as [`Input`], what it leads to goes out
//! as [`Decision`], and the same input always gives the same output. The stages of a decision, in their order:
//!
//! | stage | module | may |
//! |---|---|---|
//! | signals | [`sample`] and [`zero`] judge each sample, [`signal`] does HPA's arithmetic, [`metric`] names target and unit | propose |
//! | combine | [`combine`] | take the largest; nothing scales in while a metric is missing |
//! | bounds | [`bounds`], with [`schedule`], [`forecast`] by [`trend`] or [`season`], [`fallback`], [`overrides`] and `window` | name the fewest and the most replicas |
//! | behavior | [`scale`] does one HPA step with [`normalize`], [`behavior`] and [`history`] | delay, limit, clamp |
//!
//! [`record`] keeps a decision with its input, to be made once more. Beside them, [`memory`] is what lasts between decisions and over restarts, [`reason`] lists every reason that can be
//! given, and [`rollout`] moves the decided replicas between revisions. When latency may ask for replicas is the
//! subject of `latency`, what keeps the replicas from what is asked for that of `limits`, and the words of a decision are
//! in `explain`.
//!
//! The arithmetic from signals to behavior is that of HorizontalPodAutoscaler v2: `tests/hpa_vectors.rs` compares it
//! with what Kubernetes' own controller computed.
//!
//! # Example
//!
//! ```
//! use jiff::{SignedDuration, Timestamp};
//! use scalableapp_engine::behavior::Behavior;
//! use scalableapp_engine::memory::Memory;
//! use scalableapp_engine::metric::{Metric, Target};
//! use scalableapp_engine::overrides::Overrides;
//! use scalableapp_engine::sample::Reading;
//! use scalableapp_engine::signal::PodTiming;
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

pub mod behavior;
pub mod bounds;
pub mod combine;
mod convert;
pub mod cron;
mod decide;
mod decision;
mod evaluate;
mod exact;
mod explain;
pub mod fallback;
pub mod forecast;
mod foretold;
pub mod history;
mod input;
mod latency;
mod limits;
pub mod memory;
pub mod metric;
pub mod normalize;
pub mod overrides;
pub mod pod;
pub mod reason;
mod recommendation;
pub mod record;
pub mod rollout;
pub mod sample;
pub mod scale;
pub mod schedule;
pub mod season;
pub mod signal;
pub mod trend;
mod window;
pub mod zero;

pub use decide::decide;
pub use decision::Decision;
pub use evaluate::Invalid;
pub use input::Input;
pub use latency::LatencyStep;
