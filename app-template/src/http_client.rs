//! The HTTP client of what this process calls over plain HTTP. I/O: none.

use reqwest::{Client, ClientBuilder};

/// What every client of reqwest is made from.
#[expect(clippy::disallowed_methods, reason = "a provider is given")]
pub(crate) fn builder() -> ClientBuilder {
    provide_tls();
    Client::builder()
}

/// Built together with a program whose reqwest has TLS, this one's has it too, and makes no client without a provider.
pub(crate) fn provide_tls() {
    // Another one that is there already does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
