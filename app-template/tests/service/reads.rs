//! Reads go to a replica, and never show a client less than it has written.

use crate::child::Service;
use crate::cookies::Jar;
use crate::own_writes;
use crate::postgres::{KEY, Reads, alone, shared};
use crate::redis_server::RedisServer;
use crate::shop::stock;
use crate::waiting::until;

/// Writes a name, and returns the token of that write.
fn rename(service: &Service, account: i64, name: &str) -> String {
    let body = format!(r#"{{"name":"{name}"}}"#);
    let answer = service.call("PUT", &format!("/accounts/{account}/name"), "", &body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.headers["x-consistency-token"].clone()
}

/// The name that a read with these headers shows, or its status if it is refused.
fn name(service: &Service, account: i64, headers: &str) -> Result<String, u16> {
    let answer = service.call("GET", &format!("/accounts/{account}"), headers, "");
    match answer.status {
        200 => Ok(answer.json()["name"].as_str().unwrap().to_owned()),
        refused => Err(refused),
    }
}

fn routed(service: &Service, target: &str, reason: &str) -> f64 {
    service.sum(&format!("db_reads_routed_total{{target=\"{target}\",reason=\"{reason}\"}}"))
}

#[test]
fn reads_go_to_the_replica_and_bring_back_the_token_as_header_or_cookie() {
    let database = shared();
    let service = database.service(Reads::FromReplica, &[]);
    let (account, _) = stock(&service, 0);
    database.wait_for_replica();
    assert_eq!(name(&service, account, ""), Ok("Ada".to_owned()));
    assert_eq!(routed(&service, "replica", "default"), 1.0);

    let token = rename(&service, account, "Grace");
    assert_eq!(name(&service, account, &format!("x-consistency-token: {token}\r\n")), Ok("Grace".to_owned()));
    assert_eq!(
        name(&service, account, &format!("cookie: a=b; consistency={token}\r\n")),
        Ok("Grace".to_owned())
    );
    let with_token = routed(&service, "replica", "ryw_token") + routed(&service, "primary", "ryw_token");
    assert_eq!(with_token, 2.0);
    // A cookie of another key counts as none: its owner could do nothing about it.
    assert!(name(&service, account, "cookie: consistency=1-2-3\r\n").is_ok());
}

#[test]
fn a_replica_that_stands_still_shows_nobody_less_than_they_wrote() {
    let database = alone();
    let service = database.service(Reads::FromReplica, &["--database-replay-wait", "20ms"]);
    let (account, _) = stock(&service, 0);
    database.wait_for_replica();
    assert_eq!(name(&service, account, ""), Ok("Ada".to_owned()));
    database.pause_replay();

    let token = rename(&service, account, "Grace");
    let header = format!("x-consistency-token: {token}\r\n");
    assert_eq!(name(&service, account, &header), Ok("Grace".to_owned()));
    assert_eq!(routed(&service, "primary", "ryw_token"), 1.0);
    assert_eq!(name(&service, account, ""), Ok("Ada".to_owned()), "from the replica, which stands still");

    database.resume_replay();
    database.wait_for_replica();
    assert_eq!(name(&service, account, &header), Ok("Grace".to_owned()));
    assert_eq!(routed(&service, "replica", "ryw_token"), 1.0);
}

#[test]
fn of_two_answers_in_either_order_a_browser_and_a_program_keep_the_later_write() {
    let database = alone();
    let service = database.service(Reads::FromReplica, &["--database-replay-wait", "20ms"]);
    let (account, _) = stock(&service, 0);
    database.wait_for_replica();
    let rename = |name: &str, headers: &str| {
        let body = format!(r#"{{"name":"{name}"}}"#);
        let answer = service.call("PUT", &format!("/accounts/{account}/name"), headers, &body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer
    };
    let mut jar = Jar::default();
    for round in 0..3 {
        let brought = jar.header();
        let slow = rename("Grace", &brought);
        // The replica has what the slow answer tells of, and nothing later.
        database.wait_for_replica();
        assert_eq!(name(&service, account, ""), Ok("Grace".to_owned()));
        database.pause_replay();
        let quick = rename(&format!("Barbara {round}"), &brought);
        jar.keep(&quick);
        jar.keep(&slow);
        assert_eq!(name(&service, account, &jar.header()), Ok(format!("Barbara {round}")));
        assert!(jar.len() <= 2, "as many as there were writes at the same time: {jar:?}");
        let [slow, quick] = [slow, quick].map(|answer| answer.headers["x-consistency-token"].clone());
        let both = format!("x-consistency-token: {quick}, {slow}\r\n");
        assert_eq!(name(&service, account, &both), Ok(format!("Barbara {round}")));
        database.resume_replay();
    }
    jar.keep(&rename("Ada", &jar.header()));
    assert_eq!(jar.len(), 1, "{jar:?}");
}

#[test]
fn a_token_of_a_key_that_a_pod_does_not_know_yet_is_answered_by_the_primary() {
    const NEW: &str = "the next key of the tests that has 32 characters and more";
    let database = alone();
    let pod = |keys: &str| {
        let mut command = database.command(Reads::FromReplica, &["--database-replay-wait", "20ms"]);
        Service::spawn(command.env("SIGNING_KEY", keys)).wait_until_ready()
    };
    let [old, both, new] = [KEY, &format!("{NEW},{KEY}"), NEW].map(pod);
    let (account, _) = stock(&old, 0);
    database.wait_for_replica();
    assert_eq!(name(&old, account, ""), Ok("Ada".to_owned()));
    database.pause_replay();
    for (number, [writer, reader]) in
        [[&old, &both], [&both, &old], [&both, &new], [&new, &both], [&old, &new], [&new, &old]]
            .into_iter()
            .enumerate()
    {
        let written = format!("Ada {number}");
        let token = rename(writer, account, &written);
        for headers in
            [format!("x-consistency-token: {token}\r\n"), format!("cookie: consistency={token}\r\n")]
        {
            assert_eq!(name(reader, account, &headers), Ok(written.clone()), "way {number}");
        }
    }
    let browsers = old.call("PUT", &format!("/accounts/{account}/name"), "", r#"{"name":"Ada"}"#);
    let cookie = &browsers.headers["set-cookie"];
    let age = cookie.split("Max-Age=").nth(1).unwrap().split(';').next().unwrap();
    assert!(age.parse::<u32>().unwrap() >= 3600, "longer than an outage: {cookie}");
    database.resume_replay();
}

#[test]
fn a_replica_beyond_its_lag_is_not_read_from() {
    let database = alone();
    let service = database.service(Reads::FromReplica, &["--database-max-lag", "1s"]);
    let (account, _) = stock(&service, 0);
    database.wait_for_replica();
    database.pause_replay();
    rename(&service, account, "Grace");
    until("the replica is still read from", || name(&service, account, "") == Ok("Grace".to_owned()));
    assert!(routed(&service, "primary", "lag") >= 1.0);
    until("the lag is not shown", || service.sum("db_replica_lag_seconds") > 0.5);
    database.resume_replay();
    service.wait_for_sample("db_replica_lag_seconds", "0");
}

#[test]
fn reads_in_place_of_a_replica_are_capped_so_that_the_primary_stands() {
    let database = alone();
    let service = database.service(
        Reads::FromReplica,
        &[
            "--database-primary-fallback",
            "1",
            "--database-statement-timeout",
            "20s",
            "--database-replay-wait",
            "1ms",
        ],
    );
    let (account, products) = stock(&service, 1);
    database.wait_for_replica();
    database.pause_replay();
    let header = format!("x-consistency-token: {}\r\n", rename(&service, account, "Grace"));

    let lock = database.lock_products();
    let mut first = service.connect();
    first.send("GET", &format!("/products/{}", products[0]), &header).unwrap();
    // It has the only place, and keeps it because its statement waits for the lock.
    service.wait_for_sample("db_reads_routed_total{target=\"primary\",reason=\"ryw_token\"}", "1");
    assert_eq!(name(&service, account, &header), Err(503), "a second read in place of a replica");
    assert_eq!(
        name(&service, account, ""),
        Ok("Ada".to_owned()),
        "a read that asks for nothing newer is answered"
    );
    drop(lock);
    assert_eq!(first.receive().unwrap().status, 200);
    assert_eq!(name(&service, account, &header), Ok("Grace".to_owned()));
    database.resume_replay();
}

#[test]
fn without_its_replica_reads_go_to_the_primary_and_return_later() {
    let database = alone();
    let service = database.service(Reads::FromReplica, &[]);
    let (account, _) = stock(&service, 0);
    database.wait_for_replica();
    assert_eq!(name(&service, account, ""), Ok("Ada".to_owned()));
    database.replica().crash();
    until("the primary is not read from", || {
        // The first may meet the connection that is just breaking.
        assert!(matches!(name(&service, account, ""), Ok(_) | Err(503)));
        routed(&service, "primary", "unreachable") > 0.0
    });
    assert_eq!(name(&service, account, ""), Ok("Ada".to_owned()));
    database.replica().start();
    let before = routed(&service, "replica", "default");
    until("the replica is not read from again", || {
        assert_eq!(name(&service, account, ""), Ok("Ada".to_owned()));
        routed(&service, "replica", "default") > before
    });
}

#[test]
fn a_replica_that_has_not_the_schema_yet_is_not_read_from() {
    let database = alone();
    database.wait_for_replica();
    database.pause_replay();
    let service = database.service(Reads::FromReplica, &[]);
    assert_eq!(service.connect().get("/products").unwrap().status, 200);
    database.resume_replay();
    database.wait_for_replica();
    assert_eq!(service.connect().get("/products").unwrap().status, 200);
    assert!(routed(&service, "replica", "default") >= 1.0);
}

#[test]
fn no_client_ever_misses_its_own_write() {
    let database = alone();
    let redis = RedisServer::start();
    let arguments = ["--redis-url", &redis.url(), "--redis-timeout", "10s", "--database-replay-wait", "5ms"];
    let pods = [(), ()].map(|()| database.service(Reads::FromReplica, &arguments));
    let (_, products) = stock(&pods[0], 7);
    let seed = fastrand::u64(..);
    let seen = own_writes::check(&database, &pods, &products, 120, seed);
    assert!(seen.stale.is_empty(), "seed {seed}: {seen}: {:#?}", seen.stale);
    let routed = |target| pods.iter().map(|pod| routed(pod, target, "ryw_token")).sum::<f64>();
    let (replica, primary) = (routed("replica"), routed("primary"));
    assert!(replica > 0.0 && primary > 0.0, "seed {seed}: both were tried: {replica} {primary}");
}
