//! The client over TLS trusts only certificates that the given file signs.

use std::sync::Arc;

use clap::Parser;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use scalableapp_operator::observe::prometheus::client::{Prometheus, QueryError};
use scalableapp_operator::runtime::args::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const BODY: &str = r#"{"status":"success","data":{"resultType":"scalar","result":[0,"42"]}}"#;

/// A server for `localhost` with the same answer to every request; its port and its certificate as PEM.
async fn server() -> (u16, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(socket).await else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let length = BODY.len();
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all((head + BODY).as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (port, cert.pem())
}

async fn ask(port: u16, ca_file: &str) -> Result<(), QueryError> {
    let url = format!("https://localhost:{port}");
    let given = [
        "operator",
        "--lease-namespace",
        "operator",
        "--prometheus-url",
        &url,
        "--prometheus-ca-file",
        ca_file,
    ];
    let prometheus = Prometheus::new(&Args::parse_from(given).prometheus).unwrap();
    prometheus.query("test", "up").await.map(|_| ())
}

#[tokio::test]
async fn only_the_given_certificates_are_trusted() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (port, trusted) = server().await;
    let (_, other) = server().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path.to_str().unwrap().to_owned()
    };
    assert_eq!(ask(port, &file("trusted.pem", &trusted)).await, Ok(()));
    let refused = ask(port, &file("other.pem", &other)).await.unwrap_err().to_string();
    assert!(refused.contains("invalid peer certificate"), "{refused}");
}
