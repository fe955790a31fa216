//! Live measurements: read from the operator through its aggregated API. I/O.

use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use scalableapp_crds::{LIVE_GROUP, LIVE_VERSION, LiveApp, live_path};
use thiserror::Error;

/// The API server selects a replica of the operator at random, and only the leader measures.
const TRIES: u32 = 6;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_BYTES: usize = 1 << 20;

/// Why there are no live measurements, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unavailable {
    /// The right to read them is missing.
    #[error(
        "live measurements are not shown: you have no right to get scalableapps.{LIVE_GROUP} in namespace {0}, ask for the ClusterRole 'view' there"
    )]
    Forbidden(String),
    /// The API server does not know the API.
    #[error(
        "live measurements are not shown: the cluster does not serve {LIVE_GROUP}, install the chart with liveApi.enabled=true"
    )]
    NotServed,
    /// The API server knows the API and cannot reach the operator.
    #[error(
        "live measurements are not shown: the API server cannot reach the operator, see kubectl describe apiservice {LIVE_VERSION}.{LIVE_GROUP}"
    )]
    Unreachable,
    /// No replica of the operator is the leader.
    #[error("live measurements are not shown: no replica of the operator leads at the moment")]
    NoLeader,
    /// The leader has not measured this app yet.
    #[error("live measurements are not shown: the operator has not measured this app yet")]
    NotMeasured,
    /// The operator's answer is invalid.
    #[error("live measurements are not shown: failed to query the operator ({0})")]
    Failed(String),
}

/// Reads the live measurements of one app.
///
/// # Errors
/// When they cannot be read; the app's status can be shown nevertheless.
pub async fn measurements(client: &Client, namespace: &str, name: &str) -> Result<LiveApp, Unavailable> {
    for _ in 0..TRIES {
        match ask(client, namespace, name).await {
            Err(Unavailable::NoLeader) => tokio::time::sleep(BETWEEN_TRIES).await,
            answer => return answer,
        }
    }
    Err(Unavailable::NoLeader)
}

async fn ask(client: &Client, namespace: &str, name: &str) -> Result<LiveApp, Unavailable> {
    let request = Request::get(live_path(namespace, name)).body(Body::empty()).map_err(failed)?;
    let answer = async {
        let response = client.send(request).await.map_err(failed)?;
        let status = response.status();
        let body =
            Limited::new(response.into_body(), ANSWER_BYTES).collect().await.map_err(failed)?.to_bytes();
        Ok((status, body))
    };
    let (status, body) = tokio::time::timeout(ANSWER_TIMEOUT, answer)
        .await
        .map_err(|_| Unavailable::Failed(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())))??;
    if status.is_success() {
        serde_json::from_slice(&body).map_err(failed)
    } else {
        Err(refusal(status, &body, namespace))
    }
}

/// The operator refuses with a Status; the API server does, too, but for requests that it cannot forward.
fn refusal(code: StatusCode, body: &[u8], namespace: &str) -> Unavailable {
    let status: Option<Status> = serde_json::from_slice(body).ok();
    match (code, status) {
        (StatusCode::FORBIDDEN, _) => Unavailable::Forbidden(namespace.to_owned()),
        (StatusCode::NOT_FOUND, None) => Unavailable::NotServed,
        (StatusCode::NOT_FOUND, Some(_)) => Unavailable::NotMeasured,
        (StatusCode::SERVICE_UNAVAILABLE, None) => Unavailable::Unreachable,
        (StatusCode::SERVICE_UNAVAILABLE, Some(_)) => Unavailable::NoLeader,
        (_, Some(status)) if !status.message.is_empty() => Unavailable::Failed(status.message),
        (_, _) => Unavailable::Failed(format!("it answered {code}")),
    }
}

fn failed(error: impl std::fmt::Display) -> Unavailable {
    Unavailable::Failed(error.to_string())
}
