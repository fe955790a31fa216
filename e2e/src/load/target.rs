//! Allowed targets: a Service of the generator's cluster, or this machine's loopback. Pure.

use anyhow::{Context, Result, bail};
use hyper::Uri;

/// Parses a target and refuses every other host, so that a mistake can never send load to someone else's machine.
///
/// # Errors
/// With the form of a target.
pub fn parse(text: &str) -> Result<Uri> {
    let uri: Uri = text.parse().with_context(|| format!("'{text}' is no URL"))?;
    if uri.scheme_str() != Some("http") {
        bail!("'{text}' must begin with http://");
    }
    let host = uri.host().unwrap_or_default();
    let is_service = host.ends_with(".svc") || host.ends_with(".svc.cluster.local");
    if !is_service && !matches!(host, "127.0.0.1" | "localhost") {
        bail!("'{host}' is no Service: load goes to NAME.NAMESPACE.svc or to 127.0.0.1 only");
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_never_goes_outside_the_cluster() {
        for inside in
            ["http://web.shop.svc/", "http://web.shop.svc.cluster.local:80/x?y", "http://127.0.0.1:1/"]
        {
            assert!(parse(inside).is_ok(), "{inside}");
        }
        for outside in [
            "http://example.com",
            "http://10.0.0.1/",
            "https://web.shop.svc",
            "http://svc",
            "web.shop.svc",
            "http://a.svc.com",
        ] {
            assert!(parse(outside).is_err(), "{outside}");
        }
    }
}
