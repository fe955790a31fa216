//! Applies manifests by server-side apply, and deletes them. Talks to the API server.

use anyhow::{Context, Result};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::discovery::{Scope, pinned_kind};
use serde_json::Value;

use super::World;

/// The field manager of the tests, in the role of a team and its Git repository.
const FIELD_MANAGER: &str = "scalableapp-e2e";

impl World {
    /// Applies all documents of a YAML text, in the test's namespace unless they name one, and returns the results.
    ///
    /// # Errors
    /// When the text is invalid, and with the API server's own words when it refuses one.
    pub async fn apply(&self, yaml: &str) -> Result<Vec<DynamicObject>> {
        let mut applied = Vec::new();
        for document in documents(yaml)? {
            applied.push(self.apply_one(&document).await?);
        }
        Ok(applied)
    }

    /// Deletes the objects of a YAML text, the last one first. Those that are gone already are no error.
    ///
    /// # Errors
    /// As [`World::apply`].
    pub async fn delete(&self, yaml: &str) -> Result<()> {
        for document in documents(yaml)?.iter().rev() {
            let (api, name) = self.api_of(document).await?;
            match api.delete(&name, &DeleteParams::background()).await {
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                deleted => _ = deleted?,
            }
        }
        Ok(())
    }

    async fn apply_one(&self, document: &Value) -> Result<DynamicObject> {
        let (api, name) = self.api_of(document).await?;
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        Ok(api.patch(&name, &parameters, &Patch::Apply(document)).await?)
    }

    /// The API of an object, and its name.
    async fn api_of(&self, document: &Value) -> Result<(Api<DynamicObject>, String)> {
        let object: DynamicObject =
            serde_json::from_value(document.clone()).context("failed to read a manifest")?;
        let types = object.types.as_ref().context("a manifest has no apiVersion and kind")?;
        let name = object.metadata.name.clone().context("a manifest has no metadata.name")?;
        let (resource, capabilities) = pinned_kind(&self.client, &types.try_into()?)
            .await
            .with_context(|| format!("the cluster does not know the kind {}", types.kind))?;
        let api: Api<DynamicObject> = match capabilities.scope {
            Scope::Cluster => Api::all_with(self.client(), &resource),
            Scope::Namespaced => {
                let namespace = object.metadata.namespace.as_deref().unwrap_or(&self.namespace);
                Api::namespaced_with(self.client(), namespace, &resource)
            }
        };
        Ok((api, name))
    }
}

fn documents(yaml: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).context("failed to read YAML")?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_of_a_file_is_read_and_comments_are_none() {
        let read = documents("# a comment\n---\nkind: A\n---\n---\nkind: B\n").unwrap();
        assert_eq!(read, [serde_json::json!({"kind": "A"}), serde_json::json!({"kind": "B"})]);
        assert!(documents("{").is_err());
    }
}
