//! The Deployment of a revision. Pure.

use super::{labels, pod_template};
use crate::labels::EPOCH;
use crate::names;
use crate::resolve::app::{App, Component};
use serde_json::{Value, json};

/// The Deployment of the component's current revision, as JSON because its template contains fields that this release may
/// not know.
///
/// It has no replicas, because they belong to scaling. Its template never changes, so it never rolls; a new revision is
/// a new Deployment.
#[must_use]
pub fn deployment(app: &App, component: &Component, epoch: u64) -> Value {
    let mut labels = labels::of_revision(app, component);
    labels.insert(EPOCH.to_owned(), epoch.to_string());
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": names::deployment(app.name.as_str(), component.name.as_str(), component.revision.as_str()),
            "namespace": app.namespace,
            "labels": labels,
            "ownerReferences": [app.owner_reference()],
        },
        "spec": {
            "minReadySeconds": 0,
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 0,
            "selector": labels::selector(labels::selected_by_revision(app, component)),
            "strategy": {"type": "RollingUpdate"},
            "template": pod_template::pod_template(app, component),
        },
    })
}
