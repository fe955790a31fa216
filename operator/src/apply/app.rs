//! The children of one app, applied in order. I/O out.

use super::{
    attempts::{Operation, WriteRound},
    children::{Child, Ensured, Owner, delete, ensure, is_kept, name_of},
    fence::{fence, is_fenced},
    memory::ApplyMemory,
    passwords::{self, Passwords},
    record::Records,
    writer::{WriteError, Writer},
};
use crate::{
    decide::{
        Pass, component_state::ComponentState, removed::Removed, routes::Routed, selection::ServiceSelection,
    },
    event::Event,
    kinds::Kind,
    names,
    observe::cluster::{
        cached::CachedWorkload,
        caches::{Cluster, Observed},
        owner::Controlled,
        workload::LiveRevision,
    },
    render::ComponentChildren,
    resolve::app::{App, Component},
    runtime::clock,
};
use kube::ResourceExt;
use scalableapp_crds::Tier;
use scalableapp_engine::{reason, rollout::Plan};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

/// The leader and its tenure.
#[derive(Clone, Copy)]
pub struct Leader<'a> {
    /// Sends all writes.
    pub writer: &'a Writer,
    /// The caches with the current children.
    pub cluster: &'a Cluster,
    /// `leaseTransitions` of the tenure.
    pub epoch: i32,
}

/// Applies every child of an app and deletes those that are no longer in the spec. A failed write is retried later, at
/// its own time, and blocks no other.
///
/// # Errors
/// [`WriteError::NotLeader`] only.
pub async fn apply(
    leader: Leader<'_>,
    app: &App,
    observed: &Observed,
    mut children: BTreeMap<String, ComponentChildren>,
    memory: &mut ApplyMemory,
    Pass { components, plan, routes, selections, removed, .. }: &mut Pass,
) -> Result<(), WriteError> {
    let ApplyMemory { failing, records, passwords, leftovers, unpublished, .. } = memory;
    let (mut unanswered, now) = (0, clock::wall());
    // The password of a cache is there before the pods that get it.
    let (caches, others): (Vec<_>, Vec<_>) =
        components.iter_mut().partition(|one| one.state.tier == Tier::Cache);
    for pass in caches.into_iter().chain(others) {
        let declared = app.component(&pass.state.name);
        let Some((component, children)) = declared.zip(children.remove(&pass.state.name)) else { continue };
        let failing = failing.entry(pass.state.name.clone()).or_default();
        let mut round = WriteRound::new(&mut failing.children, &mut unanswered, now);
        let mut applier = Applier { leader, app, component, records, unpublished, round: &mut round };
        if component.has(Kind::Secret) {
            applier.password(passwords, &pass.state).await?;
        }
        // The API server would start a pod.
        let planned = plan.replicas.get(&pass.state.name).and_then(|of| of.get(&pass.state.target));
        let replicas = planned.copied().filter(|planned| *planned == 0);
        let applied = Box::pin(applier.component(children, replicas, &mut pass.state)).await?;
        if applied.is_adopted {
            // The pass did not know its replicas. The write triggers a reconcile, which decides with them.
            pass.decision = None;
        }
        retire(leader, &mut round, plan, &mut pass.state, applied.is_written).await?;
        pass.state.failure = failing.said(pass.state.was_applied);
    }
    let wanted = Wanted { app, removed, routes, selections };
    prune(leader, wanted, observed, WriteRound::new(leftovers, &mut unanswered, now)).await
}

/// The result for the workload of a component.
struct Applied {
    is_written: bool,
    /// Whether it had no owner, so that the pass did not know it.
    is_adopted: bool,
}

/// A written child.
enum WrittenChild<K> {
    Applied(K),
    Reverted(K),
}

struct Applier<'a, 'r> {
    leader: Leader<'a>,
    app: &'a App,
    component: &'a Component,
    records: &'a mut Records,
    unpublished: &'a mut Vec<Event>,
    round: &'a mut WriteRound<'r>,
}

