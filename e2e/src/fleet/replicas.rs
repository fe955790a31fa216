//! Follows `spec.replicas` of all apps, with the time of each change, by a watch.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ApiResource};
use kube::core::Object;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::prometheus_stub::AppKey;

const APP_LABEL: &str = "scalableapp.dev/app";

/// The fields of a Deployment that are read: thousands of whole ones would distort the measurement.
type Slim = Object<Spec, Status>;

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Spec {
    replicas: i32,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    ready_replicas: i32,
}

/// A running watch. It ends when it is dropped.
pub struct ReplicaWatch {
    seen: Arc<Mutex<BTreeMap<AppKey, Seen>>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    ready: i32,
    /// The replicas and the times of their first observation, oldest first.
    changes: Vec<(Instant, i32)>,
}

impl ReplicaWatch {
    /// Watches the Deployments in the namespaces that begin with `prefix`.
    #[must_use]
    pub fn start(client: Client, prefix: &str) -> Self {
        let api: Api<Slim> = Api::all_with(client, &ApiResource::erase::<Deployment>(&()));
        let seen = Arc::<Mutex<BTreeMap<AppKey, Seen>>>::default();
        let (all, prefix) = (Arc::clone(&seen), prefix.to_owned());
        let task = tokio::spawn(async move {
            let config = watcher::Config::default().labels(APP_LABEL);
            let deployments = watcher(api, config).default_backoff().applied_objects();
            deployments
                .filter_map(|deployment| ready(deployment.ok()))
                .for_each(|deployment| {
                    let namespace = deployment.namespace().unwrap_or_default();
                    if let Some(app) = deployment.labels().get(APP_LABEL)
                        && namespace.starts_with(&prefix)
                    {
                        let key = (namespace, app.clone());
                        lock(&all).entry(key).or_default().note(&deployment);
                    }
                    ready(())
                })
                .await;
        });
        Self { seen, task }
    }

    /// Apps that have a ready pod.
    #[must_use]
    pub fn ready_apps(&self) -> usize {
        lock(&self.seen).values().filter(|seen| seen.ready > 0).count()
    }

    /// The replicas of an app; `None` if it has no Deployment.
    #[must_use]
    pub fn of(&self, app: &AppKey) -> Option<i32> {
        lock(&self.seen).get(app)?.changes.last().map(|(_, replicas)| *replicas)
    }

    /// The changes of an app's replicas since this time.
    #[must_use]
    pub fn changes_since(&self, app: &AppKey, moment: Instant) -> Vec<(Instant, i32)> {
        let seen = lock(&self.seen);
        let changes = seen.get(app).map_or(&[][..], |seen| &seen.changes);
        changes.iter().copied().filter(|(at, _)| *at >= moment).collect()
    }

    /// The number of apps that had fewer replicas since this time than at it.
    #[must_use]
    pub fn fell_since(&self, moment: Instant) -> usize {
        lock(&self.seen).values().filter(|seen| seen.fell_since(moment)).count()
    }
}

impl Drop for ReplicaWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Seen {
    fn note(&mut self, deployment: &Slim) {
        self.ready = deployment.status.as_ref().map_or(0, |status| status.ready_replicas);
        let replicas = deployment.spec.replicas;
        if self.changes.last().is_none_or(|(_, last)| *last != replicas) {
            self.changes.push((Instant::now(), replicas));
        }
    }

    fn fell_since(&self, moment: Instant) -> bool {
        let first = self.changes.partition_point(|(at, _)| *at < moment);
        let before = first.checked_sub(1).map_or(0, |index| self.changes[index].1);
        self.changes[first..].iter().any(|(_, replicas)| *replicas < before)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_fall_is_seen_though_the_replicas_came_back() {
        let start = Instant::now();
        let at = |second: u64, replicas| (start + Duration::from_secs(second), replicas);
        let seen = Seen { ready: 0, changes: vec![at(1, 1), at(2, 3), at(10, 2), at(11, 3)] };
        assert!(seen.fell_since(start + Duration::from_secs(5)));
        assert!(!seen.fell_since(start + Duration::from_secs(11)));
        assert!(!seen.fell_since(start));
    }
}
