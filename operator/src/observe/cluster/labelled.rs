//! The operator's own labels of a child, as fields: a map of them would reserve space for eleven. Pure.

use std::collections::BTreeMap;

use super::children::OfApp;
use crate::{kinds::Kind, labels, names};
use scalableapp_crds::Tier;

/// The labels that are read; `None` for missing ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnLabels {
    /// Name of the app.
    pub app: Option<Box<str>>,
    /// Name of the component.
    pub component: Option<Box<str>>,
    /// Kind of the component.
    pub tier: Option<Tier>,
    /// Revision of a Deployment and its pods.
    pub revision: Option<Box<str>>,
    /// Epoch of the last leader that wrote a Deployment.
    pub epoch: Option<Box<str>>,
}

impl OwnLabels {
    /// The operator's labels among those of an object.
    #[must_use]
    pub fn of(labels: &BTreeMap<String, String>) -> Self {
        let own = |key: &str| labels.get(key).map(|value| value.as_str().into());
        Self {
            app: own(labels::APP),
            component: own(labels::COMPONENT),
            tier: labels.get(labels::TIER).and_then(|name| tier(name)),
            revision: own(labels::REVISION),
            epoch: own(labels::EPOCH),
        }
    }

    /// Name of the operator's workload with these labels. A copy of it has the same labels and another name.
    #[must_use]
    pub fn workload(&self, kind: Kind) -> Option<String> {
        let (app, component) = (self.app.as_deref()?, self.component.as_deref()?);
        Some(match kind {
            Kind::StatefulSet => names::component(app, component),
            _ => names::deployment(app, component, self.revision.as_deref()?),
        })
    }
}

fn tier(name: &str) -> Option<Tier> {
    let all = [Tier::Service, Tier::Worker, Tier::Cache, Tier::Database];
    all.into_iter().find(|tier| tier.name() == name)
}

/// A child with the operator's own labels.
pub trait Labelled: OfApp {
    /// The labels.
    fn own_labels(&self) -> &OwnLabels;

    /// Why it is unreadable, if it is. It then belongs to no app.
    fn unreadable(&self) -> Option<&str>;

    /// Name of its component.
    fn component(&self) -> Option<&str> {
        self.own_labels().component.as_deref()
    }
}

impl<K: Labelled> OfApp for K {
    fn app(&self) -> Option<&str> {
        self.own_labels().app.as_deref()
    }
}
