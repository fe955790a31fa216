//! A host and a port, as they stand in the settings. No I/O.

use std::fmt;
use std::net::Ipv6Addr;
use std::num::NonZeroU16;
use std::str::FromStr;

/// Where a server listens: a name or an address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Endpoint {
    /// An IPv6 address is without its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text).ok_or_else(|| "give host:port, for example cache-0.cache:6379".to_owned())
    }
}

fn read(text: &str) -> Option<Endpoint> {
    let (host, port) = text.rsplit_once(':')?;
    let port = Some(port).filter(|port| port.bytes().all(|digit| digit.is_ascii_digit()));
    let port = port?.parse::<NonZeroU16>().ok()?.get();
    if let Some(address) = host.strip_prefix('[') {
        let host = address.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.to_string();
        return Some(Endpoint { host, port });
    }
    let is_named = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    is_named.then(|| Endpoint { host: host.to_owned(), port })
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_an_endpoint_that_is_written_as_it_was_read_or_refused_in_words(
            text in "[a-z0-9.-]{0,9}:[0-9]{0,6}|\\[[0-9a-f:]{0,9}\\]:[0-9]{1,5}|\\PC*",
        ) {
            match text.parse::<Endpoint>() {
                Ok(endpoint) => prop_assert_eq!(endpoint.to_string().parse(), Ok(endpoint)),
                Err(reason) => prop_assert!(reason.contains("host:port, for example")),
            }
        }
    }

    #[test]
    fn a_name_an_address_and_one_in_brackets_are_endpoints_and_urls_are_not() {
        for good in ["cache-0.cache:6379", "10.0.0.7:1", "[::1]:65535"] {
            assert_eq!(good.parse::<Endpoint>().unwrap().to_string(), good);
        }
        for bad in
            ["", "cache", ":6379", "cache:0", "cache:65536", "cache:+1", "::1:6379", "redis://cache:6379"]
        {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }
}
