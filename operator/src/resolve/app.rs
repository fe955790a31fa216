//! The resolved app: what every later stage reads instead of the spec. Pure.

use super::invalid::Invalid;
use super::name::{AppName, ComponentName};
use super::probe::Probes;
use super::revision::Revision;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use scalableapp_crds::{EnvVar, PodTemplate, Resources, ScalableApp};
use scalableapp_engine::stack::{Component, Stack};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Name of the container's port that the Service points at.
pub const HTTP_PORT: &str = "http";
/// Name of the container's port with `/metrics`, where it is another one.
pub const METRICS_PORT: &str = "metrics";

/// An app that was checked. A service may be wrong in itself, which concerns no other.
#[derive(Clone, Debug, PartialEq)]
pub struct App {
    /// Its name.
    pub name: AppName,
    /// Its namespace, and that of all its children.
    pub namespace: String,
    /// Its `metadata.uid`.
    pub uid: String,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// The `metadata.generation` that was resolved.
    pub generation: i64,
    /// Its services, in the order of the spec.
    pub services: Vec<Service>,
    /// What decisions read of its services.
    pub stack: Stack,
}

impl App {
    /// The service of this name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name.as_str() == name)
    }

    /// What is wrong with its services, in the order of the spec.
    pub fn problems(&self) -> impl Iterator<Item = &Invalid> {
        self.services.iter().flat_map(|service| &service.problems)
    }

    /// What each child names as its controller, so that the garbage collector removes it together with the app.
    #[must_use]
    pub fn owner_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: ScalableApp::api_version(&()).into_owned(),
            kind: ScalableApp::kind(&()).into_owned(),
            name: self.name.to_string(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }
}

/// A component among those of all apps. What is known of it is found by this; clones share one text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentKey(Arc<ComponentPath>);

/// Where a component is.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentPath {
    /// Namespace of the app.
    pub namespace: String,
    /// Name of the app.
    pub app: String,
    /// Name of the component.
    pub component: String,
}

impl ComponentKey {
    /// The key of a component.
    #[must_use]
    pub fn new(namespace: &str, app: &str, component: &str) -> Self {
        let (namespace, app, component) = (namespace.to_owned(), app.to_owned(), component.to_owned());
        Self(Arc::new(ComponentPath { namespace, app, component }))
    }
}

impl Deref for ComponentKey {
    type Target = ComponentPath;

    fn deref(&self) -> &ComponentPath {
        &self.0
    }
}

impl fmt::Display for ComponentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.app, self.component)
    }
}

/// A service that was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// What it is known by.
    pub key: ComponentKey,
    /// Name of the component.
    pub name: ComponentName,
    /// What its pods are made of.
    pub pod: Pod,
    /// Names the pods' content: the same revision always means the same pods.
    pub revision: Revision,
    /// What decisions read of it: how many replicas, by which metrics, and how a new revision takes over.
    pub declared: Arc<Component>,
    /// The query of each metric that has one of its own, by the name of the metric. It is as the user wrote it, so that
    /// it must be confined to the app's namespace before it is sent.
    pub queries: BTreeMap<String, String>,
    /// What is wrong with it. With any problem the rest is a stand-in, upon which nobody may act.
    pub problems: Vec<Invalid>,
}

impl Service {
    /// Whether nothing is wrong with it.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.problems.is_empty()
    }
}

/// What the user says about a component's pods.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    /// Image of the component's container.
    pub image: String,
    /// Entry point; empty for the image's own.
    pub command: Vec<String>,
    /// Arguments of the entry point; empty for the image's own.
    pub args: Vec<String>,
    /// Environment, in the order in which one variable may refer to another.
    pub env: Vec<EnvVar>,
    /// Port on which the container serves.
    pub port: i32,
    /// Port on which it serves `/metrics`; it may equal `port`.
    pub metrics_port: Option<i32>,
    /// CPU and memory.
    pub resources: Resources,
    /// Health probes.
    pub probes: Probes,
    /// Any other part of a PodTemplateSpec, in canonical form and free of what the operator owns.
    pub template: PodTemplate,
}
