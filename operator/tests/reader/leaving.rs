//! How a reader leaves, and what it leaves behind.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rstest::rstest;

use crate::pod::Pod;
use crate::primary::{Primary, client};
use crate::process::{Process, until};

/// A client that runs a statement and then waits for the next.
fn session(pod: &Pod, statement: &str) -> Process {
    let mut psql = client(pod.port, "app");
    let mut process =
        Process(psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    std::io::Write::write_all(process.0.stdin.as_mut().unwrap(), format!("{statement};\n").as_bytes())
        .unwrap();
    process
}

#[test]
fn a_reader_that_drains_closes_idle_sessions_and_lets_a_statement_finish() {
    let primary = Primary::start("");
    let pod = Pod::of(&primary);
    let container = pod.start_eligible();
    let mut idle = session(&pod, "SELECT 'idle'");
    let mut busy = session(&pod, "SELECT pg_sleep(8), 'finished'");
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'";
    until(|| pod.sql(sessions) == "3", || pod.sql(sessions));

    container.terminate();
    container.wait_until_ineligible();
    let start = Instant::now();
    // psql notices at its next statement.
    until(|| pod.sql(sessions) == "2", || pod.sql(sessions));
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    drop(busy.0.stdin.take());
    let mut output = String::new();
    std::io::Read::read_to_string(busy.0.stdout.as_mut().unwrap(), &mut output).unwrap();
    assert!(output.contains("finished"), "{output}");

    assert_eq!(container.wait(), 0, "{}", pod.log());
    drop(idle.0.stdin.take());
    assert!(!pod.log().contains("are left"), "{}", pod.log());
}

#[test]
fn a_statement_that_never_ends_does_not_hold_the_reader() {
    let primary = Primary::start("");
    let mut pod = Pod::of(&primary);
    pod.set("DRAIN_SECONDS", "4");
    let container = pod.start_eligible();
    let _busy = session(&pod, "SELECT pg_sleep(600)");
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'";
    until(|| pod.sql(sessions) == "2", || pod.sql(sessions));

    container.terminate();
    assert_eq!(container.wait(), 0);
    pod.wait_until_it_says("1 sessions are left after 4 s: they are disconnected.");
}

#[rstest]
#[case::ended(true)]
#[case::killed(false)]
fn no_slot_is_left_on_the_primary(#[case] ended: bool, #[values(false, true)] while_cloning: bool) {
    let primary = Primary::start("");
    let mut pod = Pod::of(&primary);
    let slots = "SELECT count(*) FROM pg_replication_slots";
    let container = if while_cloning {
        pod.set("MAX_RATE", "1M");
        pod.start()
    } else {
        pod.start_eligible()
    };
    until(|| primary.sql(slots) == "1", || pod.log());

    if ended {
        container.terminate();
        assert_eq!(container.wait(), 0, "{}", pod.log());
    } else {
        container.kill();
    }
    until(|| primary.sql(slots) == "0", || primary.sql("SELECT * FROM pg_replication_slots"));
}

#[test]
fn a_reader_whose_server_is_killed_ends_and_uses_its_copy_again() {
    let primary = Primary::start("");
    let pod = Pod::of(&primary);
    let container = pod.start_eligible();

    container.kill_server();
    let refusal = container.refusal_with(1);
    assert_eq!(refusal, "The reader's server ended by itself with status 137: see its log.");
    assert!(!pod.is_eligible());
    let _container = pod.start_eligible();
    assert!(!pod.log().contains("This is clone 2"), "{}", pod.log());
}
