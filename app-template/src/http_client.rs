//! The HTTP client of what this process calls over plain HTTP. I/O: none.

use reqwest::{Client, ClientBuilder};

/// What every client of reqwest is made from.
#[expect(clippy::disallowed_methods, reason = "a provider is given")]
pub(crate) fn builder() -> ClientBuilder {
    provide_tls();
    // No certificates are asked of the system: an image without any calls over plain HTTP all the same.
    Client::builder().tls_certs_only([])
}

/// Built together with a program whose reqwest has TLS, this one's has it too, and makes no client without a provider. The
/// trace exporter makes its own client, and that one asks the system for certificates.
pub(crate) fn provide_tls() {
    // Another one that is there already does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
