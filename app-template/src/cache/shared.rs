//! Values in Redis, filled by whoever holds the lease. I/O: Redis.
//!
//! A key holds a value, a lease, or nothing. Who finds neither value nor lease leaves a lease there, loads the value,
//! and may store it only in place of that same lease. An invalidation removes what the key holds: a lease given out
//! before is void, and with it a value that was loaded before and comes late. So is a lease that ran out, was evicted
//! or was lost with Redis.
//!
//! Beside the key, an invalidation leaves the place of the change in the database's log. It stays when a value takes the
//! key, and outlives it: whatever is loaded after that has to show that place, because a replica may not. A change whose
//! place is not known leaves a mark of its own, whose time no other change renews. The same marks of the key `FLOOR` hold
//! for all keys: whoever clears a shard leaves them there.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{Script, cmd};

use crate::position::ReadAfter;
use crate::shard::{Operation, Shard, StoreError};

/// How all keys of values begin.
pub(super) const PREFIX: &str = "cache:";

/// Where invalidated keys are announced, as [`Message`]s.
pub(super) const CHANNEL: &str = "cache-invalidations";

/// How often a subscription is tried, and how long its answer may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Stands for all keys.
const FLOOR: &str = "cache-floor";

/// How many keys a step of clearing looks at: well within a millisecond of Redis.
const STEP: u32 = 1000;

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

/// Removes what the key holds, remembers the place of the change, and tells of it unless no shards are named. Of two
/// places the later counts, whichever is told first.
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
         if ARGV[5] ~= '' then
             redis.call('PUBLISH', ARGV[3], ARGV[1] .. ' ' .. ARGV[5] .. ' ' .. KEYS[1])
         end",
    )
});

static GET: Operation = Operation::new("GET");
static SET: Operation = Operation::new("SET");
static EVALSHA: Operation = Operation::new("EVALSHA");
static SCAN: Operation = Operation::new("SCAN");
static UNLINK: Operation = Operation::new("UNLINK");

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
pub(super) async fn find(shard: &Shard, key: &str) -> Result<Found<Vec<u8>>, StoreError> {
    let mut command = cmd("GET");
    command.arg(key);
    let command = &command;
    let held: Option<Vec<u8>> =
        shard.call(&GET, |mut connection| async move { command.query_async(&mut connection).await }).await?;
    match held.map(value) {
        Some(Ok(value)) => Ok(Found::Value(value)),
        _ => take(shard, key).await,
    }
}

/// Takes the lease, unless there is something by now.
async fn take(shard: &Shard, key: &str) -> Result<Found<Vec<u8>>, StoreError> {
    let lease = new_lease();
    let mut pipeline = redis::pipe();
    pipeline.cmd("SET").arg(key).arg(&lease.0).arg("NX").arg("GET").arg("PX").arg(LEASE.as_millis() as u64);
    pipeline.mget(&[changed(key), unknown(key), changed(FLOOR), unknown(FLOOR)]);
    let pipeline = &pipeline;
    let (held, marks): (Option<Vec<u8>>, Vec<Option<String>>) =
        shard.call(&SET, |mut connection| async move { pipeline.query_async(&mut connection).await }).await?;
    let after = marks.iter().flatten().map(|mark| read_place(mark)).max().unwrap_or(ReadAfter::Nothing);
    Ok(match held.map(value) {
        Some(Ok(value)) => Found::Value(value),
        Some(Err(_)) => Found::Nothing { lease: None, after },
        None => Found::Nothing { lease: Some(lease), after },
    })
}

/// Stores the value if the lease still holds, and says whether it did.
pub(super) async fn store(
    shard: &Shard,
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
    shard.call(&EVALSHA, |mut connection| async move { script.invoke_async(&mut connection).await }).await
}

/// Makes what the key holds outdated by a change, and tells all processes that `told`, the shards of these names, are
/// told; nobody without them.
pub(super) async fn invalidate(
    shard: &Shard,
    key: &str,
    change: ReadAfter,
    told: Option<&str>,
) -> Result<(), StoreError> {
    let place = match change {
        ReadAfter::At(place) => place.to_string(),
        ReadAfter::Nothing | ReadAfter::Everything => UNKNOWN.to_owned(),
    };
    let mut script = INVALIDATE.prepare_invoke();
    script.key(key).key(changed(key)).key(unknown(key));
    script
        .arg(place)
        .arg(REMEMBERED.as_millis() as u64)
        .arg(CHANNEL)
        .arg(UNKNOWN)
        .arg(told.unwrap_or_default());
    let script = &script;
    shard.call(&EVALSHA, |mut connection| async move { script.invoke_async(&mut connection).await }).await
}

/// Removes all values and leases; what is loaded from here on shows `latest`.
pub(super) async fn clear(shard: &Shard, latest: ReadAfter) -> Result<(), StoreError> {
    if latest != ReadAfter::Nothing {
        invalidate(shard, FLOOR, latest, None).await?;
    }
    let mut cursor = 0_u64;
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{PREFIX}*")).arg("COUNT").arg(STEP);
        let scan = &scan;
        let (next, keys): (u64, Vec<String>) = shard
            .call(&SCAN, |mut connection| async move { scan.query_async(&mut connection).await })
            .await?;
        if !keys.is_empty() {
            let mut unlink = cmd("UNLINK");
            unlink.arg(keys);
            let unlink = &unlink;
            let () = shard
                .call(&UNLINK, |mut connection| async move { unlink.query_async(&mut connection).await })
                .await?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

/// What is announced of a change.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// What has to be shown since.
    pub(super) change: ReadAfter,
    /// The names of the shards that are told of it.
    pub(super) told: &'a str,
    pub(super) key: &'a str,
}

impl<'a> Message<'a> {
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (place, rest) = text.split_once(' ')?;
        let (told, key) = rest.split_once(' ')?;
        Some(Self { change: read_place(place), told, key })
    }
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
