//! Events on transitions. They are best effort: a lost event never fails a reconcile. I/O out.

use super::writer::Writer;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// Publishes events of one process.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
    writer: Writer,
}

/// Something that happened to an app, for `kubectl describe` and `kubectl events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Whether somebody should look at it.
    pub warning: bool,
    /// Why, as one word from the list in `docs/reasons.md`.
    pub reason: &'static str,
    /// What was done, as one word.
    pub action: &'static str,
    /// What happened, as a sentence.
    pub note: String,
}

impl Events {
    /// The recorder is made once: it holds the cache by which repeats become a series.
    #[must_use]
    pub fn new(writer: Writer, identity: &str) -> Self {
        let reporter = Reporter {
            controller: "scalableapp.dev/operator".to_owned(),
            instance: Some(identity.to_owned()),
        };
        Self { recorder: Recorder::new(writer.client(), reporter), writer }
    }

    /// Publishes one event.
    pub async fn publish(&self, about: &ObjectReference, happening: Happening) {
        let event = Event {
            type_: if happening.warning { EventType::Warning } else { EventType::Normal },
            reason: happening.reason.to_owned(),
            note: Some(happening.note.chars().take(1000).collect()),
            action: happening.action.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.writer.send("Event", self.recorder.publish(&event, about)).await {
            tracing::warn!(%error, reason = event.reason, "an event was lost");
        }
    }
}
