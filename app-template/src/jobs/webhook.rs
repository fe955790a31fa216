//! Telling a caller that a job has ended. I/O: HTTP.
//!
//! The body is signed with the time at which it is sent, so that nobody else can send it, nor later again:
//! `X-Signature: t=<Unix seconds>,v1=<HMAC-SHA256 of "<t>.<body>">`.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde_json::{Value, json};
use uuid::Uuid;

use super::enqueue::NewJob;
use super::lease::{JobError, Lease};
use crate::problem::Problem;
use crate::shop::Shop;

pub(super) const KIND: &str = "webhook";

const TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPTS: i32 = 12;

/// Refuses an address to which this service must not send: a caller could make it speak to anything it can reach.
pub(crate) fn check(shop: &Shop, url: &str) -> Result<(), Problem> {
    let is_allowed = |url: &Url| {
        url.scheme() == "http"
            && url.host_str().is_some_and(|host| shop.webhook_hosts.iter().any(|allowed| allowed == host))
    };
    if shop.webhook_key.is_some() && url.parse().is_ok_and(|url| is_allowed(&url)) {
        return Ok(());
    }
    Err(Problem::unprocessable(
        "webhook is an http:// URL on a host that this service may send to (WEBHOOK_HOSTS); without it, ask at the status URL."
            .to_owned(),
    ))
}

pub(super) fn job<'a>(queue: &'static str, url: &str, body: &Value) -> NewJob<'a> {
    NewJob {
        id: Uuid::now_v7(),
        queue,
        kind: KIND,
        // As text: it is signed and sent as it is here.
        payload: json!({ "url": url, "body": body.to_string() }),
        max_attempts: ATTEMPTS,
        delay: Duration::ZERO,
        webhook: None,
    }
}

/// Sends once; any answer of the 200s is taken as received. The receiver may see it twice, and knows it by `job`.
pub(super) async fn deliver(shop: &Shop, lease: &Lease) -> Result<(), JobError> {
    let (Some(url), Some(body)) = (lease.payload["url"].as_str(), lease.payload["body"].as_str()) else {
        return Err(JobError::Hopeless("the webhook has no address".to_owned()));
    };
    let Some(key) = &shop.webhook_key else {
        return Err(JobError::Retry("this worker has no WEBHOOK_KEY".to_owned()));
    };
    let time = Timestamp::now().as_second();
    let signature = key.sign(&format!("{time}.{body}"));
    // An allowed host must not lead on to one that is not.
    let client = Client::builder().redirect(Policy::none()).timeout(TIMEOUT).build();
    let client = client.map_err(|error| JobError::Retry(error.to_string()))?;
    let answer = client
        .post(url)
        .header("content-type", "application/json")
        .header("x-signature", format!("t={time},v1={signature}"))
        .body(body.to_owned())
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    answer.map_err(|error| JobError::Retry(format!("failed to deliver the webhook: {error}")))?;
    let mut transaction = shop.database.begin().await?;
    lease.finish(&mut transaction, &Value::Null).await?;
    transaction.commit().await?;
    Ok(())
}
