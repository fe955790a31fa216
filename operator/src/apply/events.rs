//! Events on transitions. They are best effort: a lost event never fails a reconcile. I/O out.

use super::writer::Writer;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use std::sync::{Mutex, PoisonError};

/// Events of one recorder. It keeps each for minutes, and looks through all of them at the next, so a fleet that comes up
/// at once would fill it with thousands.
const EVENTS: usize = 100;

/// Publishes events of one process.
pub struct Events {
    reporter: Reporter,
    writer: Writer,
    current: Mutex<Current>,
}

/// The recorder that is in use; by its cache repeats become a series.
struct Current {
    recorder: Recorder,
    published: usize,
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
    /// Publishes in the name of a process.
    #[must_use]
    pub fn new(writer: Writer, identity: &str) -> Self {
        let reporter = Reporter {
            controller: "scalableapp.dev/operator".to_owned(),
            instance: Some(identity.to_owned()),
        };
        let current = Mutex::new(Current::new(&writer, &reporter));
        Self { reporter, writer, current }
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
        let recorder = self.recorder();
        if let Err(error) = self.writer.send("Event", recorder.publish(&event, about)).await {
            tracing::warn!(%error, reason = event.reason, "an event was lost");
        }
    }

    fn recorder(&self) -> Recorder {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.published == EVENTS {
            *current = Current::new(&self.writer, &self.reporter);
        }
        current.published += 1;
        current.recorder.clone()
    }
}

impl Current {
    fn new(writer: &Writer, reporter: &Reporter) -> Self {
        Self { recorder: Recorder::new(writer.client(), reporter.clone()), published: 0 }
    }
}
