//! The setup before the load: cluster, programs, images, chart and example. Runs programs.

use anyhow::Result;
use scalableapp_cluster::Nodes;
use scalableapp_cluster::chart;
use scalableapp_cluster::tools::Tools;
use serde_json::json;

use crate::progress::Progress;

/// The pod and the Service of PostgreSQL.
const DATABASE: &str = "postgres";
/// The pod and the Service of the simulated payment provider.
pub(crate) const PROVIDER: &str = "payments";
/// Namespace of the example.
pub(crate) const NAMESPACE: &str = "demo";
/// Name of the example.
pub(crate) const APP: &str = "shop";
/// The example's service.
pub(crate) const WEB: &str = "web";
/// The example's pool of workers.
pub(crate) const WORKERS: &str = "reports";
/// The Service of the example's service.
pub(crate) const SERVICE: &str = "shop-web";

/// Starts everything. What runs already is reused, so the demo can be repeated.
pub(crate) fn install(tools: &Tools, progress: &Progress, port: u16) -> Result<()> {
    progress.step("cluster: its programs (built once, about 20 minutes) and its start", || {
        tools.cluster(&["up", "--port", &port.to_string()])
    })?;
    progress.step("programs: operator, reference service, load generator, plugin", || {
        let programs =
            ["scalableapp-operator", "app-template", "payment-provider", "load", "kubectl-scalableapp"];
        let bins = programs.iter().flat_map(|program| ["--bin", program]);
        tools.cargo(&["build", "--quiet", "--release"].into_iter().chain(bins).collect::<Vec<_>>())
    })?;
    progress.step("images: of these programs, into the cluster", || tools.cluster(&["images"]))?;
    progress.step(
        "servers: PostgreSQL for the queue of jobs and a payment provider, as images in the cluster",
        || {
            tools.program(".ci/packages")?;
            tools.cluster(&["server-images"])
        },
    )?;
    progress.step("chart: the operator and a Prometheus", || chart::install(tools, Nodes::Real))?;
    progress.step("example: examples/demo.yaml into namespace demo", || example(tools))?;
    progress.say("note: examples/demo.yaml lets replicas go after 30 s of less load; HPA's default, and ours, is 300 s");
    Ok(())
}

/// An example of an earlier run is deleted first: each run begins with one replica and no history.
fn example(tools: &Tools) -> Result<()> {
    let delete = ["delete", "scalableapp", APP, "-n", NAMESPACE, "--ignore-not-found"];
    tools.kubectl(&[delete.as_slice(), &["--cascade=foreground", "--timeout=2m"]].concat())?;
    tools.apply(&json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    }))?;
    servers(tools)?;
    tools.kubectl(&["apply", "-n", NAMESPACE, "--filename", "examples/demo.yaml"]).map(drop)
}

/// A PostgreSQL without the jobs of an earlier run, a payment provider that answers, and the Secrets with the addresses.
fn servers(tools: &Tools) -> Result<()> {
    let password = format!("{:032x}", fastrand::u128(..));
    let secret = |name: &str, data: serde_json::Value| {
        tools.apply(&json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "stringData": data
        }))
    };
    let delete = ["delete", "pod", DATABASE, PROVIDER, "-n", NAMESPACE];
    tools.kubectl(&[delete.as_slice(), &["--ignore-not-found", "--timeout=60s"]].concat())?;
    secret("servers", json!({"password": password}))?;
    let url = format!("postgres://shop:{password}@{DATABASE}/shop");
    secret("shop", json!({"DATABASE_MAIN_URL": url, "SIGNING_KEY": password}))?;
    for server in [DATABASE, PROVIDER] {
        let manifest = format!("e2e/servers/{server}.yaml");
        tools.kubectl(&["apply", "-n", NAMESPACE, "--filename", &manifest])?;
    }
    let ready = ["--for=condition=Ready", "--timeout=120s"];
    tools
        .kubectl(&[&["wait", "pod", DATABASE, PROVIDER, "-n", NAMESPACE], ready.as_slice()].concat())
        .map(drop)
}
