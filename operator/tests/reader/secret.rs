//! The Secret of the primary: its forms, its change, and that nobody else learns the password.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::pod::Pod;
use crate::primary::{PASSWORD, Primary, certify};
use crate::process::until;

#[test]
fn a_reader_survives_a_new_password() {
    let primary = Primary::start("");
    let pod = Pod::of(&primary);
    let container = pod.start_eligible();

    primary.change_password("the next one");
    // Whoever is connected stays so: a new connection needs the new password.
    let receiver = "SELECT pid FROM pg_stat_replication";
    let before = primary.sql(receiver);
    primary.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'");
    pod.wait_until_it_says("password authentication failed");
    pod.write_secret("password", "the next one");

    until(|| ![String::new(), before.clone()].contains(&primary.sql(receiver)), || pod.log());
    container.wait_until_eligible();
    primary.sql("INSERT INTO t VALUES (7)");
    pod.wait_until_it_shows("SELECT x FROM t", "7");
    assert!(!pod.log().contains("cloned again"), "{}", pod.log());
}

#[test]
fn a_reader_follows_a_primary_that_moves() {
    let mut primary = Primary::start("");
    let pod = Pod::of(&primary);
    let _container = pod.start_eligible();

    primary.move_to_another_port();
    pod.write_secret("port", &primary.port.to_string());
    primary.sql("INSERT INTO t VALUES (7)");
    pod.wait_until_it_shows("SELECT x FROM t", "7");
    pod.wait_until_it_says("The Secret names another address");
    assert!(!pod.log().contains("cloned again"), "{}", pod.log());
}

#[test]
fn a_uri_may_hold_any_password() {
    let primary = Primary::start("");
    let pod = Pod::of(&primary);
    for name in ["host", "port", "user", "password"] {
        pod.forget_secret(name);
    }
    let password: String = PASSWORD.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let port = primary.port;
    pod.write_secret(
        "uri",
        &format!("postgresql://reader:{password}@127.0.0.1:{port}/postgres?sslmode=disable"),
    );

    let _container = pod.start_eligible();
    pod.sql("SELECT 1");
    assert!(!pod.log().contains("cannot be used"), "{}", pod.log());
}

#[test]
fn the_password_is_in_its_passfile_and_nowhere_else() {
    let primary = Primary::start("");
    let pod = Pod::of(&primary);
    let plain = "plain-and-easy-to-find";
    primary.change_password(plain);
    pod.write_secret("password", plain);
    let container = pod.start_eligible();

    for process in container.processes() {
        for file in ["cmdline", "environ"] {
            let bytes = fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&bytes).contains(plain), "{process} {file}");
        }
    }
    let found = Command::new("grep").args(["-rlsD", "skip", plain]).arg(pod.folder.path()).output().unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    let mut found: Vec<_> =
        found.lines().map(|file| &file[pod.folder.path().to_str().unwrap().len()..]).collect();
    found.sort_unstable();
    assert_eq!(found, ["/run/reader/passfile", "/secret/password"]);
}

#[test]
fn a_reader_checks_the_certificate_of_the_primary() {
    let primary = Primary::start("");
    let authority = primary.require_tls();
    let mut pod = Pod::of(&primary);
    pod.write_secret("host", "localhost");
    pod.set("SSLMODE", "verify-full");
    pod.set("SSLROOTCERT", authority.to_str().unwrap());
    let container = pod.start_eligible();
    assert_eq!(primary.sql("SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_replication USING (pid)"), "t");
    drop(container);

    let others = tempfile::tempdir().unwrap();
    fs::set_permissions(others.path(), fs::Permissions::from_mode(0o755)).unwrap();
    pod.set("SSLROOTCERT", certify(others.path()).to_str().unwrap());
    let refusal = pod.start().refusal();
    assert!(refusal.contains("correct the TLS mode or the certificate authority."), "{refusal}");
}
