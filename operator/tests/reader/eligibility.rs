//! When a reader is eligible for reads.

use std::thread;
use std::time::Duration;

use crate::pod::Pod;
use crate::primary::Primary;

/// More than MAX_LAG and two samples.
const SOON: Duration = Duration::from_secs(10);
const LONGER_THAN_MAX_LAG: Duration = Duration::from_secs(6);

#[test]
fn a_reader_clones_becomes_eligible_and_shows_what_is_written() {
    let primary = Primary::start("");
    let pod = Pod::of(&primary);
    let _container = pod.start_eligible();

    primary.sql("INSERT INTO t VALUES (7)");
    pod.wait_until_it_shows("SELECT x FROM t", "7");
    // What a query means follows the primary.
    assert_eq!(pod.sql("SHOW timezone"), "Asia/Tokyo");
    let lag = std::fs::read_to_string(pod.path("run/reader/lag")).unwrap();
    assert!(lag.trim().parse::<f64>().unwrap() < 2.0, "{lag}");
}

#[test]
fn a_reader_that_falls_behind_is_ineligible_until_it_has_caught_up() {
    let primary = Primary::start("");
    let pod = Pod::of(&primary);
    let container = pod.start_eligible();

    pod.administer("SELECT pg_wal_replay_pause()");
    primary.sql("INSERT INTO t VALUES (7)");
    let took = container.wait_until_ineligible();
    assert!(took < SOON, "{took:?}");
    pod.wait_until_it_says("s behind the primary, and MAX_LAG is 2 s.");

    pod.administer("SELECT pg_wal_replay_resume()");
    container.wait_until_eligible();
    assert_eq!(pod.sql("SELECT x FROM t"), "7");
}

#[test]
fn a_reader_of_an_idle_primary_stays_eligible() {
    let primary = Primary::start("");
    let pod = Pod::of(&primary);
    let _container = pod.start_eligible();

    thread::sleep(LONGER_THAN_MAX_LAG);
    // The insert position is now behind the header of a page that is not sent.
    primary.sql("SELECT pg_switch_wal()");
    thread::sleep(LONGER_THAN_MAX_LAG);
    assert!(!pod.log().contains("is not eligible:"), "{}", pod.log());
}

#[test]
fn a_reader_whose_primary_is_gone_is_ineligible_if_the_app_wants_no_stale_reads() {
    let mut primary = Primary::start("");
    let mut pod = Pod::of(&primary);
    pod.set("WHEN_PRIMARY_IS_GONE", "fail");
    pod.set("CHECK_SECONDS", "60");
    let container = pod.start_eligible();

    primary.stop();
    let took = container.wait_until_ineligible();
    assert!(took < SOON, "{took:?}");
    pod.wait_until_it_says("The reader is not eligible: the primary has not answered for");

    primary.resume();
    container.wait_until_eligible();
}

#[test]
fn a_reader_that_wants_no_stale_reads_says_that_its_primary_is_gone_and_serves_when_it_is_back() {
    let mut primary = Primary::start("");
    let mut pod = Pod::of(&primary);
    pod.set("WHEN_PRIMARY_IS_GONE", "fail");
    let container = pod.start_eligible();

    primary.stop();
    let refusal = container.refusal_with(11);
    let words = "has not answered for 2 s: bring it back, or name another one in the Secret shop-db.";
    assert!(refusal.ends_with(words), "{refusal}");
    let container = pod.start();
    thread::sleep(LONGER_THAN_MAX_LAG);
    primary.resume();
    container.wait_until_eligible();
    assert!(pod.log().contains("it is used again."), "{}", pod.log());
}

#[test]
fn a_reader_whose_primary_is_gone_goes_on_to_serve_if_the_app_takes_stale_reads() {
    let mut primary = Primary::start("");
    let pod = Pod::of(&primary);
    primary.sql("INSERT INTO t VALUES (7)");
    let _container = pod.start_eligible();

    primary.stop();
    thread::sleep(LONGER_THAN_MAX_LAG);
    assert_eq!(pod.sql("SELECT x FROM t"), "7");
    primary.resume();
    thread::sleep(LONGER_THAN_MAX_LAG);
    assert!(!pod.log().contains("is not eligible:"), "{}", pod.log());
}

#[test]
fn a_reader_whose_wal_receiver_is_cut_off_is_ineligible_although_the_primary_is_idle() {
    let primary = Primary::start("");
    let pod = Pod::of(&primary);
    let container = pod.start_eligible();
    // The receiver had time to come back since the primary first answered.
    thread::sleep(LONGER_THAN_MAX_LAG);

    primary.end_replication();
    let took = container.wait_until_ineligible();
    assert!(took < SOON, "{took:?}");
    pod.wait_until_it_says("its WAL receiver does not stream.");

    primary.admit_replication();
    container.wait_until_eligible();
}

#[test]
fn a_primary_that_accepts_and_does_not_answer_counts_as_gone() {
    let primary = Primary::start("");
    let mut pod = Pod::of(&primary);
    pod.set("WHEN_PRIMARY_IS_GONE", "fail");
    pod.set("CHECK_SECONDS", "60");
    let container = pod.start_eligible();

    let suspended = primary.suspend();
    let took = container.wait_until_ineligible();
    assert!(took < SOON, "{took:?}");
    drop(suspended);
    container.wait_until_eligible();
}
