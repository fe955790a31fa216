//! What is shown of an app when somebody asks: a pass over it that nobody acts on. At rest nothing of a pass is kept for
//! this: that of thousands of apps would be forgotten and made again in every tick. I/O: none, but for the caches.

use super::{
    Context,
    decide::{self, ComponentPass, View},
};
use crate::{
    observe::{cluster::app_ref, samples::Samples},
    resolve::app::Service,
    runtime::{clock, live::LiveSource, metrics},
};
use futures::{FutureExt, future::BoxFuture};
use kube::ResourceExt;
use scalableapp_crds::{LiveApp, LiveComponent, LiveMetric};
use scalableapp_engine::Decision;
use std::time::Duration;
use tokio::time::timeout;

/// How long is waited for a reconcile of the app to end.
const PATIENCE: Duration = Duration::from_secs(2);

impl LiveSource for Context {
    fn app<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Option<LiveApp>> {
        show(self, namespace, name).boxed()
    }

    fn set_gauges(&self) {
        if self.writer.epoch().is_none() {
            return;
        }
        for guarded in self.cluster.apps.state() {
            let Ok(app) = &guarded.0 else { continue };
            let namespace = app.namespace().unwrap_or_default();
            for component in app.status.iter().flat_map(|status| &status.components) {
                metrics::desired_replicas(&namespace, &app.name_any(), &component.name, component.desired);
            }
        }
    }
}

async fn show(context: &Context, namespace: &str, name: &str) -> Option<LiveApp> {
    let guarded = context.cluster.apps.get(&app_ref(namespace, name))?;
    let app = guarded.0.as_ref().ok()?;
    let resolved = context.memories.resolve(app);
    let resolved = resolved.as_ref().as_ref().ok()?;
    let memory = context.memories.of(app);
    let mut memory = timeout(PATIENCE, memory.lock()).await.ok()?;
    memory.enter(context.writer.epoch()?, app);
    let observed = context.cluster.of_app(namespace, name);
    let samples = context.samples.latest();
    let view = View { observed: &observed, samples: &samples, now: clock::wall(), recording: false };
    let (known, components) = memory.of_pass(app);
    let passes = decide::pass(resolved, known, view, &mut components.clone());
    Some(LiveApp {
        observed_at: samples.taken()?,
        components: resolved
            .services
            .iter()
            .zip(&passes)
            .map(|(service, pass)| component(service, pass, &samples))
            .collect(),
    })
}

fn component(service: &Service, pass: &ComponentPass, samples: &Samples) -> LiveComponent {
    let ComponentPass { standing, decision, .. } = pass;
    let decision = decision.as_ref();
    LiveComponent {
        name: standing.name.clone(),
        desired: standing.desired,
        ready: standing.ready(),
        current: standing.revisions.iter().map(|revision| revision.replicas).sum(),
        request_rate: samples.request_rate(&service.key),
        latency: samples.latency(&service.key),
        metrics: decision.into_iter().flat_map(metrics).collect(),
        reason: decision.map(|decision| decision.reason.name.to_owned()).unwrap_or_default(),
        message: decision.map(Decision::message).unwrap_or_default(),
    }
}

fn metrics(decision: &Decision) -> impl Iterator<Item = LiveMetric> {
    decision.proposals.iter().map(|proposal| LiveMetric {
        name: proposal.metric.clone(),
        value: proposal.value.clone(),
        target: proposal.target.clone(),
        quality: decision
            .invalid
            .get(&proposal.metric)
            .map_or("Fresh", |invalid| invalid.reason.name)
            .to_owned(),
        proposal: proposal.replicas,
    })
}
