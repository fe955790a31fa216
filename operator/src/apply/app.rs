//! The writes of one app in their order: children, then (after the status) replicas, growing before shrinking. I/O out.

use super::{
    children::{Child, Ensured, Owner, delete, ensure},
    events::Happening,
    fence::{fence, is_fenced},
    record::Records,
    replicas,
    writer::{WriteError, Writer},
};
use crate::{
    build::{ServiceChildren, names},
    controller::{decide::ComponentPass, memory::AppMemory},
    observe::{
        cluster::{Cluster, Observed},
        owner::Controlled,
        seen::SeenDeployment,
        workload::LiveRevision,
    },
    report::standing::{Failure, Standing},
    resolve::app::{App, Service},
    runtime::{clock, metrics},
};
use kube::ResourceExt;
use scalableapp_engine::reason;
use serde_json::Value;
use std::{collections::BTreeSet, mem, sync::Arc};

/// The process that leads, and its tenure.
#[derive(Clone, Copy)]
pub struct Leader<'a> {
    /// What sends writes.
    pub writer: &'a Writer,
    /// The caches, in which children are looked up before they are written.
    pub cluster: &'a Cluster,
    /// `leaseTransitions` of the tenure.
    pub epoch: i32,
}

/// Applies every child of an app and removes what the spec no longer names. What the API server refuses is noted in
/// the standing of its component, and stops no other; of a component that is no longer named it becomes an event. Returns
/// whether something was refused.
///
/// # Errors
/// When a write fails in a way that another attempt may mend.
pub async fn apply(
    leader: Leader<'_>,
    app: &App,
    observed: &Observed,
    children: Vec<ServiceChildren>,
    memory: &mut AppMemory,
    passes: &mut [ComponentPass],
) -> Result<bool, WriteError> {
    let mut is_refused = false;
    let AppMemory { records, components, unsaid, .. } = memory;
    for ((service, children), pass) in app.services.iter().zip(children).zip(passes) {
        let applier = Applier { leader, app, service, records, unsaid };
        let applied = refusal(applier.service(children, &mut pass.standing).await)?;
        let retired = retire(leader, pass, applied.as_ref().is_ok_and(|is_written| *is_written)).await?;
        let refused = &mut components.entry(pass.standing.name.clone()).or_default().refused;
        refused.child = applied.and(retired).err().map(Box::new);
        is_refused |= refused.child.is_some();
        pass.standing.failure = refused.first();
    }
    if let Err(Failure { reason, message }) = prune(leader, app, observed).await? {
        unsaid.push(Happening { warning: true, reason: reason.name, action: "Delete", note: message });
        is_refused = true;
    }
    Ok(is_refused)
}

/// Tells what the API server refuses, which is to be said, from what another attempt may mend.
fn refusal<T>(result: Result<T, WriteError>) -> Result<Result<T, Failure>, WriteError> {
    match result {
        Err(error) if error.is_transient() => Err(error),
        result => Ok(result.map_err(|error| failure(&error))),
    }
}

fn failure(error: &WriteError) -> Failure {
    let reason = match error {
        WriteError::NameTaken { .. } => reason::NAME_TAKEN,
        _ => reason::CHILD_REFUSED,
    };
    Failure { reason, message: error.to_string() }
}

struct Applier<'a> {
    leader: Leader<'a>,
    app: &'a App,
    service: &'a Service,
    records: &'a mut Records,
    unsaid: &'a mut Vec<Happening>,
}

impl Applier<'_> {
    /// Applies the children of one service, and says whether that wrote the Deployment, which comes last.
    async fn service(
        mut self,
        children: ServiceChildren,
        standing: &mut Standing,
    ) -> Result<bool, WriteError> {
        // Without `..`, so that a new kind of child cannot be built and then forgotten here.
        let ServiceChildren { service_account, service, pod_disruption_budget, network_policy, deployment } =
            children;
        let name = names::component(self.app, self.service);
        let (cluster, namespace) = (self.leader.cluster, self.app.namespace.as_str());
        let cached = cluster.service_accounts.get(namespace, &name);
        self.child(cached, to_value(&service_account)).await?;
        let cached = cluster.services.get(namespace, &name);
        self.child(cached, to_value(&service)).await?;
        let cached = cluster.disruption_budgets.get(namespace, &name);
        self.child(cached, to_value(&pod_disruption_budget)).await?;
        let cached = cluster.network_policies.get(namespace, &name);
        self.child(cached, to_value(&network_policy)).await?;
        let cached = standing.revisions.iter().find(|one| one.hash == standing.target);
        let cached = cached.map(|revision| Arc::clone(&revision.deployment));
        let is_new = cached.is_none();
        let written = self.child::<SeenDeployment>(cached, deployment).await?;
        let is_written = written.is_some();
        if let Some(created) = written.filter(|_| is_new) {
            standing.revisions.push(LiveRevision::of(Arc::new(created), &standing.target));
        }
        Ok(is_written)
    }

    /// Ensures one child; returns it if it was written.
    async fn child<K: Child>(
        &mut self,
        cached: Option<Arc<K>>,
        desired: Value,
    ) -> Result<Option<K>, WriteError> {
        let owner = Owner { namespace: &self.app.namespace, uid: &self.app.uid };
        let cached = cached.as_deref();
        match ensure(self.leader.writer, self.records, owner, cached, &desired).await? {
            Ensured::Kept => Ok(None),
            Ensured::Written(child) => Ok(Some(child)),
            Ensured::Reverted(child) => {
                self.unsaid.push(Happening {
                    warning: true,
                    reason: reason::CHILD_REVERTED.name,
                    action: "Revert",
                    note: format!(
                        "{} {}: {}",
                        K::kind(&()),
                        child.name_any(),
                        reason::CHILD_REVERTED.sentence
                    ),
                });
                Ok(Some(child))
            }
        }
    }
}