impl Applier<'_, '_> {
    /// Creates the password of a cache, once in a tenure, and while a pod waits for its files.
    async fn password(&mut self, known: &mut Passwords, state: &ComponentState) -> Result<(), WriteError> {
        let Self { leader, app, component, .. } = *self;
        let (cache, now) = (component.name.as_str(), clock::wall());
        if !known.may_be_missing(cache, state.problem.as_ref(), now) {
            return Ok(());
        }
        let name = names::password(app.name.as_str(), cache, &app.uid);
        let write = (Operation::Apply, Kind::Secret, name.clone());
        let request = passwords::create(leader.writer, app, component);
        let created = self.round.make(write, &Value::Null, request).await?;
        if created.is_some() {
            known.note(cache, now);
        }
        // The shards were made after the first one.
        if created == Some(true) && !state.revisions.is_empty() {
            let note = format!("Secret {name}: {}", reason::PASSWORD_RENEWED.sentence);
            let reason = reason::PASSWORD_RENEWED.name;
            self.unpublished.push(Event { warning: true, reason, action: "Create", note });
        }
        Ok(())
    }

    /// Applies the children of one component, the workload last.
    async fn component(
        mut self,
        children: ComponentChildren,
        replicas: Option<i32>,
        state: &mut ComponentState,
    ) -> Result<Applied, WriteError> {
        let (cluster, namespace) = (self.leader.cluster, self.app.namespace.as_str());
        for (kind, desired) in children.others {
            let name = name_of(&desired);
            if kind == Kind::HttpRoute {
                let cached = cluster.routes.get(namespace, name);
                self.child(kind, cached, desired, None).await?;
                continue;
            }
            let cached = cluster.others.get(&kind).and_then(|children| children.get(namespace, name));
            self.child(kind, cached, desired, None).await?;
        }
        let cached = state.revisions.iter().find(|one| one.hash == state.target);
        let cached = cached.map(|revision| Arc::clone(&revision.workload));
        let is_new = cached.is_none();
        let kind = children.kind;
        let workload = self.child::<CachedWorkload>(kind, cached, children.workload, replicas);
        let written = Box::pin(workload).await?;
        let (workload, is_adopted) = match written {
            None => return Ok(Applied { is_written: false, is_adopted: false }),
            Some(WrittenChild::Applied(workload)) => (workload, false),
            Some(WrittenChild::Reverted(workload)) => (workload, is_new),
        };
        if is_new {
            state.revisions.push(LiveRevision::of(kind, Arc::new(workload), &state.target));
        }
        Ok(Applied { is_written: true, is_adopted })
    }

    /// Applies one child; returns it if it was written.
    async fn child<K: Child>(
        &mut self,
        kind: Kind,
        cached: Option<Arc<K>>,
        desired: Value,
        replicas: Option<i32>,
    ) -> Result<Option<WrittenChild<K>>, WriteError> {
        let App { name, namespace, uid, created, .. } = self.app;
        let owner = Owner { namespace, name: name.as_str(), uid, created: *created };
        let cached = cached.as_deref();
        if cached.is_some_and(|cached| is_kept(self.records, owner, kind, cached, &desired)) {
            return Ok(None);
        }
        let write = (Operation::Apply, kind, name_of(&desired).to_owned());
        let request = ensure(self.leader.writer, self.records, owner, kind, cached, &desired, replicas);
        match self.round.make(write, &desired, request).await? {
            None | Some(Ensured::Kept) => Ok(None),
            Some(Ensured::Written(child)) => Ok(Some(WrittenChild::Applied(child))),
            Some(Ensured::Reverted(child, edit)) => {
                let (kind, name, reason) = (kind.name(), child.name_any(), reason::CHILD_REVERTED);
                let edit = edit.map_or_else(String::new, |edit| format!("{edit}. "));
                let note = format!("{kind} {name}: {edit}{}", reason.sentence);
                self.unpublished.push(Event { warning: true, reason: reason.name, action: "Revert", note });
                Ok(Some(WrittenChild::Reverted(child)))
            }
        }
    }
}

/// Fences the revisions, and deletes earlier ones without pods. `is_applied` means that the declared one was fenced by
/// its apply.
async fn retire(
    leader: Leader<'_>,
    round: &mut WriteRound<'_>,
    plan: &Plan,
    state: &mut ComponentState,
    is_applied: bool,
) -> Result<(), WriteError> {
    let planned = plan.replicas.get(&state.name);
    let mut kept = Vec::with_capacity(state.revisions.len());
    for revision in mem::take(&mut state.revisions) {
        let is_target = revision.hash == state.target;
        let is_drained = !is_target
            && revision.pods == 0
            && revision.replicas == 0
            && planned.and_then(|planned| planned.get(&revision.hash)).is_none_or(|replicas| *replicas == 0);
        if is_drained {
            if remove(leader.writer, round, revision.kind, &*revision.workload).await?.is_none() {
                kept.push(revision);
            }
            continue;
        }
        let is_fenced = (is_target && is_applied) || is_fenced(&revision.workload, leader.epoch);
        if !is_fenced {
            let write = (Operation::Fence, revision.kind, revision.workload.name_any());
            let request = fence(leader.writer, revision.kind, &revision.workload, leader.epoch);
            round.make(write, &Value::Null, request).await?;
        }
        kept.push(revision);
    }
    state.revisions = kept;
    Ok(())
}

