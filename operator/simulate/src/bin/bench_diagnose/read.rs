//! Incidents in the neutral form. I/O: reads files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use flate2::read::MultiGzDecoder;
use scalableapp_engine::diagnose::observation::{Call, Observation, Span, Symptom};
use serde::Deserialize;

/// `incident.json`. Unknown members are left out.
#[derive(Deserialize)]
struct Incident {
    from: f64,
    until: f64,
    #[serde(default)]
    normal: Vec<[f64; 2]>,
    #[serde(default)]
    symptom: Option<Told>,
    #[serde(default)]
    told: bool,
    #[serde(default)]
    entry: Option<String>,
}

#[derive(Deserialize)]
struct Told {
    node: String,
    #[serde(default)]
    signal: Option<String>,
}

/// `truth.json`.
#[derive(Deserialize, Debug, Default)]
pub(crate) struct Truth {
    #[serde(default)]
    pub(crate) node: Option<String>,
    #[serde(default)]
    pub(crate) accept: Vec<String>,
    #[serde(default)]
    pub(crate) cause: Option<String>,
    #[serde(default)]
    pub(crate) healthy: bool,
}

#[derive(Deserialize)]
struct Edge {
    caller: String,
    callee: String,
    #[serde(default)]
    kind: String,
}

#[derive(Deserialize)]
struct Sample {
    time: f64,
    node: String,
    signal: String,
    value: Option<f64>,
}

/// The sets of a folder: those below it, or itself where its own folders are incidents.
pub(crate) fn sets(data: &Path) -> Result<Vec<PathBuf>> {
    let below = folders(data)?;
    if below.iter().any(|folder| folder.join("incident.json").exists()) {
        return Ok(vec![data.to_owned()]);
    }
    ensure!(!below.is_empty(), "{} has no sets: give a folder DIR with DIR/SET/INCIDENT", data.display());
    Ok(below)
}

/// The folders of a set whose name begins with some text.
pub(crate) fn incidents(set: &Path, only: &str) -> Result<Vec<PathBuf>> {
    let mut all = folders(set)?;
    all.retain(|folder| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(only)));
    Ok(all)
}

fn folders(of: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(of).with_context(|| format!("failed to read the folder {}", of.display()))?;
    let mut all: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    all.retain(|path| path.is_dir());
    all.sort();
    Ok(all)
}

/// The observation of an incident, without its truth.
pub(crate) fn incident(folder: &Path) -> Result<Observation> {
    let path = folder.join("incident.json");
    let Incident { from, until, normal, symptom, told, entry } = json(&path)?;
    ensure!(from < until, "{}: until must be after from", path.display());
    let normal: Vec<Span> = normal.into_iter().map(|[from, until]| Span { from, until }).collect();
    ensure!(!normal.is_empty(), "{}: name at least one window of normal operation", path.display());
    let symptom = symptom.map(|told| Symptom { node: told.node, series: told.signal.unwrap_or_default() });
    let mut observation = Observation {
        window: Span { from, until },
        normal,
        symptom,
        told,
        entry,
        calls: calls(&folder.join("graph.csv"))?,
        ..Observation::default()
    };
    for ((node, name), samples) in series(folder)? {
        observation.insert(&node, &name, samples);
    }
    ensure!(!observation.nodes.is_empty(), "{}: no series has a sample", folder.display());
    Ok(observation)
}

/// What really was, for the scorer alone.
pub(crate) fn truth(folder: &Path) -> Result<Truth> {
    json(&folder.join("truth.json"))
}

fn json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let text = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| anyhow!("{}: {error}", path.display()))
}

/// No file is no calls.
fn calls(path: &Path) -> Result<Vec<Call>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let file = File::open(path).with_context(|| format!("failed to read {}", path.display()))?;
    let mut calls = Vec::new();
    for edge in csv::Reader::from_reader(file).deserialize() {
        let Edge { caller, callee, kind } = edge.map_err(|error| anyhow!("{}: {error}", path.display()))?;
        let is_async = match kind.as_str() {
            "sync" | "" => false,
            "async" => true,
            other => bail!("{}: kind \"{other}\" must be sync or async", path.display()),
        };
        calls.push(Call { caller, callee, is_async });
    }
    Ok(calls)
}

type Named = BTreeMap<(String, String), Vec<(f64, f64)>>;

fn series(folder: &Path) -> Result<Named> {
    let (plain, packed) = (folder.join("series.csv"), folder.join("series.csv.gz"));
    let path = if plain.exists() { plain } else { packed };
    let file = File::open(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let is_packed = path.extension().is_some_and(|extension| extension == "gz");
    let reader: Box<dyn Read> =
        if is_packed { Box::new(MultiGzDecoder::new(BufReader::new(file))) } else { Box::new(file) };
    let mut all = Named::new();
    for sample in csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(reader).deserialize() {
        let Sample { time, node, signal, value } =
            sample.map_err(|error| anyhow!("{}: {error}", path.display()))?;
        if let Some(value) = value {
            all.entry((node, signal)).or_default().push((time, value));
        }
    }
    Ok(all)
}
