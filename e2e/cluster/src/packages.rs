//! Debian packages that a cluster needs. Installs missing ones by apt-get.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::command::output;
use super::progress::step;

/// A program, its folder beside `PATH`, and its package.
struct Needed {
    program: &'static str,
    folders: &'static [&'static str],
    package: &'static str,
}

const SBIN: &[&str] = &["/usr/sbin", "/sbin"];

/// Folders of the CNI plugins: Debian's, then the one of the plugins' own releases.
const CNI_FOLDERS: &[&str] = &["/usr/lib/cni", "/opt/cni/bin"];

const NEEDED: [Needed; 7] = [
    Needed { program: "containerd", folders: &[], package: "containerd" },
    Needed { program: "ctr", folders: &[], package: "containerd" },
    Needed { program: "runc", folders: SBIN, package: "runc" },
    Needed { program: "ptp", folders: CNI_FOLDERS, package: "containernetworking-plugins" },
    Needed { program: "nft", folders: SBIN, package: "nftables" },
    Needed { program: "ip", folders: SBIN, package: "iproute2" },
    Needed { program: "buildah", folders: &[], package: "buildah" },
];

/// Installs the packages of missing programs, without starting any of their services.
pub(super) fn ensure() -> Result<()> {
    let mut missing: Vec<&str> =
        NEEDED.iter().filter(|needed| find(needed).is_none()).map(|needed| needed.package).collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    step(&format!("packages: {}", missing.join(" ")), || {
        let _quiet = ServicesStayStopped::new()?;
        output(apt_get().arg("update"))?;
        output(apt_get().args(["install", "-y", "--no-install-recommends"]).args(&missing)).map(drop)
    })
}

/// Non-interactive apt-get.
pub(super) fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// The folder of the CNI plugins.
pub(super) fn cni_folder() -> Result<&'static str> {
    let holds_ptp = |folder: &&&str| Path::new(folder).join("ptp").exists();
    CNI_FOLDERS
        .iter()
        .find(holds_ptp)
        .copied()
        .context("no CNI plugins found: install containernetworking-plugins")
}

fn find(needed: &Needed) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(needed.folders.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(needed.program)).find(|program| program.exists())
}

/// While this exists, Debian's maintainer scripts may not start services: containerd's would start the machine's own.
struct ServicesStayStopped {
    created: bool,
}

impl ServicesStayStopped {
    const POLICY: &str = "/usr/sbin/policy-rc.d";

    fn new() -> Result<Self> {
        if Path::new(Self::POLICY).exists() {
            return Ok(Self { created: false });
        }
        let mut file = fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o755)
            .open(Self::POLICY)
            .context("failed to keep services from starting")?;
        std::io::Write::write_all(&mut file, b"#!/bin/sh\nexit 101\n")?;
        Ok(Self { created: true })
    }
}

impl Drop for ServicesStayStopped {
    fn drop(&mut self) {
        if self.created {
            let _ = fs::remove_file(Self::POLICY);
        }
    }
}
