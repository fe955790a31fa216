//! The revisions that the Services of a blue-green rollout select. Pure.

use super::pass::{ComponentPass, View};
use crate::names;
use crate::observe::cluster::cached::CachedChild;
use crate::observe::cluster::owner::Controlled;
use crate::resolve::app::{App, Component};
use scalableapp_crds::{RolloutPhase, RolloutStatus, ScalableAppStatus};
use std::collections::BTreeMap;

/// What the Services of a component select.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceSelection {
    /// The revision that all requests go to; `None` for all revisions.
    pub active: Option<String>,
    /// The new revision, which its preview Service selects; `None` without one.
    pub preview: Option<String>,
    /// Whether the cached Services select others.
    pub moves: bool,
}

/// The selection of each component with a blue-green rollout, by its name. One that is not decided stays as it is.
pub(super) fn selections(
    app: &App,
    components: &[ComponentPass],
    known: Option<&ScalableAppStatus>,
    view: View<'_>,
) -> BTreeMap<String, ServiceSelection> {
    let mut selections = BTreeMap::new();
    for one in components {
        let Some(component) = app.component(&one.state.name).filter(|one| is_blue_green(one)) else {
            continue;
        };
        let (app_name, name) = (app.name.as_str(), component.name.as_str());
        let service = own_service(app, &names::component(app_name, name), view);
        let selected = service.map(revision);
        let previewed = own_service(app, &names::preview(app_name, name), view).and_then(revision);
        let selection = match &one.state.rollout {
            Some(rollout) => {
                let (active, preview) = (active(rollout), preview(rollout));
                let moves =
                    selected.as_ref().is_some_and(|selected| *selected != active) || previewed != preview;
                ServiceSelection { active, preview, moves }
            }
            None => {
                let said = || known?.component(name)?.rollout.as_ref().and_then(active);
                let active = selected.unwrap_or_else(said);
                ServiceSelection { active, preview: previewed, moves: false }
            }
        };
        selections.insert(name.to_owned(), selection);
    }
    selections
}

/// The revision that the cached Service of a component selects; `None` where it selects all.
pub(super) fn selected(app: &App, component: &Component, view: View<'_>) -> Option<String> {
    let name = names::component(app.name.as_str(), component.name.as_str());
    own_service(app, &name, view).and_then(revision)
}

fn is_blue_green(component: &Component) -> bool {
    component.is_valid() && component.declared.blue_green.is_some()
}

fn active(rollout: &RolloutStatus) -> Option<String> {
    Some(rollout.active.clone()).filter(|active| !active.is_empty())
}

fn preview(rollout: &RolloutStatus) -> Option<String> {
    let is_beside = rollout.phase == RolloutPhase::Progressing
        && !rollout.active.is_empty()
        && rollout.canary != rollout.active;
    is_beside.then(|| rollout.canary.clone())
}

/// A Service has the label of the revision that it selects.
fn revision(service: &CachedChild) -> Option<String> {
    service.labels.revision.as_deref().map(str::to_owned)
}

