//! What a component's pods run as. Pure.

use super::metadata;
use crate::resolve::app::{App, Service};
use k8s_openapi::api::core::v1::ServiceAccount;

/// A ServiceAccount of the component's own, without a token: a pod that is broken into gives no access to the API
/// server, and rights that a component does need are bound to it alone.
pub(super) fn service_account(app: &App, service: &Service) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(app, service),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
