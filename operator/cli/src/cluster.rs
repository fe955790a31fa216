//! The API server: connects to it and reads ScalableApps. I/O.

use std::path::PathBuf;
use std::time::Duration;

use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Config, Resource, ResourceExt};
use scalableapp_crds::{Guarded, ScalableApp, ScalingOverride, Unreadable};
use thiserror::Error;

use crate::args::ConnectionArguments;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// All namespaces, as `metav1.NamespaceAll`.
pub const ALL_NAMESPACES: &str = "";

/// Why the cluster could not be read, and what to do about it.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// No kubeconfig was found.
    #[error("failed to find a cluster: set KUBECONFIG, write ~/.kube/config or pass --kubeconfig ({0})")]
    NoKubeconfig(String),
    /// The given kubeconfig cannot be used.
    #[error("failed to use the kubeconfig: correct it, or pass another with --kubeconfig or --context ({0})")]
    BadKubeconfig(#[source] Box<KubeconfigError>),
    /// No connection, or no answer in time.
    #[error(
        "failed to reach the API server {server}: check that it is up and that the kubeconfig names it ({cause})"
    )]
    Unreachable {
        /// The server's address.
        server: String,
        /// The innermost cause.
        cause: String,
    },
    /// The API server does not accept the credentials.
    #[error("failed to log in to the API server: the kubeconfig's credentials are refused, renew them")]
    Unauthorized,
    /// The right to read apps is missing.
    #[error(
        "failed to read ScalableApps: you have no right to in namespace {0}, ask for the ClusterRole 'view' there"
    )]
    Forbidden(String),
    /// The right to read apps of every namespace is missing.
    #[error(
        "failed to read ScalableApps: you have no right to in all namespaces, ask for a ClusterRoleBinding of the ClusterRole 'view', or name a namespace with -n"
    )]
    ForbiddenEverywhere,
    /// The CustomResourceDefinition is missing.
    #[error(
        "failed to read ScalableApps: the cluster does not know the kind, install the chart first (helm install scalableapp charts/scalableapp)"
    )]
    NotInstalled,
    /// There is no app of that name.
    #[error("failed to find ScalableApp {name} in namespace {namespace}: {}", alternatives(existing))]
    NotFound {
        /// The requested name.
        name: String,
        /// The namespace.
        namespace: String,
        /// The existing names there.
        existing: Vec<String>,
    },
    /// There is no app at all.
    #[error("failed to find a ScalableApp in namespace {0}: apply one, or name another namespace with -n")]
    NoApps(String),
    /// There is no app in any namespace.
    #[error("failed to find a ScalableApp in any namespace: apply one")]
    NoAppsAnywhere,
    /// The app cannot be read.
    #[error(
        "failed to read ScalableApp {name} in namespace {namespace}: {cause}; correct it with kubectl edit"
    )]
    Unreadable {
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
        /// The cause.
        cause: Box<Unreadable>,
    },
    /// Any other error of the API server.
    #[error("failed to read ScalableApps: {0}")]
    Refused(String),
}

impl ClusterError {
    /// Whether a retry may help.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Refused(_))
    }
}

fn alternatives(existing: &[String]) -> String {
    if existing.is_empty() {
        "there is none, apply one or name another namespace with -n".to_owned()
    } else {
        format!("the names there are {}", existing.join(", "))
    }
}

/// A connection to one cluster.
#[derive(Clone)]
pub struct Cluster {
    /// The client; it does not retry by itself.
    pub client: Client,
    server: String,
    default_namespace: String,
}

