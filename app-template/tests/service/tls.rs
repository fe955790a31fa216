//! TLS to PostgreSQL: a server is known by its certificate, or it is not spoken to.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use crate::child::{Service, command, wait};
use crate::postgres::{Reads, shared};
use crate::shop::stock;

/// Why a service that is told to use `url` does not.
fn refusal(url: &str, authority: &Path) -> String {
    let service = Service::spawn(command(&[]).env("DATABASE_MAIN_URL", url).env("SSL_CERT_FILE", authority));
    let error = service.wait_for_log("will try again")["error"].as_str().unwrap().to_owned();
    assert_eq!(service.connect().get("/readyz").unwrap().status, 503);
    error
}

#[test]
fn a_server_that_a_trusted_authority_vouches_for_is_spoken_to_through_tls() {
    let database = shared();
    let [primary, replica] = database.urls_with_tls();
    let mut command = database.command(Reads::FromReplica, &[]);
    command.env("DATABASE_MAIN_URL", primary).env("DATABASE_MAIN_READ_URL", replica);
    let service = Service::spawn(command.env("SSL_CERT_FILE", database.authority())).wait_until_ready();
    stock(&service, 1);
    database.wait_for_replica();
    assert_eq!(service.connect().get("/products").unwrap().status, 200);
    let of_the_service =
        "SELECT bool_and(ssl), count(*) > 0 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                          WHERE datname = current_database() AND application_name LIKE 'app-template%'";
    assert_eq!(
        (database.sql(of_the_service), database.sql_on_replica(of_the_service)),
        ("t|t".to_owned(), "t|t".to_owned())
    );
}

#[test]
fn a_server_that_nobody_trusted_vouches_for_is_refused_in_words() {
    let database = shared();
    let folder = tempfile::tempdir().unwrap();
    let another = folder.path().join("another.pem");
    let authority = rcgen::generate_simple_self_signed(["another".to_owned()]).unwrap();
    std::fs::write(&another, authority.cert.pem()).unwrap();
    let [url, _] = database.urls_with_tls();
    let error = refusal(&url, &another);
    assert!(error.contains("UnknownIssuer"), "{error}");
    assert!(error.contains("name a file with the certificate of its authority in SSL_CERT_FILE"), "{error}");
}

#[test]
fn a_server_under_another_name_than_its_certificate_says_is_refused_in_words() {
    let database = shared();
    let [url, _] = database.urls_with_tls();
    let error = refusal(&url.replace("localhost", "127.0.0.1"), &database.authority());
    assert!(error.contains("not valid for name \"127.0.0.1\"") && error.contains("localhost"), "{error}");
}

#[test]
fn a_server_without_tls_is_refused_in_words() {
    let database = shared();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    // `N` is how a server says that it has no TLS.
    thread::spawn(move || {
        for mut stream in server.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 8]).and_then(|_| stream.write_all(b"N"));
        }
    });
    let error = refusal(&format!("postgres://shop@{address}/shop?sslmode=require"), &database.authority());
    assert!(error.contains("server does not support TLS"), "{error}");
}

#[test]
fn tls_without_anybody_to_trust_is_refused_in_words() {
    let mut service = command(&[]);
    service.env("DATABASE_MAIN_URL", "postgres://shop@db.example/shop?sslmode=require");
    service.env("SSL_CERT_FILE", "/nowhere").env("SSL_CERT_DIR", "/nowhere");
    let (status, stderr) = wait(&mut service.spawn().unwrap());
    assert_eq!(status.code(), Some(1));
    assert!(
        stderr.contains(
            "failed to find certificates to trust for sslmode=require, name a file in SSL_CERT_FILE"
        ),
        "{stderr}"
    );
}
