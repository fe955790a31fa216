//! What the README lists to take with each folder that is made to be copied.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A row of the README's table.
#[derive(Default)]
pub(crate) struct Row {
    /// Paths below the service's folder; those of folders end with a slash.
    pub(crate) files: BTreeSet<String>,
    #[allow(dead_code, reason = "the test of the layout reads the files only")]
    pub(crate) dependencies: BTreeSet<String>,
}

/// The row of a folder such as `src/jobs/`, and with it those of the folders that it lists.
pub(crate) fn row(folder: &str) -> Row {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let line = readme.lines().find(|line| line.starts_with(&format!("| `{folder}` |"))).unwrap();
    let column = |number: usize| {
        let cell = line.split('|').nth(number).unwrap();
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<String>>()
    };
    let mut row = Row { files: column(2), dependencies: column(3) };
    for folder in row.files.clone().iter().filter(|file| file.ends_with('/')) {
        let below = self::row(folder);
        row.files.extend(below.files);
        row.dependencies.extend(below.dependencies);
    }
    row
}
