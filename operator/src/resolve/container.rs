//! Image, environment, ports and resources of a component's container. Pure.

use super::invalid::Problems;
use super::path::Path;
use super::syntax::Syntax;
use scalableapp_crds::{EnvVar, EnvVarSource, KeySelector, Quantity, Resources};
use std::collections::{BTreeMap, BTreeSet};

/// The service's own image, or else the app's.
pub(super) fn image(image: Option<&str>, service: Path<'_>, problems: &mut Problems) -> String {
    let image = image.unwrap_or_default();
    if image.trim().is_empty() {
        problems.refuse(Path::Field(&service, "image"), "set an image here, or one for the whole app");
    }
    image.to_owned()
}

/// A port number.
pub(super) fn port(port: i32, path: Path<'_>, problems: &mut Problems) -> i32 {
    if !(1..=65_535).contains(&port) {
        problems.refuse(path, "use a port from 1 to 65535");
    }
    port
}

pub(super) fn check_env(env: &[EnvVar], path: Path<'_>, problems: &mut Problems) {
    let mut names = BTreeSet::new();
    for variable in env {
        let item = Path::Item(&path, &variable.name);
        Syntax::EnvName.check(&variable.name, item, problems);
        if !names.insert(&variable.name) {
            problems.refuse(item, "set the variable once");
        }
        if variable.value.is_some() && variable.value_from.is_some() {
            problems.refuse(item, "set only one of value, valueFrom");
        }
        if let Some(source) = &variable.value_from {
            check_source(source, Path::Field(&item, "valueFrom"), problems);
        }
    }
}

fn check_source(source: &EnvVarSource, path: Path<'_>, problems: &mut Problems) {
    if count_sources(source) != 1 {
        let sentence = "set exactly one of secretKeyRef, configMapKeyRef, fieldRef, resourceFieldRef";
        problems.refuse(path, sentence);
    }
    for (field, key) in
        [("secretKeyRef", &source.secret_key_ref), ("configMapKeyRef", &source.config_map_key_ref)]
    {
        if let Some(KeySelector { key, .. }) = key {
            let path = Path::Field(&path, field);
            Syntax::DataKey.check(key, Path::Field(&path, "key"), problems);
        }
    }
    let divisor = source.resource_field_ref.as_ref().and_then(|resource| resource.divisor.as_ref());
    if let Some(Err(invalid)) = divisor.map(Quantity::milli) {
        problems.refuse(Path::Field(&Path::Field(&path, "resourceFieldRef"), "divisor"), invalid.to_string());
    }
}

fn count_sources(source: &EnvVarSource) -> usize {
    let EnvVarSource { secret_key_ref, config_map_key_ref, field_ref, resource_field_ref } = source;
    [
        secret_key_ref.is_some(),
        config_map_key_ref.is_some(),
        field_ref.is_some(),
        resource_field_ref.is_some(),
    ]
    .into_iter()
    .filter(|is_set| *is_set)
    .count()
}

pub(super) fn check_resources(resources: &Resources, path: Path<'_>, problems: &mut Problems) {
    let limits = amounts(&resources.limits, Path::Field(&path, "limits"), problems);
    let list = Path::Field(&path, "requests");
    for (resource, requested) in amounts(&resources.requests, list, problems) {
        if limits.get(resource).is_some_and(|limit| requested > *limit) {
            let sentence = format!("request no more than limits.{resource}");
            problems.refuse(Path::Field(&list, resource), sentence);
        }
    }
}

/// Each amount in billionths, which is Kubernetes' own precision.
fn amounts<'a>(
    quantities: &'a BTreeMap<String, Quantity>,
    path: Path<'_>,
    problems: &mut Problems,
) -> BTreeMap<&'a str, i128> {
    let mut amounts = BTreeMap::new();
    for (resource, quantity) in quantities {
        let path = Path::Field(&path, resource);
        Syntax::ResourceName.check(resource, path, problems);
        match (quantity.nano(), quantity.milli()) {
            (Some(nano), _) if nano >= 0 => {
                amounts.insert(resource.as_str(), nano);
            }
            (_, Ok(_)) => problems.refuse(path, "use an amount that is not negative"),
            (_, Err(invalid)) => problems.refuse(path, invalid.to_string()),
        }
    }
    amounts
}
