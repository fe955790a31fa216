//! The status write of an object, sent only if the status has changed. I/O out.

use super::writer::{WriteError, Writer};
use crate::labels::REPORTER;
use kube::{
    Resource,
    api::{Patch, PatchParams},
    core::{NamespaceResourceScope, Request, object::HasStatus},
};
use scalableapp_crds::{GROUP, VERSION};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Writes a status unless the API server has it already. Returns the stored status, whose times are in whole seconds;
/// `None` if nothing was written.
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
    K::Status: Serialize + DeserializeOwned + PartialEq,
{
    if known == Some(status) {
        return Ok(None);
    }
    let body = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": kind,
        "metadata": {"name": name},
        "status": status,
    });
    let params = PatchParams::apply(REPORTER).force();
    let request = Request::new(K::url_path(&(), Some(namespace)));
    let sent = async {
        let request = request.patch_subresource("status", name, &params, &Patch::Apply(&body));
        let client = writer.client();
        client.request::<WrittenStatus>(request.map_err(kube::Error::BuildRequest)?).await
    };
    let written = writer.send(kind, sent).await?;
    Ok(written.status.and_then(|status| serde_json::from_value(status).ok()))
}

/// The part of the answer that is read: this version may be unable to read the rest of the object.
#[derive(Deserialize)]
struct WrittenStatus {
    status: Option<Value>,
}
