//! Names of children. Pure.

/// `<app>-<component>`: Service, ServiceAccount, PodDisruptionBudget and NetworkPolicy. At most 51 characters.
#[must_use]
pub fn component(app: &str, component: &str) -> String {
    format!("{app}-{component}")
}

/// `<app>-<component>-<revision>`: the Deployment of a revision. At most 62 characters.
#[must_use]
pub fn deployment(app: &str, component: &str, revision: &str) -> String {
    format!("{app}-{component}-{revision}")
}
