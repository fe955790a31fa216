//! What `/metrics` shows is what the README's table, the dashboard and the guide say, and nothing else.
//!
//! | file | what it owns |
//! |---|---|
//! | `panels` | the table that the dashboard is made from |
//! | `json` | Grafana's JSON of it |
//! | `series` | what a scrape has, and whether a query asks for what is there |
//! | `pages` | what the README and the guide say of series and variables |

mod json;
mod pages;
mod panels;
mod series;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::child::Service;
use crate::postgres::{Reads, shared};
use crate::redis_server::RedisServer;
use crate::shop::{order, stock};
use crate::stand_in::Provider;
use crate::waiting::until;
use json::{WIDTH, dashboard, written};
use panels::{Panel, ROWS};
use series::Series;

/// Series that no panel shows, and why.
const NOT_SHOWN: [(&str, &str); 2] = [
    ("process_virtual_memory_bytes", "address space costs nothing; what is resident does"),
    ("process_virtual_memory_max_bytes", "the limit of the same"),
];

/// A file of this crate.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn all_panels() -> impl Iterator<Item = &'static Panel> {
    ROWS.iter().flat_map(|row| row.panels)
}

#[test]
fn generated_dashboard_is_the_table_of_panels() {
    let path = file("dashboard/app-template.json");
    let made = dashboard();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    let written: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert!(
        written == made,
        "app-template/dashboard does not say what its table says: run `make generate` and commit the result"
    );
}

#[test]
fn panels_have_places_and_numbers_of_their_own() {
    let dashboard = dashboard();
    let (mut numbers, mut places, mut titles) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(titles.insert(title), "two panels are called {title}");
        assert!(numbers.insert(panel["id"].as_u64().unwrap()), "{title} has another's number");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(w > 0 && h > 0 && x + w <= u64::from(WIDTH), "{title} is beside the dashboard");
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(places.insert(place), "{title} covers another panel");
        }
    }
}

#[test]
fn panels_show_all_pods_of_the_chosen_app_over_a_window_of_the_dashboard() {
    for panel in all_panels() {
        for (_, query) in panel.queries {
            let selectors = query.matches('{').count();
            assert_eq!(selectors, query.matches("{$app").count(), "not of the chosen app: {query}");
            let windows = query.matches('[').count();
            assert_eq!(windows, query.matches("[$__rate_interval]").count(), "a fixed window: {query}");
        }
        assert!(!panel.unit.is_empty() && panel.says.ends_with('.'), "{} says nothing", panel.title);
    }
}

#[test]
fn readme_dashboard_and_guide_say_what_is_in_a_scrape() {
    let series = everything();
    let readme = fs::read_to_string(file("README.md")).unwrap();
    let documented = pages::documented(&readme);
    let mut faults = pages::differences(&documented, &series);

    let same_from_every_pod = pages::same_from_every_pod(&documented);
    let check = |place: &str, query: &str| -> Vec<String> {
        let found = series.faults(query, &same_from_every_pod);
        found.iter().map(|fault| format!("{place}: {fault}: {query}")).collect()
    };
    let mut shown = BTreeSet::new();
    for panel in all_panels() {
        for (legend, query) in panel.queries {
            faults.extend(check(panel.title, &parsable(query)));
            shown.extend(series.read_by(query));
            for label in legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
                if !query.contains(label) && label != "le" {
                    faults.push(format!("{}: the legend names {label}, and the query does not", panel.title));
                }
            }
        }
    }
    let guide = fs::read_to_string(file("docs/which-of-these-do-you-need.md")).unwrap();
    for query in pages::queries(&guide) {
        faults.extend(check("the guide", &query));
    }
    faults.extend(pages::unknown_words(&guide, &readme, &series));

    let hidden: BTreeSet<&str> = NOT_SHOWN.iter().map(|(name, _)| *name).collect();
    for family in series.families() {
        if shown.contains(family) == hidden.contains(family) {
            faults.push(format!("{family} is on no panel and not said to be left out, or both"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// As Grafana sends it, for any app.
fn parsable(query: &str) -> String {
    written(query).replace("$__rate_interval", "1m")
}

/// What a service with all modules and a worker show once everything has happened that has a label.
fn everything() -> Series {
    let database = shared();
    let redis = RedisServer::start();
    let provider = Provider::start();
    let folder = tempfile::tempdir().unwrap();
    let payments = provider.url();
    let media = format!("file://{}", folder.path().display());
    let urls = ["--redis-url", &redis.url(), "--redis-timeout", "10s", "--media-url", &media];
    let mut command = database.command(Reads::FromReplica, &urls);
    command.env("PAYMENTS_URL", &payments).env("DATABASE_STATEMENT_TIMEOUT", "1s");
    let service = Service::spawn(&mut command).wait_until_ready();
    let mut command =
        database.command(Reads::FromPrimary, &["worker", "--queue", "reports,payments,webhooks"]);
    let worker = Service::spawn(command.env("PAYMENTS_URL", &payments)).wait_until_ready();

    let (account, products) = stock(&service, 2);
    assert_eq!(order(&service, "one", account, &products).status, 201);
    let body = json!({ "from": "2026-01-01", "to": "2026-01-31" }).to_string();
    assert_eq!(service.call("POST", "/reports", "idempotency-key: r\r\n", &body).status, 202);
    let visit = service.call("POST", "/visits", "", "");
    let cookie = format!("cookie: {}\r\n", visit.headers["set-cookie"].split(';').next().unwrap());
    assert_eq!(service.call("POST", "/visits", &cookie, "").body, "{\"count\":2}");
    for path in ["/", "/work?ms=1", "/wait?ms=1", &format!("/products/{}", products[0]), "/nowhere"] {
        service.connect().get(path).unwrap();
    }
    {
        let _lock = database.lock_products();
        let stopped = service.call("PUT", &format!("/products/{}", products[0]), "", PRODUCT);
        assert_eq!((stopped.status, stopped.headers["x-degraded"].as_str()), (503, "shed"));
    }
    provider.kill();
    let fallback = service.connect().get("/payments/methods").unwrap();
    assert_eq!(fallback.headers["x-degraded"], "fallback");

    worker.wait_for_sample("jobs_finished_total{queue=\"reports\",outcome=\"done\"}", "1");
    let awaited = ["db_statement_calls_total{", "jobs_oldest_age_seconds{", "db_replica_lag_seconds "];
    until("something is not exported", || {
        let scrape = service.scrape();
        awaited.iter().all(|sample| scrape.contains(sample))
    });
    let mut series = Series::default();
    series.read(&service.scrape());
    series.read(&worker.scrape());
    series
}

const PRODUCT: &str = r#"{"name":"Tea","category":"tea","priceCents":1}"#;
