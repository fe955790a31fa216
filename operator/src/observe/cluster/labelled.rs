//! The operator's own labels of a child, read once when it is decoded: a map of them has room for eleven. Pure.

use std::collections::BTreeMap;

use super::children::OfApp;
use crate::{labels, names};

/// The labels that are read; nothing for those that are missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnLabels {
    /// Name of the app.
    pub app: Option<Box<str>>,
    /// Name of the component.
    pub component: Option<Box<str>>,
    /// Revision of a Deployment and its pods.
    pub revision: Option<Box<str>>,
    /// Epoch of the leader that wrote a Deployment last.
    pub epoch: Option<Box<str>>,
}

impl OwnLabels {
    /// Those among the labels of an object.
    #[must_use]
    pub fn of(labels: &BTreeMap<String, String>) -> Self {
        let own = |key: &str| labels.get(key).map(|value| value.as_str().into());
        Self {
            app: own(labels::APP),
            component: own(labels::COMPONENT),
            revision: own(labels::REVISION),
            epoch: own(labels::EPOCH),
        }
    }

    /// Name of the Deployment that the operator gives these labels. A copy of it has the labels and another name.
    #[must_use]
    pub fn deployment(&self) -> Option<String> {
        Some(names::deployment(self.app.as_deref()?, self.component.as_deref()?, self.revision.as_deref()?))
    }
}

/// A child of which the operator's own labels are kept.
pub trait Labelled: OfApp {
    /// The labels.
    fn own_labels(&self) -> &OwnLabels;

    /// Why it cannot be read, if it cannot. It then belongs to no app.
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
