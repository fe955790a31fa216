//! The layout: one file reads clocks, files marked as pure are pure, and imports follow the pipeline.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

use std::collections::BTreeMap;
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

/// Operations of a file that are not functions of its arguments alone.
const IMPURE: [&str; 14] = [
    ".await",
    "async fn ",
    "async move ",
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "Zoned::now",
    "tracing::",
    "println!",
    "rand::",
];

/// Whether the first lines of a file mark it as pure.
fn claims_to_be_pure(code: &str) -> bool {
    code.lines().take_while(|line| line.starts_with("//!")).any(|line| line.contains("Pure."))
}

fn is_impure(code: &str) -> Option<&'static str> {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = lines.flat_map(|line| [line, "\n"]).collect();
    let does = |one: &str| {
        // A field may be called `awaited`.
        let is_word = one.ends_with(char::is_alphabetic);
        code.match_indices(one).any(|(at, _)| {
            let (before, after) = (&code[..at], &code[at + one.len()..]);
            // `fastrand::`, from a seed, is not `rand::`.
            let begins = !one.starts_with(char::is_alphabetic) || !before.ends_with(char::is_alphanumeric);
            begins && (!is_word || !after.starts_with(char::is_alphabetic))
        })
    };
    IMPURE.into_iter().find(|one| does(one))
}

#[test]
fn files_that_claim_to_be_pure_are() {
    let operator = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["src", "engine/src", "simulate/src", "cli/src", "../crds/src"] {
        for (path, code) in code(&operator.join(folder)) {
            let is_engine = folder == "engine/src";
            assert!(
                !is_engine || claims_to_be_pure(&code),
                "{} does not say that it is pure",
                path.display()
            );
            let impure = claims_to_be_pure(&code).then(|| is_impure(&code)).flatten();
            assert_eq!(impure, None, "{}", path.display());
        }
    }
}

/// Forbidden imports of a folder or a shared file.
const FORBIDDEN: [(&str, &[&str]); 10] = [
    (
        "kinds.rs",
        &[
            "labels",
            "names",
            "event",
            "observe",
            "resolve",
            "decide",
            "render",
            "apply",
            "report",
            "controller",
        ],
    ),
    (
        "labels.rs",
        &["names", "event", "observe", "resolve", "decide", "render", "apply", "report", "controller"],
    ),
    (
        "names.rs",
        &["labels", "event", "observe", "resolve", "decide", "render", "apply", "report", "controller"],
    ),
    (
        "event.rs",
        &["labels", "names", "observe", "resolve", "decide", "render", "apply", "report", "controller"],
    ),
    ("resolve", &["observe", "decide", "render", "apply", "report", "controller"]),
    ("observe", &["decide", "render", "apply", "report", "controller"]),
    ("decide", &["render", "apply", "report", "controller"]),
    ("render", &["observe", "decide", "apply", "report", "controller"]),
    ("apply", &["report", "controller"]),
    ("report", &["render", "apply", "controller"]),
];

/// The modules of this crate that a file imports.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if !rest.starts_with('{') {
            found.push(
                rest.split(|one: char| !one.is_alphanumeric() && one != '_').next().unwrap().to_owned(),
            );
            continue;
        }
        let (mut depth, mut is_first, mut name) = (0, true, String::new());
        for one in rest.chars() {
            let is_of_name = one.is_alphanumeric() || one == '_';
            if depth == 1 && is_first && is_of_name {
                name.push(one);
            } else if !name.is_empty() {
                found.push(std::mem::take(&mut name));
                is_first = false;
            }
            match one {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => is_first = true,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

#[test]
fn no_arrow_runs_back() {
    for (place, forbidden) in FORBIDDEN {
        let place = source().join(place);
        let files = if place.is_dir() {
            code(&place)
        } else {
            vec![(place.clone(), fs::read_to_string(&place).unwrap())]
        };
        assert!(!files.is_empty());
        for (path, code) in files {
            let back: Vec<String> =
                imports(&code).into_iter().filter(|one| forbidden.contains(&one.as_str())).collect();
            assert!(back.is_empty(), "{} imports {back:?}", path.display());
        }
    }
}

#[test]
fn imports_are_read_alone_and_in_braces() {
    let code =
        "use crate::{\n    apply::{a, b},\n    names,\n    observe::c,\n};\nlet x = crate::report::of();";
    assert_eq!(imports(code), ["apply", "names", "observe", "report"]);
}

/// The names of the types that a file declares at its top level.
fn declared_types(code: &str) -> Vec<String> {
    let name = |line: &str| {
        let words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
        let words: Vec<&str> = words.take(2).collect();
        let is_type = ["struct", "enum", "trait", "type"].contains(words.first()?);
        let name: String =
            words.get(1)?.chars().take_while(|one| one.is_alphanumeric() || *one == '_').collect();
        is_type.then_some(name)
    };
    code.lines().filter(|line| !line.starts_with(' ')).filter_map(name).collect()
}

#[test]
fn no_type_name_stands_twice_in_a_crate() {
    for folder in ["src", "engine/src", "cli/src", "simulate/src", "../crds/src"] {
        let mut places = BTreeMap::new();
        for (path, code) in code(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)) {
            for name in declared_types(&code) {
                places.entry(name).or_insert_with(Vec::new).push(path.clone());
            }
        }
        places.retain(|_, paths| paths.len() > 1);
        assert!(places.is_empty(), "rename all but one of each: {places:?}");
    }
    assert_eq!(
        declared_types("pub(super) struct One<T>(T);\ntype Two = u8;\n    struct Inner;\n"),
        ["One", "Two"]
    );
}
