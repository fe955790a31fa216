//! Labels of children and the selectors over them. Pure.
//!
//! The app's own labels are not passed on: tools that track applied objects by label would claim the children.

use crate::labels::{APP, COMPONENT, REVISION, TIER};
use crate::resolve::app::{App, Component};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use scalableapp_crds::Tier;
use std::collections::BTreeMap;

/// Labels of every child of a component.
#[must_use]
pub fn of_component(app: &App, component: &Component) -> BTreeMap<String, String> {
    let mut labels = selected_by_component(app, component);
    labels.extend(
        [
            (TIER, component.tier.name()),
            ("app.kubernetes.io/name", component.name.as_str()),
            ("app.kubernetes.io/part-of", app.name.as_str()),
            ("app.kubernetes.io/managed-by", "scalableapp"),
        ]
        .map(owned),
    );
    labels
}

/// Labels of the current revision's Deployment and of its pods.
#[must_use]
pub fn of_revision(app: &App, component: &Component) -> BTreeMap<String, String> {
    let mut labels = of_component(app, component);
    labels.insert(REVISION.to_owned(), component.revision.to_string());
    labels
}

/// Selects the pods of all revisions.
#[must_use]
pub fn selected_by_component(app: &App, component: &Component) -> BTreeMap<String, String> {
    BTreeMap::from([(APP, app.name.as_str()), (COMPONENT, component.name.as_str())].map(owned))
}

/// Selects the pods that get requests. A pod of a service that is to get none loses the label of its tier, which no other
/// selector has. Every pod has it from its template on, so a new one gets requests as soon as it is ready.
#[must_use]
pub fn selected_by_service(app: &App, component: &Component) -> BTreeMap<String, String> {
    let mut labels = selected_by_component(app, component);
    if component.tier == Tier::Service {
        labels.extend([owned((TIER, component.tier.name()))]);
    }
    labels
}

/// Selects the pods of the current revision.
#[must_use]
pub fn selected_by_revision(app: &App, component: &Component) -> BTreeMap<String, String> {
    let mut labels = selected_by_component(app, component);
    labels.insert(REVISION.to_owned(), component.revision.to_string());
    labels
}

/// The selector for these labels.
pub(super) fn selector(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), match_expressions: None }
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}
