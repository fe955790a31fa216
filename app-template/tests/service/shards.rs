//! The shared Redis as shards: keys are spread over them, follow their list, and miss when their shard is dead.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::child::Service;
use crate::client::Connection;
use crate::postgres::{Database, Reads, shared};
use crate::postgres_pair::certify;
use crate::redis_server::{RedisServer, free_port};
use crate::shop::stock;
use crate::waiting::until;

const UP: &str = "cache_invalidations_up";
const CHANGED: &str = "the shards of the cache are others";

fn list(folder: &Path, servers: &[RedisServer]) {
    let endpoints: Vec<String> = servers.iter().map(RedisServer::endpoint).collect();
    // As a ConfigMap changes: never half a file.
    fs::write(folder.join("next"), endpoints.join(",")).unwrap();
    fs::rename(folder.join("next"), folder.join("CACHE_SESSIONS_ENDPOINTS")).unwrap();
}

/// A pod with settings of its own, which list these servers.
fn pod<Guard>(database: &Database<Guard>, servers: &[RedisServer]) -> (Service, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    list(folder.path(), servers);
    let mut command =
        database.command(Reads::FromReplica, &["--redis-timeout", "10s", "--database-max-lag", "1m"]);
    let pod = Service::spawn(command.env("SCALABLEAPP_SETTINGS", folder.path())).wait_until_ready();
    pod.wait_for_sample(UP, "1");
    (pod, folder)
}

/// One visit with this session, or with none; its number and its session, or its status if it is refused.
fn visit(connection: &mut Connection, session: &str) -> Result<(u64, String), u16> {
    let cookie = if session.is_empty() { String::new() } else { format!("cookie: {session}\r\n") };
    let answer = connection.exchange("POST", "/visits", &cookie, "").unwrap();
    if answer.status != 200 {
        return Err(answer.status);
    }
    let session = answer.headers["set-cookie"].split("; ").next().unwrap().to_owned();
    Ok((answer.json()["count"].as_u64().unwrap(), session))
}

/// The server of a key: that of the highest SHA-256 of its endpoint, a zero byte and the key.
fn home(key: &str, servers: &[RedisServer]) -> usize {
    let weight = |number: &usize| Sha256::digest(format!("{}\0{key}", servers[*number].endpoint()));
    (0..servers.len()).max_by_key(weight).unwrap()
}

/// New sessions, each with the number of the server that has it.
fn sessions(pod: &Service, servers: &[RedisServer], count: usize) -> Vec<(String, usize)> {
    let mut connection = pod.connect();
    let sessions: Vec<String> = (0..count).map(|_| visit(&mut connection, "").unwrap().1).collect();
    let mut homes = BTreeMap::new();
    for (number, server) in servers.iter().enumerate() {
        for key in server.ask::<Vec<String>>(&["KEYS", "session:*"]) {
            assert_eq!(homes.insert(key.replace(':', "="), number), None, "on one shard only");
        }
    }
    sessions
        .into_iter()
        .map(|session| {
            let home = homes[&session];
            (session, home)
        })
        .collect()
}

/// Products that are read and renamed on one pod; the versions of the names that are confirmed.
struct Shop<'a> {
    pod: &'a Service,
    confirmed: BTreeMap<i64, AtomicU64>,
}

impl Shop<'_> {
    fn rename(&self, is_over: &AtomicBool) {
        let mut connection = self.pod.connect();
        for version in 1.. {
            for (product, confirmed) in &self.confirmed {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let body = json!({ "name": format!("Tea {version}"), "category": "tea", "priceCents": 1 })
                    .to_string();
                let headers = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
                connection.send_with("PUT", &format!("/products/{product}"), &headers, &body).unwrap();
                let answer = connection.receive().unwrap();
                assert_eq!(answer.status, 200, "{}", answer.body);
                confirmed.fetch_max(version, Ordering::SeqCst);
            }
        }
    }

    fn read(&self, is_over: &AtomicBool) {
        let mut connection = self.pod.connect();
        while !is_over.load(Ordering::SeqCst) {
            for (product, confirmed) in &self.confirmed {
                let oldest = confirmed.load(Ordering::SeqCst);
                let answer = connection.get(&format!("/products/{product}")).unwrap();
                assert_eq!(answer.status, 200, "{}", answer.body);
                let name = answer.json()["name"].as_str().unwrap().to_owned();
                let version: u64 = name.strip_prefix("Tea ").unwrap().parse().unwrap();
                assert!(version >= oldest, "product {product}: {version} after {oldest} was confirmed");
            }
        }
    }
}

