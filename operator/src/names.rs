//! Names of children. Pure.

/// `<app>-<component>`: Service, ServiceAccount, PodDisruptionBudget, NetworkPolicy and HTTPRoute. At most 51 characters.
#[must_use]
pub fn component(app: &str, component: &str) -> String {
    format!("{app}-{component}")
}

/// `<app>-<cache>-<start of the app's uid>`: the Secret with the password of a cache. Nobody can take this name before the
/// app exists. Of two apps whose children have the same names each has a Secret of its own, which goes with its app.
#[must_use]
pub fn password(app: &str, cache: &str, uid: &str) -> String {
    let start: String = uid.chars().take(UID_START).collect();
    format!("{app}-{cache}-{start}")
}

/// The first part of a UUID.
const UID_START: usize = 8;

/// `<app>-<component>-<revision>`: the Deployment of a revision, and its Service where a route divides the requests. At
/// most 62 characters.
#[must_use]
pub fn deployment(app: &str, component: &str, revision: &str) -> String {
    format!("{app}-{component}-{revision}")
}

/// `<app>-<component>-preview`: the Service of a new revision of a blue-green rollout before the switch. At most 59
/// characters.
#[must_use]
pub fn preview(app: &str, component: &str) -> String {
    format!("{app}-{component}{PREVIEW}")
}

/// The end of that name, which no other component may have.
pub const PREVIEW: &str = "-preview";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_apps_whose_children_have_the_same_names_have_a_password_each() {
        let (one, other) = ("3d1a7e4c-0b5e", "8e62c0aa-71f3");
        assert_eq!(component("clash", "a-b"), component("clash-a", "b"));
        assert_eq!(password("clash", "a-b", one), "clash-a-b-3d1a7e4c");
        assert_ne!(password("clash", "a-b", one), password("clash-a", "b", other));
    }
}
