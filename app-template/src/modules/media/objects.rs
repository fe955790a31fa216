//! Where the bytes are: an object store, or a folder for development. I/O: the S3 API, files.
//!
//! Nothing that a request uploads stays in the pod: the next request may meet another one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use object_store::RetryConfig;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use reqwest::Url;
use uuid::Uuid;

use super::connector::PlainHttp;
use crate::counted::{Budget, Share, TOTAL};
use crate::resilience::{Backoff, BreakerSettings, CallError, Dependencies, Dependency, Fault, Policy};

/// Repeating is safe: an object is written once, under an identifier of its own.
const POLICY: Policy = Policy {
    concurrency: 64,
    attempt_timeout: Duration::from_secs(5),
    deadline: Duration::from_secs(6),
    retries: 1,
    backoff: Backoff { base: Duration::from_millis(100), max: Duration::from_millis(100) },
    retry_share: 0.1,
    breaker: BreakerSettings::USUAL,
    fallback: "none: pictures get 503, and everything else is answered",
};

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
    /// As many pictures are on their way as may be.
    #[error("failed to read a picture: {} MiB of pictures are on their way to clients", TOTAL / 1024 / 1024)]
    Full,
}

/// An object that is not there is an answer, and slow clients are no fault of the store; what is refused, such as a
/// signature, is refused to all.
impl Fault for MediaError {
    fn is_fault(&self) -> bool {
        !matches!(self, Self::Store(object_store::Error::NotFound { .. }) | Self::Full)
    }
}

/// The objects below one address.
#[derive(Clone)]
pub(crate) struct Media {
    store: Arc<dyn ObjectStore>,
    below: Path,
    dependency: Arc<Dependency>,
    /// Of all pictures that are read, or on their way to clients that take them slowly.
    bytes: Budget,
}

impl Media {
    /// `url` is `file:///folder`, or `s3://bucket/folder` with what the `AWS_*` variables say.
    pub(crate) fn open(url: &str, dependencies: &Dependencies) -> Result<Self, MediaError> {
        let address = |error: &dyn std::error::Error| MediaError::Address(error.to_string());
        let parsed: Url = url.parse().map_err(|error| address(&error))?;
        let below = Path::from_url_path(parsed.path()).map_err(|error| address(&error))?;
        let store: Arc<dyn ObjectStore> = match parsed.scheme() {
            "file" => Arc::new(LocalFileSystem::new()),
            "s3" => {
                let bucket = parsed.host_str().unwrap_or_default();
                // Repeating is the policy's business.
                let once = RetryConfig { max_retries: 0, ..RetryConfig::default() };
                let builder = AmazonS3Builder::from_env()
                    .with_bucket_name(bucket)
                    .with_http_connector(PlainHttp)
                    .with_retry(once);
                Arc::new(builder.build().map_err(|error| address(&error))?)
            }
            _ => return Err(MediaError::Address("it begins with neither".to_owned())),
        };
        Ok(Self { store, below, dependency: dependencies.add("objects", POLICY), bytes: Budget::new() })
    }

    pub(super) async fn put(&self, id: Uuid, bytes: Bytes) -> Result<(), CallError<MediaError>> {
        let path = self.path(id);
        let put = || async { Ok(self.store.put(&path, bytes.clone().into()).await.map(drop)?) };
        self.dependency.call(put).await
    }

    /// The bytes, and what they count until their client has them.
    pub(super) async fn get(&self, id: Uuid) -> Result<(Bytes, Share), CallError<MediaError>> {
        let path = self.path(id);
        let get = || async {
            let object = self.store.get(&path).await?;
            let length = usize::try_from(object.meta.size).unwrap_or(usize::MAX);
            let share = self.bytes.take(length).ok_or(MediaError::Full)?;
            Ok((object.bytes().await?, share))
        };
        self.dependency.call(get).await
    }

    fn path(&self, id: Uuid) -> Path {
        self.below.clone().join(id.to_string())
    }
}

/// The store's own would show its keys.
impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Media").field("dependency", &self.dependency).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_address_is_used_or_refused_in_words(text in "(file|s3|http)?:?/{0,3}\\PC{0,20}|.*") {
            if let Err(error) = Media::open(&text, &Dependencies::default()) {
                prop_assert!(error.to_string().contains("give file:///folder or s3://bucket"), "{}", error);
            }
        }
    }
}