/// Renames and reads products on each pod, each its own ones, while `work` runs.
fn while_used(pods: [&Service; 2], products: &[i64], work: impl FnOnce()) {
    for product in products {
        let body = r#"{"name":"Tea 0","category":"tea","priceCents":1}"#;
        assert_eq!(pods[0].call("PUT", &format!("/products/{product}"), "", body).status, 200);
    }
    let halves = products.split_at(products.len() / 2);
    let shops = [(pods[0], halves.0), (pods[1], halves.1)].map(|(pod, products)| Shop {
        pod,
        confirmed: products.iter().map(|product| (*product, AtomicU64::new(0))).collect(),
    });
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for shop in &shops {
            scope.spawn(|| shop.rename(&is_over));
            scope.spawn(|| shop.read(&is_over));
            scope.spawn(|| shop.read(&is_over));
        }
        work();
        is_over.store(true, Ordering::SeqCst);
    });
    let confirmed: u64 = shops
        .iter()
        .flat_map(|shop| shop.confirmed.values())
        .map(|version| version.load(Ordering::SeqCst))
        .sum();
    assert!(confirmed > 0);
}

#[test]
fn a_fourth_shard_takes_a_quarter_of_the_keys_and_no_request_fails_or_shows_what_was_outdated() {
    let database = shared();
    let servers = [(); 4].map(|()| RedisServer::start());
    let [(one, folder_of_one), (other, folder_of_other)] = [(); 2].map(|()| pod(&database, &servers[..3]));
    let (_, products) = stock(&one, 40);
    let sessions = sessions(&one, &servers[..3], 240);
    while_used([&one, &other], &products, || {
        list(folder_of_one.path(), &servers);
        one.wait_for_log(CHANGED);
        thread::sleep(Duration::from_millis(500));
        list(folder_of_other.path(), &servers);
        other.wait_for_log(CHANGED);
        until("the new shard has no products", || {
            !servers[3].ask::<Vec<String>>(&["KEYS", "cache:products:*"]).is_empty()
        });
        // Each pod without one of the first, at another time.
        list(folder_of_one.path(), &servers[1..]);
        one.wait_for_log(CHANGED);
        thread::sleep(Duration::from_millis(500));
        list(folder_of_one.path(), &servers);
        one.wait_for_log(CHANGED);
    });

    let name = format!("name=\"redis {}\"", servers[3].endpoint());
    assert!(one.scrape().contains(&name));
    let mut connection = other.connect();
    let mut moved = 0;
    for (session, before) in &sessions {
        let (number, _) = visit(&mut connection, session).unwrap();
        let key = session.replace('=', ":");
        let now = home(&key, &servers);
        assert!(now == *before || now == 3, "{key} moves to the new shard or not at all");
        assert_eq!(number, if now == *before { 2 } else { 1 }, "a session that moves begins anew: {key}");
        assert_eq!(servers[*before].ask::<u64>(&["EXISTS", &key]), 1, "what moves stays behind");
        moved += usize::from(now != *before);
    }
    // 240 / 4, give or take five deviations.
    assert!((27..=93).contains(&moved), "{moved} of 240 sessions moved");

    for (pod, folder) in [(&one, &folder_of_one), (&other, &folder_of_other)] {
        list(folder.path(), &servers[..3]);
        pod.wait_for_log(CHANGED);
        assert!(!pod.scrape().contains(&name), "the series of a shard that is gone");
        assert!(!pod.connect().get("/healthz").unwrap().body.contains(&servers[3].endpoint()));
    }
    for (session, _) in &sessions {
        assert!(visit(&mut connection, session).unwrap().0 > 1, "each finds its session where it was");
    }
}

