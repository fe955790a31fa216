//! The loop that asks why StatefulSets lack pods. I/O.
//!
//! It is a loop of its own, so that no answer keeps a pass or a reconcile waiting. It sends nothing while every StatefulSet
//! has its pods.

use super::Context;
use crate::{
    kinds::Kind,
    observe::cluster::{
        cached::CachedWorkload,
        caches::{GuardedApp, app_ref},
        children::OfApp,
    },
    runtime::clock,
};
use futures::{StreamExt, stream};
use kube::runtime::reflector::ObjectRef;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::MissedTickBehavior};

/// Interval of the checks of all StatefulSets.
const PERIOD: Duration = Duration::from_secs(1);
/// StatefulSets that are asked about at the same time.
const CONCURRENCY: usize = 4;

/// Runs until `shutdown`. An app whose pods are refused for another reason than known is reconciled.
pub async fn run(
    context: Arc<Context>,
    triggers: mpsc::Sender<ObjectRef<GuardedApp>>,
    shutdown: impl Future<Output = ()>,
) {
    let mut interval = tokio::time::interval(PERIOD);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let turn = async {
            interval.tick().await;
            if context.writer.epoch().is_some() {
                look(&context, &triggers).await;
            }
        };
        tokio::select! {
            biased;
            () = &mut shutdown => return,
            () = turn => {}
        }
    }
}

async fn look(context: &Context, triggers: &mpsc::Sender<ObjectRef<GuardedApp>>) {
    let Some(stateful_sets) = context.cluster.workloads.get(&Kind::StatefulSet) else { return };
    let refusals = &context.cluster.refusals;
    let due = refusals.follow(stateful_sets.store().state(), clock::wall());
    let ask = async |workload: Arc<CachedWorkload>| {
        if refusals.ask(&workload).await
            && let Some(app) = app_of(&workload)
        {
            // The receiver is gone when the process is about to end.
            let _ = triggers.send(app).await;
        }
    };
    stream::iter(due).for_each_concurrent(CONCURRENCY, ask).await;
}

fn app_of(workload: &CachedWorkload) -> Option<ObjectRef<GuardedApp>> {
    Some(app_ref(workload.metadata.namespace.as_deref()?, workload.app()?))
}
