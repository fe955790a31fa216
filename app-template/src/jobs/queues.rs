//! The queues of the app. No I/O.

/// Every queue: name it by what it holds, and give work that must not wait behind other work its own.
pub(super) const QUEUES: [&str; 3] = ["payments", "reports", WEBHOOKS];

/// Of what receivers are told: they are others' servers, and as slow as they please.
pub(super) const WEBHOOKS: &str = "webhooks";
