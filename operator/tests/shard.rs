//! The script of a shard, with a real server: what it follows while the server runs.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/render/cache/shard.sh");
const PATIENCE: Duration = Duration::from_secs(60);

/// A shard, killed with its test.
struct Shard {
    folder: TempDir,
    port: u16,
    process: Child,
}

impl Drop for Shard {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes a file as a mounted one changes: never half of it.
fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let next = path.with_extension("next");
    fs::write(&next, text).unwrap();
    fs::rename(next, path).unwrap();
}

impl Shard {
    /// A shard with this memory, this limit, and the password `one`.
    fn start(memory: &str, limit: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), memory, limit)
    }

    fn start_in(folder: TempDir, memory: &str, limit: &str) -> Self {
        write(folder.path(), "shard/memory", memory);
        write(folder.path(), "cgroup/memory.max", limit);
        write(folder.path(), "password/password", "one");
        write(folder.path(), "password/redis.conf", "requirepass one\n");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        // The kernel ends it with the test's thread.
        let process = Command::new("setpriv")
            .args(["--pdeathsig=KILL", "--", "sh", SCRIPT, "redis"])
            .args(["--save", "", "--dir", "/", "--bind", "127.0.0.1"])
            .env("SHARD_FOLDER", folder.path())
            .env("SHARD_CGROUP", folder.path().join("cgroup"))
            .env("SHARD_PORT", port.to_string())
            .env("REDISCLI_AUTH", "one")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let shard = Self { folder, port, process };
        shard.until("it answers", || shard.ask("one", "PING") == "PONG");
        shard
    }

    fn write(&self, file: &str, text: &str) {
        write(self.folder.path(), file, text);
    }

    fn ask(&self, password: &str, command: &str) -> String {
        let authority = self.folder.path().join("tls/ca.crt");
        let mut client = Command::new("redis-cli");
        if authority.exists() {
            client.arg("--tls").arg("--cacert").arg(authority);
        }
        let mut client = client
            .args(["-p", &self.port.to_string()])
            .env("REDISCLI_AUTH", password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        client.stdin.take().unwrap().write_all(format!("{command}\n").as_bytes()).unwrap();
        String::from_utf8(client.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn has_max_memory(&self, bytes: i64) {
        let expected = format!("maxmemory\n{bytes}");
        self.until(&expected, || self.ask("one", "CONFIG GET maxmemory") == expected);
    }
}

#[test]
fn the_data_follows_the_declared_memory_and_never_exceeds_the_limit() {
    let shard = Shard::start("100000000", "100000000");
    shard.has_max_memory(72_000_000);
    shard.write("shard/memory", "200000000");
    thread::sleep(Duration::from_secs(3));
    shard.has_max_memory(72_000_000);
    shard.write("cgroup/memory.max", "200000000");
    shard.has_max_memory(144_000_000);
    shard.write("shard/memory", "50000000");
    shard.has_max_memory(36_000_000);
    shard.write("cgroup/memory.max", "max");
    shard.write("shard/memory", "60000000");
    shard.has_max_memory(43_200_000);
}

#[test]
fn another_password_is_one_more_until_the_server_ends() {
    let shard = Shard::start("100000000", "max");
    assert_eq!(shard.ask("two", "PING"), "NOAUTH Authentication required.");
    shard.write("password/password", "two");
    shard.until("the second one works", || shard.ask("two", "PING") == "PONG");
    assert_eq!(shard.ask("one", "PING"), "PONG");
    assert!(shard.ask("three", "PING").starts_with("NOAUTH"));
}

/// Writes a certificate with its authority, and returns the certificate.
fn certify(folder: &Path) -> String {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate whose issuer has its own name for one that signed itself.
    authority.distinguished_name.push(DnType::CommonName, "the tests' authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let shard =
        CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    write(folder, "tls/ca.crt", &authority.pem());
    write(folder, "tls/tls.key", &key.serialize_pem());
    write(folder, "tls/tls.crt", &shard.pem());
    shard.pem()
}

/// The certificate that the server shows.
fn shown(port: u16) -> String {
    let address = format!("127.0.0.1:{port}");
    let client =
        Command::new("openssl").args(["s_client", "-connect", &address]).stdin(Stdio::null()).output();
    let said = String::from_utf8(client.unwrap().stdout).unwrap();
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    let text = said.split(begin).nth(1).and_then(|rest| rest.split(end).next()).unwrap_or_default();
    format!("{begin}{text}{end}")
}

#[test]
fn a_shard_with_a_certificate_speaks_tls_alone_and_follows_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let first = certify(folder.path());
    let shard = Shard::start_in(folder, "100000000", "max");
    let mut plain = TcpStream::connect((Ipv4Addr::LOCALHOST, shard.port)).unwrap();
    plain.write_all(b"PING\r\n").unwrap();
    let mut answer = String::new();
    let _ = plain.read_to_string(&mut answer);
    assert!(!answer.contains("PONG") && !answer.contains("NOAUTH"), "{answer}");
    let same = |pem: &str| pem.split_whitespace().collect::<String>();
    assert_eq!(same(&shown(shard.port)), same(&first));
    shard.write("password/password", "two");
    shard.until("the second password works", || shard.ask("two", "PING") == "PONG");
    // The same authority for both would be more usual; the script asks with the one that it has then.
    let before = fs::read_to_string(shard.folder.path().join("tls/ca.crt")).unwrap();
    let next = certify(shard.folder.path());
    let both = before + &fs::read_to_string(shard.folder.path().join("tls/ca.crt")).unwrap();
    shard.write("tls/ca.crt", &both);
    shard.until("the next certificate is shown", || same(&shown(shard.port)) == same(&next));
}

#[test]
fn a_shard_stops_at_once_when_it_is_told_to() {
    let mut shard = Shard::start("100000000", "max");
    Command::new("kill").arg(shard.process.id().to_string()).status().unwrap();
    assert!(shard.process.wait().unwrap().success());
}

#[test]
fn no_process_has_the_password_among_its_arguments() {
    let shard = Shard::start("100000000", "max");
    shard.write("password/password", "a-password-of-its-own");
    shard.until("it works", || shard.ask("a-password-of-its-own", "PING") == "PONG");
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&arguments).contains("a-password-of-its-own"));
    }
}
