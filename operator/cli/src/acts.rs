//! `kubectl scalableapp override`, `pause` and `resume`, and the acts on a rollout: applies a ScalingOverride, or deletes
//! those of an app. I/O: writes to the API server.

use std::io::{self, Write};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, Request};
use kube::{Client, Resource, ResourceExt};
use scalableapp_crds::{
    Abort, Guarded, Hold, HoldRollout, Pause, Promote, ReplicaBounds, Retry, RolloutPhase, ScalableApp,
    ScalingOverride, ScalingOverrideSpec, Service,
};
use scalableapp_engine::{bounds::overrides::Effect, hpa::range::Range};
use serde::Deserialize;
use thiserror::Error;

use crate::args::{
    ActArguments, ConnectionArguments, OverrideArguments, PauseArguments, ResumeArguments, RolloutAct,
    RolloutHoldArguments, RolloutPromoteArguments,
};
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
    /// The component has neither a canary nor a blue-green rollout in its spec.
    #[error(
        "failed to find a rollout of {target}: set rollout.canary or rollout.blueGreen of the service first"
    )]
    NoRollout {
        /// The component, or the app.
        target: String,
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
    let what = |spec| ScalingOverrideSpec { component, hold, replicas, ..spec };
    apply(connection, &name, &act, what).await
}

/// Applies a pause.
///
/// # Errors
/// When there is no such app, or the API server refuses.
pub async fn pause(arguments: PauseArguments, connection: ConnectionArguments) -> Result<(), ActError> {
    let PauseArguments { name, act } = arguments;
    apply(connection, &name, &act, |spec| ScalingOverrideSpec { pause: Some(Pause {}), ..spec }).await
}

/// Has a canary begin its next step, or end with success.
///
/// # Errors
/// When there is no such app or component, or it declares no canary, or the API server refuses.
pub async fn promote(
    arguments: RolloutPromoteArguments,
    connection: ConnectionArguments,
) -> Result<(), ActError> {
    let RolloutPromoteArguments { act, full } = arguments;
    let promote = Some(Promote { full });
    once(act, connection, |spec| ScalingOverrideSpec { promote, ..spec }).await
}

/// Gives all requests back to the stable revision.
///
/// # Errors
/// As [`promote`].
pub async fn abort(arguments: RolloutAct, connection: ConnectionArguments) -> Result<(), ActError> {
    once(arguments, connection, |spec| ScalingOverrideSpec { abort: Some(Abort {}), ..spec }).await
}

/// Has an aborted revision tried again.
///
/// # Errors
/// As [`promote`].
pub async fn retry(arguments: RolloutAct, connection: ConnectionArguments) -> Result<(), ActError> {
    once(arguments, connection, |spec| ScalingOverrideSpec { retry: Some(Retry {}), ..spec }).await
}

/// Keeps canaries at their step.
///
/// # Errors
/// As [`promote`].
pub async fn hold_rollout(
    arguments: RolloutHoldArguments,
    connection: ConnectionArguments,
) -> Result<(), ActError> {
    let RolloutHoldArguments { name, component, act } = arguments;
    let hold_rollout = Some(HoldRollout {});
    apply(connection, &name, &act, |spec| ScalingOverrideSpec { component, hold_rollout, ..spec }).await
}

