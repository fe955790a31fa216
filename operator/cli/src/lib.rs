//! `kubectl scalableapp`: the state of an app and its reasons, as text. `status` and `view` are pure; `cluster` and
//! `live` do I/O.
//!
//! ```text
//! cluster + live ──► status ──► history ──► view, overview ──► screen
//! (I/O in)           (pure)     (pure)      (pure)             (I/O out)
//! ```
//! It is a library because the demo shows the same view.

pub mod acts;
pub mod args;
pub mod cluster;
pub mod diagnose;
pub mod explain;
pub mod history;
pub mod lint;
pub mod live;
pub mod overview;
pub mod printable;
pub mod replay;
pub mod rollout;
pub mod rollout_view;
pub mod screen;
pub mod status;
pub mod view;
pub mod watch;
