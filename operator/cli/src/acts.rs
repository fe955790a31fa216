//! `kubectl scalableapp override`, `pause` and `resume`: applies a ScalingOverride, or deletes those of an app. I/O:
//! writes to the API server.

use std::io::{self, Write};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, Request};
use kube::{Client, Resource};
use scalableapp_crds::{Guarded, Hold, Pause, ReplicaBounds, ScalingOverride, ScalingOverrideSpec};
use scalableapp_engine::{bounds::overrides::Effect, hpa::range::Range};
use serde::Deserialize;
use thiserror::Error;

use crate::args::{ActArguments, ConnectionArguments, OverrideArguments, PauseArguments, ResumeArguments};
use crate::cluster::{self, ANSWER_TIMEOUT, Cluster, innermost};
use crate::printable::printable;

/// The field manager of what this plugin applies.
const MANAGER: &str = "kubectl-scalableapp";
/// The longest name of a person or pipeline, in bytes.
const LONGEST_NAME: usize = 64;

/// Why a command failed.
#[derive(Debug, Error)]
pub enum ActError {
    /// The cluster could not be read.
    #[error(transparent)]
    Cluster(#[from] cluster::ClusterError),
    /// There is no component of that name.
    #[error("failed to find component {component} of {app}: its components are {existing}")]
    NoComponent {
        /// The requested name.
        component: String,
        /// The app.
        app: String,
        /// The existing components.
        existing: String,
    },
    /// The right to write overrides is missing.
    #[error(
        "failed to write the ScalingOverride: you have no right to in namespace {0}, ask for the ClusterRole 'edit' there"
    )]
    Forbidden(String),
    /// It would never end.
    #[error("failed to work out the end: --for reaches past the year 9999, write a shorter one")]
    NoEnd,
    /// Any other error of the API server.
    #[error("failed to write the ScalingOverride: {0}")]
    Refused(String),
    /// The output could not be written.
    #[error("failed to write what was done: {0}")]
    Output(#[from] io::Error),
}

/// Applies other bounds, or a hold.
///
/// # Errors
/// When there is no such app or component, or the API server refuses.
pub async fn override_(
    arguments: OverrideArguments,
    connection: ConnectionArguments,
) -> Result<(), ActError> {
    let OverrideArguments { name, component, what, act } = arguments;
    let bounds = ReplicaBounds { min: what.min, max: what.max, exact: what.exact };
    let replicas = (!what.hold).then_some(bounds);
    let hold = what.hold.then_some(Hold {});
    let spec = |expires_at, by| ScalingOverrideSpec {
        app: name.clone(),
        component: component.clone(),
        expires_at,
        by,
        reason: act.reason.clone(),
        hold,
        pause: None,
        replicas,
    };
    apply(connection, &act, spec).await
}

/// Applies a pause.
///
/// # Errors
/// When there is no such app, or the API server refuses.
pub async fn pause(arguments: PauseArguments, connection: ConnectionArguments) -> Result<(), ActError> {
    let PauseArguments { name, act } = arguments;
    let spec = |expires_at, by| ScalingOverrideSpec {
        app: name.clone(),
        component: None,
        expires_at,
        by,
        reason: act.reason.clone(),
        hold: None,
        pause: Some(Pause {}),
        replicas: None,
    };
    apply(connection, &act, spec).await
}

/// Deletes every override of an app, whoever made it.
///
/// # Errors
/// When there is no such app, or the API server refuses.
pub async fn resume(arguments: ResumeArguments, connection: ConnectionArguments) -> Result<(), ActError> {
    let (cluster, namespace) = Cluster::of(connection).await?;
    cluster.app(&namespace, &arguments.name).await?;
    let api: Api<Guarded<ScalingOverride>> = Api::namespaced(cluster.client.clone(), &namespace);
    let list = Request::new(ScalingOverride::url_path(&(), Some(&namespace))).list(&ListParams::default());
    let list = list.map_err(|error| ActError::Refused(innermost(&error)))?;
    let all = send(&namespace, cluster.client.request::<Acts>(list)).await?.items;
    let of_app: Vec<_> = all.into_iter().filter(|one| one.spec.app == arguments.name).collect();
    // Every override is deleted, even if the output has no reader, or another deletion is refused.
    let (mut told, mut refused) = (Ok(()), None);
    for one in &of_app {
        let Named { name, uid } = &one.metadata;
        let this = Preconditions { uid: uid.clone(), resource_version: None };
        let delete = DeleteParams::default().preconditions(this);
        let deleted = async {
            match api.delete(name, &delete).await {
                // It was deleted meanwhile.
                Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(()),
                answer => answer.map(|_| ()),
            }
        };
        if let Err(error) = send(&namespace, deleted).await {
            refused.get_or_insert(error);
            continue;
        }
        told = told.and_then(|()| writeln!(io::stdout(), "{}", printable(&one.ended())));
    }
    if let Some(error) = refused {
        return Err(error);
    }
    if of_app.is_empty() {
        told = writeln!(io::stdout(), "{} has no override", arguments.name);
    }
    Ok(told?)
}

