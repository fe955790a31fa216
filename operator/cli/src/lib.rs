//! `kubectl scalableapp`: what an app does and why, as text. `status` and `view` are pure; `cluster` and `live` do I/O.
//!
//! ```text
//! cluster + live ──► status ──► history ──► view, overview ──► screen
//! (I/O in)           (pure)     (pure)      (pure)             (I/O out)
//! ```
//! The demo shows exactly this view, which is why it is a library.

pub mod acts;
pub mod args;
pub mod cluster;
pub mod explain;
pub mod history;
pub mod live;
pub mod overview;
pub mod printable;
pub mod replay;
pub mod screen;
pub mod status;
pub mod view;
pub mod watch;
