//! When a reader clones, and when it uses the copy that it has.

use std::fs;

use crate::pod::Pod;
use crate::primary::Primary;

const CLONED: &str = "The clone is complete.";
const USED_AGAIN: &str = "it is used again.";

#[test]
fn half_a_clone_is_cloned_again() {
    let primary = Primary::start("");
    let pod = Pod::of(&primary);
    fs::create_dir(pod.path("data/pgdata")).unwrap();
    fs::write(pod.path("data/pgdata/PG_VERSION"), "15\n").unwrap();
    fs::write(pod.path("data/pgdata/.half"), "").unwrap();

    let _container = pod.start_eligible();
    assert!(pod.log().contains(CLONED), "{}", pod.log());
    assert!(!pod.path("data/pgdata/.half").exists());
}

#[test]
fn a_container_that_starts_again_uses_the_copy_it_has() {
    let primary = Primary::start("");
    let pod = Pod::of(&primary);
    pod.start_eligible().kill();
    primary.sql("INSERT INTO t VALUES (7)");

    fs::remove_file(pod.path("log")).unwrap();
    fs::remove_file(pod.path("run/reader/eligible")).unwrap();
    let _container = pod.start_eligible();
    assert_eq!(pod.sql("SELECT x FROM t"), "7");
    assert!(pod.log().contains(USED_AGAIN) && !pod.log().contains(CLONED), "{}", pod.log());
}

#[test]
fn a_container_that_starts_again_is_not_eligible_by_what_was_before() {
    let mut primary = Primary::start("");
    let pod = Pod::of(&primary);
    pod.start_eligible().kill();
    primary.stop();

    assert!(pod.is_eligible());
    pod.start().refusal_with(11);
    assert!(!pod.is_eligible());
}

#[test]
fn a_copy_of_another_primary_is_cloned_again() {
    let (first, second) = (Primary::start(""), Primary::start(""));
    let pod = Pod::of(&first);
    pod.start_eligible().kill();

    pod.write_secret("port", &second.port.to_string());
    fs::remove_file(pod.path("run/reader/eligible")).unwrap();
    second.sql("INSERT INTO t VALUES (2)");
    let _container = pod.start_eligible();
    pod.wait_until_it_says("The data folder is a copy of another primary: it is cloned again.");
    assert_eq!(pod.sql("SELECT x FROM t"), "2");
}

#[test]
fn a_reader_whose_wal_is_gone_from_the_primary_is_cloned_again() {
    let primary = Primary::start("max_wal_size = 2MB");
    let pod = Pod::of(&primary);
    let container = pod.start_eligible();
    primary.end_replication();
    container.wait_until_ineligible();
    primary.outrun_its_wal();
    primary.admit_replication();

    container.wait_until_eligible();
    pod.wait_until_it_says("has already been removed): it is cloned again.");
    pod.wait_until_it_says("This is clone 2: it starts in 5 s.");
    pod.wait_until_it_shows("SELECT count(*) FROM t", "150000");
}

#[test]
fn a_reader_whose_receiver_is_kept_away_for_long_is_cloned_again_or_says_why_not() {
    let primary = Primary::start("");
    let mut pod = Pod::of(&primary);
    pod.set("RECLONE_SECONDS", "2");
    let container = pod.start_eligible();

    primary.end_replication();
    let refusal = container.refusal();
    assert!(refusal.contains("add an entry for the database 'replication' to its pg_hba.conf"), "{refusal}");
    // What it has is not given up for that.
    assert!(pod.path("data/pgdata/PG_VERSION").exists());
}

#[test]
fn a_reader_follows_a_setting_that_the_primary_raises() {
    let mut primary = Primary::start("max_connections = 20");
    let pod = Pod::of(&primary);
    let _container = pod.start_eligible();
    assert_eq!(pod.sql("SHOW max_connections"), "20");

    primary.stop();
    primary.set("max_connections = 40");
    primary.resume();
    primary.sql("INSERT INTO t VALUES (7)");
    pod.wait_until_it_says("The primary has raised a setting that the reader must follow");
    pod.wait_until_it_shows("SHOW max_connections", "40");
    pod.wait_until_it_shows("SELECT x FROM t", "7");
}