/// Overrides with the fields that their deletion needs: unreadable ones are included.
#[derive(Deserialize)]
struct Acts {
    items: Vec<Act>,
}

/// One of them.
#[derive(Deserialize)]
struct Act {
    metadata: Named,
    spec: Ask,
}

/// Its identifying metadata.
#[derive(Deserialize)]
struct Named {
    name: String,
    uid: Option<String>,
}

/// Its target, author, end and reason, as text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ask {
    app: String,
    #[serde(default)]
    by: Option<String>,
    #[serde(default)]
    expires_at: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

impl Act {
    fn ended(&self) -> String {
        let Ask { by, expires_at, reason, .. } = &self.spec;
        let [by, end, reason] = [by, expires_at, reason].map(|one| one.as_deref().unwrap_or("-"));
        format!("scalingoverride {} ended; it was by {by} until {end}: {reason}", self.metadata.name)
    }
}

async fn apply(
    connection: ConnectionArguments,
    act: &ActArguments,
    spec: impl FnOnce(Time, String) -> ScalingOverrideSpec,
) -> Result<(), ActError> {
    let lasts = SignedDuration::try_from(act.duration).map_err(|_| ActError::NoEnd)?;
    let end = Timestamp::now().checked_add(lasts).map_err(|_| ActError::NoEnd)?;
    let (cluster, namespace) = Cluster::of(connection).await?;
    let by = match &act.by {
        Some(by) => by.clone(),
        None => who_acts(&cluster.client, &namespace).await,
    };
    let spec = spec(Time(end), by);
    let components = target(&cluster, &namespace, &spec).await?;
    let name = name_of(&spec);
    let object = ScalingOverride::new(&name, spec);
    let api: Api<Guarded<ScalingOverride>> = Api::namespaced(cluster.client.clone(), &namespace);
    let replaced = send(&namespace, api.get_opt(&name)).await?.and_then(|one| one.0.ok());
    let params = PatchParams::apply(MANAGER).force();
    send(&namespace, api.patch(&name, &params, &Patch::Apply(&object))).await?;
    writeln!(
        io::stdout(),
        "scalingoverride {name} applied, until {}; end it with: kubectl scalableapp resume {} -n {namespace}",
        crate::view::time(end),
        object.spec.app,
    )?;
    for remark in remarks(&components, &object.spec) {
        writeln!(io::stdout(), "{remark}")?;
    }
    if let Some(replaced) = replaced.filter(|one| Timestamp::now() < one.spec.expires_at.0) {
        writeln!(io::stdout(), "it replaces {}", printable(&summary(&replaced.spec)))?;
    }
    Ok(())
}

/// Only overrides of the same kind for the same target share a name, because names of apps and components contain no
/// dot.
fn name_of(spec: &ScalingOverrideSpec) -> String {
    let parts = [Some(spec.app.as_str()), spec.component.as_deref(), Some(kind(spec))];
    parts.into_iter().flatten().collect::<Vec<_>>().join(".")
}

fn kind(spec: &ScalingOverrideSpec) -> &'static str {
    if spec.pause.is_some() {
        "pause"
    } else if spec.hold.is_some() {
        "hold"
    } else {
        "replicas"
    }
}

/// A requested override.
fn summary(spec: &ScalingOverrideSpec) -> String {
    let ReplicaBounds { min, max, exact } = spec.replicas.clone().unwrap_or_default();
    let numbers = [("min", min), ("max", max), ("exact", exact)];
    let numbers: String =
        numbers.into_iter().filter_map(|(flag, number)| Some(format!(" --{flag} {}", number?))).collect();
    let end = crate::view::time(spec.expires_at.0);
    format!("the {}{numbers} of {} until {end}: {}", kind(spec), spec.by, spec.reason)
}

async fn send<T>(
    namespace: &str,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ActError> {
    match tokio::time::timeout(ANSWER_TIMEOUT, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
            Err(ActError::Forbidden(namespace.to_owned()))
        }
        Ok(Err(kube::Error::Api(status))) => Err(ActError::Refused(status.message.clone())),
        Ok(Err(error)) => Err(ActError::Refused(innermost(&error))),
        Err(_) => Err(ActError::Refused(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))),
    }
}