impl Cluster {
    /// Reads the kubeconfig and makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// When there is no kubeconfig that can be used.
    pub async fn connect(kubeconfig: Option<PathBuf>, context: Option<String>) -> Result<Self, ClusterError> {
        let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
        let bad = |error| ClusterError::BadKubeconfig(Box::new(error));
        let mut config = match kubeconfig {
            Some(path) => {
                let read = Kubeconfig::read_from(path).map_err(bad)?;
                Config::from_custom_kubeconfig(read, &options).await.map_err(bad)?
            }
            None => match Config::from_kubeconfig(&options).await {
                Ok(config) => config,
                Err(error) if options.context.is_some() => return Err(bad(error)),
                // In a pod there is no kubeconfig, but a service account.
                Err(error) => {
                    Config::incluster().map_err(|_| ClusterError::NoKubeconfig(innermost(&error)))?
                }
            },
        };
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // The next read is the retry: a read that waits would show old values as new.
        config.default_retry = false;
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let default_namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|error| ClusterError::Unreachable {
            server: server.clone(),
            cause: innermost(&error),
        })?;
        Ok(Self { client, server, default_namespace })
    }

    /// The cluster and the namespace of a command line.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn of(arguments: ConnectionArguments) -> Result<(Self, String), ClusterError> {
        let cluster = Self::connect(arguments.kubeconfig, arguments.context).await?;
        let named = arguments.namespace.filter(|namespace| !namespace.is_empty());
        let namespace = named.unwrap_or_else(|| cluster.default_namespace.clone());
        Ok((cluster, namespace))
    }

    /// Reads an app.
    ///
    /// # Errors
    /// When the API server cannot be reached or refuses, or when there is no such app, or when it cannot be read.
    pub async fn app(&self, namespace: &str, name: &str) -> Result<ScalableApp, ClusterError> {
        let api: Api<Guarded<ScalableApp>> = self.api(namespace);
        match self.answer(namespace, api.get_opt(name)).await? {
            Some(app) => app.0.map_err(unreadable),
            None => Err(ClusterError::NotFound {
                name: name.to_owned(),
                namespace: namespace.to_owned(),
                existing: self.list(&api, namespace).await?.iter().map(ResourceExt::name_any).collect(),
            }),
        }
    }

    /// Reads every app of a namespace, unreadable ones included, in the order of their namespaces and names.
    ///
    /// # Errors
    /// When the API server cannot be reached or refuses, or when there is none.
    pub async fn apps(&self, namespace: &str) -> Result<Vec<Guarded<ScalableApp>>, ClusterError> {
        let apps = self.list(&self.api(namespace), namespace).await?;
        match (apps.is_empty(), namespace) {
            (true, ALL_NAMESPACES) => Err(ClusterError::NoAppsAnywhere),
            (true, _) => Err(ClusterError::NoApps(namespace.to_owned())),
            (false, _) => Ok(apps),
        }
    }

    /// Reads the readable overrides of a namespace, in the order of their namespaces and names.
    ///
    /// # Errors
    /// When the API server cannot be reached or refuses.
    pub async fn overrides(&self, namespace: &str) -> Result<Vec<ScalingOverride>, ClusterError> {
        let api: Api<Guarded<ScalingOverride>> = self.api(namespace);
        let all = self.answer(namespace, api.list(&ListParams::default())).await?.items;
        let mut overrides: Vec<_> = all.into_iter().filter_map(|one| one.0.ok()).collect();
        overrides.sort_by_key(place);
        Ok(overrides)
    }

    fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match namespace {
            ALL_NAMESPACES => Api::all(self.client.clone()),
            _ => Api::namespaced(self.client.clone(), namespace),
        }
    }

    async fn list(
        &self,
        api: &Api<Guarded<ScalableApp>>,
        namespace: &str,
    ) -> Result<Vec<Guarded<ScalableApp>>, ClusterError> {
        let mut apps = self.answer(namespace, api.list(&ListParams::default())).await?.items;
        apps.sort_by_key(place);
        Ok(apps)
    }

    async fn answer<T>(
        &self,
        namespace: &str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ClusterError> {
        match tokio::time::timeout(ANSWER_TIMEOUT, request).await {
            Ok(answer) => answer.map_err(|error| self.explain(namespace, &error)),
            Err(_) => Err(self.unreachable(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))),
        }
    }

    fn explain(&self, namespace: &str, error: &kube::Error) -> ClusterError {
        match error {
            kube::Error::Api(status) => match status.code {
                401 => ClusterError::Unauthorized,
                403 if namespace == ALL_NAMESPACES => ClusterError::ForbiddenEverywhere,
                403 => ClusterError::Forbidden(namespace.to_owned()),
                404 => ClusterError::NotInstalled,
                _ if status.message.is_empty() => ClusterError::Refused(format!(
                    "the answer gives no reason, check that {} is the address of an API server",
                    self.server
                )),
                _ => ClusterError::Refused(status.message.clone()),
            },
            kube::Error::SerdeError(cause) => ClusterError::Refused(format!(
                "one of them has another shape than this plugin knows, use the plugin of the operator's version ({cause})"
            )),
            other => self.unreachable(innermost(other)),
        }
    }

    fn unreachable(&self, cause: String) -> ClusterError {
        ClusterError::Unreachable { server: self.server.clone(), cause }
    }
}

fn unreadable(cause: Unreadable) -> ClusterError {
    let name = cause.metadata.name.clone().unwrap_or_default();
    let namespace = cause.metadata.namespace.clone().unwrap_or_default();
    ClusterError::Unreadable { name, namespace, cause: Box::new(cause) }
}

/// Namespace and name.
fn place(object: &impl Resource) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// The innermost cause is the useful one; the layers around it add nothing.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
