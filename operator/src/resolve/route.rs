//! The route of a service. Pure.

use super::invalid::Problems;
use super::path::Path;
use super::syntax::Syntax;
use scalableapp_crds::{GatewayRef, Route, limits};
use std::collections::BTreeSet;

pub(super) fn check(written: Option<&Route>, path: Path<'_>, problems: &mut Problems) {
    let Some(Route { parent_refs, hostnames }) = written else { return };
    let list = Path::Field(&path, "parentRefs");
    if !(1..=limits::ROUTE_PARENTS).contains(&parent_refs.len()) {
        problems.refuse(list, format!("name 1 to {} Gateways", limits::ROUTE_PARENTS));
    }
    let mut named = BTreeSet::new();
    for parent in parent_refs {
        let GatewayRef { name, namespace, section_name } = parent;
        let path = Path::Item(&list, name);
        Syntax::DnsSubdomain.check(name, Path::Field(&path, "name"), problems);
        if let Some(namespace) = namespace {
            Syntax::DnsLabel.check(namespace, Path::Field(&path, "namespace"), problems);
        }
        if let Some(section) = section_name {
            Syntax::DnsSubdomain.check(section, Path::Field(&path, "sectionName"), problems);
        }
        if !named.insert(parent) {
            problems.refuse(path, "name each Gateway once, or each of its listeners once");
        }
    }
    let list = Path::Field(&path, "hostnames");
    if hostnames.len() > limits::ROUTE_HOSTNAMES {
        problems.refuse(list, format!("use at most {} host names", limits::ROUTE_HOSTNAMES));
    }
    for hostname in hostnames {
        if !is_hostname(hostname) {
            let sentence = "write it as shop.example.com or *.example.com: lower case letters, digits, hyphens and dots, without scheme, port or path";
            problems.refuse(Path::Item(&list, hostname), sentence);
        }
    }
}

/// A domain with an optional wildcard for its first label, and no address of numbers.
fn is_hostname(text: &str) -> bool {
    let domain = text.strip_prefix("*.").unwrap_or(text);
    Syntax::DnsSubdomain.admits(domain) && domain.contains(|c: char| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(route: &serde_json::Value) -> Vec<String> {
        let route: Route = serde_json::from_value(route.clone()).expect("a route");
        let mut problems = Problems::default();
        check(Some(&route), Path::Field(&Path::Root, "route"), &mut problems);
        problems.into_vec().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_route_names_gateways_anywhere_and_host_names_without_ports() {
        let route = json!({
            "parentRefs": [{"name": "public"}, {"name": "public", "sectionName": "https"}, {"name": "x", "namespace": "edge"}],
            "hostnames": ["shop.example.com", "*.shop.example.com"],
        });
        assert_eq!(problems(&route), [""; 0]);
        assert_eq!(problems(&json!({"parentRefs": []})), ["route.parentRefs: name 1 to 8 Gateways"]);
        let twice = json!({"parentRefs": [{"name": "public"}, {"name": "public"}]});
        assert_eq!(
            problems(&twice),
            ["route.parentRefs[public]: name each Gateway once, or each of its listeners once"]
        );
        for hostname in ["shop.example.com:80", "https://shop", "10.0.0.1", "Shop.example", "*", "a.*.b", ""]
        {
            let route = json!({"parentRefs": [{"name": "public"}], "hostnames": [hostname]});
            assert_eq!(problems(&route).len(), 1, "{hostname}");
        }
    }
}