/// The components of an override, with their own bounds. A misspelt name would be an override without effect.
async fn target(
    cluster: &Cluster,
    namespace: &str,
    spec: &ScalingOverrideSpec,
) -> Result<Vec<(String, Range)>, ActError> {
    let app = cluster.app(namespace, &spec.app).await?.spec;
    let all = app.replica_bounds().map(|(name, (min, max))| (name.to_owned(), Range { min, max }));
    let all: Vec<(String, Range)> = all.collect();
    let Some(component) = &spec.component else { return Ok(all) };
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    if !names.contains(&component.as_str()) {
        let (component, app) = (component.clone(), spec.app.clone());
        return Err(ActError::NoComponent { component, app, existing: names.join(", ") });
    }
    Ok(all.into_iter().filter(|(name, _)| name == component).collect())
}

/// The effect of bounds where they are clamped or without effect.
fn remarks(components: &[(String, Range)], spec: &ScalingOverrideSpec) -> Vec<String> {
    let Some(bounds) = &spec.replicas else { return Vec::new() };
    let remark =
        |(name, own): &(String, Range)| Effect::of(bounds.least(), bounds.most(), *own).remark(name, *own);
    components.iter().filter_map(remark).collect()
}

/// The caller's user name at the API server, which everybody may read.
async fn who_acts(client: &Client, namespace: &str) -> String {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let (params, review) = (PostParams::default(), SelfSubjectReview::default());
    let asked = send(namespace, api.create(&params, &review)).await;
    let user = asked.ok().and_then(|review| review.status?.user_info?.username);
    let mut name = user.unwrap_or_else(|| "unknown".to_owned());
    name.truncate(name.floor_char_boundary(LONGEST_NAME));
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;
    use std::future::pending;

    fn spec(act: &Value) -> ScalingOverrideSpec {
        let mut spec = json!({"expiresAt": "2026-01-02T03:04:05Z", "by": "jane", "reason": "a test"});
        spec.as_object_mut().unwrap().extend(act.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn acts_upon_another_or_of_another_kind_have_other_names() {
        let acts = [
            json!({"app": "shop", "pause": {}}),
            json!({"app": "shop", "hold": {}}),
            json!({"app": "shop", "component": "pause", "hold": {}}),
            json!({"app": "shop", "component": "web", "hold": {}}),
            json!({"app": "shop", "component": "web", "replicas": {"max": 3}}),
            json!({"app": "shop-web", "replicas": {"max": 3}}),
            json!({"app": "shop-web", "hold": {}}),
        ];
        let names: BTreeSet<String> = acts.iter().map(|act| name_of(&spec(act))).collect();
        assert_eq!(names.len(), acts.len(), "{names:?}");
    }

    #[test]
    fn a_summary_says_what_was_asked_for() {
        let bounds = spec(&json!({"app": "shop", "component": "web", "replicas": {"min": 2, "max": 3}}));
        let end = "of jane until 2026-01-02 03:04:05Z: a test";
        assert_eq!(summary(&bounds), format!("the replicas --min 2 --max 3 {end}"));
        assert_eq!(summary(&spec(&json!({"app": "shop", "hold": {}}))), format!("the hold {end}"));
    }

    #[test]
    fn bounds_that_are_clamped_or_without_effect_say_so_when_they_are_applied() {
        let components = [("web".to_owned(), Range { min: 1, max: 4 })];
        let said = |act: Value| remarks(&components, &spec(&act));
        let clamped = "web runs at most 4 by its maxReplicas, raise that for more";
        let unchanged = "nothing changes for web, whose minReplicas is 1 and maxReplicas 4";
        assert_eq!(said(json!({"app": "shop", "replicas": {"exact": 50}})), [clamped]);
        assert_eq!(said(json!({"app": "shop", "replicas": {"max": 9}})), [unchanged]);
        assert_eq!(said(json!({"app": "shop", "replicas": {"max": 3}})), [""; 0]);
        assert_eq!(said(json!({"app": "shop", "hold": {}})), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_does_not_say_who_acts_is_not_waited_for() {
        let silent = Router::new().fallback(pending::<()>);
        let client = Client::new(silent, "store");
        let day = std::time::Duration::from_hours(24);
        let who = tokio::time::timeout(day, who_acts(&client, "store")).await;
        assert_eq!(who.as_deref(), Ok("unknown"));
    }
}
