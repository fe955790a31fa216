//! A line for each step, with the seconds it took. Writes to standard error.

use std::time::Instant;

use anyhow::Result;

/// Does one step and prints its name and duration when it is done.
pub(super) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let done = work()?;
    eprintln!("{name} {:.0} s", started.elapsed().as_secs_f64());
    Ok(done)
}
