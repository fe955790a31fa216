//! Reads go to the replicas that the settings name, and follow them.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::child::Service;
use crate::postgres::{KEY, Reads, shared};
use crate::redis_server::free_port;
use crate::shop::stock;
use crate::waiting::until;

fn routed(service: &Service, target: &str, reason: &str) -> f64 {
    service.sum(&format!("db_reads_routed_total{{target=\"{target}\",reason=\"{reason}\"}}"))
}

/// Waits until more reads are routed so.
fn wait_for_more(service: &Service, target: &str, reason: &str) {
    let before = routed(service, target, reason);
    until(&format!("no reads at the {target}"), || routed(service, target, reason) > before + 20.0);
}

/// Reads an account again and again while `work` runs, and fails at the first answer that is none.
fn while_read<T>(service: &Service, account: i64, work: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut connection = service.connect();
                while !is_over.load(Ordering::SeqCst) {
                    let answer = connection.get(&format!("/accounts/{account}")).unwrap();
                    assert_eq!(answer.status, 200, "{}", answer.body);
                }
            });
        }
        let done = work();
        is_over.store(true, Ordering::SeqCst);
        done
    })
}

#[test]
fn reads_follow_the_read_host_as_it_appears_changes_and_goes_and_none_fails() {
    const FOLLOWED: &str = "reads go to the replicas of the setting";
    let database = shared();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("DATABASE_MAIN_READ_HOST");
    let mut command = database
        .command(Reads::FromPrimary, &["--database-max-lag", "1m", "--database-acquire-timeout", "1m"]);
    command.env("SIGNING_KEY", KEY).env("SCALABLEAPP_SETTINGS", folder.path());
    let service = Service::spawn(&mut command).wait_until_ready();
    let (account, _) = stock(&service, 0);
    database.wait_for_replica();
    let port = database.replica().port;
    while_read(&service, account, || {
        wait_for_more(&service, "primary", "no_replica");

        fs::write(&file, format!("127.0.0.1:{}\n", free_port())).unwrap();
        thread::sleep(std::time::Duration::from_secs(3));
        wait_for_more(&service, "primary", "no_replica");
        assert_eq!(routed(&service, "primary", "unreachable"), 0.0, "not before it answers");

        fs::write(&file, format!("127.0.0.1:{port}\n")).unwrap();
        assert_eq!(service.wait_for_log(FOLLOWED)["host"], format!("127.0.0.1:{port}"));
        wait_for_more(&service, "replica", "default");
        until("the lag is not shown", || service.sum("db_replica_lag_seconds") >= 0.0);

        fs::write(&file, format!("localhost:{port}")).unwrap();
        assert_eq!(service.wait_for_log(FOLLOWED)["host"], format!("localhost:{port}"));
        let primary = routed(&service, "primary", "no_replica");
        wait_for_more(&service, "replica", "default");
        assert_eq!(routed(&service, "primary", "no_replica"), primary);

        fs::write(&file, "").unwrap();
        service.wait_for_log("reads no longer go to the replicas of the setting");
        wait_for_more(&service, "primary", "no_replica");
        service.wait_for_sample("db_client_connection_max{db_client_connection_pool_name=\"read\"}", "0");
    });
    assert!(
        service
            .call("PUT", &format!("/accounts/{account}/name"), "", r#"{"name":"Grace"}"#)
            .headers
            .contains_key("x-consistency-token")
    );
}

#[test]
fn without_a_read_host_reads_go_to_the_url_for_reads_and_with_one_to_that() {
    let database = shared();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("DATABASE_MAIN_READ_HOST");
    let mut command = database.command(Reads::FromReplica, &["--database-max-lag", "1m"]);
    let service = Service::spawn(command.env("SCALABLEAPP_SETTINGS", folder.path())).wait_until_ready();
    let (account, _) = stock(&service, 0);
    database.wait_for_replica();
    while_read(&service, account, || {
        wait_for_more(&service, "replica", "default");
        // The primary in the place of a replica.
        fs::write(&file, format!("127.0.0.1:{}", database.primary().port)).unwrap();
        service.wait_for_log("reads go to the replicas of the setting");
        let on_replica = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'app-template'";
        until("the former replicas have connections yet", || database.sql_on_replica(on_replica) == "0");
        fs::remove_file(&file).unwrap();
        service.wait_for_log("reads no longer go to the replicas of the setting");
        until("the replicas have no connection", || database.sql_on_replica(on_replica) != "0");
    });
}

#[test]
fn a_read_host_that_cannot_be_used_is_refused_in_words_and_changes_nothing() {
    let database = shared();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("DATABASE_MAIN_READ_HOST");
    let service = |key: &[(&str, &str)]| {
        let mut command = database.command(Reads::FromPrimary, &[]);
        command.env("SCALABLEAPP_SETTINGS", folder.path()).envs(key.iter().copied());
        Service::spawn(&mut command).wait_until_ready()
    };
    fs::write(&file, "postgres://replicas").unwrap();
    let warning = service(&[("SIGNING_KEY", KEY)]).wait_for_log("a setting cannot be used");
    assert!(warning["reason"].as_str().unwrap().starts_with("give host:port"), "{warning}");
    fs::write(&file, format!("127.0.0.1:{}", database.replica().port)).unwrap();
    let unsigned = service(&[]);
    let warning = unsigned.wait_for_log("a setting cannot be used");
    assert!(warning["reason"].as_str().unwrap().contains("set SIGNING_KEY"), "{warning}");
    assert_eq!(unsigned.connect().get("/products").unwrap().status, 200);
    assert_eq!(routed(&unsigned, "primary", "no_replica"), 1.0);
}
