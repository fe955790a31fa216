//! Why StatefulSets lack pods, from the events of the API server. I/O in: lists of events, while pods are missing.

use super::cached::CachedWorkload;
use super::shortages::{EventList, PodRefusal, Shortages};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::core::Request;
use kube::{Client, Resource, ResourceExt};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// Events of one StatefulSet that are read. Those of all its pods and with other numbers are different ones.
const EVENTS: u32 = 32;
/// Time limit of a list.
const LIMIT: Duration = Duration::from_secs(5);

/// Reads why StatefulSets lack pods. Cheap to clone.
#[derive(Clone)]
pub struct Refusals {
    client: Client,
    shortages: Arc<Mutex<Shortages>>,
}

impl Refusals {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, shortages: Arc::default() }
    }

    /// Follows the StatefulSets, and returns those of which the API server is to be asked now.
    pub fn follow(
        &self,
        workloads: impl IntoIterator<Item = Arc<CachedWorkload>>,
        now: Timestamp,
    ) -> Vec<Arc<CachedWorkload>> {
        self.shortages().follow(workloads, now)
    }

    /// Asks why a StatefulSet lacks pods. Returns whether something else is known.
    pub async fn ask(&self, workload: &CachedWorkload) -> bool {
        let (Some(namespace), Some(uid)) = (workload.namespace(), workload.uid()) else { return false };
        let answer = self.events(&namespace, &uid).await;
        self.shortages().note(&uid, answer)
    }

    /// Why this StatefulSet lacks pods; `None` if it does not, or for no longer than their creation takes.
    #[must_use]
    pub fn of(&self, workload: &CachedWorkload) -> Option<PodRefusal> {
        self.shortages().refusal(workload)
    }

    async fn events(&self, namespace: &str, uid: &str) -> Option<EventList> {
        let selector = format!("involvedObject.uid={uid},reason=FailedCreate");
        let params = ListParams::default().fields(&selector).limit(EVENTS);
        let request = Request::new(Event::url_path(&(), Some(namespace))).list(&params).ok()?;
        match timeout(LIMIT, self.client.request::<EventList>(request)).await {
            Ok(Ok(events)) => Some(events),
            Ok(Err(error)) => {
                tracing::debug!(namespace, %error, "why a StatefulSet lacks pods is not known");
                None
            }
            Err(_elapsed) => None,
        }
    }

    fn shortages(&self) -> MutexGuard<'_, Shortages> {
        self.shortages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
