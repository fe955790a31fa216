//! Health probes of a component's container. Pure.

use crate::{GoDuration, duration::is_duration};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Probes of the container, as in a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Probes {
    /// Readiness probe: a pod whose probe fails gets no traffic.
    /// Default: `GET /readyz` on the service's `port` every 5s, failed after 2 failures in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Probe>,
    /// Liveness probe: a container whose probe fails is restarted.
    /// Default: `GET /livez` on the service's `port` every 10s, failed after 3 failures in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Probe>,
    /// Startup probe: the other probes begin after its first success, and a container whose probe fails is restarted.
    /// Default: the action of the readiness probe every 1s, failed after 60 failures in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<Probe>,
}

/// A probe. Exactly one of `httpGet`, `tcpSocket`, `grpc` and `exec` must be set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("[has(self.httpGet), has(self.tcpSocket), has(self.grpc), has(self.exec)].filter(x, x).size() == 1", "set exactly one of httpGet, tcpSocket, grpc, exec"))]
pub struct Probe {
    /// HTTP GET request. The probe succeeds if the status of the response is 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGet>,
    /// TCP connection. The probe succeeds if the connection opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<TcpSocket>,
    /// gRPC health check. The probe succeeds if the response is SERVING.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<Grpc>,
    /// Command in the container. The probe succeeds if its exit code is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Exec>,
    /// Time from the start of the container to the first probe, in whole seconds, 0s to 1h. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (WHOLE_SECONDS, "initialDelay must be a duration in whole seconds, up to 1h, such as 5s"))]
    pub initial_delay: Option<GoDuration>,
    /// Time between two probes, in whole seconds, 1s to 1h. Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (WHOLE_SECONDS_FROM_1, "period must be a duration in whole seconds, from 1s to 1h, such as 5s"))]
    pub period: Option<GoDuration>,
    /// Time after which a probe without an answer is a failure, in whole seconds, 1s to 1h. Default: 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (WHOLE_SECONDS_FROM_1, "timeout must be a duration in whole seconds, from 1s to 1h, such as 5s"))]
    pub timeout: Option<GoDuration>,
    /// Failures in a row after which the probe has failed, 1 to 1000. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub failure_threshold: Option<i32>,
}

/// An HTTP GET.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpGet {
    /// Path of the request, beginning with a slash, for example `/readyz`.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = ("self.startsWith('/')", "path must begin with a slash, for example /readyz"))]
    pub path: String,
    /// Port of the request. Default: the service's `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i32>,
}

/// A TCP connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpSocket {
    /// Port of the connection. Default: the service's `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i32>,
}

/// A gRPC health check (grpc.health.v1.Health).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Grpc {
    /// Port of the health check. Default: the service's `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i32>,
    /// Name of the gRPC service in the health check. Default: empty, which means the server as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub service: Option<String>,
}

/// A command in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exec {
    /// Command and its arguments. It does not run in a shell.
    #[schemars(length(min = 1, max = 32), inner(length(max = 1024)))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub command: Vec<String>,
}

const WHOLE_SECONDS: &str =
    is_duration!("duration(self).getMilliseconds() % 1000 == 0", "duration(self) <= duration('1h')");
const WHOLE_SECONDS_FROM_1: &str = is_duration!(
    "duration(self).getMilliseconds() % 1000 == 0",
    "duration(self) >= duration('1s')",
    "duration(self) <= duration('1h')"
);
