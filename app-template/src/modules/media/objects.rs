//! Where the bytes are: an object store, or a folder for development. I/O: the S3 API, files.
//!
//! Nothing that a request uploads stays in the pod: the next request may meet another one.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use reqwest::Url;
use tokio::time::timeout;
use uuid::Uuid;

use super::connector::PlainHttp;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Why an object cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// The address says not what the store is.
    #[error("failed to use MEDIA_URL, give file:///folder or s3://bucket: {0}")]
    Address(String),
    /// The store refused, or has no such object.
    #[error("failed to use the object store: {0}")]
    Store(#[from] object_store::Error),
    /// The store gave no answer in time.
    #[error("failed to use the object store: no answer within {TIMEOUT:?}")]
    Timeout(#[from] tokio::time::error::Elapsed),
}

/// The objects below one address.
#[derive(Debug, Clone)]
pub(crate) struct Media {
    store: Arc<dyn ObjectStore>,
    below: Path,
}

impl Media {
    /// `url` is `file:///folder`, or `s3://bucket/folder` with what the `AWS_*` variables say.
    pub(crate) fn open(url: &str) -> Result<Self, MediaError> {
        let address = |error: &dyn std::error::Error| MediaError::Address(error.to_string());
        let parsed: Url = url.parse().map_err(|error| address(&error))?;
        let below = Path::from_url_path(parsed.path()).map_err(|error| address(&error))?;
        let store: Arc<dyn ObjectStore> = match parsed.scheme() {
            "file" => Arc::new(LocalFileSystem::new()),
            "s3" => {
                let bucket = parsed.host_str().unwrap_or_default();
                let builder =
                    AmazonS3Builder::from_env().with_bucket_name(bucket).with_http_connector(PlainHttp);
                Arc::new(builder.build().map_err(|error| address(&error))?)
            }
            other => return Err(MediaError::Address(format!("{other} is neither"))),
        };
        Ok(Self { store, below })
    }

    pub(super) async fn put(&self, id: Uuid, bytes: Bytes) -> Result<(), MediaError> {
        timeout(TIMEOUT, self.store.put(&self.path(id), bytes.into())).await??;
        Ok(())
    }

    pub(super) async fn get(&self, id: Uuid) -> Result<Bytes, MediaError> {
        let read = async { self.store.get(&self.path(id)).await?.bytes().await };
        Ok(timeout(TIMEOUT, read).await??)
    }

    fn path(&self, id: Uuid) -> Path {
        self.below.clone().join(id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_address_is_used_or_refused_in_words(text in "(file|s3|http)?:?/{0,3}\\PC{0,20}|.*") {
            if let Err(error) = Media::open(&text) {
                prop_assert!(error.to_string().contains("give file:///folder or s3://bucket"), "{}", error);
            }
        }
    }
}
