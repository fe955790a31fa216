//! What a reader cannot work with, and the sentence that says what to change.

use std::thread;
use std::time::Duration;

use rstest::rstest;

use crate::pod::Pod;
use crate::primary::{PASSWORD, Primary};

#[rstest]
#[case::wal_level(
    "wal_level = minimal\nmax_wal_senders = 0",
    "",
    "has wal_level = minimal: set it to 'replica' and restart the primary."
)]
#[case::senders(
    "max_wal_senders = 1",
    "",
    "has room for 1 more WAL senders and the reader needs 2: raise max_wal_senders on the primary, which is 1."
)]
#[case::slots("max_replication_slots = 0", "", "raise max_replication_slots on the primary")]
#[case::every_standby_is_synchronous(
    "synchronous_standby_names = 'ANY 1 (other, \"*\")'\nsynchronous_commit = local",
    "",
    "synchronous_standby_names contains '*', by which readers would hold up commits: name its synchronous standbys one by one."
)]
#[case::this_reader_is_synchronous(
    "synchronous_standby_names = 'FIRST 1 (\"Shop-Main-0\")'\nsynchronous_commit = local",
    "",
    "contains this reader, 'shop-main-0', which would hold up commits: take that name out."
)]
#[case::role("", "ALTER ROLE reader NOREPLICATION", "run ALTER ROLE \"reader\" REPLICATION on the primary.")]
#[case::password(
    "",
    "ALTER ROLE reader PASSWORD 'another'",
    "refuses the password: correct user and password in the Secret shop-db."
)]
#[case::no_superuser("", "ALTER ROLE postgres NOLOGIN", "has no superuser that can log in")]
fn the_reader_says_what_to_change_on_the_primary(
    #[case] settings: &str,
    #[case] statement: &str,
    #[case] sentence: &str,
) {
    let primary = Primary::start(settings);
    primary.sql(statement);
    let pod = Pod::of(&primary);
    let code = if sentence.contains("raise max_") { 12 } else { 10 };
    let refusal = pod.start().refusal_with(code);
    assert!(refusal.contains(sentence), "{refusal}");
    assert_eq!(refusal.lines().count(), 1, "{refusal}");
    assert!(!pod.path("data/pgdata").exists());
}

#[test]
fn a_tablespace_is_refused() {
    let primary = Primary::start("");
    primary.add_tablespace("fast");
    let refusal = Pod::of(&primary).start().refusal();
    assert!(refusal.contains("has the tablespace 'fast', for which a reader has no volume"), "{refusal}");
}

#[test]
fn a_primary_that_admits_no_replication_is_refused() {
    let primary = Primary::start("");
    primary.end_replication();
    let refusal = Pod::of(&primary).start().refusal();
    assert!(refusal.contains("add an entry for the database 'replication' to its pg_hba.conf."), "{refusal}");
}

#[test]
fn a_primary_that_does_not_answer_is_asked_for_a_while() {
    let mut primary = Primary::start("");
    primary.stop();
    let pod = Pod::of(&primary);
    let refusal = pod.start().refusal_with(11);
    assert!(
        refusal.contains("cannot be reached for 2 s: correct host and port in the Secret shop-db"),
        "{refusal}"
    );
    assert!(refusal.contains("Connection refused"), "{refusal}");

    // It has told that, and waits now for as long as it takes.
    let container = pod.start();
    thread::sleep(Duration::from_secs(5));
    assert!(!pod.path("run/reader/checked").exists());
    primary.resume();
    container.wait_until_eligible();
    assert!(pod.path("run/reader/checked").exists());
}

#[test]
fn what_is_repaired_is_noticed_without_another_start_and_another_problem_is_told() {
    let primary = Primary::start("");
    let pod = Pod::of(&primary);
    pod.write_secret("password", "wrong");
    assert!(pod.start().refusal().contains("refuses the password"));

    let container = pod.start();
    pod.write_secret("password", PASSWORD);
    container.wait_until_eligible();
    drop(container);

    pod.write_secret("password", "wrong");
    assert!(pod.start().refusal().contains("refuses the password"), "it was right in between");
    primary.sql("ALTER ROLE reader NOREPLICATION");
    let container = pod.start();
    pod.write_secret("password", PASSWORD);
    let refusal = container.refusal();
    assert!(refusal.contains("run ALTER ROLE"), "{refusal}");
}

