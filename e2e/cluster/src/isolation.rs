//! The mounts and the network of a cluster. Changes the namespaces of the calling process, never the machine's.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::addresses::{NODE, SERVICES};
use super::command::output;
use super::paths::{ClusterDir, HIDDEN};

/// Machine-wide kernel settings, and the values that the kubelet needs. It sees files that contain them already, so it
/// does not change the machine's.
const KUBELET_SYSCTLS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Gives the cluster its own `/proc`, `/run`, `/var/lib` and `/var/log`.
pub(super) fn mounts(dir: &ClusterDir) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("failed to make a mount namespace")?;
    // The copy of the machine's mounts is separated first: no mount from here on reaches the machine.
    change("/", MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
    file_system("proc", "/proc")?;
    for hidden in HIDDEN {
        if hidden == "/run" {
            file_system("tmpfs", hidden)?;
        } else {
            bind(&dir.private(hidden), Path::new(hidden))?;
        }
    }
    for (name, value) in KUBELET_SYSCTLS {
        let shown = dir.etc("sysctl").join(name.replace('/', "."));
        fs::create_dir_all(dir.etc("sysctl"))?;
        fs::write(&shown, format!("{value}\n"))?;
        bind(&shown, &Path::new("/proc/sys").join(name))?;
    }
    // The kubelet's mounts for pods must reach containerd's containers.
    change("/", MsFlags::MS_REC | MsFlags::MS_SHARED)
}

fn change(target: &str, flags: MsFlags) -> Result<()> {
    mount(None::<&str>, target, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("failed to change how mounts of {target} propagate"))
}

fn file_system(kind: &str, target: &str) -> Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some(kind), target, Some(kind), flags, None::<&str>)
        .with_context(|| format!("failed to mount {kind} on {target}"))
}

fn bind(source: &Path, target: &Path) -> Result<()> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("failed to mount {} on {}", source.display(), target.display()))
}

/// Gives the node its address and a route to Services. There is no link to the machine's network.
///
/// The address sits on one end of a pair of virtual links, because the kubelet refuses loopback addresses and some
/// kernels have no dummy links.
pub(super) fn network() -> Result<()> {
    let (node, services) = (format!("{NODE}/32"), SERVICES.to_string());
    let steps: [&[&str]; 6] = [
        &["link", "set", "lo", "up"],
        &["link", "add", "node0", "type", "veth", "peer", "name", "node0-peer"],
        &["link", "set", "node0-peer", "up"],
        &["address", "add", &node, "dev", "node0"],
        &["link", "set", "node0", "up"],
        &["route", "add", &services, "dev", "node0", "src", &Ipv4Addr::to_string(&NODE)],
    ];
    for step in steps {
        output(Command::new("ip").args(step))?;
    }
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("failed to let the node forward packets")
}
