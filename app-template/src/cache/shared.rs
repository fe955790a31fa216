//! Values in Redis, filled by whoever holds the lease. I/O: Redis.
//!
//! A key holds a value, a lease or nothing. Who finds nothing leaves a lease there, loads the value, and may store it
//! only in place of that same lease. An invalidation deletes the key: a lease given out before is void, and with it
//! a value that was loaded before and comes late. So is a lease that ran out, was evicted or was lost with Redis.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{Script, cmd};

use crate::shared_store::{SharedStore, StoreError};

/// Where invalidated keys are announced.
pub(super) const CHANNEL: &str = "cache-invalidations";

/// Who has not loaded by then will not store; meanwhile other processes load for themselves.
const LEASE: Duration = Duration::from_secs(3);

const VALUE: u8 = b'V';
const HOLDS_LEASE: u8 = b'L';

/// Stores the value in place of the lease, if that is what the key holds.
static STORE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
         redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
         return 1",
    )
});

/// The right to store one value, once.
#[derive(Debug)]
pub(super) struct Lease(Vec<u8>);

/// What a key holds.
#[derive(Debug)]
pub(super) enum Found<T> {
    Value(T),
    /// Nothing to use; with the lease if nobody else is loading it.
    Nothing(Option<Lease>),
}

/// Finds the value, or takes the lease.
pub(super) async fn find(store: &SharedStore, key: &str) -> Result<Found<Vec<u8>>, StoreError> {
    let mut lease = vec![HOLDS_LEASE];
    lease.extend(fastrand::u128(..).to_le_bytes());
    let mut command = cmd("SET");
    command.arg(key).arg(&lease).arg("NX").arg("GET").arg("PX").arg(LEASE.as_millis() as u64);
    let command = &command;
    let held: Option<Vec<u8>> =
        store.call("SET", |mut connection| async move { command.query_async(&mut connection).await }).await?;
    Ok(match held {
        None => Found::Nothing(Some(Lease(lease))),
        Some(mut held) if held.first() == Some(&VALUE) => Found::Value(held.split_off(1)),
        Some(_) => Found::Nothing(None),
    })
}

/// Stores the value if the lease still holds, and says whether it did.
pub(super) async fn store(
    store: &SharedStore,
    key: &str,
    lease: &Lease,
    value: &[u8],
    lifetime: Duration,
) -> Result<bool, StoreError> {
    let mut marked = vec![VALUE];
    marked.extend(value);
    let milliseconds = lifetime.as_millis().max(1) as u64;
    let mut script = STORE.prepare_invoke();
    script.key(key).arg(&lease.0).arg(&marked).arg(milliseconds);
    let script = &script;
    store.call("EVALSHA", |mut connection| async move { script.invoke_async(&mut connection).await }).await
}

/// Deletes what the key holds and tells all processes.
pub(super) async fn invalidate(store: &SharedStore, key: &str) -> Result<(), StoreError> {
    let mut pipeline = redis::pipe();
    pipeline.atomic().del(key).ignore().publish(CHANNEL, key).ignore();
    let pipeline = &pipeline;
    store.call("DEL", |mut connection| async move { pipeline.query_async(&mut connection).await }).await
}
