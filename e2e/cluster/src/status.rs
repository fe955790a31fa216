//! Whether a cluster is running, according to its process 1 and not to files. Reads only.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::components::HOLLOW_NODES;
use super::init::Report;
use super::machine::Machine;
use super::nodes::Nodes;
use super::paths::ClusterDir;

/// The machine's process id of the cluster's process 1, while that runs.
pub fn running_init(dir: &ClusterDir) -> Option<i32> {
    let recorded = fs::read_to_string(dir.init_pid()).ok()?;
    let (pid, started) = recorded.trim().split_once(' ')?;
    let pid = pid.parse::<u32>().ok()?;
    // The kernel reuses process ids: the same id with another start time is another process.
    (start_time(pid)?.to_string() == started).then_some(i32::try_from(pid).ok()?)
}

/// Start time of a process, in clock ticks since boot; `None` when it has ended, reaped or not.
pub(super) fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().count();
    parse_start_time(&stat, threads)
}

/// Reads `/proc/PID/stat` (proc(5), fields 3 and 22).
fn parse_start_time(stat: &str, threads: usize) -> Option<u64> {
    // The name is in parentheses and may contain anything, so fields are counted from after the last one.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // The first thread may be a zombie while another still ends the processes of the namespace.
    if matches!(*fields.first()?, "Z" | "X") && threads < 2 {
        return None;
    }
    fields.get(19)?.parse().ok()
}

/// The processes in the cluster's cgroups: those of its pods.
pub(super) fn cgroup_processes(dir: &ClusterDir) -> Vec<i32> {
    let folders =
        Machine::observe().map(|machine| machine.cgroups.folders(&dir.cgroup())).unwrap_or_default();
    let mut processes = Vec::new();
    for folder in folders {
        collect_processes(&folder, &mut processes);
    }
    processes
}

fn collect_processes(folder: &Path, processes: &mut Vec<i32>) {
    let listed = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    processes.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()));
    let children = fs::read_dir(folder).into_iter().flatten().flatten();
    for child in children.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        collect_processes(&child.path(), processes);
    }
}

/// One line for the cluster and one for each component.
///
/// # Errors
/// When the state folder contains no valid report.
pub fn describe(dir: &ClusterDir) -> Result<String> {
    let Some(pid) = running_init(dir) else {
        let state = if dir.root.exists() {
            "not running, and its state is left: 'cluster down' removes it"
        } else {
            "down"
        };
        return Ok(format!("cluster {}: {state}", dir.name));
    };
    let mut lines = vec![format!("cluster {}: up, process {pid}, {}", dir.name, dir.root.display())];
    for (name, report) in reports(dir)? {
        let state =
            report.pid.map_or("waits".to_owned(), |pid| format!("runs as process {pid} of the cluster"));
        let ended =
            if report.ended > 0 { format!(", has ended {} times", report.ended) } else { String::new() };
        lines.push(format!("  {name}: {state}{ended}"));
    }
    Ok(lines.join("\n"))
}

/// The machine's process id of a component, while that runs.
pub fn component_process(dir: &ClusterDir, component: &str) -> Option<u32> {
    let init = running_init(dir)?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        parse_name_and_parent(&stat) == Some((shown_name(component), init))
    })
}

/// The kernel keeps 15 bytes of a program's name.
fn shown_name(component: &str) -> &str {
    component.get(..15).unwrap_or(component)
}

/// Reads `/proc/PID/stat` (proc(5), fields 2 and 4).
fn parse_name_and_parent(stat: &str) -> Option<(&str, i32)> {
    let (name, fields) = stat.split_once('(')?.1.rsplit_once(')')?;
    Some((name, fields.split_whitespace().nth(1)?.parse().ok()?))
}

/// The node implementation of a running cluster.
pub(super) fn running_nodes(dir: &ClusterDir) -> Result<Nodes> {
    Ok(if reports(dir)?.contains_key(HOLLOW_NODES) { Nodes::Hollow } else { Nodes::Real })
}

/// The last report of process 1 on its components.
pub(super) fn reports(dir: &ClusterDir) -> Result<BTreeMap<String, Report>> {
    let Ok(content) = fs::read(dir.components()) else { return Ok(BTreeMap::new()) };
    Ok(serde_json::from_slice(&content)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_and_a_dead_one_by_its_state() {
        let stat =
            |state: &str| format!("17 (a) b) {state} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20");
        assert_eq!(parse_start_time(&stat("S"), 1), Some(4711));
        assert_eq!(parse_start_time(&stat("Z"), 2), Some(4711));
        assert_eq!(parse_start_time(&stat("Z"), 1), None);
        assert_eq!(parse_start_time("", 0), None);
        assert_eq!(parse_name_and_parent(&stat("S")), Some(("a) b", 1)));
        assert_eq!(shown_name("kube-controller-manager"), "kube-controller");
    }

    #[test]
    fn a_pid_that_another_process_has_now_is_not_the_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let dir = ClusterDir { name: "test".into(), root: folder.path().to_owned() };
        let me = std::process::id();
        fs::write(dir.init_pid(), format!("{me} {}\n", start_time(me).unwrap())).unwrap();
        assert_eq!(running_init(&dir), i32::try_from(me).ok());
        fs::write(dir.init_pid(), format!("{me} 1\n")).unwrap();
        assert_eq!(running_init(&dir), None);
    }
}
