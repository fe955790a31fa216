//! The HTTP client of what this process calls over plain HTTP. I/O: none.

use reqwest::{Client, ClientBuilder, Url};

/// What every client of reqwest is made from.
#[expect(clippy::disallowed_methods, reason = "a provider is given")]
pub(crate) fn builder() -> ClientBuilder {
    provide_tls();
    // No certificates are asked of the system: an image without any calls over plain HTTP all the same.
    Client::builder().tls_certs_only([])
}

/// The address of something that is called without TLS: what leaves the cluster passes a proxy or a mesh that adds it.
///
/// Checked apart from the argument parser, which would show a password that is in the URL.
///
/// # Errors
/// A sentence that says what to write and does not quote `text`.
pub(crate) fn plain_http(text: &str) -> Result<Url, String> {
    text.parse()
        .ok()
        .filter(|url: &Url| url.scheme() == "http" && url.has_host())
        .ok_or_else(|| "give a URL that begins with http://, for example http://payments".to_owned())
}

/// Built together with a program whose reqwest has TLS, this one's has it too, and makes no client without a provider. The
/// trace exporter makes its own client, and that one asks the system for certificates.
pub(crate) fn provide_tls() {
    // Another one that is there already does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_a_plain_address_or_refused_in_words(text in "https?://\\PC*|.*") {
            match plain_http(&text) {
                Ok(url) => prop_assert!(url.scheme() == "http" && url.has_host()),
                Err(reason) => prop_assert!(reason.contains("for example http://payments")),
            }
        }
    }

    #[test]
    fn a_bad_address_says_what_to_write() {
        assert!(plain_http("http://payments:8082").is_ok());
        for bad in ["", "payments", "https://payments", "http://"] {
            assert!(plain_http(bad).unwrap_err().contains("begins with http://"), "{bad}");
        }
    }
}
