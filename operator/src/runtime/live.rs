//! The source of live measurements. Pure.

use futures::future::BoxFuture;
use scalableapp_crds::LiveApp;

/// The app data for the HTTP servers.
pub trait LiveSource: Send + Sync {
    /// An app by namespace and name; `None` if it does not exist, or was not measured yet.
    fn app<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Option<LiveApp>>;

    /// Sets the gauges of all components, before they are scraped.
    fn set_gauges(&self);
}
