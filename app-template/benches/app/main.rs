//! `make bench-app`: the reference service beside handlers that are written by hand, both sides in one run. Prints.
//! I/O: PostgreSQL, Redis and the servers under test, all on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a benchmark ends with a message if its servers cannot be started"
)]

mod bare;
mod compare;
mod load;
mod process;
mod table;

#[path = "../../tests/service/child.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod child;
#[path = "../../tests/service/client.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod client;
#[path = "../../tests/service/own_writes.rs"]
mod own_writes;
#[path = "../../tests/service/postgres.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod postgres;
#[path = "../../tests/service/postgres_pair.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod postgres_pair;
#[path = "../../tests/service/redis_server.rs"]
mod redis_server;
#[path = "../../tests/service/waiting.rs"]
mod waiting;

use std::thread::available_parallelism;
use std::time::Instant;

use anyhow::Result;
use app_template::Args;
use clap::Parser;
use redis::{Client, pipe};

use child::Service;
use compare::Case;
use load::Asked;
use postgres::{Exclusive, Reads, alone};
use process::{Program, Server};
use redis_server::RedisServer;

/// Products that are asked for again and again, and products that are asked for so rarely that the process has
/// forgotten them.
const POPULAR: i64 = 1000;
const ALL: i64 = 60_000;

const STARTS: usize = 10;

const CHANGES: usize = 101;

/// Products of the check for stale reads, each but the last with a client of its own, and the requests of each client.
const CHECKED: i64 = 9;
const REQUESTS: usize = 2500;

fn main() -> Result<()> {
    let workers = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match std::env::var("ROLE").unwrap_or_default().as_str() {
        "bare-redis" => workers.block_on(bare::redis()),
        "bare-postgres" => workers.block_on(bare::postgres()),
        "unobserved" => {
            let mut args = Args::parse_from(["app-template"]);
            args.unobserved = true;
            Ok(workers.block_on(app_template::run(args))?)
        }
        _ => measure(),
    }
}

fn measure() -> Result<()> {
    println!("{} CPUs, which the load, the servers and their databases share\n", available_parallelism()?);
    let (database, redis) = (alone(), RedisServer::start());
    let from_primary = database.environment(Reads::FromPrimary);
    let cached = [database.environment(Reads::FromReplica), vec![("REDIS_URL", redis.url())]].concat();
    // The first one migrates.
    let starts: Vec<f64> =
        (0..STARTS).map(|_| Server::start(Program::App, &cached).start.as_secs_f64()).collect();
    fill(&database, &redis)?;
    let pods = [(), ()].map(|()| database.service(Reads::FromReplica, &["--redis-url", &redis.url()]));

    let popular = Asked::products(1..=POPULAR);
    let after_a_write = popular.clone().with("x-consistency-token", &token(&pods[0]))?;
    database.wait_for_replica();
    let case = |what, theirs, environment, asked| Case { what, theirs, environment, asked };
    let cases = [
        case("cached GET, found in the process", "bare-redis", &cached, popular.clone()),
        case("cached GET, found in Redis", "bare-redis", &cached, Asked::products(POPULAR + 1..=ALL)),
        case("uncached GET, from the primary", "bare-postgres", &from_primary, popular.clone()),
        case("GET of an own write, from a replica", "bare-postgres", &cached, after_a_write),
        case("cached GET, observed and not", "unobserved", &cached, popular.clone()),
        case("uncached GET, observed and not", "unobserved", &from_primary, popular),
    ];
    let load = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut memory = Vec::new();
    table::heading();
    for case in &cases {
        let compared = load.block_on(case.run())?;
        table::comparison(case.what, &compared);
        memory.push(compared.memory);
    }

    let delay = median_delay(&pods);
    let seed = fastrand::u64(..);
    let products: Vec<i64> = (ALL + 1..=ALL + CHECKED).collect();
    let seen = own_writes::check(&database, &pods, &products, REQUESTS, seed);
    println!();
    table::limit("resident under load, most, MiB", largest(&memory), 64.0);
    table::limit("start to ready, longest, s", largest(&starts), 1.0);
    table::limit("change shown by the other pod, p50, ms", delay, 10.0);
    table::limit("stale reads of an own write", seen.stale.len() as f64, 1.0);
    println!("\n{seen}, from two pods, while the replica stood still now and then; seed {seed}");
    Ok(())
}

/// How long after an answer to a change the other pod, which keeps the product, goes on showing the old one.
fn median_delay([changing, other]: &[Service; 2]) -> f64 {
    let path = format!("/products/{}", ALL + CHECKED);
    let mut connection = other.connect();
    let mut version = || connection.get(&path).unwrap().json()["version"].as_i64().unwrap();
    let mut delays: Vec<f64> = (0..CHANGES)
        .map(|_| {
            version();
            let body = r#"{"name":"Tea","category":"tea","priceCents":101}"#;
            let changed = changing.call("PUT", &path, "", body).json()["version"].as_i64().unwrap();
            let begun = Instant::now();
            while version() < changed {}
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    delays.sort_by(f64::total_cmp);
    delays[CHANGES / 2]
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::max)
}

/// What a client brings back that has just written.
fn token(pod: &Service) -> String {
    let body = r#"{"name":"Tea","category":"tea","priceCents":101}"#;
    pod.call("PUT", &format!("/products/{}", ALL + 1), "", body).headers["x-consistency-token"].clone()
}

/// Adds the products, and stores in Redis what each side looks for there: all for the bare handler, and for the app
/// those that it does not ask for twice within the time for which it stores them.
fn fill(database: &Exclusive, redis: &RedisServer) -> Result<()> {
    database.sql(&format!(
        "INSERT INTO catalog.products (name, category, price_cents)
         SELECT 'Tea ' || number, 'tea', 100 + number FROM generate_series(1, {}) AS number",
        ALL + CHECKED
    ));
    database.sql("VACUUM ANALYZE catalog.products");
    let mut connection = Client::open(redis.url())?.get_connection()?;
    for number in 1..=ALL {
        let price = 100 + number;
        let json = format!(
            r#"{{"id":{number},"name":"Tea {number}","category":"tea","priceCents":{price},"version":1}}"#
        );
        let mut store = pipe();
        store.set(bare::key(number), &json).ignore();
        if number > POPULAR {
            store.set(format!("cache:products:v2:{number}"), format!("V{json}")).ignore();
        }
        store.exec(&mut connection)?;
    }
    Ok(())
}