/// The cached Service of this name, if it is the app's.
fn own_service<'a>(app: &App, name: &str, view: View<'a>) -> Option<&'a CachedChild> {
    let is_it = |service: &&CachedChild| {
        service.metadata.name.as_deref() == Some(name)
            && service.controller_owner() == Some(app.uid.as_str())
            && service.metadata.deletion_timestamp.is_none()
    };
    view.observed.services.iter().map(AsRef::as_ref).find(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{DecideMemory, Pass, pass};
    use crate::kinds::Kind;
    use crate::observe::cluster::caches::Observed;
    use crate::observe::snapshot::Samples;
    use crate::resolve::resolve;
    use jiff::Timestamp;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn app(rollout: &Value) -> App {
        let app = serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "shop", "uid": "1", "generation": 1},
            "spec": {"services": [{
                "name": "web", "image": "shop:1", "port": 8080, "metricsPort": 9090, "rollout": rollout,
                "scaling": {"minReplicas": 2, "maxReplicas": 4,
                            "metrics": [{"name": "rps", "requestRate": {"perReplica": "10"}}]},
            }]},
        }));
        resolve(&app.expect("an app")).expect("no problem")
    }

    fn child(name: &str, revision: &str) -> Value {
        json!({
            "metadata": {"name": name, "labels": {
                "scalableapp.dev/app": "shop", "scalableapp.dev/component": "web",
                "scalableapp.dev/revision": revision,
            }, "ownerReferences": [{
                "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp", "name": "shop", "uid": "1",
                "controller": true,
            }]},
            "spec": {"replicas": 2}, "status": {"replicas": 2, "readyReplicas": 2},
        })
    }

    /// Two revisions of two ready pods, of which the Services select these.
    fn observed(revisions: [&str; 2], services: &[(&str, &str)]) -> Observed {
        let workload = |hash: &&str| {
            let workload = serde_json::from_value(child(&format!("shop-web-{hash}"), hash));
            Arc::new(workload.expect("a Deployment"))
        };
        let service = |(name, hash): &(&str, &str)| {
            Arc::new(serde_json::from_value(child(name, hash)).expect("a Service"))
        };
        let deployments = Arc::new(revisions.iter().map(workload).collect());
        Observed {
            workloads: BTreeMap::from([(Kind::Deployment, deployments)]),
            services: Arc::new(services.iter().map(service).collect()),
            ..Observed::default()
        }
    }

    fn passed(app: &App, observed: &Observed, samples: &Samples, status: &Value) -> Pass {
        let status = json!({"components": [{
            "name": "web", "tier": "service", "desired": 2, "ready": 2, "rollout": status,
        }]});
        let known = serde_json::from_value(status).expect("a status");
        let view = View::new(observed, samples, Timestamp::UNIX_EPOCH);
        pass(app, Some(&known), view, &mut DecideMemory::default())
    }

    fn selection(active: &str, preview: Option<&str>, moves: bool) -> Option<ServiceSelection> {
        Some(ServiceSelection { active: Some(active.to_owned()), preview: preview.map(str::to_owned), moves })
    }

    #[test]
    fn what_is_not_decided_stays_selected_as_it_is() {
        let (app, samples) = (app(&json!({"blueGreen": {}})), Samples::default());
        let status = json!({"phase": "Complete", "stable": "old", "active": "old", "step": 0, "steps": 0, "weight": 0});
        let services = [("shop-web", "new"), ("shop-web-preview", "other")];
        let pass_with = passed(&app, &observed(["old", "new"], &services), &samples, &status);
        assert!(!pass_with.components[0].state.decided);
        assert_eq!(pass_with.selections.get("web").cloned(), selection("new", Some("other"), false));
        let pass_without = passed(&app, &observed(["old", "new"], &[]), &samples, &status);
        assert_eq!(
            pass_without.selections.get("web").cloned(),
            selection("old", None, false),
            "as was said last"
        );
    }

    #[test]
    fn all_requests_go_to_the_new_revision_once_its_pods_are_available_and_the_old_one_stays() {
        let (app, samples) = (app(&json!({"blueGreen": {}})), Samples::without_any(Timestamp::UNIX_EPOCH));
        let new = app.components[0].revision.to_string();
        let status = json!({
            "phase": "Progressing", "stable": "old", "active": "old", "canary": new, "step": 1, "steps": 3, "weight": 0,
            "begun": "1970-01-01T00:00:00Z",
        });
        let services = [("shop-web", "old"), ("shop-web-preview", new.as_str())];
        let pass = passed(&app, &observed(["old", &new], &services), &samples, &status);
        assert_eq!(pass.selections.get("web").cloned(), selection(&new, None, true));
        let replicas = BTreeMap::from([("old".to_owned(), 2), (new, 2)]);
        assert_eq!(pass.plan.replicas.get("web"), Some(&replicas));
    }

    #[test]
    fn a_component_without_blue_green_selects_all_revisions() {
        let (app, samples) = (app(&json!({})), Samples::without_any(Timestamp::UNIX_EPOCH));
        let new = app.components[0].revision.to_string();
        let observed = observed(["old", &new], &[("shop-web", "old")]);
        let pass = passed(&app, &observed, &samples, &Value::Null);
        assert!(pass.selections.is_empty());
        assert_eq!(pass.plan.replicas["web"]["old"], 2, "its Service is not written yet");
    }
}
