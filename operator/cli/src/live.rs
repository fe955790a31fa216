//! Live measurements: read from the operator's leader through the API server's service proxy. I/O.

use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use kube::api::ListParams;
use kube::client::Body;
use kube::core::Status;
use kube::{Api, Client, ResourceExt};
use serde::{Deserialize, Serialize};
use thiserror::Error;

const OPERATOR_NAMESPACE: &str = "scalableapp-system";
const OPERATOR_SERVICE: &str = "scalableapp-operator";
const OPERATOR_LABEL: &str = "app.kubernetes.io/name=scalableapp";
const PORT_NAME: &str = "http";

/// A Service picks a replica of the operator at random, and only the leader measures.
const TRIES: u32 = 6;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_BYTES: usize = 1 << 20;

/// What the leader measured of one app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveApp {
    /// When it was measured.
    pub observed_at: Timestamp,
    /// One entry for each component.
    pub components: Vec<LiveComponent>,
}

/// What the leader measured of one component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveComponent {
    /// Name of the component.
    pub name: String,
    /// Replicas that the last decision asked for.
    pub desired: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Requests per second; nothing if they are not measured.
    #[serde(default)]
    pub request_rate: Option<f64>,
    /// Latency of the requests; nothing if it is not measured.
    #[serde(default)]
    pub latency: Option<LiveLatency>,
    /// Its metrics.
    #[serde(default)]
    pub metrics: Vec<LiveMetric>,
    /// The last decision as a sentence.
    #[serde(default)]
    pub message: String,
}

/// What the leader read of one metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveMetric {
    /// Its name.
    pub name: String,
    /// The value with its unit, or why there was none.
    pub value: String,
    /// The target with its unit.
    pub target: String,
    /// `Fresh`, or the reason why it may not be acted on, such as `MetricAbsent`: a word from `docs/reasons.md`.
    pub quality: String,
    /// Replicas that it asks for; nothing if it had no say.
    #[serde(default)]
    pub proposal: Option<i32>,
}

/// Latency quantiles in seconds; nothing without requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveLatency {
    /// Half of the requests were faster.
    #[serde(default)]
    pub p50: Option<f64>,
    /// 99 of 100 requests were faster.
    #[serde(default)]
    pub p99: Option<f64>,
}

/// Why there are no live measurements, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unavailable {
    /// The right to the service proxy is missing.
    #[error(
        "live measurements are not shown: they need the right to get services/proxy of Service {service} in namespace {namespace}; an administrator grants it with: kubectl create rolebinding live-viewer --namespace {namespace} --clusterrole {release}-live-viewer --user YOU"
    )]
    Forbidden {
        /// The operator's namespace.
        namespace: String,
        /// The operator's Service.
        service: String,
        /// The chart's release, of which the ClusterRole has its name.
        release: String,
    },
    /// There is no such Service.
    #[error(
        "live measurements are not shown: there is no Service {service} in namespace {namespace}; name the operator's with --operator-namespace and --operator-service"
    )]
    NoService {
        /// The operator's namespace.
        namespace: String,
        /// The operator's Service.
        service: String,
    },
    /// No replica of the operator says that it leads.
    #[error("live measurements are not shown: no replica of the operator leads at the moment")]
    NoLeader,
    /// The leader has not measured this app yet.
    #[error("live measurements are not shown: the operator has not measured this app yet")]
    NotMeasured,
    /// The operator does not answer, or not as it should.
    #[error("live measurements are not shown: failed to ask the operator ({0})")]
    Failed(String),
}

/// Where the operator's live measurements are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    namespace: String,
    service: String,
}

impl Operator {
    /// Takes what was named; else finds the operator's Service by its label; else takes the chart's defaults.
    pub async fn find(client: &Client, namespace: Option<String>, service: Option<String>) -> Self {
        if namespace.is_none()
            && service.is_none()
            && let Some(found) = Self::discover(client).await
        {
            return found;
        }
        Self {
            namespace: namespace.unwrap_or_else(|| OPERATOR_NAMESPACE.to_owned()),
            service: service.unwrap_or_else(|| OPERATOR_SERVICE.to_owned()),
        }
    }

    /// Without the right to list Services the defaults are as good a guess as any, so errors only end the search.
    async fn discover(client: &Client) -> Option<Self> {
        let services: Api<Service> = Api::all(client.clone());
        let wanted = ListParams::default().labels(OPERATOR_LABEL);
        let found = tokio::time::timeout(ANSWER_TIMEOUT, services.list(&wanted)).await.ok()?.ok()?;
        let operator = found.items.into_iter().find(|service| {
            let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
            service.name_any().ends_with("operator")
                && ports.into_iter().any(|port| port.name.as_deref() == Some(PORT_NAME))
        })?;
        Some(Self { namespace: operator.namespace()?, service: operator.name_any() })
    }

    /// Reads the live measurements of one app.
    ///
    /// # Errors
    /// When they cannot be had; the app's status can be shown nevertheless.
    pub async fn measurements(
        &self,
        client: &Client,
        namespace: &str,
        name: &str,
    ) -> Result<LiveApp, Unavailable> {
        for _ in 0..TRIES {
            match self.ask(client, namespace, name).await {
                Err(Unavailable::NoLeader) => tokio::time::sleep(BETWEEN_TRIES).await,
                answer => return answer,
            }
        }
        Err(Unavailable::NoLeader)
    }

    async fn ask(&self, client: &Client, namespace: &str, name: &str) -> Result<LiveApp, Unavailable> {
        let uri = format!(
            "/api/v1/namespaces/{}/services/{}:{PORT_NAME}/proxy/v1/apps/{namespace}/{name}",
            self.namespace, self.service
        );
        let request = Request::get(uri).body(Body::empty()).map_err(failed)?;
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
            Err(self.refusal(status, &body))
        }
    }

    /// The API server refuses with a Status that has a reason, the operator with a body of its own.
    fn refusal(&self, code: StatusCode, body: &[u8]) -> Unavailable {
        let status: Status = serde_json::from_slice(body).unwrap_or_default();
        let (namespace, service) = (self.namespace.clone(), self.service.clone());
        match (code, status.reason.is_empty()) {
            (StatusCode::FORBIDDEN, _) => {
                let release = service.strip_suffix("-operator").unwrap_or(&service).to_owned();
                Unavailable::Forbidden { namespace, service, release }
            }
            (StatusCode::NOT_FOUND, false) => Unavailable::NoService { namespace, service },
            (StatusCode::NOT_FOUND, true) => Unavailable::NotMeasured,
            (StatusCode::SERVICE_UNAVAILABLE, true) => Unavailable::NoLeader,
            (_, false) => Unavailable::Failed(status.message),
            (_, true) => Unavailable::Failed(format!("it answered {code}")),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> Unavailable {
    Unavailable::Failed(error.to_string())
}
