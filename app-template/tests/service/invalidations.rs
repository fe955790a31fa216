//! What one pod changes, the others show: each hears of it by one lasting subscription, and none brings back what was
//! outdated.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::child::Service;
use crate::postgres::{Database, Reads, alone, shared};
use crate::redis_server::RedisServer;
use crate::shop::stock;
use crate::waiting::until;

const CHANNEL: &str = "cache-invalidations";
const UP: &str = "cache_invalidations_up";

fn pod<Guard>(database: &Database<Guard>, redis: &RedisServer) -> Service {
    let cached = ["--redis-url", &redis.url(), "--redis-timeout", "10s", "--database-max-lag", "1m"];
    database.service(Reads::FromReplica, &cached)
}

fn name(pod: &Service, product: i64) -> String {
    let answer = pod.call("GET", &format!("/products/{product}"), "", "");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["name"].as_str().unwrap().to_owned()
}

fn rename(pod: &Service, product: i64, name: &str) {
    let body = json!({ "name": name, "category": "tea", "priceCents": 1 }).to_string();
    assert_eq!(pod.call("PUT", &format!("/products/{product}"), "", &body).status, 200);
}

fn subscribers(redis: &RedisServer) -> u64 {
    redis.ask::<(String, u64)>(&["PUBSUB", "NUMSUB", CHANNEL]).1
}

/// Connections that Redis has taken since its start, but for those of [`RedisServer::ask`].
fn connections(redis: &RedisServer, asked: u64) -> u64 {
    let info: String = redis.ask(&["INFO", "stats"]);
    let count = info.lines().find_map(|line| line.strip_prefix("total_connections_received:")).unwrap();
    count.parse::<u64>().unwrap() - asked
}

#[test]
fn each_pod_hears_of_changes_by_one_subscription_that_lasts() {
    let database = shared();
    let redis = RedisServer::start();
    let pods = [(), ()].map(|()| pod(&database, &redis));
    let (_, products) = stock(&pods[0], 1);
    database.wait_for_replica();
    for pod in &pods {
        pod.wait_for_sample(UP, "1");
        // So that each has its connection for commands too.
        name(pod, products[0]);
    }
    let before = connections(&redis, 0);
    for asked in 0..40 {
        assert_eq!(subscribers(&redis), 2, "after {asked} looks");
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(connections(&redis, 41), before, "nobody had to connect again");

    let mut delays: Vec<Duration> = (0..100).map(|round| delay(&pods, products[0], round)).collect();
    delays.sort_unstable();
    println!("another pod shows a change after {:?} (p50), at most {:?}", delays[50], delays[99]);
    for pod in &pods {
        assert_eq!(pod.sum(UP), 1.0);
    }
}

/// Until the second pod, which keeps the product, shows what the first has changed.
fn delay(pods: &[Service; 2], product: i64, round: usize) -> Duration {
    let new = format!("Tea of round {round}");
    name(&pods[1], product);
    let mut connection = pods[1].connect();
    rename(&pods[0], product, &new);
    let changed = Instant::now();
    let path = format!("/products/{product}");
    while connection.get(&path).unwrap().json()["name"] != new.as_str() {
        assert!(changed.elapsed() < Duration::from_secs(60), "the other pod does not show the change");
    }
    changed.elapsed()
}

#[test]
fn a_pod_says_whether_it_hears_of_changes() {
    let database = shared();
    let mut redis = RedisServer::start();
    let pod = pod(&database, &redis);
    pod.wait_for_sample(UP, "1");
    redis.kill();
    pod.wait_for_sample(UP, "0");
    redis.revive();
    pod.wait_for_sample(UP, "1");
    redis.suspend();
    pod.wait_for_sample(UP, "0");
    redis.resume();
    pod.wait_for_sample(UP, "1");
    assert_eq!(subscribers(&redis), 1);
}

#[test]
fn what_was_outdated_does_not_come_back_from_a_replica_that_stands_still() {
    let database = alone();
    let redis = RedisServer::start();
    let pods = [(), ()].map(|()| pod(&database, &redis));
    let (_, products) = stock(&pods[0], 1);
    let product = products[0];
    database.wait_for_replica();
    for pod in &pods {
        pod.wait_for_sample(UP, "1");
        assert_eq!(name(pod, product), "Tea 0");
    }
    database.pause_replay();
    rename(&pods[0], product, "Green tea");
    until("the other pod does not show the change", || name(&pods[1], product) == "Green tea");

    // What Redis has runs out, and so does what each pod keeps.
    let forget = || {
        let keys: Vec<String> = redis.ask(&["KEYS", "cache:products:*"]);
        keys.iter().for_each(|key| assert_eq!(redis.ask::<u64>(&["DEL", key]), 1));
        thread::sleep(Duration::from_millis(1100));
    };
    forget();
    for pod in &pods {
        assert_eq!(name(pod, product), "Green tea");
    }
    forget();
    let late = pod(&database, &redis);
    assert_eq!(name(&late, product), "Green tea", "of a pod that did not hear of the change");

    // Nor later than a lag that was thought to be the longest.
    thread::sleep(Duration::from_secs(6));
    forget();
    for pod in pods.iter().chain([&late]) {
        assert_eq!(name(pod, product), "Green tea");
    }
    database.resume_replay();
}

#[test]
fn that_a_product_is_missing_is_kept_until_there_is_one() {
    let database = shared();
    let redis = RedisServer::start();
    let pods = [(), ()].map(|()| pod(&database, &redis));
    let (_, products) = stock(&pods[0], 1);
    database.wait_for_replica();
    pods.iter().for_each(|pod| pod.wait_for_sample(UP, "1"));
    let next = products[0] + 1;
    let path = format!("/products/{next}");
    let statements = || -> f64 {
        let reads = "db_client_operation_duration_seconds_count{db_system_name=\"postgresql\",db_operation_name=\"SELECT\",db_query_summary=\"SELECT catalog.products\"";
        pods.iter().map(|pod| pod.sum(reads)).sum()
    };
    for pod in &pods {
        let mut connection = pod.connect();
        for _ in 0..150 {
            let answer = connection.get(&path).unwrap();
            assert_eq!(answer.status, 404);
            assert!(answer.problem()["detail"].as_str().unwrap().contains(&format!("no product {next}")));
        }
    }
    // One, and a few more where the machine is so slow that what was kept has run out meanwhile.
    assert!(statements() < 20.0, "{} statements for 300 requests", statements());

    let body = r#"{"name":"Green tea","category":"tea","priceCents":7}"#;
    let added = pods[0].call("POST", "/products", "", body);
    assert_eq!(added.json()["id"], next);
    assert_eq!(name(&pods[0], next), "Green tea");
    until("the other pod does not hear of the new product", || {
        pods[1].call("GET", &path, "", "").status == 200
    });
}
