//! Resource usage of a process of this machine. Reads /proc.

use std::fs;

use anyhow::{Context, Result};

/// User and system time of a process, in seconds, exact to 10 ms (proc(5), fields 14 and 15 of `stat`).
///
/// # Errors
/// When the process has ended.
pub fn cpu_seconds(process: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("the process has ended")?;
    let after_name = stat.rsplit_once(')').context("no name in /proc/PID/stat")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks =
        |index: usize| -> Result<u64> { Ok(fields.get(index).context("a short /proc/PID/stat")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) as f64 / 100.0)
}

/// Resident memory of a process in MiB: now, and at its peak.
///
/// # Errors
/// When the process has ended.
pub fn resident_mib(process: u32) -> Result<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("the process has ended")?;
    let mib = |name: &str| -> Result<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib: f64 = line.with_context(|| format!("no {name}"))?.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    };
    Ok((mib("VmRSS:")?, mib("VmHWM:")?))
}
