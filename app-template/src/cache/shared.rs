//! Values in Redis, filled by whoever holds the lease. I/O: Redis.
//!
//! A key holds a value, a lease, the mark of a change, or nothing. Who finds neither value nor lease leaves
//! a lease there, loads the value, and may store it only in place of that same lease. An invalidation
//! replaces what the key holds by the mark: a lease given out before is void, and with it a value that was
//! loaded before and comes late. So is a lease that ran out, was evicted or was lost with Redis. While the
//! mark, or a lease that took its place, is there, the value is to be loaded from where changes are
//! committed.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{Script, cmd};

use crate::shared_store::{SharedStore, StoreError};

/// Where invalidated keys are announced.
pub(super) const CHANNEL: &str = "cache-invalidations";

/// Who has not loaded by then will not store; meanwhile other processes load for themselves.
const LEASE: Duration = Duration::from_secs(3);

/// How long after a change replicas may not have it. An operator takes them out long before they lag so much.
pub(super) const LAG: Duration = Duration::from_secs(5);

const VALUE: u8 = b'V';
const LEASED: u8 = b'L';
const LEASED_AFTER_CHANGE: u8 = b'R';
const CHANGED: u8 = b'C';

/// Replaces what the key holds, if it is what was expected.
static REPLACE: LazyLock<Script> = LazyLock::new(|| {
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
    /// Nothing to use.
    Nothing {
        /// None if somebody else is loading it.
        lease: Option<Lease>,
        /// Replicas may not have it yet.
        is_changed: bool,
    },
}

/// Finds the value, or takes the lease.
pub(super) async fn find(store: &SharedStore, key: &str) -> Result<Found<Vec<u8>>, StoreError> {
    let lease = lease(LEASED);
    let mut command = cmd("SET");
    command.arg(key).arg(&lease.0).arg("NX").arg("GET").arg("PX").arg(LEASE.as_millis() as u64);
    let command = &command;
    let held: Option<Vec<u8>> =
        store.call("SET", |mut connection| async move { command.query_async(&mut connection).await }).await?;
    let Some(mut held) = held else {
        return Ok(Found::Nothing { lease: Some(lease), is_changed: false });
    };
    Ok(match held.first() {
        Some(&VALUE) => Found::Value(held.split_off(1)),
        Some(&CHANGED) => {
            let lease = self::lease(LEASED_AFTER_CHANGE);
            let is_taken = replace(store, key, &held, &lease.0, LEASE).await?;
            Found::Nothing { lease: is_taken.then_some(lease), is_changed: true }
        }
        first => Found::Nothing { lease: None, is_changed: first == Some(&LEASED_AFTER_CHANGE) },
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
    replace(store, key, &lease.0, &marked, lifetime).await
}

/// Makes what the key holds outdated and tells all processes.
pub(super) async fn invalidate(store: &SharedStore, key: &str) -> Result<(), StoreError> {
    let mark = lease(CHANGED);
    let mut pipeline = redis::pipe();
    pipeline.atomic().pset_ex(key, &mark.0, LAG.as_millis() as u64).ignore().publish(CHANNEL, key).ignore();
    let pipeline = &pipeline;
    store.call("PSETEX", |mut connection| async move { pipeline.query_async(&mut connection).await }).await
}

async fn replace(
    store: &SharedStore,
    key: &str,
    expected: &[u8],
    new: &[u8],
    lifetime: Duration,
) -> Result<bool, StoreError> {
    let mut script = REPLACE.prepare_invoke();
    script.key(key).arg(expected).arg(new).arg(lifetime.as_millis().max(1) as u64);
    let script = &script;
    store.call("EVALSHA", |mut connection| async move { script.invoke_async(&mut connection).await }).await
}

/// What no other lease, nor the mark of another change, is equal to.
fn lease(kind: u8) -> Lease {
    let mut lease = vec![kind];
    lease.extend(fastrand::u128(..).to_le_bytes());
    Lease(lease)
}
