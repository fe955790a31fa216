//! The chart in a local cluster, with the images that were built there. Runs programs.

use anyhow::Result;

use crate::Nodes;
use crate::tools::Tools;

/// Namespace of the operator and of the bundled Prometheus.
pub const OPERATOR_NAMESPACE: &str = "scalableapp-system";
/// Release of the chart.
pub const RELEASE: &str = "scalableapp";
/// Namespaces that the operator excludes, for tests and benchmarks with their own operator.
pub const EXCLUDED_NAMESPACES: [&str; 8] = [
    "own-operator-1",
    "own-operator-2",
    "own-operator-3",
    "own-operator-4",
    "own-operator-5",
    "own-operator-6",
    "own-operator-7",
    "own-operator-8",
];
/// The chart's images in the cluster: nothing is pulled. Decisions are recorded, because tests replay them.
const LOCAL: &str = "decisionRecords=true,\
    image.pullPolicy=Never,\
    prometheus.bundled.image.repository=localhost/prometheus,\
    prometheus.bundled.image.tag=v3.16.0,\
    prometheus.bundled.image.pullPolicy=Never";

/// Installs or upgrades the chart, and waits until the operator and Prometheus are ready.
///
/// # Errors
/// With the error of helm or kubectl.
pub fn install(tools: &Tools, nodes: Nodes) -> Result<()> {
    let installed = tools.helm(&["status", RELEASE, "--namespace", OPERATOR_NAMESPACE]).is_ok();
    let install = ["upgrade", "--install", RELEASE, "charts/scalableapp", "--namespace", OPERATOR_NAMESPACE];
    // No pod of a hollow cluster answers, and an unavailable API would block every deletion of a namespace.
    let live = format!("liveApi.enabled={}", nodes == Nodes::Real);
    let excluded = format!("excludeNamespaces={{{}}}", EXCLUDED_NAMESPACES.join(","));
    let set = ["--set", LOCAL, "--set", &live, "--set", &excluded];
    let wait = ["--create-namespace", "--wait", "--timeout", "3m"];
    tools.helm(&[install.as_slice(), &set, &wait].concat())?;
    if installed {
        // The image's tag is the same, but its content may have changed since the last run.
        let operator = format!("deployment/{RELEASE}-operator");
        tools.kubectl(&["rollout", "restart", &operator, "-n", OPERATOR_NAMESPACE])?;
        tools.kubectl(&["rollout", "status", &operator, "-n", OPERATOR_NAMESPACE, "--timeout=2m"])?;
    }
    Ok(())
}
