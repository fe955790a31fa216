//! The one status write, sent only if it says something new. I/O out.

use super::{
    REPORTER,
    writer::{WriteError, Writer},
};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use scalableapp_crds::{GROUP, ScalableApp, ScalableAppStatus, VERSION};
use serde_json::json;

/// Writes a status unless the API server has it already; says whether it wrote.
///
/// # Errors
/// When the write is refused, times out, or falls outside the lease.
pub async fn report(
    writer: &Writer,
    namespace: &str,
    name: &str,
    known: Option<&ScalableAppStatus>,
    status: &ScalableAppStatus,
) -> Result<bool, WriteError> {
    if known == Some(status) {
        return Ok(false);
    }
    let api: Api<ScalableApp> = Api::namespaced(writer.client(), namespace);
    let body = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "ScalableApp",
        "metadata": {"name": name},
        "status": status,
    });
    let params = PatchParams::apply(REPORTER).force();
    writer.send("ScalableApp", api.patch_status(name, &params, &Patch::Apply(&body))).await?;
    Ok(true)
}
