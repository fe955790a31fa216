//! Values in Redis, filled by whoever holds the lease. I/O: Redis.
//!
//! A key holds a value, a lease, or nothing. Who finds neither value nor lease leaves a lease there, loads the value,
//! and may store it only in place of that same lease. An invalidation removes what the key holds: a lease given out
//! before is void, and with it a value that was loaded before and comes late. So is a lease that ran out, was evicted
//! or was lost with Redis.
//!
//! Beside the key, an invalidation leaves the place of the change in the database's log. It stays when a value takes the
//! key, and outlives it: whatever is loaded after that has to show that place, because a replica may not. A change whose
//! place is not known leaves a mark of its own, whose time no other change renews.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{Script, cmd};

use crate::position::ReadAfter;
use crate::shared_store::{Operation, SharedStore, StoreError};

/// Where invalidated keys are announced, each after the place of its change and a blank.
pub(super) const CHANNEL: &str = "cache-invalidations";

/// Who has not loaded by then will not store; meanwhile other processes load for themselves.
const LEASE: Duration = Duration::from_secs(3);

/// How long the place of a change is remembered: far longer than a replica may lag, be seen to lag, and a value be
/// loaded, since to ask for a place that all replicas have costs nothing.
pub(super) const REMEMBERED: Duration = Duration::from_secs(300);

const VALUE: u8 = b'V';
const LEASED: u8 = b'L';

/// Stands for a place that is not known.
const UNKNOWN: &str = "z";

/// Replaces what the key holds, if it is what was expected.
static REPLACE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
         redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
         return 1",
    )
});

/// Removes what the key holds, and remembers and tells the place of the change. Of two places the later counts,
/// whichever is told first.
static INVALIDATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('DEL', KEYS[1])
         if ARGV[1] == ARGV[4] then
             redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
         else
             local place = redis.call('GET', KEYS[2])
             if not place or place < ARGV[1] then place = ARGV[1] end
             redis.call('SET', KEYS[2], place, 'PX', ARGV[2])
         end
         redis.call('PUBLISH', ARGV[3], ARGV[1] .. ' ' .. KEYS[1])",
    )
});

static GET: Operation = Operation::new("GET");
static SET: Operation = Operation::new("SET");
static EVALSHA: Operation = Operation::new("EVALSHA");

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
        /// What has to be shown by what is loaded.
        after: ReadAfter,
    },
}

/// Finds the value, or takes the lease.
pub(super) async fn find(store: &SharedStore, key: &str) -> Result<Found<Vec<u8>>, StoreError> {
    let mut command = cmd("GET");
    command.arg(key);
    let command = &command;
    let held: Option<Vec<u8>> =
        store.call(&GET, |mut connection| async move { command.query_async(&mut connection).await }).await?;
    match held.map(value) {
        Some(Ok(value)) => Ok(Found::Value(value)),
        _ => take(store, key).await,
    }
}

/// Takes the lease, unless there is something by now.
async fn take(store: &SharedStore, key: &str) -> Result<Found<Vec<u8>>, StoreError> {
    let lease = new_lease();
    let mut pipeline = redis::pipe();
    pipeline.cmd("SET").arg(key).arg(&lease.0).arg("NX").arg("GET").arg("PX").arg(LEASE.as_millis() as u64);
    pipeline.mget(&[changed(key), unknown(key)]);
    let pipeline = &pipeline;
    let (held, marks): (Option<Vec<u8>>, Vec<Option<String>>) =
        store.call(&SET, |mut connection| async move { pipeline.query_async(&mut connection).await }).await?;
    let after = marks.iter().flatten().map(|mark| read_place(mark)).max().unwrap_or(ReadAfter::Nothing);
    Ok(match held.map(value) {
        Some(Ok(value)) => Found::Value(value),
        Some(Err(_)) => Found::Nothing { lease: None, after },
        None => Found::Nothing { lease: Some(lease), after },
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
    let mut script = REPLACE.prepare_invoke();
    script.key(key).arg(&lease.0).arg(marked).arg(lifetime.as_millis().max(1) as u64);
    let script = &script;
    store.call(&EVALSHA, |mut connection| async move { script.invoke_async(&mut connection).await }).await
}

/// Makes what the key holds outdated by a change, and tells all processes.
pub(super) async fn invalidate(store: &SharedStore, key: &str, change: ReadAfter) -> Result<(), StoreError> {
    let place = match change {
        ReadAfter::At(place) => place.to_string(),
        ReadAfter::Nothing | ReadAfter::Everything => UNKNOWN.to_owned(),
    };
    let mut script = INVALIDATE.prepare_invoke();
    script.key(key).key(changed(key)).key(unknown(key));
    script.arg(place).arg(REMEMBERED.as_millis() as u64).arg(CHANNEL).arg(UNKNOWN);
    let script = &script;
    store.call(&EVALSHA, |mut connection| async move { script.invoke_async(&mut connection).await }).await
}

/// What a message on the channel says: which key was changed, and what has to be shown since.
pub(super) fn read_message(message: &str) -> (&str, ReadAfter) {
    message.split_once(' ').map_or((message, ReadAfter::Everything), |(place, key)| (key, read_place(place)))
}

fn read_place(text: &str) -> ReadAfter {
    text.parse().map_or(ReadAfter::Everything, ReadAfter::At)
}

/// Where the place of a key's last change is.
fn changed(key: &str) -> String {
    format!("changed:{key}")
}

/// Where it is said that the place of one of its changes is not known.
pub(super) fn unknown(key: &str) -> String {
    format!("unknown:{key}")
}

/// The value, if it is one.
fn value(mut held: Vec<u8>) -> Result<Vec<u8>, Vec<u8>> {
    if held.first() == Some(&VALUE) { Ok(held.split_off(1)) } else { Err(held) }
}

/// What no other lease is equal to.
fn new_lease() -> Lease {
    let mut lease = vec![LEASED];
    lease.extend(fastrand::u128(..).to_le_bytes());
    Lease(lease)
}
