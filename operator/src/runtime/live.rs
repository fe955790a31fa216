//! Where the live measurements come from. Pure.

use futures::future::BoxFuture;
use scalableapp_crds::LiveApp;

/// What the HTTP servers show of the apps.
pub trait LiveSource: Send + Sync {
    /// An app by namespace and name; nothing if there is no such app, or it was not measured yet.
    fn app<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Option<LiveApp>>;

    /// Sets the gauges that there are for each component, before they are shown.
    fn set_gauges(&self);
}
