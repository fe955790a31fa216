//! Nothing that the service writes or answers holds a credential that it was given.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::json;

use crate::child::{Service, command};
use crate::media::{PICTURE, upload};
use crate::postgres::{Reads, shared};
use crate::redis_server::free_port;
use crate::shop::stock;

const SECRET: &str = "hunter2-hunter2-hunter2-hunter2-hunter2";

fn said(arguments: &[&str], environment: &[(&str, String)]) -> String {
    let mut command = command(arguments);
    let output = command.envs(environment.iter().map(|(name, value)| (*name, value))).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn help_shows_the_value_of_no_variable() {
    let named = Regex::new(r"\[env: (\w+)").unwrap();
    for arguments in [&["--help"][..], &["-h"], &["worker", "--help"]] {
        let help = said(arguments, &[]);
        let variables: BTreeSet<&str> =
            named.captures_iter(&help).map(|found| found.get(1).unwrap().as_str()).collect();
        for needed in ["SIGNING_KEY", "PAYMENTS_URL", "DATABASE_MAIN_URL"] {
            assert!(variables.contains(needed), "{needed} is not in {variables:?}");
        }
        let environment: Vec<_> = variables.into_iter().map(|name| (name, SECRET.to_owned())).collect();
        let help = said(arguments, &environment);
        assert!(help.contains("Usage:") && !help.contains(SECRET), "{help}");
    }
}

#[test]
fn a_value_that_cannot_be_used_is_refused_by_its_name_only() {
    let database = ("DATABASE_MAIN_URL", "postgres://db.example/shop".to_owned());
    for (variable, value) in [
        ("REDIS_URL", format!("rediss://:{SECRET}@cache.example")),
        ("REDIS_URL", SECRET.to_owned()),
        ("PAYMENTS_URL", format!("https://shop:{SECRET}@payments.example")),
        ("PAYMENTS_URL", format!("shop:{SECRET}@payments.example")),
        ("MEDIA_URL", format!("gs://key:{SECRET}@bucket")),
        ("MEDIA_URL", format!("{SECRET}://bucket")),
        ("MEDIA_URL", format!("s3://key:{SECRET}@bucket:port")),
        ("DATABASE_MAIN_URL", format!("postgres://shop:{SECRET}@db.example")),
        ("DATABASE_MAIN_URL", format!("mysql://shop:{SECRET}@db.example/shop")),
        ("SIGNING_KEY", SECRET[..9].to_owned()),
        ("WEBHOOK_KEY", SECRET[..9].to_owned()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("https://key:{SECRET}@collector.example")),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://key:{SECRET}^@collector.example:4318")),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("https://key:{SECRET}@collector.example")),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("http://key:{SECRET}^@collector.example/v1/traces")),
    ] {
        let said = said(&[], &[database.clone(), (variable, value.clone())]);
        assert!(said.contains(variable), "{value}: {said}");
        assert!(!said.contains(&SECRET[..9]), "{value}: {said}");
    }
}

/// Everything that it is given is unreachable, so that every call fails in words.
#[test]
fn no_log_and_no_answer_holds_a_credential() {
    let database = shared();
    let gone = format!("127.0.0.1:{}", free_port());
    let mut command = database.command(Reads::FromReplica, &[]);
    command
        .env("RUST_LOG", "debug")
        .env("SIGNING_KEY", SECRET)
        .env("WEBHOOK_KEY", SECRET)
        .env("WEBHOOK_HOSTS", "hooks.example")
        .env("REDIS_URL", format!("redis://shop:{SECRET}@{gone}"))
        .env("PAYMENTS_URL", format!("http://shop:{SECRET}@{gone}/?key={SECRET}"))
        .env("MEDIA_URL", format!("s3://key:{SECRET}@pictures/shop"))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://key:{SECRET}@{gone}"))
        .env("AWS_ENDPOINT", format!("http://{gone}"))
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_ACCESS_KEY_ID", SECRET)
        .env("AWS_SECRET_ACCESS_KEY", SECRET);
    let mut service = Service::spawn(&mut command).wait_until_ready();
    let (_, products) = stock(&service, 1);
    let payment = r#"{"amount": 1250, "currency": "EUR"}"#;
    let report = json!({ "from": "2026-01-01", "to": "2026-01-31", "webhook": format!("http://u:{SECRET}@hooks.example") });
    let answers = [
        service.call("POST", "/payments", "idempotency-key: k\r\n", payment),
        service.call("POST", "/visits", "", ""),
        service.call("POST", "/reports", "idempotency-key: k\r\n", &report.to_string()),
        service.connect().get("/payments/methods").unwrap(),
        service.connect().get("/healthz").unwrap(),
        upload(&service, products[0], "image/webp", PICTURE),
    ];
    assert_eq!(answers.each_ref().map(|answer| answer.status), [502, 503, 422, 200, 200, 503]);
    for answer in answers {
        assert!(!answer.body.contains(SECRET), "{}", answer.body);
    }
    assert!(!service.scrape().contains(SECRET));
    service.terminate();
    let lines = service.log_up_to("stopped");
    assert!(lines.len() > 20, "{lines:?}");
    for line in lines {
        assert!(!line.to_string().contains(SECRET), "{line}");
    }
    assert!(!service.wait().1.contains(SECRET));
}
