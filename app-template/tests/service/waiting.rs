//! Waiting for what comes by itself, and not for ever. No I/O.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

/// No step of a test waits longer; reaching it is a failure. Long, because a machine may be busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until there is something, and panics with what was there instead.
pub(crate) fn eventually<T, E: Display>(mut look: impl FnMut() -> Result<T, E>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) => assert!(begun.elapsed() < PATIENCE, "waited in vain: {instead}"),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Asks until it is so, and panics with `missing`.
pub(crate) fn until(missing: &str, mut is_so: impl FnMut() -> bool) {
    eventually(|| is_so().then_some(()).ok_or(missing));
}
