//! Events on transitions. They are best effort: a lost event never fails a reconcile. I/O out.

use super::writer::Writer;
use crate::{event::Event, runtime::clock};
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// The reporting controller.
const CONTROLLER: &str = "scalableapp.dev/operator";
/// The most remembered events for the detection of repeats. A fleet that starts at once has thousands.
const REMEMBERED: usize = 100;
/// The API server's limit for a note, in bytes.
const NOTE_BYTES: usize = 1024;

/// Publishes events of one process. The same event again increases the count of the first; another note is another
/// event, unlike in the recorder of kube-runtime.
pub struct Events {
    writer: Writer,
    identity: String,
    /// The latest events, the oldest first.
    latest: Mutex<VecDeque<v1::Event>>,
}

impl Events {
    /// A publisher in the name of a process.
    #[must_use]
    pub fn new(writer: Writer, identity: &str) -> Self {
        Self { writer, identity: identity.to_owned(), latest: Mutex::default() }
    }

    /// Publishes one event.
    pub async fn publish(&self, about: &ObjectReference, event: Event) {
        let reason = event.reason;
        let event = self.object(about, event);
        let repeated = self.take_repeated(&event);
        let namespace = about.namespace.as_deref().unwrap_or("default");
        let api: Api<v1::Event> = Api::namespaced(self.writer.client(), namespace);
        let request = async {
            if let Some(repeated) = repeated {
                let series = Patch::Merge(json!({"series": repeated.series}));
                match api.patch(&repeated.name_any(), &PatchParams::default(), &series).await {
                    // The API server keeps an event for an hour, and anybody may delete it earlier.
                    Err(kube::Error::Api(status)) if status.is_not_found() => {}
                    answer => return answer.map(|_| repeated),
                }
            }
            api.create(&PostParams::default(), &event).await.map(|_| event)
        };
        match self.writer.send("Event", request).await {
            Ok(event) => self.remember(event),
            Err(error) => tracing::warn!(%error, reason, "an event was lost"),
        }
    }

    fn object(&self, about: &ObjectReference, event: Event) -> v1::Event {
        let Event { warning, reason, action, mut note } = event;
        note.truncate(note.floor_char_boundary(NOTE_BYTES));
        let now = clock::wall();
        let app = about.name.as_deref().unwrap_or_default();
        v1::Event {
            metadata: ObjectMeta {
                name: Some(format!("{app}.{:x}", now.as_nanosecond())),
                namespace: about.namespace.clone(),
                ..ObjectMeta::default()
            },
            type_: Some(if warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(reason.to_owned()),
            action: Some(action.to_owned()),
            note: Some(note),
            regarding: Some(about.clone()),
            event_time: Some(MicroTime(now)),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.identity.clone()),
            ..v1::Event::default()
        }
    }

    /// The event that this one repeats, with a higher count. It is remembered only once that is written.
    fn take_repeated(&self, event: &v1::Event) -> Option<v1::Event> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let place = latest.iter().position(|known| said(known) == said(event))?;
        let mut repeated = latest.remove(place)?;
        let count = repeated.series.map_or(1, |series| series.count) + 1;
        repeated.series = Some(v1::EventSeries { count, last_observed_time: MicroTime(clock::wall()) });
        Some(repeated)
    }

    fn remember(&self, event: v1::Event) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() == REMEMBERED {
            latest.pop_front();
        }
        latest.push_back(event);
    }
}

/// The content and object of an event.
fn said(event: &v1::Event) -> impl PartialEq {
    let v1::Event { regarding, type_, reason, action, note, .. } = event;
    (regarding, type_, reason, action, note)
}
