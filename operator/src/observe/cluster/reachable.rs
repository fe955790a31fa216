//! The named namespaces that the operator may watch. I/O: one small list of each kind.
//!
//! A cache is ready when every namespace was listed, so a missing Role would block the apps of all other namespaces.

use http::StatusCode;
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, Resource, api::ListParams, core::Request};
use scalableapp_crds::{ScalableApp, ScalingOverride};

use super::cached::CachedChild;
use crate::kinds::Kind;

/// The namespaces in which every kind may be listed, and the others. A namespace whose check fails counts as reachable:
/// its watches retry.
pub async fn reachable(client: &Client, namespaces: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut reachable, mut refused) = (Vec::new(), Vec::new());
    for namespace in namespaces.iter().filter(|namespace| !namespace.is_empty()) {
        match refusal(client, namespace).await {
            None => reachable.push(namespace.clone()),
            Some(why) => {
                tracing::warn!(namespace, "is left out until its Role is there: {why}");
                refused.push(namespace.clone());
            }
        }
    }
    (reachable, refused)
}

async fn refusal(client: &Client, namespace: &str) -> Option<String> {
    let of_people =
        [ScalableApp::url_path(&(), Some(namespace)), ScalingOverride::url_path(&(), Some(namespace))];
    let children = Kind::ALL.map(|kind| <CachedChild>::url_path(&kind, Some(namespace)));
    let pods = <Pod as Resource>::url_path(&(), Some(namespace));
    for path in of_people.into_iter().chain(children).chain([pods]) {
        let Ok(request) = Request::new(path).list(&ListParams::default().limit(1)) else { continue };
        if let Err(kube::Error::Api(status)) = client.request_text(request).await
            && status.code == StatusCode::FORBIDDEN.as_u16()
        {
            return Some(status.message.clone());
        }
    }
    None
}
