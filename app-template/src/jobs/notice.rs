//! The job that tells a caller that another has ended. No I/O.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::enqueue::NewJob;
use super::queues::WEBHOOKS;

/// The kind of such a job.
pub(super) const KIND: &str = "webhook";

/// How often its delivery may end with its worker.
const ATTEMPTS: i32 = 12;

/// Tells `url` what is in `body`.
pub(super) fn job<'a>(url: &str, body: &Value) -> NewJob<'a> {
    NewJob {
        id: Uuid::now_v7(),
        queue: WEBHOOKS,
        kind: KIND,
        // As text: it is signed and sent as it is here.
        payload: json!({ "url": url, "body": body.to_string() }),
        max_attempts: ATTEMPTS,
        delay: Duration::ZERO,
        webhook: None,
    }
}
