//! Names of children. Pure.

use crate::resolve::app::{App, Service};

/// `<app>-<component>`: Service, ServiceAccount, PodDisruptionBudget and NetworkPolicy. At most 51 characters.
#[must_use]
pub fn component(app: &App, service: &Service) -> String {
    format!("{}-{}", app.name, service.name)
}

/// `<app>-<component>-<revision>`: the Deployment of a revision. At most 62 characters.
#[must_use]
pub fn deployment(app: &str, component: &str, revision: &str) -> String {
    format!("{app}-{component}-{revision}")
}
