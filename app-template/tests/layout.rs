//! What the layout promises: the files import each other in one direction, and the folders that are made to be copied
//! need only what the README lists.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

#[path = "layout/table.rs"]
mod table;

/// The folders that are made to be copied.
const COPIED: [&str; 4] = ["cache", "database", "jobs", "resilience"];

/// What belongs to this app alone.
const APP: [&str; 5] = ["app_state", "args", "modules", "schema", "shop"];

fn manifest_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A Rust file: the path of its module below the crate, and its code without comments and tests.
struct File {
    module: Vec<String>,
    code: String,
}

/// Every file of the library but its root.
fn files() -> Vec<File> {
    let source = manifest_dir().join("src");
    let mut found = Vec::new();
    read(&source, &source, &mut found);
    found
}

fn read(source: &Path, folder: &Path, found: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(source, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = module(path.strip_prefix(source).unwrap());
            let is_root = matches!(module.first().map(String::as_str), Some("lib" | "main" | "bin"));
            if !is_root && module.last().is_none_or(|name| name != "tests") {
                found.push(File { module, code: code(&fs::read_to_string(&path).unwrap()) });
            }
        }
    }
}

/// `jobs/lease.rs` is `jobs::lease`, and `jobs/mod.rs` is `jobs`.
fn module(file: &Path) -> Vec<String> {
    let parts = file.with_extension("");
    let parts = parts.iter().map(|part| part.to_str().unwrap().to_owned());
    parts.filter(|part| part != "mod").collect()
}

fn code(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    let code = code.split("\n#[cfg(test)]\n#[path").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The paths of the tree at the beginning of `text`, such as `a::{b, c::d}`, and what comes after it.
fn tree(text: &str) -> (Vec<Vec<String>>, &str) {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        let mut paths = Vec::new();
        loop {
            let (found, after) = tree(rest);
            paths.extend(found);
            // Past an alias, too.
            let end = after.find([',', '}']).unwrap();
            rest = &after[end + 1..];
            if after[end..].starts_with('}') {
                return (paths, rest);
            }
            if let Some(rest) = rest.trim_start().strip_prefix('}') {
                return (paths, rest);
            }
        }
    }
    let end = text.find(|one: char| !one.is_alphanumeric() && one != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    match rest.strip_prefix("::") {
        Some(rest) => {
            let (below, rest) = tree(rest);
            let path = |below: Vec<String>| [vec![name.to_owned()], below].concat();
            (below.into_iter().map(path).collect(), rest)
        }
        None => (vec![vec![name.to_owned()]], rest),
    }
}

/// The paths below the crate that a file names, by `crate::` or `super::`.
fn named(file: &File) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (at, keyword) in ["crate::", "super::"].iter().flat_map(|one| file.code.match_indices(one)) {
        let before = &file.code[..at];
        // Not the rest of another word or path, and not a visibility, which imports nothing.
        if before.ends_with(|one: char| one.is_alphanumeric() || one == '_' || one == ':')
            || before.ends_with("(in ")
        {
            continue;
        }
        let mut from = Vec::new();
        if keyword == "super::" {
            from.clone_from(&file.module);
            from.pop();
        }
        for path in tree(&file.code[at + keyword.len()..]).0 {
            let supers = path.iter().take_while(|part| *part == "super").count();
            let kept = from.len().saturating_sub(supers);
            paths.push([&from[..kept], &path[supers..]].concat());
        }
    }
    paths
}

/// For each folder, the root being the one without a name, what its files and folders import of each other. What stands
/// in the folder's own file, `mod.rs` or `lib.rs`, has no name; that file imports everything in the folder.
fn imports() -> BTreeMap<Vec<String>, BTreeMap<String, BTreeSet<String>>> {
    let files = files();
    let mut folders: BTreeMap<Vec<String>, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for file in &files {
        for depth in 0..file.module.len() {
            let (folder, name) = (&file.module[..depth], &file.module[depth]);
            let nodes = folders.entry(folder.to_vec()).or_default();
            nodes.entry(name.clone()).or_default();
            nodes.entry(String::new()).or_default().insert(name.clone());
        }
    }
    for (folder, nodes) in &mut folders {
        let below = |path: &[String]| {
            let name = path.strip_prefix(folder.as_slice())?.first().cloned();
            Some(name.unwrap_or_default())
        };
        let names: BTreeSet<String> = nodes.keys().cloned().collect();
        for file in &files {
            let Some(from) = below(&file.module).filter(|from| !from.is_empty()) else { continue };
            let to = named(file).into_iter().filter_map(|path| below(&path));
            // A name that is no file's is that of something in the folder's own file.
            let to = to.map(|to| if names.contains(&to) { to } else { String::new() });
            nodes.entry(from.clone()).or_default().extend(to.filter(|to| *to != from));
        }
    }
    folders
}