#[test]
fn a_replica_is_no_primary() {
    let primary = Primary::start("");
    let first = Pod::of(&primary);
    let _first = first.start_eligible();
    let second = Pod::of(&primary);
    second.write_secret("port", &first.port.to_string());
    let refusal = second.start().refusal();
    assert!(refusal.contains("is itself a replica: name the primary in the Secret shop-db."), "{refusal}");
}

#[test]
fn an_image_of_another_version_is_refused() {
    let primary = Primary::start("");
    let mut pod = Pod::of(&primary);
    pod.pretend_to_be_version(99);
    let refusal = pod.start().refusal();
    assert!(
        refusal.contains("and the reader's image is PostgreSQL 99: use an image of PostgreSQL"),
        "{refusal}"
    );
}

#[rstest]
#[case("MAX_LAG", "0", "MAX_LAG is 0: set it to 1 s or more.")]
#[case("DRAIN_SECONDS", "1m", "DRAIN_SECONDS is '1m': set it to a whole number.")]
#[case("WHEN_PRIMARY_IS_GONE", "panic", "WHEN_PRIMARY_IS_GONE is 'panic': set it to 'serve' or 'fail'.")]
fn a_wrong_setting_of_the_reader_is_refused(
    #[case] name: &'static str,
    #[case] value: &str,
    #[case] sentence: &str,
) {
    let mut pod = Pod::of_port(1);
    pod.set(name, value);
    assert_eq!(pod.start().refusal_with(1), sentence);
}

#[test]
fn a_secret_without_a_host_is_refused() {
    let pod = Pod::of_port(1);
    pod.forget_secret("host");
    let sentence = "The Secret shop-db lacks 'host' or 'user': give it host, user and password, or a uri.";
    assert_eq!(pod.start().refusal(), sentence);
}

#[test]
fn a_uri_whose_password_is_not_encoded_is_refused_without_a_part_of_it() {
    for uri in [
        "postgres://shop:hush#now/more@there@host/shop",
        "postgres://shop:hush/now@host/shop",
        "postgres://shop:12/hush@host/shop",
    ] {
        let pod = Pod::of_port(1);
        for name in ["host", "port", "user", "password"] {
            pod.forget_secret(name);
        }
        pod.write_secret("uri", uri);
        let refusal = pod.start().refusal();
        assert!(refusal.contains("percent-encode") && !refusal.contains("hush"), "{refusal}");
        assert!(!pod.log().contains("hush"), "{}", pod.log());
    }
}

#[test]
fn a_secret_without_a_password_is_refused() {
    let primary = Primary::start("");
    let pod = Pod::of(&primary);
    pod.forget_secret("password");
    let refusal = pod.start().refusal();
    assert!(
        refusal.ends_with("refuses the password: correct user and password in the Secret shop-db."),
        "{refusal}"
    );
}

#[test]
fn an_image_that_sorts_otherwise_than_the_primary_is_refused() {
    let primary = Primary::start("");
    let pod = Pod::of(&primary);
    pod.pretend_that_the_primary_sorts_otherwise();
    let refusal = pod.start().refusal_with(1);
    assert!(refusal.contains("by which indexes answer wrongly: use the primary's image."), "{refusal}");
    assert!(!pod.log().contains("is eligible"), "{}", pod.log());
}

#[test]
fn a_server_setting_that_is_wrong_is_refused_and_the_copy_kept() {
    let primary = Primary::start("");
    let mut pod = Pod::of(&primary);
    pod.set("SHARED_BUFFERS", "plenty");
    let refusal = pod.start().refusal_with(1);
    assert!(refusal.starts_with("The reader's settings are wrong: correct SHARED_BUFFERS"), "{refusal}");

    pod.set("SHARED_BUFFERS", "16MB");
    let _container = pod.start_eligible();
    assert!(pod.log().contains("it is used again."), "{}", pod.log());
}
