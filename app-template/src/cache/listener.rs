//! Hears from other processes which keys are outdated. I/O: a connection to Redis of its own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use metrics::gauge;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Client, Value};
use tokio::time::error::Elapsed;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::generations::Generations;
use super::shared::{CHANNEL, read_message};

/// How often the connection is tried, and how long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Listens for as long as the process lives.
pub(super) async fn follow(client: Client, generations: Arc<Generations>) {
    let up = gauge!("cache_invalidations_up");
    up.set(0.0);
    loop {
        match subscribe(&client).await {
            Ok(channel) => {
                // What was announced while nobody listened is not known.
                generations.advance_all();
                up.set(1.0);
                tracing::info!("hearing of changes in other processes");
                let Err(error) = listen(channel, &generations).await;
                up.set(0.0);
                tracing::warn!(%error, "no longer hearing of changes in other processes");
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
    generations: &Generations,
) -> Result<Infallible, ListenError> {
    let mut ticks = interval(PATIENCE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = messages.next() => {
                let message: String = message.ok_or(ListenError::Closed)?.get_payload()?;
                let (key, change) = read_message(&message);
                generations.advance(key, change);
            }
            _ = ticks.tick() => {
                // On a connection that is subscribed the answer is a list, not a text as elsewhere.
                let _: Value = timeout(PATIENCE, sink.ping()).await??;
            }
        }
    }
}
