//! The one status write of an object, sent only if it says something new. I/O out.

use super::{
    REPORTER,
    writer::{WriteError, Writer},
};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
    core::{NamespaceResourceScope, object::HasStatus},
};
use scalableapp_crds::{GROUP, VERSION};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use std::fmt::Debug;

/// Writes a status unless the API server has it already. Returns what it has since, which is not quite what was sent: it
/// keeps whole seconds; nothing if nothing was written.
///
/// # Errors
/// When the write is refused, times out, or falls outside the lease.
pub async fn report<K>(
    writer: &Writer,
    kind: &'static str,
    (namespace, name): (&str, &str),
    known: Option<&K::Status>,
    status: &K::Status,
) -> Result<Option<K::Status>, WriteError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + HasStatus,
    K: Clone + Debug + DeserializeOwned,
    K::Status: Serialize + PartialEq,
{
    if known == Some(status) {
        return Ok(None);
    }
    let api: Api<K> = Api::namespaced(writer.client(), namespace);
    let body = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": kind,
        "metadata": {"name": name},
        "status": status,
    });
    let params = PatchParams::apply(REPORTER).force();
    let mut written = writer.send(kind, api.patch_status(name, &params, &Patch::Apply(&body))).await?;
    Ok(written.status_mut().take())
}
