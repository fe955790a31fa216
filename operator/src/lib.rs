//! The ScalableApp operator process.
//!
//! ```text
//! observe ──► resolve ──► decide ──► build ──► apply ──► report
//! (I/O in)    (pure)      (pure)     (pure)    (I/O out)  (one status write, only if changed)
//! ```
//! Only `observe`, `apply` and `runtime` may await; `decide` is the crate `scalableapp-engine`.

pub mod apply;
pub mod build;
pub mod controller;
pub mod observe;
pub mod report;
pub mod resolve;
pub mod runtime;
