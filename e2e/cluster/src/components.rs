//! The programs of a cluster: their arguments, and their dependencies. Pure, but for the probes.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::addresses::{API_SERVER, ETCD, NODE, PODS, SERVICES};
use super::certificates::FRONT_PROXY;
use super::config::{CONTAINERD_SOCKET, PAUSE_IMAGE};
use super::nodes::Nodes;
use super::parts::program;
use super::paths::{Cache, ClusterDir};

/// One long-running program.
#[derive(Debug)]
pub(super) struct Component {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    /// The conditions for its start.
    pub(super) after: Vec<Probe>,
}

/// A result of another component or a command.
#[derive(Debug)]
pub(super) enum Probe {
    Listening(SocketAddr),
    Exists(PathBuf),
}

impl Probe {
    pub(super) fn holds(&self) -> bool {
        match self {
            Self::Listening(address) => {
                TcpStream::connect_timeout(address, Duration::from_millis(200)).is_ok()
            }
            Self::Exists(path) => path.exists(),
        }
    }
}

/// The component that simulates a hollow cluster's node.
pub(super) const HOLLOW_NODES: &str = "kwok";

/// All components, in the order of their use.
pub(super) fn all(cache: &Cache, dir: &ClusterDir, nodes: Nodes) -> Result<Vec<Component>> {
    let api_server = || vec![Probe::Listening(API_SERVER)];
    let component = |name, arguments, after| -> Result<Component> {
        Ok(Component { name, program: program(cache, name)?, arguments, after })
    };
    let mut components = vec![
        component("etcd", etcd(dir), vec![])?,
        component("kube-apiserver", api_server_arguments(dir), vec![Probe::Listening(ETCD)])?,
        component("kube-controller-manager", controller_manager(dir, nodes), api_server())?,
        component("kube-scheduler", scheduler(dir), api_server())?,
    ];
    match nodes {
        Nodes::Real => components.extend([
            Component {
                name: "containerd",
                program: "containerd".into(),
                arguments: containerd(dir),
                after: vec![],
            },
            component("kube-proxy", vec![flag("config", dir.etc("kube-proxy.json"))], api_server())?,
            component(
                "kubelet",
                kubelet(dir),
                // Without the image of the sandbox the first pods would fail, with a long backoff.
                vec![Probe::Listening(API_SERVER), Probe::Exists(dir.imported(PAUSE_IMAGE))],
            )?,
        ]),
        Nodes::Hollow => components.push(component(HOLLOW_NODES, kwok(dir), api_server())?),
    }
    Ok(components)
}

fn flag(name: &str, value: impl AsRef<Path>) -> String {
    format!("--{name}={}", value.as_ref().display())
}

fn containerd(dir: &ClusterDir) -> Vec<String> {
    vec![flag("config", dir.etc("containerd.toml")), "--log-level=warn".into()]
}

fn etcd(dir: &ClusterDir) -> Vec<String> {
    vec![
        flag("data-dir", dir.etcd_data()),
        format!("--listen-client-urls=http://{ETCD}"),
        format!("--advertise-client-urls=http://{ETCD}"),
        // The state is deleted with the cluster, and fsync is slow on a small disk.
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
    ]
}

fn api_server_arguments(dir: &ClusterDir) -> Vec<String> {
    vec![
        format!("--etcd-servers=http://{ETCD}"),
        format!("--advertise-address={NODE}"),
        format!("--secure-port={}", API_SERVER.port()),
        format!("--service-cluster-ip-range={SERVICES}"),
        flag("tls-cert-file", dir.pki("kube-apiserver.crt")),
        flag("tls-private-key-file", dir.pki("kube-apiserver.key")),
        flag("client-ca-file", dir.pki("ca.crt")),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        flag("service-account-key-file", dir.pki("service-account.pub")),
        flag("service-account-signing-key-file", dir.pki("service-account.key")),
        flag("kubelet-certificate-authority", dir.pki("ca.crt")),
        flag("kubelet-client-certificate", dir.pki("kube-apiserver-kubelet-client.crt")),
        flag("kubelet-client-key", dir.pki("kube-apiserver-kubelet-client.key")),
        "--kubelet-preferred-address-types=InternalIP".into(),
        // Aggregated APIs. Their Services are resolved by the API server itself, without the node's kube-proxy.
        "--enable-aggregator-routing=true".into(),
        flag("proxy-client-cert-file", dir.pki(&format!("{FRONT_PROXY}.crt"))),
        flag("proxy-client-key-file", dir.pki(&format!("{FRONT_PROXY}.key"))),
        flag("requestheader-client-ca-file", dir.pki("front-proxy-ca.crt")),
        format!("--requestheader-allowed-names={FRONT_PROXY}"),
        "--requestheader-username-headers=X-Remote-User".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        flag("audit-policy-file", dir.etc("audit-policy.json")),
        flag("audit-log-path", dir.audit_log()),
        // In one file, so that a count of requests is complete. A cluster lives for hours.
        "--audit-log-maxsize=4096".into(),
    ]
}

fn controller_manager(dir: &ClusterDir, nodes: Nodes) -> Vec<String> {
    let mut arguments = client(dir, "kube-controller-manager");
    arguments.extend([
        flag("root-ca-file", dir.pki("ca.crt")),
        flag("service-account-private-key-file", dir.pki("service-account.key")),
        "--use-service-account-credentials=true".into(),
        "--flex-volume-plugin-dir=/var/lib/kubelet/volume-plugins".into(),
    ]);
    if nodes == Nodes::Hollow {
        // With its defaults it would need minutes for the pods of a thousand apps, with any autoscaler.
        arguments.extend([
            "--kube-api-qps=500".into(),
            "--kube-api-burst=1000".into(),
            "--concurrent-deployment-syncs=20".into(),
            "--concurrent-replicaset-syncs=20".into(),
            // A busy machine must not make every pod unready at once: KWOK never reverts that.
            "--node-monitor-grace-period=10m".into(),
        ]);
    }
    arguments
}

fn scheduler(dir: &ClusterDir) -> Vec<String> {
    client(dir, "kube-scheduler")
}

/// Common arguments of the controller manager and the scheduler. There is one of each, so they need no leader election.
fn client(dir: &ClusterDir, name: &str) -> Vec<String> {
    let kubeconfig = dir.component_kubeconfig(name);
    vec![
        flag("kubeconfig", &kubeconfig),
        flag("authorization-kubeconfig", &kubeconfig),
        flag("client-ca-file", dir.pki("ca.crt")),
        // They exit if they look it up before the API server has created its first roles.
        "--authentication-skip-lookup=true".into(),
        "--leader-elect=false".into(),
        "--bind-address=127.0.0.1".into(),
    ]
}

fn kubelet(dir: &ClusterDir) -> Vec<String> {
    vec![
        flag("config", dir.etc("kubelet.json")),
        flag("kubeconfig", dir.component_kubeconfig("kubelet")),
        format!("--hostname-override={}", dir.name),
        format!("--node-ip={NODE}"),
        // cAdvisor finds containerd by this; without it /metrics/cadvisor has no containers.
        format!("--containerd={CONTAINERD_SOCKET}"),
    ]
}

fn kwok(dir: &ClusterDir) -> Vec<String> {
    vec![
        flag("kubeconfig", dir.component_kubeconfig("admin")),
        format!("--manage-single-node={}", dir.name),
        format!("--node-ip={NODE}"),
        format!("--cidr={PODS}"),
        // Without a Lease it never reports that the node is alive.
        "--node-lease-duration-seconds=40".into(),
    ]
}