/// Deletes one child; `None` if it still exists.
async fn remove<K: Child>(
    writer: &Writer,
    round: &mut WriteRound<'_>,
    kind: Kind,
    child: &K,
) -> Result<Option<()>, WriteError> {
    let write = (Operation::Delete, kind, child.name_any());
    round.make(write, &Value::Null, delete(writer, kind, child)).await
}

/// What is not deleted.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    app: &'a App,
    /// Data tiers that leave: they stay until nobody uses them.
    removed: &'a Removed,
    /// The services with a route whose revisions are known.
    routes: &'a BTreeMap<String, Routed>,
    /// What the Services of blue-green rollouts select.
    selections: &'a BTreeMap<String, ServiceSelection>,
}

/// Deletes the children of components that are no longer in the spec, and those of a kind that their component no longer
/// has. Data tiers that leave stay until nobody uses them.
async fn prune(
    leader: Leader<'_>,
    wanted: Wanted<'_>,
    observed: &Observed,
    mut round: WriteRound<'_>,
) -> Result<(), WriteError> {
    let (writer, cluster) = (leader.writer, leader.cluster);
    let (namespace, name) = (wanted.app.namespace.as_str(), wanted.app.name.as_str());
    let round = &mut round;
    for (kind, workloads) in &observed.workloads {
        delete_orphans(writer, round, wanted, *kind, workloads).await?;
    }
    // In reverse order, because pods and routes depend on the objects that were applied before them.
    let routes = cluster.routes.of_app(namespace, name);
    delete_orphans(writer, round, wanted, Kind::HttpRoute, &routes).await?;
    for (kind, children) in cluster.others.iter().rev() {
        delete_orphans(writer, round, wanted, *kind, &children.of_app(namespace, name)).await?;
    }
    Ok(())
}

async fn delete_orphans<K: Child>(
    writer: &Writer,
    round: &mut WriteRound<'_>,
    wanted: Wanted<'_>,
    kind: Kind,
    children: &[Arc<K>],
) -> Result<(), WriteError> {
    let Wanted { app, removed, .. } = wanted;
    let keeps_files = kind == Kind::ConfigMap && !removed.is_empty();
    let has_kind = |component: &&Component| {
        !component.is_valid() || component.has(kind) || (keeps_files && component.is_consumer())
    };
    let of_kind = app.components.iter().filter(has_kind);
    let named = of_kind.map(|component| component.name.as_str()).chain(removed.names());
    let named: BTreeSet<&str> = named.collect();
    for child in children {
        let is_kept = child.component().is_some_and(|component| named.contains(component))
            && (kind != Kind::Service || wanted.has_service(&**child));
        if !is_kept && is_deletable(&**child, app) {
            remove(writer, round, kind, &**child).await?;
        }
    }
    Ok(())
}

impl Wanted<'_> {
    /// Whether a Service is still needed. That of a revision is while the revision has pods, or the route still refers to it.
    fn has_service<K: Child>(self, service: &K) -> bool {
        let component = service.component().and_then(|name| self.app.component(name));
        let Some(component) = component.filter(|one| one.is_valid()) else { return true };
        let (app, name) = (self.app.name.as_str(), component.name.as_str());
        let found = service.name_any();
        if found == names::preview(app, name) {
            return self.selections.get(name).is_some_and(|one| one.preview.is_some());
        }
        let Some(revision) = service.own_labels().revision.as_deref() else { return true };
        if found != names::deployment(app, name, revision) {
            return true;
        }
        component.route.is_some()
            && self
                .routes
                .get(component.name.as_str())
                .is_none_or(|one| one.weights.contains_key(revision) || one.referred.contains(revision))
    }
}

/// Whether a child belongs to the app and is not being deleted.
fn is_deletable<K: Child>(child: &K, app: &App) -> bool {
    child.meta().namespace.as_deref() == Some(app.namespace.as_str())
        && child.app() == Some(app.name.as_str())
        && child.component().is_some()
        && child.controller_owner() == Some(app.uid.as_str())
        && child.meta().deletion_timestamp.is_none()
}
