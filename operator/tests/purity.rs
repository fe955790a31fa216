//! What the layout promises: one place reads clocks, and the pure stages do no I/O.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

use std::fs;
use std::path::{Path, PathBuf};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The code of each Rust file under a folder, without its tests.
fn code(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(code(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
            found.push((path, code));
        }
    }
    found
}

#[test]
fn one_module_reads_clocks() {
    let reads = |code: &str| {
        ["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now"]
            .iter()
            .any(|one| code.contains(one))
    };
    let readers: Vec<PathBuf> =
        code(&source()).into_iter().filter(|(_, code)| reads(code)).map(|(path, _)| path).collect();
    assert_eq!(readers, [source().join("runtime/clock.rs")], "call runtime::clock instead");
}

#[test]
fn pure_stages_never_await() {
    for stage in ["resolve", "build", "report"] {
        for (path, code) in code(&source().join(stage)) {
            assert!(!code.contains(".await") && !code.contains("async "), "{} awaits", path.display());
        }
    }
}
