//! Which of the named namespaces the operator may watch. I/O: one small list of each kind.
//!
//! A cache is ready when every namespace was listed, so one whose Role is missing would keep the apps of all others waiting.

use http::StatusCode;
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, Resource, api::ListParams, core::Request};
use scalableapp_crds::{ScalableApp, ScalingOverride};

use super::cached::CachedChild;
use crate::kinds::Kind;

/// The namespaces of which every kind may be listed, and the others. One that cannot be asked for now counts as reachable:
/// its watches try again.
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
