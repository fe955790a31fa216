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
