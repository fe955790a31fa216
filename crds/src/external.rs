//! A database that somebody else runs, replicas included. Pure.

use crate::SecretRef;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A primary that somebody else runs, such as a managed PostgreSQL, and its read replicas. The operator runs no pods for
/// it, scales nothing of it, connects to nothing and reads no Secret: services and workers get the addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct External {
    /// Address of the primary, for `DATABASE_<NAME>_URL`.
    pub primary: DatabaseUrl,
    /// Address that leads to the read replicas, for `DATABASE_<NAME>_READ_URL`. Default: none, and no such variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_replicas: Option<DatabaseUrl>,
}

/// A key of a Secret with the URL of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseUrl {
    /// Secret with the URL. Only the kubelet reads it, never the operator; pods get a change at their next start.
    pub secret_ref: SecretRef,
    /// Key of the Secret with a URI such as `postgres://user:password@host:5432/shop`. Default: `uri`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub uri_key: Option<String>,
}

impl External {
    /// What becomes of a database of this name, as a sentence.
    #[must_use]
    pub fn sentence(database: &str) -> String {
        format!(
            "Somebody else runs the database {database}: the operator runs no pods of it and scales nothing."
        )
    }
}
