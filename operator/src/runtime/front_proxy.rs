//! Authentication of the API server's front proxy by its client certificate, for live measurements. I/O: files, the API
//! server.
//!
//! The API server authenticates the user and authorizes the path before it forwards a request. It authenticates itself
//! with a certificate of the authority in `extension-apiserver-authentication`. Nobody else gets a connection, so no
//! decision depends on the user's name.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The API server's description of its front proxy, in every cluster.
const CONFIG_MAP: (&str, &str) = ("kube-system", "extension-apiserver-authentication");
const AUTHORITY: &str = "requestheader-client-ca-file";
const ALLOWED_NAMES: &str = "requestheader-allowed-names";
/// Interval of the reads of the ConfigMap and the files, which are renewed from time to time.
const RENEWAL: Duration = Duration::from_secs(60);
/// Interval of the attempts until one has succeeded.
const RETRY: Duration = Duration::from_secs(5);

/// Why live measurements cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The ConfigMap cannot be read.
    #[error("failed to read ConfigMap kube-system/extension-apiserver-authentication: {0}")]
    ConfigMap(#[source] Box<kube::Error>),
    /// The API server has no front proxy.
    #[error(
        "failed to find a front proxy: start the API server with --requestheader-client-ca-file, or set liveApi.enabled=false"
    )]
    NoFrontProxy,
    /// The list of names is no JSON list.
    #[error("failed to read requestheader-allowed-names: {0}")]
    Names(#[source] serde_json::Error),
    /// A certificate or the key is not PEM.
    #[error("failed to read a certificate or a key: {0}")]
    Pem(#[from] pem::Error),
    /// The front proxy's authority cannot be used.
    #[error("failed to use the front proxy's authority: {0}")]
    Authority(#[from] VerifierBuilderError),
    /// The certificate and the key cannot be used.
    #[error("failed to use tls.crt and tls.key: {0}")]
    Certificate(#[from] rustls::Error),
}

/// Admits the front proxy and nobody else. Clones share one state.
#[derive(Clone)]
pub struct Gate(watch::Receiver<Option<Arc<Admission>>>);

/// The checks of a connection.
pub struct Admission {
    tls: Arc<ServerConfig>,
    /// Common names of the front proxy's certificate; any, if there is none.
    names: Vec<String>,
}

impl Gate {
    /// A gate that is closed until the first state is sent.
    #[must_use]
    pub fn new() -> (watch::Sender<Option<Arc<Admission>>>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    /// The connection, if it comes from the front proxy.
    pub(super) async fn admit(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let Some(admission) = self.0.borrow().clone() else {
            return Err(io::Error::other("the front proxy's authority is not known yet"));
        };
        let stream = TlsAcceptor::from(Arc::clone(&admission.tls)).accept(stream).await?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let name = certificate.and_then(common_name);
        if admission.names.is_empty() || name.as_ref().is_some_and(|name| admission.names.contains(name)) {
            return Ok(stream);
        }
        Err(io::Error::other(format!("{name:?} is not in {ALLOWED_NAMES}")))
    }
}

fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?.to_owned();
    Some(name)
}

/// Keeps the gate up to date, forever. `folder` holds `tls.crt` and `tls.key`.
pub async fn keep(client: &Client, folder: &Path, gate: &watch::Sender<Option<Arc<Admission>>>) {
    loop {
        match admission(client, folder).await {
            Ok(admission) => {
                gate.send_replace(Some(Arc::new(admission)));
            }
            Err(error) => {
                tracing::warn!(%error, "live measurements cannot be served, or not with the newest certificates");
            }
        }
        sleep(if gate.borrow().is_some() { RENEWAL } else { RETRY }).await;
    }
}

async fn admission(client: &Client, folder: &Path) -> Result<Admission, GateError> {
    let (namespace, name) = CONFIG_MAP;
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let config_map = api.get(name).await.map_err(|error| GateError::ConfigMap(Box::new(error)))?;
    let data = config_map.data.unwrap_or_default();
    let authority = data.get(AUTHORITY).ok_or(GateError::NoFrontProxy)?;
    let names = data.get(ALLOWED_NAMES).map_or("[]", String::as_str);
    Admission::new(authority, names, folder)
}

impl Admission {
    /// Takes the authority as PEM, the allowed names as a JSON list, and the folder of `tls.crt` and `tls.key`.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn new(authority: &str, names: &str, folder: &Path) -> Result<Self, GateError> {
        let names = serde_json::from_str(names).map_err(GateError::Names)?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            roots.add(certificate?)?;
        }
        let front_proxy = WebPkiClientVerifier::builder(Arc::new(roots)).build()?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(folder.join("tls.crt"))?.collect();
        let key = PrivateKeyDer::from_pem_file(folder.join("tls.key"))?;
        let tls =
            ServerConfig::builder().with_client_cert_verifier(front_proxy).with_single_cert(chain?, key)?;
        Ok(Self { tls: Arc::new(tls), names })
    }
}
