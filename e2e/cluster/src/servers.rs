//! The files of PostgreSQL and Redis, from the machine's installed Debian packages. Runs ldd.
//!
//! Not the packages as a whole: with all dependencies the image would be five times as large, mostly for the compiler
//! of PostgreSQL's just-in-time compilation.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::base;
use super::command::output;

/// An installed server.
pub(super) struct Server {
    /// The name of its image and of its Containerfile.
    pub(super) name: &'static str,
    pub(super) files: Files,
}

/// The machine's file for each path in an image.
type Files = BTreeMap<PathBuf, PathBuf>;

/// Debian's folder of PostgreSQL's versions, and files without a link from the binaries.
const POSTGRES: &str = "/usr/lib/postgresql";
const POSTGRES_DATA: &str = "/usr/share/postgresql";
const POSTGRES_PROGRAMS: [&str; 7] =
    ["initdb", "pg_basebackup", "pg_controldata", "pg_ctl", "pg_isready", "postgres", "psql"];

/// A shell, which initdb needs, and the programs that scripts find in the public images of these servers.
const SCRIPT_PROGRAMS: [&str; 41] = [
    "awk", "basename", "bash", "cat", "chmod", "cp", "cut", "date", "dirname", "du", "env", "false", "grep",
    "head", "id", "ln", "ls", "mkdir", "mkfifo", "mktemp", "mv", "nproc", "od", "printf", "readlink", "rm",
    "rmdir", "sed", "seq", "sh", "sleep", "sort", "stat", "sync", "tail", "test", "timeout", "touch", "tr",
    "true", "wc",
];

/// The path in the first line of a script (`#!/usr/bin/env bash`).
const ENV: &str = "/usr/bin/env";

const ZONES: [&str; 2] = ["/usr/share/zoneinfo/GMT", "/usr/share/zoneinfo/UTC"];

/// Each with its package.
const REDIS_PROGRAMS: [(&str, &str); 2] = [("redis-cli", "redis-tools"), ("redis-server", "redis-server")];

/// The servers, in the newest installed version.
///
/// # Errors
/// When one is not installed, with the command that installs it.
pub(super) fn installed() -> Result<[Server; 2]> {
    Ok([Server { name: "postgres", files: postgres()? }, Server { name: "redis", files: redis()? }])
}

/// The newest installed version of PostgreSQL.
pub(super) fn postgres_version() -> Result<String> {
    newest(POSTGRES).context("PostgreSQL is missing: run .ci/packages, or install postgresql")
}

fn postgres() -> Result<Files> {
    let version = postgres_version()?;
    let folder = Path::new(POSTGRES).join(&version);
    let mut files = Files::new();
    for program in POSTGRES_PROGRAMS {
        // Not in a folder called bin: they would look for their modules beside it.
        files.insert(Path::new("/postgresql").join(program), folder.join("bin").join(program));
    }
    files.extend(script_programs());
    for module in fs::read_dir(folder.join("lib"))? {
        let path = module?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".so") && !name.starts_with("llvmjit") {
            files.insert(path.clone(), path);
        }
    }
    add_libraries(&mut files)?;
    add_folder(&mut files, &Path::new(POSTGRES_DATA).join(&version))?;
    files.extend(ZONES.map(in_place));
    Ok(files)
}

fn redis() -> Result<Files> {
    let mut files: Files = script_programs().collect();
    for (program, package) in REDIS_PROGRAMS {
        let source = Path::new("/usr/bin").join(program);
        ensure!(source.exists(), "{program} is missing: run .ci/packages, or install {package}");
        files.insert(Path::new("/bin").join(program), source);
    }
    add_libraries(&mut files)?;
    Ok(files)
}

fn script_programs() -> impl Iterator<Item = (PathBuf, PathBuf)> {
    let in_bin = SCRIPT_PROGRAMS.iter().map(|program| in_place(&format!("/bin/{program}")));
    in_bin.chain([in_place(ENV)])
}

fn in_place(path: &str) -> (PathBuf, PathBuf) {
    (path.into(), path.into())
}

