//! The ScalableApp operator process.
//!
//! ```text
//! observe ──► resolve ──► decide ──► render ──► apply ──► report
//! (I/O in)    (pure)      (pure)     (pure)     (I/O out)  (one status write, only if changed)
//! ```
//! `controller` runs the pipeline. Only it, `observe`, `apply` and `runtime` may await. `decide` builds the input of
//! the crate `scalableapp-engine`. All of them use `event`, `labels` and `names`.

pub mod apply;
pub mod controller;
pub mod decide;
pub mod event;
pub mod kinds;
pub mod labels;
pub mod names;
pub mod observe;
pub mod render;
pub mod report;
pub mod resolve;
pub mod runtime;