/// A way along the imports from a name back to itself, if there is one.
fn circle(nodes: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk(
        nodes: &BTreeMap<String, BTreeSet<String>>,
        way: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        let here = way.last()?.clone();
        for next in nodes.get(&here).into_iter().flatten() {
            if let Some(at) = way.iter().position(|one| one == next) {
                return Some(way[at..].to_vec());
            }
            if !done.contains(next) {
                way.push(next.clone());
                if let Some(found) = walk(nodes, way, done) {
                    return Some(found);
                }
                way.pop();
            }
        }
        done.insert(here);
        None
    }
    let mut done = BTreeSet::new();
    nodes.keys().find_map(|name| walk(nodes, &mut vec![name.clone()], &mut done))
}

/// Everything that `name` imports, and what that imports.
fn needed(nodes: &BTreeMap<String, BTreeSet<String>>, name: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![name.to_owned()];
    while let Some(next) = open.pop() {
        for import in &nodes[&next] {
            if found.insert(import.clone()) {
                open.push(import.clone());
            }
        }
    }
    found
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let folders = imports();
    assert!(folders.len() > COPIED.len() && folders[&Vec::new()].len() > 30, "the files are found");
    for (folder, nodes) in folders {
        assert_eq!(circle(&nodes), None, "in src/{}", folder.join("/"));
    }
}

#[test]
fn each_file_imports_only_what_stands_above_it_in_the_table_of_the_root() {
    let root = fs::read_to_string(manifest_dir().join("src/lib.rs")).unwrap();
    let rows = root.lines().filter_map(|line| line.strip_prefix("//! | `")?.split(['/', '`']).next());
    let rows: Vec<&str> = rows.collect();
    let modules = &imports()[&Vec::new()];
    let named: BTreeSet<&str> = modules.keys().map(String::as_str).filter(|name| !name.is_empty()).collect();
    assert_eq!(rows.iter().copied().collect::<BTreeSet<&str>>(), named);
    for (number, row) in rows.iter().enumerate() {
        let below: Vec<&String> =
            modules[*row].iter().filter(|import| !rows[..number].contains(&import.as_str())).collect();
        assert!(below.is_empty(), "{row} imports {below:?}");
    }
}

#[test]
fn folders_that_are_copied_import_what_the_readme_lists_and_nothing_of_the_app() {
    let modules = &imports()[&Vec::new()];
    for folder in COPIED {
        let needed = needed(modules, folder);
        assert!(APP.iter().all(|app| !needed.contains(*app)), "{folder} imports {needed:?}");
        let path = |name: &String| {
            let is_folder = manifest_dir().join("src").join(name).is_dir();
            if is_folder { format!("src/{name}/") } else { format!("src/{name}.rs") }
        };
        let listed = table::row(&format!("src/{folder}/")).files;
        assert_eq!(listed, needed.iter().map(path).collect(), "what the README lists for {folder}");
    }
}

#[test]
fn paths_are_read_alone_and_in_braces() {
    let file = |module: &[&str], code: &str| File {
        module: module.iter().map(|&part| part.to_owned()).collect(),
        code: code.to_owned(),
    };
    let read = |file: File| named(&file).iter().map(|path| path.join(" ")).collect::<Vec<_>>();
    let code = "use crate::{\n    a::{b, c as d},\n    e,\n};\nlet x = crate::f::g::<H>();\npub(in crate::i) fn j() {}";
    assert_eq!(read(file(&["jobs", "lease"], code)), ["a b", "a c", "e", "f g "]);
    let code = "use super::{lease::{self, Lease,}, Work};\nuse super::super::shop;\nother_crate::a();";
    assert_eq!(
        read(file(&["jobs", "lease"], code)),
        ["jobs lease self", "jobs lease Lease", "jobs Work", "shop"]
    );
}

#[test]
fn a_circle_is_found() {
    let nodes = |edges: &[(&str, &[&str])]| {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        edges.iter().map(|(from, to)| ((*from).to_owned(), names(to))).collect()
    };
    assert_eq!(circle(&nodes(&[("", &["a", "b"]), ("a", &["b"]), ("b", &[])])), None);
    let found = circle(&nodes(&[("", &["a"]), ("a", &["b"]), ("b", &["c"]), ("c", &["a"])]));
    assert_eq!(found.unwrap(), ["a", "b", "c"]);
    assert_eq!(circle(&nodes(&[("", &["a"]), ("a", &[""])])).unwrap(), ["", "a"]);
}
