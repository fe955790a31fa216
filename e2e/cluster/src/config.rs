//! The configuration files of containerd, the kubelet, kube-proxy and the API server, and the kubeconfigs. Writes files.

use anyhow::Result;
use serde_json::{Value, json};

use super::addresses::{API_SERVER, DNS_SERVICE, NODE, PODS, SERVICES};
use super::certificates::{CLIENTS, write_private};
use super::machine::Settings;
use super::packages::cni_folder;
use super::paths::ClusterDir;

/// The image of a pod's sandbox.
pub(super) const PAUSE_IMAGE: &str = "localhost/pause:1";
/// containerd's socket, in the cluster's own `/run`.
pub(super) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// Writes all of them. `port` is the forwarder's, for the administrator's kubeconfig.
pub(super) fn write(dir: &ClusterDir, settings: Settings, port: u16) -> Result<()> {
    let write_json = |file: &str, content: Value| write_private(&dir.etc(file), &format!("{content:#}\n"));
    write_private(&dir.etc("containerd.toml"), &containerd(dir, settings, cni_folder()?))?;
    write_json("cni/10-pods.conflist", pod_network(dir))?;
    write_json("kubelet.json", kubelet(dir, settings))?;
    write_json("kube-proxy.json", kube_proxy(dir))?;
    write_json("audit-policy.json", audit_policy())?;
    // Pods query the cluster's DNS alone: nothing outside the cluster can be reached.
    write_private(&dir.etc("resolv.conf"), "")?;
    for client in CLIENTS {
        let content = kubeconfig(dir, client, &format!("https://{API_SERVER}"));
        write_private(&dir.component_kubeconfig(client), &content)?;
    }
    write_private(&dir.kubeconfig(), &kubeconfig(dir, "admin", &format!("https://127.0.0.1:{port}")))
}

fn containerd(dir: &ClusterDir, settings: Settings, cni_folder: &str) -> String {
    format!(
        r#"version = 2
root = "{root}"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = {restrict_oom_score_adj}
disable_apparmor = {disable_apparmor}
disable_hugetlb_controller = {disable_hugetlb_controller}
tolerate_missing_hugetlb_controller = true
enable_unprivileged_ports = true
enable_unprivileged_icmp = true
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{cni_folder}"
conf_dir = "{cni_configuration}"
"#,
        root = dir.containerd_root().display(),
        restrict_oom_score_adj = settings.restrict_oom_score_adj,
        disable_apparmor = settings.disable_apparmor,
        disable_hugetlb_controller = settings.disable_hugetlb_controller,
        cni_configuration = dir.etc("cni").display(),
    )
}

/// A point-to-point link for each pod, not a bridge: all traffic passes the node's routing, so Services work without
/// the kernel's bridge filter. A pod has no other routes: nothing can leave the cluster.
fn pod_network(dir: &ClusterDir) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [{
            "type": "ptp",
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "dataDir": dir.private("/var/lib").join("cni/addresses"),
                "ranges": [[{"subnet": PODS.to_string()}]],
                "routes": [{"dst": SERVICES.to_string()}, {"dst": format!("{NODE}/32")}],
            },
        }],
    })
}

fn kubelet(dir: &ClusterDir, settings: Settings) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE.to_string(),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": dir.pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": dir.pki("kubelet-server.crt"),
        "tlsPrivateKeyFile": dir.pki("kubelet-server.key"),
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": dir.cgroup(),
        "failCgroupV1": settings.fail_cgroup_v1,
        "failSwapOn": false,
        "enforceNodeAllocatable": ["pods"],
        "oomScoreAdj": 0,
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_SERVICE.to_string()],
        "resolvConf": dir.etc("resolv.conf"),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "serializeImagePulls": false,
        // No image can be pulled again, so none is removed to free space.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "nodeStatusUpdateFrequency": "5s",
        // A mounted ConfigMap or Secret changes at the next sync of its pod: 6 to 9 s here, 60 to 90 s by default.
        "syncFrequency": "6s",
        "configMapAndSecretChangeDetectionStrategy": "Watch",
    })
}

fn kube_proxy(dir: &ClusterDir) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": dir.component_kubeconfig("kube-proxy")},
        "hostnameOverride": dir.name,
        "mode": "nftables",
        "clusterCIDR": PODS.to_string(),
        // Connection tracking has machine-wide limits, which must not change.
        "conntrack": {"maxPerCore": 0, "min": 0},
        "oomScoreAdj": 0,
    })
}

/// One line for each answered request: user, verb, object.
fn audit_policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata"}],
    })
}

fn kubeconfig(dir: &ClusterDir, client: &str, server: &str) -> String {
    let content = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": dir.name,
        "clusters": [{
            "name": dir.name,
            "cluster": {"server": server, "certificate-authority": dir.pki("ca.crt")},
        }],
        "users": [{
            "name": client,
            "user": {
                "client-certificate": dir.pki(&format!("{client}.crt")),
                "client-key": dir.pki(&format!("{client}.key")),
            },
        }],
        "contexts": [{"name": dir.name, "context": {"cluster": dir.name, "user": client}}],
    });
    format!("{content:#}\n")
}
