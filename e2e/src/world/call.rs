//! Requests of any kind to the Services and pods of the test's namespace, through the API server. Talks to them.

use anyhow::{Context, Result, ensure};
use http_body_util::BodyExt;
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, Request, StatusCode};
use kube::client::Body;
use serde_json::Value;
use std::time::Duration;

use super::World;
use super::wait::wait_until;

/// An answer with any status.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status; 503 without a header `x-degraded` may be the API server's own.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON, if the status matches.
    ///
    /// # Errors
    /// With the whole answer if it does not.
    pub fn json(&self, status: u16) -> Result<Value> {
        self.has(status)?;
        serde_json::from_str(&self.body).with_context(|| format!("failed to read {self:?}"))
    }

    /// Succeeds if the status matches.
    ///
    /// # Errors
    /// With the whole answer if it does not.
    pub fn has(&self, status: u16) -> Result<()> {
        ensure!(self.status == status, "{status} was expected: {self:?}");
        Ok(())
    }
}

impl World {
    /// Sends a GET to `services/NAME:PORT` or `pods/NAME:PORT`.
    ///
    /// # Errors
    /// When the API server cannot be reached. A refusal is an answer.
    pub async fn get(&self, target: &str, path: &str) -> Result<Answer> {
        self.call(target, Request::get(path).body(String::new())?).await
    }

    /// Posts JSON to `services/NAME:PORT` or `pods/NAME:PORT`, with an `Idempotency-Key`.
    ///
    /// # Errors
    /// As [`World::get`].
    pub async fn post(&self, target: &str, path: &str, key: &str, json: &Value) -> Result<Answer> {
        let request =
            Request::post(path).header(CONTENT_TYPE, "application/json").header("idempotency-key", key);
        self.call(target, request.body(json.to_string())?).await
    }

    /// Posts as a patient client does: with retries, under the same key, as long as the answer requests them.
    ///
    /// # Errors
    /// As [`World::get`], and when they last too long.
    pub async fn insist(&self, target: &str, path: &str, key: &str, json: &Value) -> Result<Answer> {
        wait_until("the request is not shed", Duration::from_secs(60), async || {
            let answer = self.post(target, path, key, json).await?;
            ensure!(answer.status != StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
            Ok(answer)
        })
        .await
    }

    /// Sends a request to `services/NAME:PORT` or `pods/NAME:PORT`.
    ///
    /// # Errors
    /// As [`World::get`].
    pub async fn call(&self, target: &str, request: Request<String>) -> Result<Answer> {
        let (mut head, body) = request.into_parts();
        head.uri = format!("/api/v1/namespaces/{}/{target}/proxy{}", self.namespace, head.uri).parse()?;
        let answer = self.direct.send(Request::from_parts(head, Body::from(body.into_bytes()))).await;
        let (head, body) = answer.with_context(|| format!("failed to reach {target}"))?.into_parts();
        let body = body.collect().await.with_context(|| format!("failed to read from {target}"))?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}
