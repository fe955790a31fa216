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

#[test]
fn a_module_is_refused_in_words_if_it_is_unknown_or_lacks_what_it_needs() {
    let (code, stderr) = refusal(&mut command(&["--modules", "load,carts"]));
    assert_eq!(code, Some(2));
    assert!(
        stderr.contains("there is no module carts, choose from welcome, load, payments, visits, catalog"),
        "{stderr}"
    );

    for (module, need) in [
        ("orders", "a database, set DATABASE_MAIN_URL"),
        ("payments", "a payment provider, set PAYMENTS_URL"),
        ("visits", "Redis, set REDIS_URL"),
    ] {
        let (code, stderr) = refusal(&mut command(&["--modules", &format!("load,{module}")]));
        assert_eq!(code, Some(1));
        assert!(
            stderr.contains(&format!("failed to serve the module {module}: it needs {need}")),
            "{stderr}"
        );
    }
}

#[test]
fn an_object_store_that_is_missing_or_unknown_is_refused_in_words() {
    let with_database = |arguments: &[&str]| {
        let mut command = command(arguments);
        refusal(command.env("DATABASE_MAIN_URL", "postgres://db.example/shop")).1
    };
    let stderr = with_database(&["--modules", "media"]);
    assert!(stderr.contains("it needs an object store, set MEDIA_URL"), "{stderr}");
    let stderr = with_database(&["--media-url", "gs://bucket"]);
    assert!(stderr.contains("failed to use MEDIA_URL, give file:///folder or s3://bucket"), "{stderr}");
}

#[test]
fn a_database_that_cannot_be_used_as_asked_is_refused_in_words() {
    let (_, stderr) = refusal(command(&[]).env("DATABASE_MAIN_URL", "db.example:5432"));
    assert!(stderr.contains("failed to read DATABASE_MAIN_URL, give postgres://"), "{stderr}");
    let (_, stderr) = refusal(command(&[]).env("DATABASE_MAIN_URL", "postgres://shop:secret@db.example"));
    assert!(stderr.contains("give the host and the name of the database"), "{stderr}");
    assert!(!stderr.contains("secret"), "{stderr}");
    let (_, stderr) = refusal(
        command(&[])
            .env("DATABASE_MAIN_URL", "postgres://db.example/shop")
            .env("DATABASE_MAIN_READ_URL", "postgres://db.example/shop"),
    );
    assert!(stderr.contains("set SIGNING_KEY to a random text of at least 32 characters"), "{stderr}");
    let (_, stderr) = refusal(
        command(&[]).env("DATABASE_MAIN_URL", "postgres://db.example/shop").env("SIGNING_KEY", "abc123"),
    );
    assert!(stderr.contains("at least 32 characters") && !stderr.contains("abc123"), "{stderr}");
}

#[test]
fn two_places_for_the_cache_or_a_list_that_is_none_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("CACHE_SESSIONS_ENDPOINTS"), "cache-0.cache:6379").unwrap();
    let with_redis = |name: &str, value: &std::ffi::OsStr| {
        refusal(command(&["--redis-url", "redis://cache.example"]).env(name, value)).1
    };
    for (name, value) in [
        ("CACHE_SESSIONS_ENDPOINTS", "cache-0:6379".as_ref()),
        ("SCALABLEAPP_SETTINGS", folder.path().as_os_str()),
    ] {
        let stderr = with_redis(name, value);
        assert!(stderr.contains("set either REDIS_URL or CACHE_SESSIONS_ENDPOINTS"), "{stderr}");
    }
    let (_, stderr) = refusal(command(&[]).env("CACHE_SESSIONS_ENDPOINTS", "redis://cache-0"));
    assert!(
        stderr.contains("failed to read CACHE_SESSIONS_ENDPOINTS: give 1 to 64 shards as host:port"),
        "{stderr}"
    );
}