async fn once(
    arguments: RolloutAct,
    connection: ConnectionArguments,
    what: impl FnOnce(ScalingOverrideSpec) -> ScalingOverrideSpec,
) -> Result<(), ActError> {
    let RolloutAct { name, component, duration, reason, by } = arguments;
    let act = ActArguments { duration, reason, by };
    apply(connection, &name, &act, |spec| what(ScalingOverrideSpec { component: Some(component), ..spec }))
        .await
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
        if let Err(error) = delete(&api, &namespace, name, uid.clone()).await {
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
    app: &str,
    act: &ActArguments,
    what: impl FnOnce(ScalingOverrideSpec) -> ScalingOverrideSpec,
) -> Result<(), ActError> {
    let lasts = SignedDuration::try_from(act.duration).map_err(|_| ActError::NoEnd)?;
    let end = Timestamp::now().checked_add(lasts).map_err(|_| ActError::NoEnd)?;
    let (cluster, namespace) = Cluster::of(connection).await?;
    let by = match &act.by {
        Some(by) => by.clone(),
        None => who_acts(&cluster.client, &namespace).await,
    };
    let spec = what(ScalingOverrideSpec::new(app, Time(end), by, act.reason.clone()));
    let app = cluster.app(&namespace, &spec.app).await?;
    let components = target(&app, &spec)?;
    let name = name_of(&spec);
    let object = ScalingOverride::new(&name, spec);
    let replaced = write(&cluster, &namespace, &object).await?;
    writeln!(io::stdout(), "scalingoverride {name} applied, {}", how_to_go_on(&object.spec, &namespace))?;
    for remark in remarks(&components, &object.spec).into_iter().chain(remark_on_rollout(&app, &object.spec))
    {
        writeln!(io::stdout(), "{remark}")?;
    }
    if let Some(replaced) = replaced.filter(|one| Timestamp::now() < one.spec.expires_at.0) {
        writeln!(io::stdout(), "it replaces {}", printable(&summary(&replaced.spec)))?;
    }
    Ok(())
}

/// Writes an override, and returns the readable one whose place it takes. An act that counts once is a new object each
/// time, so that it counts again.
async fn write(
    cluster: &Cluster,
    namespace: &str,
    object: &ScalingOverride,
) -> Result<Option<ScalingOverride>, ActError> {
    let api: Api<Guarded<ScalingOverride>> = Api::namespaced(cluster.client.clone(), namespace);
    let name = object.name_any();
    let earlier = send(namespace, api.get_opt(&name)).await?;
    if object.spec.acts_once() {
        if let Some(earlier) = &earlier {
            delete(&api, namespace, &name, earlier.uid()).await?;
        }
        let api: Api<ScalingOverride> = Api::namespaced(cluster.client.clone(), namespace);
        send(namespace, api.create(&PostParams::default(), object)).await?;
    } else {
        let params = PatchParams::apply(MANAGER).force();
        send(namespace, api.patch(&name, &params, &Patch::Apply(object))).await?;
    }
    Ok(earlier.and_then(|one| one.0.ok()))
}

/// Deletes this very override, if it is still there.
async fn delete(
    api: &Api<Guarded<ScalingOverride>>,
    namespace: &str,
    name: &str,
    uid: Option<String>,
) -> Result<(), ActError> {
    let delete = DeleteParams::default().preconditions(Preconditions { uid, resource_version: None });
    let deleted = async {
        match api.delete(name, &delete).await {
            // It was deleted meanwhile.
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(()),
            answer => answer.map(|_| ()),
        }
    };
    send(namespace, deleted).await
}

/// When an override ends, and what to do next.
fn how_to_go_on(spec: &ScalingOverrideSpec, namespace: &str) -> String {
    let app = &spec.app;
    match &spec.component {
        Some(component) if spec.acts_once() => format!(
            "it counts once; see what becomes of it with: kubectl scalableapp rollout status {app} {component} -n {namespace}"
        ),
        _ => format!(
            "until {}; end it with: kubectl scalableapp resume {app} -n {namespace}",
            crate::view::time(spec.expires_at.0)
        ),
    }
}

/// Only overrides of the same kind for the same target share a name, because names of apps and components contain no
/// dot.
fn name_of(spec: &ScalingOverrideSpec) -> String {
    let parts = [Some(spec.app.as_str()), spec.component.as_deref(), Some(kind(spec))];
    parts.into_iter().flatten().collect::<Vec<_>>().join(".")
}

fn kind(spec: &ScalingOverrideSpec) -> &'static str {
    let kinds = [
        (spec.pause.is_some(), "pause"),
        (spec.hold.is_some(), "hold"),
        (spec.promote.is_some(), "promote"),
        (spec.abort.is_some(), "abort"),
        (spec.retry.is_some(), "retry"),
        (spec.hold_rollout.is_some(), "hold-rollout"),
    ];
    kinds.into_iter().find(|(is_this, _)| *is_this).map_or("replicas", |(_, kind)| kind)
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

/// The components of an override, with their own bounds. A misspelt name would be an override without effect, and so would
/// an act on the rollout of a component without a canary.
fn target(app: &ScalableApp, spec: &ScalingOverrideSpec) -> Result<Vec<(String, Range)>, ActError> {
    let app = &app.spec;
    let all = app.replica_bounds().map(|(name, (min, max))| (name.to_owned(), Range { min, max }));
    let mut all: Vec<(String, Range)> = all.collect();
    if let Some(component) = &spec.component {
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        if !names.contains(&component.as_str()) {
            let (component, app) = (component.clone(), spec.app.clone());
            return Err(ActError::NoComponent { component, app, existing: names.join(", ") });
        }
        all.retain(|(name, _)| name == component);
    }
    let is_concerned = |name: &str| all.iter().any(|(one, _)| one == name);
    let mut services = app.services.iter().filter(|one| is_concerned(&one.name));
    if spec.is_of_rollouts() && !services.any(Service::rolls_out_in_steps) {
        let target = spec.component.as_ref().unwrap_or(&spec.app).clone();
        return Err(ActError::NoRollout { target });
    }
    Ok(all)
}

/// What an act on a rollout may not find, as far as the status says.
fn remark_on_rollout(app: &ScalableApp, spec: &ScalingOverrideSpec) -> Option<String> {
    let component = spec.component.as_ref().filter(|_| spec.acts_once())?;
    let rollout = app.status.as_ref().and_then(|status| status.component(component)?.rollout.as_ref());
    let phase = rollout.map_or(RolloutPhase::Complete, |rollout| rollout.phase);
    match (phase, spec.retry.is_some()) {
        (RolloutPhase::Aborted, false) => {
            Some(format!("the declared revision of {component} was aborted: retry it first"))
        }
        (RolloutPhase::Complete, false) => Some(format!("{component} has no rollout in progress")),
        (RolloutPhase::Complete | RolloutPhase::Progressing, true) => {
            Some(format!("the declared revision of {component} was not aborted"))
        }
        _ => None,
    }
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
            json!({"app": "shop", "component": "web", "promote": {}}),
            json!({"app": "shop", "component": "web", "abort": {}}),
            json!({"app": "shop", "component": "web", "retry": {}}),
            json!({"app": "shop", "component": "web", "holdRollout": {}}),
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
