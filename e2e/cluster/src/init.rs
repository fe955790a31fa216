//! Process 1 of a cluster: creates its mounts and its network, and starts and restarts the components. The kernel ends
//! everything in the cluster when this process ends for any reason.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::process::{Command, Stdio, exit};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use serde::{Deserialize, Serialize};

use super::components::{self, Component};
use super::nodes::Nodes;
use super::paths::{Cache, ClusterDir};
use super::{forwarder, isolation};

/// Backoff before the restart of a component.
const RESTART_DELAY: Duration = Duration::from_secs(1);
/// Interval of the probes of waiting components.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);

/// The state of one component in the state folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    /// The process id inside the cluster; `None` while the component waits.
    pub(super) pid: Option<i32>,
    /// Number of its exits.
    pub(super) ended: u32,
}

/// Runs the cluster until `max_run` is over.
///
/// # Errors
/// When the cluster cannot be isolated or its programs are missing. Never returns otherwise.
pub fn init(cache: &Cache, dir: &ClusterDir, nodes: Nodes, max_run: Duration) -> Result<()> {
    let listener = forwarder::listener_from_stdin()?;
    isolation::mounts(dir)?;
    isolation::network()?;
    thread::spawn(move || forwarder::run(listener));
    thread::spawn(move || {
        thread::sleep(max_run);
        eprintln!("the cluster's time is over");
        exit(0);
    });
    Supervisor::new(dir, components::all(cache, dir, nodes)?).run()
}

struct Supervisor<'a> {
    dir: &'a ClusterDir,
    components: Vec<Supervised>,
}

struct Supervised {
    component: Component,
    report: Report,
    not_before: Instant,
}

impl<'a> Supervisor<'a> {
    fn new(dir: &'a ClusterDir, components: Vec<Component>) -> Self {
        let supervised =
            |component| Supervised { component, report: Report::default(), not_before: Instant::now() };
        Self { dir, components: components.into_iter().map(supervised).collect() }
    }

    fn run(mut self) -> Result<()> {
        loop {
            self.start_those_that_can()?;
            let all_run = self.components.iter().all(|supervised| supervised.report.pid.is_some());
            // With nothing to start, sleep in the kernel until a child ends.
            let flags = if all_run { None } else { Some(WaitPidFlag::WNOHANG) };
            match waitpid(None, flags) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD | Errno::EINTR) => {
                    thread::sleep(PROBE_INTERVAL);
                }
                Ok(status) => self.note_end(status)?,
                Err(error) => return Err(error).context("failed to wait for the components"),
            }
        }
    }

    fn start_those_that_can(&mut self) -> Result<()> {
        let mut started = false;
        for supervised in &mut self.components {
            let waits = supervised.report.pid.is_none() && Instant::now() >= supervised.not_before;
            if waits && supervised.component.after.iter().all(components::Probe::holds) {
                supervised.report.pid = Some(start(self.dir, &supervised.component)?);
                started = true;
            }
        }
        if started { self.write_report() } else { Ok(()) }
    }

    /// Process 1 inherits orphans, such as containerd's shims: those that are not components are only reaped.
    fn note_end(&mut self, status: WaitStatus) -> Result<()> {
        let Some(pid) = status.pid().map(nix::unistd::Pid::as_raw) else { return Ok(()) };
        let Some(supervised) =
            self.components.iter_mut().find(|supervised| supervised.report.pid == Some(pid))
        else {
            return Ok(());
        };
        eprintln!("{} has ended: {status:?}", supervised.component.name);
        supervised.report.pid = None;
        supervised.report.ended += 1;
        supervised.not_before = Instant::now() + RESTART_DELAY;
        self.write_report()
    }

    fn write_report(&self) -> Result<()> {
        let reports: BTreeMap<&str, &Report> = self
            .components
            .iter()
            .map(|supervised| (supervised.component.name, &supervised.report))
            .collect();
        let unfinished = self.dir.components().with_extension("new");
        fs::write(&unfinished, serde_json::to_vec(&reports)?)?;
        Ok(fs::rename(unfinished, self.dir.components())?)
    }
}

fn start(dir: &ClusterDir, component: &Component) -> Result<i32> {
    let log = OpenOptions::new().create(true).append(true).open(dir.log(component.name))?;
    let child = Command::new(&component.program)
        .args(&component.arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("failed to start {}", component.name))?;
    Ok(i32::try_from(child.id())?)
}
