//! Health probes of a component's container. Pure.

use crate::{GoDuration, duration::is_duration};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The three probes of Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Probes {
    /// Whether a pod may get traffic.
    /// Default: `GET /readyz` on the service port every 5 s, unready after 2 failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Probe>,
    /// Whether a container must be restarted.
    /// Default: `GET /livez` on the service port every 10 s, restarted after 3 failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Probe>,
    /// Whether a container has started; the other probes wait for it.
    /// Default: the readiness probe's action every second, given up after 60 failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<Probe>,
}

/// One probe: an action, and when it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("[has(self.httpGet), has(self.tcpSocket), has(self.grpc), has(self.exec)].filter(x, x).size() == 1", "set exactly one of httpGet, tcpSocket, grpc, exec"))]
pub struct Probe {
    /// An HTTP GET that must answer with a status from 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGet>,
    /// A TCP connection that must open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<TcpSocket>,
    /// A gRPC health check that must answer SERVING.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<Grpc>,
    /// A command in the container that must exit with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Exec>,
    /// Time from the start of the container to the first probe, in whole seconds. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (WHOLE_SECONDS, "initialDelay must be a duration in whole seconds, up to 1h, such as 5s"))]
    pub initial_delay: Option<GoDuration>,
    /// Time between probes, in whole seconds, at least 1s. Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (WHOLE_SECONDS_FROM_1, "period must be a duration in whole seconds, from 1s to 1h, such as 5s"))]
    pub period: Option<GoDuration>,
    /// Time after which a probe counts as failed, in whole seconds, at least 1s. Default: 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (WHOLE_SECONDS_FROM_1, "timeout must be a duration in whole seconds, from 1s to 1h, such as 5s"))]
    pub timeout: Option<GoDuration>,
    /// Failures in a row that count. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub failure_threshold: Option<i32>,
}

/// An HTTP GET.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpGet {
    /// Path of the request, for example `/readyz`.
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
    /// Port of the check. Default: the service's `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i32>,
    /// Name of the service that is asked about. Default: the server as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub service: Option<String>,
}

/// A command in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exec {
    /// The command and its arguments; no shell is involved.
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
