//! `make bench-diagnose` as its user sees it: folders go in, a table comes out.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn run(data: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench_diagnose")).arg(data).arg("--answers").output().unwrap()
}

/// An incident: `db` uses its CPU up, or nothing is wrong.
fn write(folder: &Path, is_healthy: bool) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("graph.csv"), "caller,callee,kind\nweb,db,sync\nweb,mailer,async\n").unwrap();
    let incident =
        r#"{"from": 600, "until": 780, "normal": [[0, 590]], "symptom": null, "told": TOLD, "entry": "web"}"#;
    fs::write(
        folder.join("incident.json"),
        incident.replace("TOLD", if is_healthy { "false" } else { "true" }),
    )
    .unwrap();
    let truth = if is_healthy {
        r#"{"node": null, "accept": [], "cause": null, "healthy": true}"#
    } else {
        r#"{"node": "db", "accept": ["db"], "cause": "cpu", "healthy": false}"#
    };
    fs::write(folder.join("truth.json"), truth).unwrap();
    let mut series = String::from("time,node,signal,value\n");
    for at in (0..=780).step_by(10) {
        let wrong = if at >= 600 && !is_healthy { 1.0 } else { 0.0 };
        let noise = f64::from(at * 7 % 5) * 0.002;
        for (node, signal, value) in [
            ("web", "latency_seconds", 0.1 + noise + wrong),
            ("db", "latency_seconds", 0.05 + noise + wrong),
            ("db", "cpu_utilization", 0.3 + noise + 0.65 * wrong),
        ] {
            writeln!(series, "{at},{node},{signal},{value}").unwrap();
        }
    }
    fs::write(folder.join("series.csv"), series).unwrap();
}

#[test]
fn sets_are_scored_and_a_malformed_incident_stops_no_other() {
    let data = tempfile::tempdir().unwrap();
    write(&data.path().join("shop/wrong"), false);
    write(&data.path().join("shop/healthy"), true);
    write(&data.path().join("shop/malformed"), false);
    let malformed = data.path().join("shop/malformed/incident.json");
    fs::write(&malformed, r#"{"from": 5, "until": 1}"#).unwrap();
    // The same names, compressed, with a column for the value that is empty now and then.
    let packed = data.path().join("shop/packed");
    write(&packed, false);
    let plain = packed.join("series.csv");
    let text = fs::read_to_string(&plain).unwrap() + "790,web,latency_seconds,\n";
    let file = fs::File::create(packed.join("series.csv.gz")).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
    encoder.finish().unwrap();
    fs::remove_file(&plain).unwrap();

    for folder in [data.path().to_owned(), data.path().join("shop")] {
        let output = run(&folder);
        let (out, error) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{out}\n{error}");
        assert_eq!(error, format!("{}: until must be after from\n", malformed.display()));
        assert!(out.contains("wrong: true cpu db; told CpuSaturated db web"), "{out}");
        let ours = out.lines().find(|line| line.starts_with("this engine")).unwrap();
        let shares: Vec<&str> = ours.split_whitespace().skip(2).collect();
        assert_eq!(shares[..2], ["100%", "2/2"], "told: {out}");
        assert!(out.contains("largest robust z") && out.contains("deepest anomalous node"), "{out}");
        assert!(out.contains("3 incidents, 1 refused"), "{out}");
    }
}

#[test]
fn a_folder_without_incidents_is_refused_in_words() {
    let data = tempfile::tempdir().unwrap();
    let output = run(data.path());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(error.contains("has no sets: give a folder DIR with DIR/SET/INCIDENT"), "{error}");
}