fn to_value(child: &impl serde::Serialize) -> Value {
    // Kubernetes types always serialize; were one not to, the API server would refuse the null in words.
    serde_json::to_value(child).unwrap_or(Value::Null)
}

/// Fences the revisions, and deletes earlier ones that have no pods left. `is_applied` says that the declared one was
/// fenced as it was written.
async fn retire(
    leader: Leader<'_>,
    pass: &mut ComponentPass,
    is_applied: bool,
) -> Result<Result<(), Failure>, WriteError> {
    let ComponentPass { standing, planned, .. } = pass;
    let mut outcome = Ok(());
    let mut kept = Vec::with_capacity(standing.revisions.len());
    for revision in mem::take(&mut standing.revisions) {
        let is_target = revision.hash == standing.target;
        let is_drained = !is_target
            && revision.pods == 0
            && revision.replicas == 0
            && planned.get(&revision.hash).is_none_or(|replicas| *replicas == 0);
        let retired = if is_drained {
            delete(leader.writer, &*revision.deployment).await
        } else if (is_target && is_applied) || is_fenced(&revision.deployment, leader.epoch) {
            Ok(())
        } else {
            fence(leader.writer, &revision.deployment, leader.epoch).await
        };
        let retired = refusal(retired)?;
        if !is_drained || retired.is_err() {
            kept.push(revision);
        }
        outcome = outcome.and(retired);
    }
    standing.revisions = kept;
    Ok(outcome)
}

/// Deletes the children of components that the spec no longer names.
async fn prune(
    leader: Leader<'_>,
    app: &App,
    observed: &Observed,
) -> Result<Result<(), Failure>, WriteError> {
    let (writer, cluster) = (leader.writer, leader.cluster);
    let (namespace, name) = (app.namespace.as_str(), app.name.as_str());
    let pruned = [
        delete_orphans(writer, app, &observed.deployments).await?,
        delete_orphans(writer, app, &cluster.services.of_app(namespace, name)).await?,
        delete_orphans(writer, app, &cluster.disruption_budgets.of_app(namespace, name)).await?,
        delete_orphans(writer, app, &cluster.network_policies.of_app(namespace, name)).await?,
        delete_orphans(writer, app, &cluster.service_accounts.of_app(namespace, name)).await?,
    ];
    Ok(pruned.into_iter().collect())
}

async fn delete_orphans<K: Child>(
    writer: &Writer,
    app: &App,
    children: &[Arc<K>],
) -> Result<Result<(), Failure>, WriteError> {
    let named: BTreeSet<&str> = app.services.iter().map(|service| service.name.as_str()).collect();
    let mut outcome = Ok(());
    for child in children {
        if is_orphan(&**child, app, &named) {
            outcome = outcome.and(refusal(delete(writer, &**child).await)?);
        }
    }
    Ok(outcome)
}

fn is_orphan<K: Child>(child: &K, app: &App, named: &BTreeSet<&str>) -> bool {
    child.meta().namespace.as_deref() == Some(app.namespace.as_str())
        && child.app() == Some(app.name.as_str())
        && child.component().is_some_and(|component| !named.contains(component))
        && child.controller_owner() == Some(app.uid.as_str())
        && child.meta().deletion_timestamp.is_none()
}

/// Writes the replicas that a pass planned, revisions that grow before those that shrink. What the API server refuses is
/// remembered, to be said by the next pass, and stops no other component. Returns whether something was refused.
///
/// # Errors
/// [`WriteError::Conflict`] when a Deployment has changed since the decision; then it must be decided again.
pub async fn scale(
    leader: Leader<'_>,
    app: &App,
    memory: &mut AppMemory,
    passes: &[ComponentPass],
) -> Result<bool, WriteError> {
    let mut is_refused = false;
    for (service, pass) in app.services.iter().zip(passes) {
        let component = memory.components.entry(pass.standing.name.clone()).or_default();
        let Some(decision) = &pass.decision else {
            is_refused |= component.refused.replicas.is_some();
            continue;
        };
        let mut changes: Vec<(&LiveRevision, i32)> = pass
            .standing
            .revisions
            .iter()
            .filter_map(|revision| Some((revision, *pass.planned.get(&revision.hash)?)))
            .filter(|(revision, planned)| revision.replicas != *planned)
            .collect();
        changes.sort_by_key(|(revision, planned)| revision.replicas - planned);
        if changes.iter().any(|(revision, _)| !is_fenced(&revision.deployment, leader.epoch)) {
            // Where the fence itself was refused there is no hurry; else the cache shows it in a moment.
            component.refused.hold_back(component.refused.child.is_some(), clock::wall());
            continue;
        }
        // What may have happened counts: remembered in vain it makes the next change later, forgotten it makes it sooner.
        let mut may_have_happened = changes.is_empty();
        let mut written = Ok(());
        for (revision, planned) in changes {
            match replicas::scale(leader.writer, &revision.deployment, planned).await {
                Ok(deployment) => {
                    component.await_generation(&deployment.name_any(), deployment.metadata.generation);
                    may_have_happened = true;
                }
                Err(error) => {
                    may_have_happened |= error.may_have_happened();
                    written = Err(error);
                    break;
                }
            }
        }
        if may_have_happened {
            component.commit(service, decision);
            metrics::decided(decision.current, decision.desired);
        }
        let refused = refusal(written)?.err().map(Box::new);
        is_refused |= refused.is_some();
        component.refused.hold_back(refused.is_some(), clock::wall());
        component.refused.replicas = refused;
    }
    Ok(is_refused)
}
