//! The owner of an object. Pure.

use kube::Resource;

/// Reads the controlling owner of an object.
pub trait Controlled {
    /// `uid` of the controlling owner.
    fn controller_owner(&self) -> Option<&str>;
}

impl<K: Resource> Controlled for K {
    fn controller_owner(&self) -> Option<&str> {
        let owners = self.meta().owner_references.as_ref()?;
        owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str())
    }
}