#[test]
fn a_reader_starts_although_the_primary_lowered_a_setting() {
    let mut primary = Primary::start("max_connections = 40");
    let pod = Pod::of(&primary);
    pod.start_eligible().kill();
    primary.stop();
    primary.set("max_connections = 20");
    primary.resume();

    fs::remove_file(pod.path("run/reader/eligible")).unwrap();
    let _container = pod.start_eligible();
    assert!(!pod.log().contains("cloned again"), "{}", pod.log());
}

#[test]
fn one_reader_clones_at_a_time_also_of_two_apps_that_name_the_same_database() {
    let primary = Primary::start("");
    let (mut first, mut second) = (Pod::of(&primary), Pod::of(&primary));
    first.set("MAX_RATE", "2M");
    second.set("APPLICATION_NAME", "store-main-0");
    let _first = first.start();
    first.wait_until_it_says("is being cloned.");

    let _second = second.start_eligible();
    assert!(second.log().contains("this one waits for it."), "{}", second.log());
    assert!(first.log().contains(CLONED), "{}", first.log());
    first.wait_until_it_says("The reader is eligible");
    let streaming =
        "SELECT string_agg(application_name, ' ' ORDER BY application_name) FROM pg_stat_replication";
    assert_eq!(primary.sql(streaming), "shop-main-0 store-main-0");
}

#[test]
fn a_clone_whose_primary_goes_is_cloned_again_when_it_is_back() {
    let mut primary = Primary::start("");
    let mut pod = Pod::of(&primary);
    pod.set("MAX_RATE", "1M");
    pod.set("CHECK_SECONDS", "60");
    let container = pod.start();
    pod.wait_until_it_says("is being cloned.");
    primary.stop();
    pod.wait_until_it_says("failed: ");
    primary.resume();
    pod.wait_until_it_says("This is clone 2");
    container.terminate();
    assert_eq!(container.wait(), 0, "{}", pod.log());
}

#[test]
fn a_clone_whose_primary_goes_for_long_says_so() {
    let mut primary = Primary::start("");
    let mut pod = Pod::of(&primary);
    pod.set("MAX_RATE", "1M");
    let container = pod.start();
    pod.wait_until_it_says("is being cloned.");
    primary.stop();
    let refusal = container.refusal_with(11);
    assert!(refusal.contains("cannot be reached for 2 s"), "{refusal}");
}

#[test]
fn a_reader_follows_a_failover() {
    let mut primary = Primary::start("");
    let standby = primary.standby();
    let pod = Pod::of(&primary);
    let container = pod.start_eligible();
    standby.wait_for(&primary);

    primary.stop();
    standby.promote();
    pod.write_secret("port", &standby.port.to_string());
    standby.sql("INSERT INTO t VALUES (7)");
    pod.wait_until_it_shows("SELECT x FROM t", "7");
    container.wait_until_eligible();
    assert!(!pod.log().contains("cloned again"), "{}", pod.log());
}

#[test]
fn a_reader_that_is_ahead_of_a_new_primary_is_cloned_again() {
    let mut primary = Primary::start("");
    let mut standby = primary.standby();
    let pod = Pod::of(&primary);
    let container = pod.start_eligible();
    standby.wait_for(&primary);
    standby.stop();
    primary.sql("INSERT INTO t VALUES (1)");
    pod.wait_until_it_shows("SELECT x FROM t", "1");
    primary.stop();

    standby.resume();
    standby.promote();
    standby.sql("INSERT INTO t VALUES (2)");
    pod.write_secret("port", &standby.port.to_string());
    pod.wait_until_it_says("The copy cannot follow the primary");
    pod.wait_until_it_shows("SELECT x FROM t", "2");
    container.wait_until_eligible();
}
