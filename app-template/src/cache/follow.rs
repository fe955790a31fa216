//! Listening on each shard while it is listed. I/O: Redis.

use std::future::pending;
use std::sync::Arc;

use futures::future::join;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::generations::Generations;
use super::listener::{self, Subscribed};
use super::members::{Member, Members};
use crate::shared_store::Listed;

/// Follows the list of shards, and listens on each, for as long as the process lives.
pub(super) async fn run(
    mut listed: watch::Receiver<Listed>,
    members: watch::Sender<Arc<Members>>,
    generations: Arc<Generations>,
) {
    let subscribed = Arc::new(Subscribed::none());
    let mut tasks = JoinSet::new();
    let mut running: Vec<(Arc<Member>, AbortHandle)> = Vec::new();
    loop {
        let current = Arc::clone(&members.borrow());
        let (stay, go): (Vec<_>, Vec<_>) =
            running.into_iter().partition(|(member, _)| current.iter().any(|one| Arc::ptr_eq(one, member)));
        go.iter().for_each(|(_, task)| task.abort());
        running = stay;
        for member in current.iter() {
            if running.iter().any(|(one, _)| Arc::ptr_eq(one, member)) {
                continue;
            }
            let (listening, generations) = (Arc::clone(member), Arc::clone(&generations));
            let (members, subscribed) = (members.subscribe(), Arc::clone(&subscribed));
            let task = tasks.spawn(async move {
                let hearing = listener::follow(&listening, members, &generations, &subscribed);
                join(hearing, listening.keep_clear(&generations)).await
            });
            running.push((Arc::clone(member), task));
        }
        if listed.changed().await.is_err() {
            // The list stays as it is; the tasks end with this one.
            pending::<()>().await;
        }
        let next = current.next(&listed.borrow_and_update());
        members.send_replace(Arc::new(next));
    }
}