#[test]
fn a_dead_shard_costs_its_own_keys_and_nothing_else() {
    let database = shared();
    let mut servers = [(); 3].map(|()| RedisServer::start());
    let (pod, _folder) = pod(&database, &servers);
    let (_, products) = stock(&pod, 30);
    database.wait_for_replica();
    let sessions = sessions(&pod, &servers, 60);
    servers[0].kill();
    let mut connection = pod.connect();
    for _ in 0..3 {
        for product in &products {
            assert_eq!(connection.get(&format!("/products/{product}")).unwrap().status, 200);
        }
        for (session, home) in &sessions {
            let visited = visit(&mut connection, session);
            if *home == 0 {
                assert_eq!(visited, Err(503), "a new session would log the client out");
            } else {
                assert!(visited.unwrap().0 > 1, "the session of a living shard");
            }
        }
    }
    let state = |server: &RedisServer, state: &str| {
        format!("circuit_breaker_state{{name=\"redis {}\",state=\"{state}\"}}", server.endpoint())
    };
    pod.wait_for_sample(&state(&servers[0], "open"), "1");
    for living in &servers[1..] {
        pod.wait_for_sample(&state(living, "closed"), "1");
    }
    pod.wait_for_sample(UP, "1");
    let errors = pod.sum("cache_requests_total{cache=\"products\",result=\"error\"}");
    let all = pod.sum("cache_requests_total{cache=\"products\"");
    assert!(errors > 0.0 && errors < all * 0.7, "{errors} of {all}");

    servers[0].revive();
    let (session, _) = sessions.iter().find(|(_, home)| *home == 0).unwrap();
    until("no session although the shard is back", || visit(&mut connection, session).is_ok());
}

#[test]
fn all_shards_have_one_password_and_a_bad_list_changes_nothing() {
    let servers = [(); 2].map(|()| RedisServer::start());
    for server in &servers {
        assert_eq!(server.ask::<String>(&["CONFIG", "SET", "requirepass", "hunter2"]), "OK");
    }
    let folder = tempfile::tempdir().unwrap();
    let endpoints = servers.each_ref().map(RedisServer::endpoint).join(",");
    let mut command = crate::child::command(&["--redis-timeout", "10s"]);
    command.env("CACHE_SESSIONS_ENDPOINTS", endpoints).env("CACHE_SESSIONS_PASSWORD", "hunter2");
    let pod = Service::spawn(command.env("SCALABLEAPP_SETTINGS", folder.path()));
    let mut connection = pod.connect();
    for _ in 0..20 {
        let (_, session) = visit(&mut connection, "").unwrap();
        assert_eq!(visit(&mut connection, &session).unwrap().0, 2);
    }
    fs::write(folder.path().join("CACHE_SESSIONS_ENDPOINTS"), "cache-0").unwrap();
    let warning = pod.wait_for_log("a setting cannot be used");
    assert!(warning["reason"].as_str().unwrap().starts_with("give 1 to 64 shards as host:port"), "{warning}");
    assert_eq!(visit(&mut connection, "").unwrap().0, 1);
}

#[test]
fn another_password_in_the_settings_is_used_without_a_restart() {
    let server = RedisServer::start();
    let folder = tempfile::tempdir().unwrap();
    let password = |text: &str| {
        fs::write(folder.path().join("next"), text).unwrap();
        fs::rename(folder.path().join("next"), folder.path().join("CACHE_SESSIONS_PASSWORD")).unwrap();
    };
    list(folder.path(), std::slice::from_ref(&server));
    password("first");
    assert_eq!(server.ask::<String>(&["CONFIG", "SET", "requirepass", "first"]), "OK");
    let mut command = crate::child::command(&["--redis-timeout", "10s"]);
    command.env("CACHE_SESSIONS_PASSWORD", "none").env("SCALABLEAPP_SETTINGS", folder.path());
    let pod = Service::spawn(&mut command);
    let mut connection = pod.connect();
    let (_, session) = visit(&mut connection, "").unwrap();

    let url = server.url().replace("://", "://:first@");
    let mut admin = redis::Client::open(url).unwrap().get_connection().unwrap();
    let set: String =
        redis::cmd("ACL").arg(&["SETUSER", "default", "resetpass", ">second"]).query(&mut admin).unwrap();
    let _: i64 = redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal"]).query(&mut admin).unwrap();
    assert_eq!((set.as_str(), visit(&mut connection, &session)), ("OK", Err(503)));
    password("second");
    pod.wait_for_log("the login of the cache is another one");
    until("the session is found again", || {
        visit(&mut connection, &session).is_ok_and(|(number, _)| number == 2)
    });
}

