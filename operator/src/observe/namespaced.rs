//! A borrowed name within its namespace, to find entries of thousands of apps and pods without a copy. Pure.

use hashbrown::Equivalent;

/// Namespace and name of an app or a pod. Its hash is that of the tuple of both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamespacedName {
    namespace: Box<str>,
    name: Box<str>,
}

impl NamespacedName {
    /// The name in that namespace.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Equivalent<NamespacedName> for (&str, &str) {
    fn equivalent(&self, key: &NamespacedName) -> bool {
        *self == (&*key.namespace, &*key.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashbrown::HashMap;

    #[test]
    fn a_name_is_found_by_its_texts_and_only_in_its_namespace() {
        let known: HashMap<_, _> =
            HashMap::from([(NamespacedName::new("shop", "web"), 1), (NamespacedName::new("shopw", "eb"), 2)]);
        let found =
            [("shop", "web"), ("shopw", "eb"), ("web", "shop")].map(|texts| known.get(&texts).copied());
        assert_eq!(found, [Some(1), Some(2), None]);
    }
}
