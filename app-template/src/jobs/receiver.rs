//! Where webhooks may go: a host and a port, and what a name may lead to. I/O: DNS.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use reqwest::Url;
use reqwest::dns::{Name, Resolve, Resolving};
use tokio::net::lookup_host;

/// A host, as a URL spells it, and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Receiver {
    host: String,
    port: u16,
}

impl Receiver {
    /// Where a request to `url` goes.
    pub(super) fn of(url: &Url) -> Option<Self> {
        Some(Self { host: url.host_str()?.to_owned(), port: url.port_or_known_default()? })
    }
}

impl FromStr for Receiver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = format!("http://{text}").parse::<Url>().ok();
        // Nothing of a URL but its host and port: "host" and "host:port" have no sign of the other parts.
        url.filter(|_| !text.contains(['/', '\\', '@', '?', '#']))
            .and_then(|url| Self::of(&url))
            .ok_or_else(|| "give hosts with their ports, for example hooks.example:8080".to_owned())
    }
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A name that leads to where no webhook goes.
#[derive(Debug, thiserror::Error)]
#[error(
    "{name} leads to {address}, where no webhook goes; if it is meant, name the address itself in WEBHOOK_HOSTS"
)]
struct OffLimits {
    name: String,
    address: IpAddr,
}

/// Looks a name up once for each connection, which is made to the very addresses that were checked: who owns the name
/// cannot let it lead elsewhere in between.
#[derive(Debug)]
pub(super) struct CheckedNames;

impl Resolve for CheckedNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let name = name.as_str();
            let found: Vec<SocketAddr> = lookup_host((name, 0)).await?.collect();
            let own = own_addresses()?;
            if let Some(bad) = found.iter().find(|found| is_off_limits(found.ip(), &own)) {
                return Err(OffLimits { name: name.to_owned(), address: bad.ip() }.into());
            }
            Ok(Box::new(found.into_iter()) as Box<dyn Iterator<Item = SocketAddr> + Send>)
        })
    }
}

/// The addresses of this pod's interfaces.
fn own_addresses() -> io::Result<Vec<IpAddr>> {
    let ip = |address: SockaddrStorage| {
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    Ok(getifaddrs()?.filter_map(|interface| interface.address.and_then(ip)).collect())
}

/// The pod itself, which has `own`, its cloud's metadata, and what is nobody's. The cluster's own addresses, those of
/// nodes too, are not among them: receivers may stand there.
fn is_off_limits(address: IpAddr, own: &[IpAddr]) -> bool {
    let address = address.to_canonical();
    if own.contains(&address) {
        return true;
    }
    match address {
        IpAddr::V4(address) => {
            let is_nobodys = address.is_unspecified() || address.is_multicast() || address.octets()[0] >= 240;
            // Of Alibaba Cloud, of Azure and of Oracle Cloud; those of the others are link-local.
            let metadata = [[100, 100, 100, 200], [168, 63, 129, 16], [192, 0, 0, 192]];
            let is_metadata = metadata.contains(&address.octets());
            address.octets()[0] == 0
                || is_nobodys
                || address.is_loopback()
                || address.is_link_local()
                || is_metadata
        }
        IpAddr::V6(address) => {
            // Of AWS and of Google Cloud.
            let metadata: [Ipv6Addr; 2] = [
                Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
                Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
            ];
            embedded(address).is_some_and(|address| is_off_limits(address, own))
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_loopback()
                || address.is_unicast_link_local()
                || metadata.contains(&address)
        }
    }
}

/// The IPv4 address to which a translator takes this one (NAT64 and 6to4), or that is written into it.
fn embedded(address: Ipv6Addr) -> Option<IpAddr> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let (high, low) = match (a, b) {
        (0x64, 0xff9b) => (high, low),
        (0x2002, _) => (b, c),
        _ if [a, b, c, d, e, f] == [0; 6] && high != 0 => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_the_port_of_http_unless_it_names_another() {
        let spelled = |text: &str| text.parse::<Receiver>().unwrap().to_string();
        assert_eq!(spelled("hooks.example"), "hooks.example:80");
        assert_eq!(spelled("HOOKS.example:8080"), "hooks.example:8080");
        assert_eq!(spelled("[::1]:8080"), "[::1]:8080");
        for bad in
            ["", "hooks.example/", "user:word@hooks.example", "http://hooks.example", "hooks.example:x"]
        {
            assert!(bad.parse::<Receiver>().unwrap_err().contains("for example"), "{bad}");
        }
    }

    #[test]
    fn no_name_leads_to_the_pod_or_its_cloud() {
        for bad in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "169.254.169.254",
            "fe80::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "2002:7f00:1::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "240.0.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
        ] {
            assert!(is_off_limits(bad.parse().unwrap(), &[]), "{bad}");
        }
        for good in ["10.96.0.10", "192.0.2.1", "172.16.0.1", "fd00::1", "2001:db8::1", "64:ff9b::192.0.2.1"]
        {
            assert!(!is_off_limits(good.parse().unwrap(), &[]), "{good}");
        }
    }

    #[test]
    fn no_name_leads_to_an_address_of_the_pods_own_interfaces() {
        assert!(own_addresses().unwrap().contains(&Ipv4Addr::LOCALHOST.into()));
        let own = ["10.1.2.3", "fd00::3"].map(|address| address.parse().unwrap());
        for bad in ["10.1.2.3", "fd00::3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3"] {
            assert!(is_off_limits(bad.parse().unwrap(), &own), "{bad}");
        }
        assert!(!is_off_limits("10.1.2.4".parse().unwrap(), &own));
    }
}
