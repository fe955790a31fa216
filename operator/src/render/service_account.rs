//! The identity of a component's pods. Pure.

use super::metadata;
use crate::resolve::app::{App, Component};
use k8s_openapi::api::core::v1::ServiceAccount;

/// The component's own ServiceAccount, without a token: a compromised pod has no access to the API server, and rights
/// that a component needs are granted to it alone.
pub(super) fn service_account(app: &App, component: &Component) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(app, component),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
