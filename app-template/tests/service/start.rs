//! What a person reads when the service cannot start as asked.

use std::net::TcpListener;
use std::process::Command;

use crate::child::{command, wait};

/// Runs the service to its end and returns its exit code and stderr.
fn refusal(command: &mut Command) -> (Option<i32>, String) {
    let (status, stderr) = wait(&mut command.spawn().unwrap());
    (status.code(), stderr)
}

#[test]
fn a_taken_port_is_named_with_the_argument_that_changes_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut service = Command::new(env!("CARGO_BIN_EXE_app-template"));
    service.env_clear().env("ADDRESS", "127.0.0.1").env("PORT", address.port().to_string());
    service.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null());

    let (code, stderr) = refusal(&mut service);
    assert_eq!(code, Some(1));
    let sentence = format!("failed to listen on {address}, choose another port with --port");
    assert!(stderr.contains(&sentence), "{stderr}");
}

#[test]
fn a_collector_behind_tls_is_refused_in_words() {
    let (code, stderr) = refusal(command(&[]).env("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318"));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("give a URL that begins with http://"), "{stderr}");
}

#[test]
fn a_bad_log_filter_is_refused_in_words() {
    let (code, stderr) = refusal(command(&[]).env("RUST_LOG", "app_template=loud"));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("failed to read RUST_LOG"), "{stderr}");
}