/// The largest version number that has a folder.
fn newest(versions: &str) -> Option<String> {
    let names =
        fs::read_dir(versions).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| Some((name.parse::<u32>().ok()?, name))).max().map(|(_, name)| name)
}

/// The shared libraries, and their loader, with the paths at which it looks for them.
fn add_libraries(files: &mut Files) -> Result<()> {
    let told = output(Command::new("ldd").args(files.values()))?;
    for path in libraries(&told)? {
        files.insert(path.clone(), path);
    }
    Ok(())
}

/// The paths in the output of ldd, such as `libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x7f66)`.
fn libraries(told: &str) -> Result<Vec<PathBuf>> {
    let lines = told.lines().filter_map(|line| line.strip_prefix('\t'));
    let path = |line: &str| -> Result<Option<PathBuf>> {
        let found = line.split_once(" => ").map_or(line, |(_, found)| found);
        ensure!(found != "not found", "a library of a server is missing: {line}");
        // A library of the kernel itself has no path.
        Ok(found.split(' ').next().filter(|path| path.starts_with('/')).map(PathBuf::from))
    };
    lines.filter_map(|line| path(line).transpose()).collect()
}

/// A folder and its subfolders, without the manual.
fn add_folder(files: &mut Files, folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))? {
        let entry = entry?;
        if !entry.path().is_dir() {
            files.insert(entry.path(), entry.path());
        } else if entry.file_name() != "man" {
            add_folder(files, &entry.path())?;
        }
    }
    Ok(())
}

/// Changes with the content of any file.
pub(super) fn digest(files: &Files) -> Result<Vec<u8>> {
    let mut hash = Sha256::new();
    for (path, source) in files {
        hash.update(path.as_os_str().as_encoded_bytes());
        hash.update(fs::read(source).with_context(|| format!("failed to read {}", source.display()))?);
    }
    Ok(hash.finalize().to_vec())
}

/// Copies the files below `root`, and adds the accounts.
pub(super) fn assemble(files: &Files, root: &Path) -> Result<()> {
    for (path, source) in files {
        let copy = root.join(path.strip_prefix("/").unwrap_or(path));
        fs::create_dir_all(copy.parent().context("a file has no folder")?)?;
        fs::copy(source, &copy).with_context(|| format!("failed to copy {}", source.display()))?;
    }
    base::write_accounts(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::CRATE_DIR;

    #[test]
    fn a_script_finds_its_programs_in_the_images() {
        let called = [
            (
                "postgres",
                vec!["bash", "sh", "rm", "postgres", "psql", "pg_basebackup", "pg_controldata", "pg_ctl"],
            ),
            ("redis", vec!["bash", "sh", "grep", "redis-server", "redis-cli"]),
        ];
        for (server, (name, programs)) in installed().unwrap().iter().zip(called) {
            let containerfile =
                Path::new(CRATE_DIR).join("images").join(format!("{}.Containerfile", server.name));
            let text = fs::read_to_string(containerfile).unwrap();
            let path = text.lines().find_map(|line| line.strip_prefix("ENV PATH=")).unwrap();
            assert_eq!(server.name, name);
            for program in programs {
                let found =
                    path.split(':').any(|folder| server.files.contains_key(&Path::new(folder).join(program)));
                assert!(found, "{program} in {name}");
            }
            assert!(server.files.contains_key(Path::new(ENV)));
            assert_eq!(server.files.values().find(|source| !source.exists()), None);
        }
    }

    #[test]
    fn the_libraries_that_ldd_names_are_found_and_a_missing_one_is_said() {
        let told = "/bin/a:\n\tlinux-vdso.so.1 (0x00007f0a)\n\tlibz.so.1 => /lib/x/libz.so.1 (0x00007fa6)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f0a)\n";
        let found = libraries(told).unwrap();
        assert_eq!(found, [Path::new("/lib/x/libz.so.1"), Path::new("/lib64/ld-linux-x86-64.so.2")]);
        assert!(libraries("\tlibq.so.5 => not found\n").unwrap_err().to_string().contains("libq.so.5"));
    }
}
