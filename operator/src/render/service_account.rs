//! The identity of a component's pods. Pure.

use super::metadata;
use crate::resolve::app::{App, Service};
use k8s_openapi::api::core::v1::ServiceAccount;

/// The component's own ServiceAccount, without a token: a compromised pod has no access to the API server, and rights
/// that a component needs are granted to it alone.
pub(super) fn service_account(app: &App, service: &Service) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(app, service),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
