//! Hears from other processes which keys are outdated. I/O: connections to Redis of its own, one for each shard.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use metrics::{Gauge, gauge};
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Client, Value};
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::generations::Generations;
use super::members::{Member, Members, pass_on};
use super::shared::{CHANNEL, Message, PATIENCE};

/// On how many shards the process is subscribed. Each tells of all changes, so that one is enough.
pub(super) struct Subscribed {
    count: AtomicUsize,
    up: Gauge,
}

impl Subscribed {
    pub(super) fn none() -> Self {
        let up = gauge!("cache_invalidations_up");
        up.set(0.0);
        Self { count: AtomicUsize::new(0), up }
    }

    fn enter(&self) -> Subscription<'_> {
        if self.count.fetch_add(1, Ordering::SeqCst) == 0 {
            self.up.set(1.0);
        }
        Subscription(self)
    }
}

/// Ends with its listening, also if the shard goes.
struct Subscription<'a>(&'a Subscribed);

impl Drop for Subscription<'_> {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.up.set(0.0);
        }
    }
}

/// Listens on one shard for as long as it is listed.
pub(super) async fn follow(
    member: &Member,
    members: watch::Receiver<Arc<Members>>,
    generations: &Arc<Generations>,
    subscribed: &Subscribed,
) -> Infallible {
    loop {
        let subscription = subscribe(member.shard.client()).await;
        if subscription.is_ok() {
            // What was announced while nobody listened is not known.
            generations.advance_all();
        }
        member.was_tried.store(true, Ordering::SeqCst);
        match subscription {
            Ok(channel) => {
                let _subscription = subscribed.enter();
                let server = member.shard.name();
                tracing::info!(server, "hearing of changes in other processes");
                let Err(error) = listen(channel, &members, generations).await;
                tracing::warn!(server, %error, "no longer hearing of changes in other processes");
            }
            Err(error) => tracing::debug!(%error, "not hearing of changes in other processes"),
        }
        sleep(PATIENCE.mul_f64(fastrand::f64())).await;
    }
}

#[derive(Debug, thiserror::Error)]
enum ListenError {
    #[error("failed to listen: {0}")]
    Redis(#[from] redis::RedisError),
    #[error("failed to get an answer in time")]
    Silent(#[from] Elapsed),
    #[error("failed to go on listening: Redis closed the connection")]
    Closed,
}

async fn subscribe(client: &Client) -> Result<(PubSubSink, PubSubStream), ListenError> {
    let (mut sink, messages) = timeout(PATIENCE, client.get_async_pubsub()).await??.split();
    timeout(PATIENCE, sink.subscribe(CHANNEL)).await??;
    Ok((sink, messages))
}

/// Listens until the connection breaks or falls silent.
async fn listen(
    (mut sink, mut messages): (PubSubSink, PubSubStream),
    members: &watch::Receiver<Arc<Members>>,
    generations: &Arc<Generations>,
) -> Result<Infallible, ListenError> {
    let mut ticks = interval(PATIENCE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = messages.next() => {
                let message: String = message.ok_or(ListenError::Closed)?.get_payload()?;
                hear(&message, members, generations);
            }
            _ = ticks.tick() => {
                // On a connection that is subscribed the answer is a list, not a text as elsewhere.
                let _: Value = timeout(PATIENCE, sink.ping()).await??;
            }
        }
    }
}

fn hear(message: &str, members: &watch::Receiver<Arc<Members>>, generations: &Arc<Generations>) {
    let Some(Message { change, told, key }) = Message::read(message) else {
        // Of a version that writes others: it may be about any key.
        return generations.advance_all();
    };
    generations.advance(key, change);
    let untold = members.borrow().untold(told);
    if !untold.is_empty() {
        let (key, generations) = (key.to_owned(), Arc::clone(generations));
        tokio::spawn(async move {
            pass_on(untold, &key, change).await;
            // What was found there meanwhile may be kept.
            generations.advance(&key, change);
        });
    }
}
