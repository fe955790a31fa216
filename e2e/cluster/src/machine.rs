//! The capabilities of this machine, and the resulting settings of containerd and the kubelet. Reads files in
//! `observe`; otherwise pure.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The kernel's features and the machine's permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) cgroups: Cgroups,
    apparmor: bool,
    sys_resource: bool,
}

/// The cgroup version and the mount points of its hierarchies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cgroups {
    /// One hierarchy for each controller or pair of controllers. On a hybrid machine the one of version 2, which has no
    /// controllers, is included: runc creates a cgroup in it, too.
    V1(Vec<PathBuf>),
    /// One hierarchy for all controllers.
    V2(PathBuf),
}

/// The settings that depend on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    /// containerd: without `CAP_SYS_RESOURCE` no process may lower its OOM score, and no sandbox starts.
    pub(super) restrict_oom_score_adj: bool,
    /// containerd: no AppArmor profile is loaded where the kernel has none.
    pub(super) disable_apparmor: bool,
    /// containerd: huge pages are limited only where their controller is mounted.
    pub(super) disable_hugetlb_controller: bool,
    /// kubelet: refuses cgroup v1 by default since 1.35.
    pub(super) fail_cgroup_v1: bool,
}

impl Machine {
    pub(super) fn observe() -> Result<Self> {
        let read = |path: &str| fs::read_to_string(path).with_context(|| format!("failed to read {path}"));
        let apparmor = fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
        Self::parse(&read("/proc/mounts")?, &read("/proc/self/status")?, &apparmor)
    }

    fn parse(mounts: &str, status: &str, apparmor: &str) -> Result<Self> {
        Ok(Self {
            cgroups: Cgroups::parse(mounts)?,
            apparmor: apparmor.trim() == "Y",
            sys_resource: has_sys_resource(status)?,
        })
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            restrict_oom_score_adj: !self.sys_resource,
            disable_apparmor: !self.apparmor,
            disable_hugetlb_controller: !self.cgroups.limits_huge_pages(),
            fail_cgroup_v1: matches!(self.cgroups, Cgroups::V2(_)),
        }
    }
}

impl Cgroups {
    fn parse(mounts: &str) -> Result<Self> {
        let mounted = |kind: &str| -> Vec<PathBuf> {
            let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
            let of_kind = fields.filter(|fields| fields.get(2) == Some(&kind));
            of_kind.filter_map(|fields| fields.get(1).map(PathBuf::from)).collect()
        };
        let (v1, v2) = (mounted("cgroup"), mounted("cgroup2"));
        if v1.iter().any(|hierarchy| controllers(hierarchy).any(|controller| controller == "memory")) {
            return Ok(Self::V1([v1, v2].concat()));
        }
        match v2.into_iter().next() {
            Some(unified) => Ok(Self::V2(unified)),
            None => bail!("no cgroups are mounted: mount them in /sys/fs/cgroup"),
        }
    }

    fn limits_huge_pages(&self) -> bool {
        match self {
            Self::V1(hierarchies) => hierarchies
                .iter()
                .any(|hierarchy| controllers(hierarchy).any(|controller| controller == "hugetlb")),
            Self::V2(_) => true,
        }
    }

    /// A cgroup's folder in each hierarchy.
    pub(super) fn folders(&self, cgroup: &str) -> Vec<PathBuf> {
        let within = |hierarchy: &PathBuf| hierarchy.join(cgroup.trim_start_matches('/'));
        match self {
            Self::V1(hierarchies) => hierarchies.iter().map(within).collect(),
            Self::V2(unified) => vec![within(unified)],
        }
    }
}

/// The controllers of a version 1 hierarchy, from the name of its folder.
fn controllers(hierarchy: &Path) -> impl Iterator<Item = &str> {
    hierarchy.file_name().and_then(|name| name.to_str()).unwrap_or_default().split(',')
}

/// Bit 24 of the effective capabilities, from capability.h of the kernel.
fn has_sys_resource(status: &str) -> Result<bool> {
    const CAP_SYS_RESOURCE: u32 = 24;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    Ok(bits.context("failed to read the effective capabilities")? & (1 << CAP_SYS_RESOURCE) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A virtual machine without systemd, whose root may not raise limits.
    const V1_MOUNTS: &str = "\
tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
";
    const WITHOUT_SYS_RESOURCE: &str = "Name:\tcat\nCapPrm:\t000001fffeffffff\nCapEff:\t000001fffeffffff\n";
    /// A Debian 12 server with systemd, as installed by default.
    const V2_MOUNTS: &str = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime 0 0\n";
    const ALL_CAPABILITIES: &str = "CapEff:\t000001ffffffffff\n";

    #[test]
    fn a_v1_machine_without_rights_gets_the_settings_under_which_sandboxes_start() {
        let machine = Machine::parse(V1_MOUNTS, WITHOUT_SYS_RESOURCE, "").unwrap();
        assert_eq!(
            machine.settings(),
            Settings {
                restrict_oom_score_adj: true,
                disable_apparmor: true,
                disable_hugetlb_controller: true,
                fail_cgroup_v1: false,
            }
        );
        let folders = machine.cgroups.folders("/a/b");
        assert_eq!(folders.len(), 4, "{folders:?}");
        assert_eq!(folders[1], Path::new("/sys/fs/cgroup/memory/a/b"));
    }

    #[test]
    fn a_v2_machine_with_all_rights_keeps_the_defaults() {
        let machine = Machine::parse(V2_MOUNTS, ALL_CAPABILITIES, "Y\n").unwrap();
        assert_eq!(
            machine.settings(),
            Settings {
                restrict_oom_score_adj: false,
                disable_apparmor: false,
                disable_hugetlb_controller: false,
                fail_cgroup_v1: true,
            }
        );
        assert_eq!(machine.cgroups.folders("/a"), [Path::new("/sys/fs/cgroup/a")]);
    }

    #[test]
    fn controllers_that_share_a_hierarchy_are_found() {
        let mounts = "c /sys/fs/cgroup/memory,hugetlb cgroup rw 0 0\n";
        assert!(Cgroups::parse(mounts).unwrap().limits_huge_pages());
        assert!(Cgroups::parse("tmpfs / tmpfs rw 0 0\n").is_err());
    }
}
