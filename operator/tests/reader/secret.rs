//! The Secret of the primary: its forms, its change, and that nobody else learns the password.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::pod::Pod;
use crate::primary::{PASSWORD, Primary, certify};
use crate::process::{path, until};

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

#[test]
fn a_certificate_for_another_host_is_refused_whatever_the_uri_says() {
    let primary = Primary::start("");
    let authority = primary.require_tls();
    let password: String = PASSWORD.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let uri = format!("postgresql://reader:{password}@127.0.0.1:{}/postgres?sslmode=require", primary.port);
    for uri in [None, Some(uri)] {
        let mut pod = Pod::of(&primary);
        pod.set("SSLMODE", "verify-full");
        pod.set("SSLROOTCERT", authority.to_str().unwrap());
        if let Some(uri) = uri {
            pod.write_secret("uri", &uri);
        }
        let refusal = pod.start().refusal();
        assert!(refusal.contains("correct the TLS mode or the certificate authority."), "{refusal}");
    }
}

#[test]
fn an_authority_that_the_secret_lacks_is_named() {
    let mut pod = Pod::of_port(1);
    pod.set("SSLMODE", "verify-full");
    pod.set("SSLROOTCERT", pod.path("secret/ca.crt").to_str().unwrap());
    let sentence =
        "The Secret shop-db lacks 'ca.crt': add the certificate of the authority that signed the primary's.";
    assert_eq!(pod.start().refusal(), sentence);
}

/// psql as the role `app` with this connection string.
fn connects(pod: &Pod, options: &str) -> Result<String, String> {
    let target = format!("host=localhost port={} user=app dbname=postgres {options}", pod.port);
    let output = Command::new("psql")
        .env("PATH", path())
        .env("PGPASSWORD", "app")
        .args(["-qAtX", "-d", &target, "-c", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"])
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// A Secret of type `kubernetes.io/tls` for `localhost`; returns the authority.
fn write_certificate(pod: &Pod, folder: &Path) -> PathBuf {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let authority = certify(folder);
    for (from, to) in [("server.pem", "tls.crt"), ("server.key", "tls.key")] {
        pod.write_secret(to, &fs::read_to_string(folder.join(from)).unwrap());
    }
    fs::set_permissions(&authority, fs::Permissions::from_mode(0o644)).unwrap();
    authority
}

#[test]
fn clients_verify_a_reader_that_has_a_certificate_and_it_follows_a_new_one() {
    let primary = Primary::start("");
    let mut pod = Pod::of(&primary);
    let secret = pod.path("secret").to_str().unwrap().to_owned();
    pod.set("TLS_DIR", &secret);
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let authority = write_certificate(&pod, first.path());
    let _container = pod.start_eligible();
    let verified = |authority: &Path| {
        connects(&pod, &format!("sslmode=verify-full sslrootcert={}", authority.display()))
    };
    assert_eq!(verified(&authority), Ok("t".to_owned()));
    let key = fs::metadata(pod.path("run/reader/tls.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);

    let other = write_certificate(&pod, second.path());
    until(|| verified(&other).is_ok(), || pod.log());
    assert!(verified(&authority).is_err());
}

#[test]
fn a_certificate_that_cannot_be_used_is_named_and_the_copy_kept() {
    let primary = Primary::start("");
    let mut pod = Pod::of(&primary);
    let secret = pod.path("secret").to_str().unwrap().to_owned();
    pod.set("TLS_DIR", &secret);
    pod.set("TLS_SECRET", "shop-main-tls");
    let lacks = pod.start().refusal_with(1);
    assert!(lacks.starts_with("The Secret shop-main-tls lacks 'tls.crt' or 'tls.key'"), "{lacks}");
    let folder = tempfile::tempdir().unwrap();
    write_certificate(&pod, folder.path());
    pod.write_secret("tls.key", "no key");
    let wrong = pod.start().refusal_with(1);
    assert!(wrong.starts_with("The certificate in the Secret shop-main-tls cannot be used"), "{wrong}");
    write_certificate(&pod, folder.path());
    let _container = pod.start_eligible();
    assert!(pod.log().matches("The clone is complete.").count() == 1, "{}", pod.log());
}
