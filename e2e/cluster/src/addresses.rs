//! The address plan. Pure: every cluster has its own network namespace, so all of them use the same addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The node's address. It is not a loopback address, because the kubelet and the API server refuse those.
pub const NODE: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 1);
/// The addresses of pods.
pub const PODS: Range = Range { network: Ipv4Addr::new(10, 244, 0, 0), prefix: 16 };
/// The cluster addresses of Services.
pub const SERVICES: Range = Range { network: Ipv4Addr::new(10, 96, 0, 0), prefix: 16 };
/// The Service `kubernetes`: always the first address of the range.
pub const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// The Service of the cluster's DNS.
pub const DNS_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

/// Address of the API server, inside the cluster's network.
pub(super) const API_SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(NODE), 6443);
/// Address of etcd. Only the cluster's node reaches it, so it uses plain HTTP.
pub(super) const ETCD: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2379);

/// A range of addresses as a network and a prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    network: Ipv4Addr,
    prefix: u32,
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(range: Range, address: Ipv4Addr) -> bool {
        let mask = u32::MAX << (32 - range.prefix);
        address.to_bits() & mask == range.network.to_bits()
    }

    #[test]
    fn services_pods_and_the_node_do_not_overlap() {
        assert!(!contains(PODS, SERVICES.network) && !contains(SERVICES, PODS.network));
        assert!(!contains(PODS, NODE) && !contains(SERVICES, NODE));
        assert!(!NODE.is_loopback() && NODE.is_private());
    }

    #[test]
    fn the_kubernetes_service_has_the_first_address_of_its_range() {
        assert_eq!(API_SERVICE.to_bits(), SERVICES.network.to_bits() + 1);
        assert!(contains(SERVICES, DNS_SERVICE));
    }
}
