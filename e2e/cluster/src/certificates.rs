//! The cluster's certificates and keys: one authority with a certificate for each party, and one for the front proxy,
//! with which the API server authenticates to aggregated APIs. Writes files.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use super::addresses::{API_SERVICE, NODE};
use super::paths::ClusterDir;

/// A client or a server of the cluster.
struct Party {
    /// Its files are `NAME.crt` and `NAME.key`.
    name: &'static str,
    common_name: String,
    /// The group, which a certificate calls organization.
    group: Option<&'static str>,
    /// The names and addresses of a server. A party without any is a client.
    subject_alternative_names: Vec<String>,
}

/// Common name of the API server's certificate for requests that it forwards to aggregated APIs.
pub(super) const FRONT_PROXY: &str = "front-proxy-client";

/// The clients, with a kubeconfig each.
pub(super) const CLIENTS: [&str; 5] =
    ["admin", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet"];

fn client(name: &'static str, common_name: &str, group: Option<&'static str>) -> Party {
    Party { name, common_name: common_name.to_owned(), group, subject_alternative_names: Vec::new() }
}

fn parties(node: &str) -> Vec<Party> {
    let server = |name, common_name: &str, names: Vec<String>| Party {
        name,
        common_name: common_name.to_owned(),
        group: None,
        subject_alternative_names: names,
    };
    vec![
        client("admin", "kubernetes-admin", Some("system:masters")),
        client("kube-controller-manager", "system:kube-controller-manager", None),
        client("kube-scheduler", "system:kube-scheduler", None),
        client("kube-proxy", "system:kube-proxy", None),
        client("kubelet", &format!("system:node:{node}"), Some("system:nodes")),
        client("kube-apiserver-kubelet-client", "kube-apiserver-kubelet-client", Some("system:masters")),
        server("kube-apiserver", "kube-apiserver", api_server_names()),
        server("kubelet-server", node, vec![node.to_owned(), NODE.to_string()]),
    ]
}

/// The API server's names: for pods its Service, on the node, and on the machine the forwarder.
fn api_server_names() -> Vec<String> {
    let service = ["", ".default", ".default.svc", ".default.svc.cluster.local"];
    let names = service.iter().map(|suffix| format!("kubernetes{suffix}"));
    let addresses = [API_SERVICE.to_string(), NODE.to_string(), "127.0.0.1".to_owned()];
    names.chain(["localhost".to_owned()]).chain(addresses).collect()
}

/// Writes `ca.crt`, a certificate and a key for each party, and the key pair that signs ServiceAccount tokens.
pub(super) fn write(dir: &ClusterDir) -> Result<()> {
    write_signed(dir, "ca.crt", "kubernetes", &parties(&dir.name))?;
    // A separate authority: its certificates may act for any user.
    write_signed(dir, "front-proxy-ca.crt", "front-proxy", &[client(FRONT_PROXY, FRONT_PROXY, None)])?;
    let tokens = KeyPair::generate()?;
    write_private(&dir.pki("service-account.key"), &tokens.serialize_pem())?;
    write_private(&dir.pki("service-account.pub"), &tokens.public_key_pem())
}

/// Writes the certificate of a new authority, and a certificate that it signs.
fn write_signed(dir: &ClusterDir, file: &str, name: &str, parties: &[Party]) -> Result<()> {
    let authority = authority(name)?;
    write_private(&dir.pki(file), &authority.pem())?;
    for party in parties {
        let key = KeyPair::generate()?;
        let certificate = parameters(party)?.signed_by(&key, &authority)?;
        write_private(&dir.pki(&format!("{}.crt", party.name)), &certificate.pem())?;
        write_private(&dir.pki(&format!("{}.key", party.name)), &key.serialize_pem())?;
    }
    Ok(())
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut parameters = CertificateParams::new(Vec::new())?;
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    Ok(CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?)
}

fn parameters(party: &Party) -> Result<CertificateParams> {
    let mut parameters = CertificateParams::new(party.subject_alternative_names.clone())?;
    parameters.distinguished_name.push(DnType::CommonName, party.common_name.as_str());
    if let Some(group) = party.group {
        parameters.distinguished_name.push(DnType::OrganizationName, group);
    }
    let server = !party.subject_alternative_names.is_empty();
    let usage =
        if server { ExtendedKeyUsagePurpose::ServerAuth } else { ExtendedKeyUsagePurpose::ClientAuth };
    parameters.extended_key_usages = vec![usage];
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    Ok(parameters)
}

/// Writes a file that only its owner may read.
pub(super) fn write_private(path: &Path, content: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(content.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::SanType;

    #[test]
    fn the_api_server_is_trusted_by_pods_and_through_the_forwarder() {
        let parties = parties("node");
        let api_server = parties.iter().find(|party| party.name == "kube-apiserver").unwrap();
        let names = parameters(api_server).unwrap().subject_alt_names;
        for address in [API_SERVICE.into(), NODE.into(), std::net::Ipv4Addr::LOCALHOST.into()] {
            assert!(names.contains(&SanType::IpAddress(address)), "{address}");
        }
        let service = SanType::DnsName("kubernetes.default.svc.cluster.local".try_into().unwrap());
        assert!(names.contains(&service));
    }

    #[test]
    fn the_node_authorizer_knows_the_kubelet_by_its_name() {
        let parties = parties("node-a");
        let kubelet = parties.iter().find(|party| party.name == "kubelet").unwrap();
        assert_eq!(
            (kubelet.common_name.as_str(), kubelet.group),
            ("system:node:node-a", Some("system:nodes"))
        );
    }

    #[test]
    fn every_client_has_a_certificate() {
        for client in CLIENTS {
            assert!(parties("n").iter().any(|party| party.name == client), "{client}");
        }
    }
}
