//! Sending a webhook, by a job that is repeated until its receiver has it. I/O: PostgreSQL, HTTP.

use futures::FutureExt;
use serde_json::Value;

use super::lease::{JobError, Lease};
use super::notice;
use super::work::{JobState, Work};

/// What sends webhooks.
pub(crate) fn delivery<S: JobState>() -> Work<S> {
    Work { kind: notice::KIND, run: |state, lease| deliver(state, lease).boxed(), refused: None }
}

/// Sends once; any answer of the 200s is taken as received. The receiver may see it twice, and knows it by `job`.
async fn deliver<S: JobState>(state: &S, lease: &Lease) -> Result<(), JobError> {
    let (Some(url), Some(body)) = (lease.payload["url"].as_str(), lease.payload["body"].as_str()) else {
        return Err(JobError::Hopeless("the webhook has no address".to_owned()));
    };
    let Some(webhooks) = state.webhooks() else {
        return Err(JobError::NotTried("this worker has no WEBHOOK_KEY".to_owned()));
    };
    webhooks.deliver(url, body).await?;
    let mut transaction = state.database().begin().await?;
    lease.finish(&mut transaction, &Value::Null).await?;
    transaction.commit().await?;
    Ok(())
}
