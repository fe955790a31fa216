//! The service, and each folder of it that is made for that, build where they are copied, as the README says.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

#[path = "layout/table.rs"]
mod table;

fn service() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command that may ask no registry, with the results of earlier builds.
fn run(program: impl AsRef<OsStr>, arguments: &[&str], folder: &Path) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    command.env("CARGO_NET_OFFLINE", "true").env("CARGO_TARGET_DIR", target);
    // What this test's own cargo says of this test: a build script that reads one would run again, here and afterwards.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let own = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
            "CARGO_TARGET_TMP",
        ];
        if own.iter().any(|own| name.starts_with(own)) || name == "LD_LIBRARY_PATH" {
            command.env_remove(&*name);
        }
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} in {}:\n{said}", folder.display());
}

fn cargo(arguments: &[&str], folder: &Path) {
    run(env!("CARGO"), arguments, folder);
}

/// Makes a crate of a folder such as `src/jobs/` and of what the README lists with it.
fn take(folder: &str, to: &Path) {
    let row = table::row(folder);
    let files = row.files.iter().map(String::as_str).chain([folder]);
    let mut root = "#![deny(unused_crate_dependencies)]\n#![allow(dead_code, unused_imports)]\n".to_owned();
    fs::create_dir_all(to.join("src")).unwrap();
    for file in files {
        let file = file.trim_end_matches('/');
        run("cp", &["-Rp", file, to.join("src").to_str().unwrap()], service());
        root += &format!("mod {};\n", Path::new(file).file_stem().unwrap().to_str().unwrap());
    }
    let manifest = fs::read_to_string(service().join("Cargo.toml")).unwrap();
    let table = manifest.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let is_listed = |line: &&str| {
        let name = line.split(['.', ' ']).next().unwrap_or_default();
        row.dependencies.contains(name)
    };
    let dependencies: Vec<&str> = table.lines().filter(is_listed).collect();
    assert_eq!(dependencies.len(), row.dependencies.len(), "of {:?}: {dependencies:?}", row.dependencies);
    let name = Path::new(folder).file_name().unwrap().to_str().unwrap();
    let manifest = format!(
        "[package]\nname = \"{name}-alone\"\nedition.workspace = true\n\n[dependencies]\n{}\n",
        dependencies.join("\n")
    );
    fs::write(to.join("src/lib.rs"), root).unwrap();
    fs::write(to.join("Cargo.toml"), manifest).unwrap();
}

/// In one test, so that the second part finds the dependencies built by the first.
#[test]
fn the_service_and_each_folder_that_is_made_for_it_build_where_they_are_copied() {
    // Always the same one, so that the results of earlier runs are replaced.
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("copy");
    if copy.exists() {
        fs::remove_dir_all(&copy).unwrap();
    }
    let readme = fs::read_to_string(service().join("README.md")).unwrap();
    assert!(readme.contains("$ app-template/copy-out ../my-service\n"));
    run(service().join("copy-out"), &[copy.to_str().unwrap()], service());
    cargo(&["check", "--locked"], &copy);

    let folders = readme.lines().filter_map(|line| line.strip_prefix("| `src/")?.split("/` |").next());
    let folders: Vec<&str> = folders.filter(|name| service().join("src").join(name).is_dir()).collect();
    assert_eq!(folders, ["cache", "database", "jobs", "resilience"]);
    for name in folders {
        take(&format!("src/{name}/"), &copy.join("alone").join(name));
    }
    let manifest = fs::read_to_string(copy.join("Cargo.toml")).unwrap();
    let with_members = manifest.replace("\n[workspace]\n", "\n[workspace]\nmembers = [\"alone/*\"]\n");
    fs::write(copy.join("Cargo.toml"), with_members).unwrap();
    cargo(&["check", "--workspace"], &copy);
}