/// A server that speaks TLS only, as `localhost`.
struct TlsServer(Child);

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl TlsServer {
    fn start(folder: &Path, port: u16) -> Self {
        let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let server = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "redis-server", "--bind", "127.0.0.1", "--save", "", "--dir", "/"])
            .args(["--port", "0", "--tls-port", &port.to_string(), "--tls-auth-clients", "no"])
            .args(["--tls-cert-file", &file("server.pem"), "--tls-key-file", &file("server.key")])
            .args(["--tls-ca-cert-file", &file("authority.pem")])
            .stdout(Stdio::null())
            .spawn();
        Self(server.unwrap())
    }
}

#[test]
fn a_shard_with_tls_is_known_by_its_certificate_or_not_spoken_to() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let port = free_port();
    let _server = TlsServer::start(folder.path(), port);
    let trusted = folder.path().join("trusted.pem");
    let another = rcgen::generate_simple_self_signed(["another".to_owned()]).unwrap();
    fs::write(&trusted, another.cert.pem()).unwrap();
    let pod = |authorities: Option<&Path>| {
        let mut command = crate::child::command(&["--redis-timeout", "10s"]);
        command.env("CACHE_SESSIONS_ENDPOINTS", format!("localhost:{port}"));
        authorities.map(|file| command.env("CACHE_SESSIONS_CA", file));
        Service::spawn(&mut command)
    };
    let (plain, service) = (pod(None), pod(Some(&trusted)));
    assert_eq!(visit(&mut plain.connect(), "").unwrap_err(), 503, "the server has no other port");
    let mut connection = service.connect();
    assert_eq!(visit(&mut connection, "").unwrap_err(), 503, "nobody trusted vouches for it");

    fs::copy(folder.path().join("authority.pem"), &trusted).unwrap();
    service.wait_for_log("the login of the cache is another one");
    until("the shard is trusted", || visit(&mut connection, "").is_ok());
    let (_, session) = visit(&mut connection, "").unwrap();
    assert_eq!(visit(&mut connection, &session).unwrap().0, 2);
}

#[test]
fn a_hung_shard_costs_its_own_keys_and_nothing_else() {
    let database = shared();
    let servers = [(); 3].map(|()| RedisServer::start());
    let folder = tempfile::tempdir().unwrap();
    list(folder.path(), &servers);
    let mut command =
        database.command(Reads::FromReplica, &["--redis-timeout", "1s", "--database-max-lag", "1m"]);
    let pod = Service::spawn(command.env("SCALABLEAPP_SETTINGS", folder.path())).wait_until_ready();
    let (_, products) = stock(&pod, 30);
    let sessions = sessions(&pod, &servers, 30);
    servers[0].suspend();
    let mut connection = pod.connect();
    for product in products.iter().chain(&products) {
        assert_eq!(connection.get(&format!("/products/{product}")).unwrap().status, 200);
    }
    for (session, home) in &sessions {
        let visited = visit(&mut connection, session);
        assert_eq!(visited.is_ok(), *home != 0, "a session on server {home}: {visited:?}");
    }
    servers[0].resume();
    let (session, _) = sessions.iter().find(|(_, home)| *home == 0).unwrap();
    until("no session although the shard answers again", || visit(&mut connection, session).is_ok());
}

#[test]
fn a_shard_that_is_full_of_keys_without_an_expiry_fails_no_read() {
    let database = shared();
    let server = RedisServer::start();
    let (pod, _folder) = pod(&database, std::slice::from_ref(&server));
    let (_, products) = stock(&pod, 10);
    for (name, value) in [("maxmemory-policy", "volatile-lru"), ("maxmemory", "4mb")] {
        assert_eq!(server.ask::<String>(&["CONFIG", "SET", name, value]), "OK");
    }
    let mut other = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let value = "x".repeat(10_000);
    let mut is_refused = |number: u32| {
        let set: redis::RedisResult<String> =
            redis::cmd("SET").arg(format!("other:{number}")).arg(&value).query(&mut other);
        set.is_err()
    };
    assert!((0..1000).any(&mut is_refused), "the server takes no more");
    // Far below what is used, so that a small key has no room either.
    assert_eq!(server.ask::<String>(&["CONFIG", "SET", "maxmemory", "2mb"]), "OK");
    let mut connection = pod.connect();
    for product in products.iter().chain(&products) {
        assert_eq!(connection.get(&format!("/products/{product}")).unwrap().status, 200);
    }
    assert_eq!(visit(&mut connection, "").unwrap_err(), 503, "a session that cannot be kept is none");
    assert_eq!(server.ask::<String>(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
    until("there is room again", || visit(&mut connection, "").is_ok());
}
