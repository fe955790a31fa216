//! Hears from other processes which keys are outdated. I/O: a connection to Redis of its own.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use redis::{Client, RedisResult};
use tokio::time::error::Elapsed;
use tokio::time::{interval, sleep, timeout};

use super::generations::Generations;
use super::shared::CHANNEL;

/// How often the connection is tried, and how long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Listens for as long as the process lives.
pub(super) async fn follow(client: Client, generations: Arc<Generations>) {
    loop {
        if let Err(error) = listen(&client, &generations).await {
            tracing::debug!(%error, "not hearing of invalidations");
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
}

/// Listens until the connection breaks or falls silent.
async fn listen(client: &Client, generations: &Generations) -> Result<(), ListenError> {
    let (mut sink, mut messages) = timeout(PATIENCE, client.get_async_pubsub()).await??.split();
    timeout(PATIENCE, sink.subscribe(CHANNEL)).await??;
    // What was announced while nobody listened is not known.
    generations.advance_all();
    let mut ticks = interval(PATIENCE);
    loop {
        tokio::select! {
            message = messages.next() => {
                let Some(message) = message else { return Ok(()) };
                let key: RedisResult<String> = message.get_payload();
                generations.advance(&key?);
            }
            _ = ticks.tick() => {
                let _: String = timeout(PATIENCE, sink.ping()).await??;
            }
        }
    }
}
