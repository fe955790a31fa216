use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, AtomicU64};

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::redis_server::RedisServer;
use super::*;
use crate::position::Position;
use crate::rendezvous::Shards;
use crate::resilience::Dependencies;
use crate::shard::Login;
use crate::shared_store::{Access, ShardList, endpoints};

/// Longer than any test runs: what disappears was invalidated.
const HOUR: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(20);

/// One process, as far as caches are concerned.
struct Process {
    dependencies: Dependencies,
    caches: Caches,
    cache: Cache<u64>,
}

impl Process {
    /// Waits for Redis even on a machine that is busy with something else.
    fn start(redis: &RedisServer) -> Self {
        Self::start_with(redis, PATIENCE)
    }

    fn start_with(redis: &RedisServer, timeout: Duration) -> Self {
        let dependencies = Dependencies::default();
        let caches = Caches::new(Some(SharedStore::one(&redis.url(), timeout, &dependencies).unwrap()));
        Self { dependencies, cache: caches.cache("test", 1, HOUR), caches }
    }

    /// With shards, and what changes their list.
    fn sharded(servers: &[&RedisServer], timeout: Duration) -> (Self, ShardList) {
        let dependencies = Dependencies::default();
        let access = Access {
            login: Login::default(),
            authorities: None,
            timeout,
            dependencies: dependencies.clone(),
        };
        let (store, list) = SharedStore::sharded(&listed(servers), access).unwrap();
        let caches = Caches::new(Some(store));
        (Self { dependencies, cache: caches.cache("test", 1, HOUR), caches }, list)
    }

    /// Waits until each key has a shard that is used.
    async fn uses_all(&self) {
        until("all shards are used", async || {
            let members = self.caches.members().unwrap();
            (0..100).all(|key| members.used_home(&key.to_string()).is_some())
        })
        .await;
    }

    /// Ids whose values are on this server.
    fn at_home(&self, server: &RedisServer, count: usize) -> Vec<String> {
        let members = self.caches.members().unwrap();
        let is_there = |id: &String| {
            let home = members.used_home(&format!("{}{id}", self.cache.prefix));
            home.is_some_and(|home| home.name().ends_with(&server.endpoint()))
        };
        (0..).map(|id| id.to_string()).filter(is_there).take(count).collect()
    }

    /// Makes `id` outdated by a change at this place of the log.
    async fn change(&self, id: &str, place: u64) -> Result<(), StoreError> {
        self.cache.invalidate(id, ReadAfter::At(Position::at(place))).await
    }

    /// What has to be shown by whatever is loaded for `id`.
    async fn after(&self, id: &str) -> ReadAfter {
        self.cache
            .get(id, async |after| Err::<u64, _>(after))
            .await
            .map_or_else(|after| *after, |_| panic!("kept"))
    }

    /// The value of `id`, which is `value` if it has to be loaded.
    async fn get(&self, id: &str, value: u64) -> u64 {
        *self.cache.get(id, async move |_| Ok::<_, Infallible>(value)).await.unwrap()
    }
}

fn listed(servers: &[&RedisServer]) -> Shards<crate::endpoint::Endpoint> {
    let text: Vec<String> = servers.iter().map(|server| server.endpoint()).collect();
    endpoints(&text.join(",")).unwrap()
}

/// Tries until it holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn one_loads_for_all_who_wait() {
    let redis = RedisServer::start();
    let process = Process::start(&redis);
    let loads = AtomicU32::new(0);
    let load = async |_| {
        loads.fetch_add(1, Ordering::SeqCst);
        sleep(Duration::from_millis(20)).await;
        Ok::<_, Infallible>(7)
    };
    let answers = futures::future::join_all((0..50).map(|_| process.cache.get("a", load))).await;
    assert!(answers.iter().all(|answer| **answer.as_ref().unwrap() == 7));
    assert_eq!(loads.into_inner(), 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_the_loading_to_another() {
    let redis = RedisServer::start();
    let process = Process::start(&redis);
    let leaving = process.cache.get("a", |_| std::future::pending::<Result<u64, Infallible>>());
    let staying = async {
        sleep(Duration::from_millis(10)).await;
        process.get("a", 7).await
    };
    let (left, stayed) = tokio::join!(tokio::time::timeout(Duration::from_millis(50), leaving), staying);
    assert!(left.is_err());
    assert_eq!(stayed, 7);
}

#[tokio::test]
async fn what_one_process_loaded_another_finds() {
    let redis = RedisServer::start();
    let (one, other) = (Process::start(&redis), Process::start(&redis));
    assert_eq!(one.get("a", 1).await, 1);
    assert_eq!(other.get("a", 2).await, 1);
}

#[tokio::test]
async fn a_value_in_another_form_is_not_read() {
    let redis = RedisServer::start();
    let process = Process::start(&redis);
    assert_eq!(process.get("a", 1).await, 1);
    let newer: Cache<String> = process.caches.cache("test", 2, HOUR);
    let load = async |_| Ok::<_, Infallible>("two".to_owned());
    assert_eq!(*newer.get("a", load).await.unwrap(), "two");
    // Nor if somebody forgot to say so.
    let careless: Cache<String> = process.caches.cache("test", 1, HOUR);
    let load = async |_| Ok::<_, Infallible>("three".to_owned());
    assert_eq!(*careless.get("a", load).await.unwrap(), "three");
}

#[tokio::test]
async fn an_error_of_the_source_is_not_kept() {
    let redis = RedisServer::start();
    let process = Process::start(&redis);
    assert_eq!(*process.cache.get("a", async |_| Err("gone")).await.unwrap_err(), "gone");
    assert_eq!(process.get("a", 1).await, 1);
}

#[tokio::test]
async fn a_loading_that_began_before_an_invalidation_is_not_kept() {
    let redis = RedisServer::start();
    let (one, other) = (Process::start(&redis), Process::start(&redis));
    for filling in [&one, &other] {
        let (loading, begun) = oneshot::channel();
        let (finish, finished) = oneshot::channel();
        let late = filling.cache.get("a", async move |_| {
            loading.send(()).unwrap();
            finished.await
        });
        let meanwhile = async {
            begun.await.unwrap();
            one.change("a", 1).await.unwrap();
            assert_eq!(one.get("a", 2).await, 2, "found what began to be loaded earlier");
            one.change("a", 1).await.unwrap();
            finish.send(1).unwrap();
        };
        let (late, ()) = tokio::join!(late, meanwhile);
        assert_eq!(*late.unwrap(), 1, "whoever asked before the change may get what was valid then");
        assert_eq!(one.get("a", 3).await, 3, "found what was loaded before the invalidation and came late");
        one.change("a", 1).await.unwrap();
    }
}

#[tokio::test]
async fn other_processes_hear_of_an_invalidation() {
    let redis = RedisServer::start();
    let (one, other) = (Process::start(&redis), Process::start(&redis));
    let key = format!("{}a", other.cache.prefix);
    // The first to be heard may be the beginning of listening itself; from then on each is heard.
    for _ in 0..3 {
        let before = other.caches.generations.of(&key);
        until("the other process heard", async || {
            one.change("a", 1).await.unwrap();
            other.caches.generations.of(&key) > before
        })
        .await;
    }
}

#[tokio::test]
async fn a_process_that_has_not_heard_of_a_change_finds_its_place_also_after_the_next_value_is_gone() {
    let redis = RedisServer::start();
    let process = Process::start(&redis);
    // The one that is told last is the earlier one.
    process.change("a", 7).await.unwrap();
    process.change("a", 5).await.unwrap();
    let key = format!("{}a", process.cache.prefix);
    let members = process.caches.members().unwrap();
    let store = members.used_home(&key).unwrap();
    let place = ReadAfter::At(Position::at(7));

    let Found::Nothing { lease: Some(lease), after } = shared::find(store, &key).await.unwrap() else {
        panic!("the first who asks is to load it");
    };
    assert_eq!(after, place);
    let again = shared::find(store, &key).await.unwrap();
    assert!(matches!(again, Found::Nothing { lease: None, after } if after == place), "{again:?}");
    assert!(shared::store(store, &key, &lease, b"7", Duration::from_millis(1)).await.unwrap());
    until("the value runs out", async || {
        matches!(shared::find(store, &key).await.unwrap(), Found::Nothing { .. })
    })
    .await;

    assert_eq!(Process::start(&redis).after("a").await, place);
}

#[tokio::test]
async fn a_change_of_which_the_place_is_not_known_is_shown_by_showing_everything() {
    let redis = RedisServer::start();
    let (one, other) = (Process::start(&redis), Process::start(&redis));
    one.change("a", 7).await.unwrap();
    one.cache.invalidate("a", ReadAfter::Everything).await.unwrap();
    one.change("a", 8).await.unwrap();
    assert_eq!([one.after("a").await, other.after("a").await], [ReadAfter::Everything; 2]);
}

#[tokio::test]
async fn that_a_place_is_not_known_ends_in_redis_on_a_key_that_goes_on_changing() {
    let redis = RedisServer::start();
    let one = Process::start(&redis);
    one.cache.invalidate("a", ReadAfter::Everything).await.unwrap();
    let mark = shared::unknown(&format!("{}a", one.cache.prefix));
    assert_eq!(redis.ask::<u64>(&["PEXPIRE", &mark, "50"]), 1);
    until("the mark ends", async || {
        one.change("a", 9).await.unwrap();
        Process::start(&redis).after("a").await == ReadAfter::At(Position::at(9))
    })
    .await;
}

#[tokio::test]
async fn a_change_without_redis_is_remembered_by_the_process() {
    let caches = Caches::new(None);
    let cache: Cache<u64> = caches.cache("test", 1, HOUR);
    cache.invalidate("a", ReadAfter::At(Position::at(7))).await.unwrap();
    let after = cache.get("a", async |after| Err::<u64, _>(after)).await.unwrap_err();
    assert_eq!(*after, ReadAfter::At(Position::at(7)));
}

#[tokio::test]
async fn without_redis_every_value_is_loaded_and_with_it_back_they_are_shared_again() {
    let mut redis = RedisServer::start();
    let (one, other) = (Process::start(&redis), Process::start(&redis));
    assert_eq!(one.get("a", 1).await, 1);

    redis.kill();
    // More than it takes to open the breaker.
    for id in 0..30 {
        assert_eq!(one.get(&id.to_string(), id).await, id);
    }
    assert!(one.change("a", 1).await.is_err(), "acknowledged what nobody else can have heard");
    assert_eq!(one.get("a", 2).await, 2, "the process itself has heard it");

    redis.revive();
    let mut number = 100;
    until("one finds what the other loaded", async || {
        number += 1;
        let id = number.to_string();
        one.get(&id, 1).await == other.get(&id, 2).await
    })
    .await;
}

#[tokio::test]
async fn a_silent_redis_is_left_alone_until_it_speaks_again() {
    let redis = RedisServer::start();
    let process = Process::start_with(&redis, Duration::from_millis(50));
    assert_eq!(process.get("a", 1).await, 1);
    let breaker = || format!("{:?}", process.dependencies.standings());

    redis.suspend();
    for id in 0..30 {
        assert_eq!(process.get(&id.to_string(), id).await, id);
    }
    assert!(breaker().contains("\"open\""), "{}", breaker());

    redis.resume();
    let mut number = 100;
    until("the breaker is closed", async || {
        number += 1;
        process.get(&number.to_string(), number).await;
        breaker().contains("\"closed\"")
    })
    .await;
}

/// What is cached, and what each process may rely on.
struct World {
    source: BTreeMap<&'static str, AtomicU64>,
    processes: [(Process, BTreeMap<&'static str, AtomicU64>); 2],
    writing: AtomicU32,
    acknowledged: AtomicU32,
    /// What a replica has of the source, if reads may go there.
    replica: Option<BTreeMap<&'static str, AtomicU64>>,
}

const IDS: [&str; 3] = ["a", "b", "c"];
const WRITERS: u32 = 4;

impl World {
    fn new(redis: &RedisServer, with_replica: bool) -> Arc<Self> {
        Self::of([Process::start(redis), Process::start(redis)], with_replica)
    }

    fn of([one, other]: [Process; 2], with_replica: bool) -> Arc<Self> {
        let versions = || IDS.into_iter().map(|id| (id, AtomicU64::new(0))).collect::<BTreeMap<_, _>>();
        Arc::new(Self {
            source: versions(),
            processes: [(one, versions()), (other, versions())],
            writing: AtomicU32::new(WRITERS),
            acknowledged: AtomicU32::new(0),
            replica: with_replica.then(versions),
        })
    }

    /// Changes the source and invalidates, again and again.
    async fn write(self: Arc<Self>, process: usize, times: u32) {
        let (process, acknowledged) = &self.processes[process];
        for _ in 0..times {
            let id = fastrand::choice(IDS).unwrap();
            let version = self.source[id].fetch_add(1, Ordering::SeqCst) + 1;
            self.replicate(id, version);
            pause().await;
            if process.change(id, version).await.is_ok() {
                acknowledged[id].fetch_max(version, Ordering::SeqCst);
                self.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            pause().await;
        }
        self.writing.fetch_sub(1, Ordering::SeqCst);
    }

    /// Brings the change to the replica, some time later.
    fn replicate(self: &Arc<Self>, id: &'static str, version: u64) {
        let world = Arc::clone(self);
        tokio::spawn(async move {
            sleep(Duration::from_millis(fastrand::u64(..50))).await;
            if let Some(replica) = &world.replica {
                replica[id].fetch_max(version, Ordering::SeqCst);
            }
        });
    }

    /// Asks the cache for as long as somebody writes; panics at a value from before an acknowledged
    /// invalidation.
    async fn read(self: Arc<Self>, process: usize) {
        let (process, acknowledged) = &self.processes[process];
        while self.writing.load(Ordering::SeqCst) > 0 {
            let id = fastrand::choice(IDS).unwrap();
            let oldest = acknowledged[id].load(Ordering::SeqCst);
            let load = async |after: ReadAfter| {
                pause().await;
                let replica = self.replica.as_ref().map(|replica| replica[id].load(Ordering::SeqCst));
                let version = replica
                    .filter(|version| after <= ReadAfter::At(Position::at(*version)))
                    .unwrap_or_else(|| self.source[id].load(Ordering::SeqCst));
                pause().await;
                Ok::<_, Infallible>(version)
            };
            let found = *process.cache.get(id, load).await.unwrap();
            assert!(found >= oldest, "{id}: {found} found after {oldest} was acknowledged");
            pause().await;
        }
    }
}

async fn pause() {
    match fastrand::u8(..4) {
        0 => sleep(Duration::from_micros(fastrand::u64(..3000))).await,
        1 => tokio::task::yield_now().await,
        _ => {}
    }
}

/// Lets two processes write and read, while `disturb` does something to Redis.
async fn run_world(
    world: Arc<World>,
    times: u32,
    redis: &mut RedisServer,
    disturb: impl AsyncFnOnce(&mut RedisServer),
) -> u32 {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..WRITERS {
        tasks.spawn(Arc::clone(&world).write(number as usize % 2, times));
    }
    for number in 0..8 {
        tasks.spawn(Arc::clone(&world).read(number % 2));
    }
    disturb(redis).await;
    tasks.join_all().await;
    world.acknowledged.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_served_from_before_an_acknowledged_invalidation() {
    let mut redis = RedisServer::start();
    let acknowledged = run_world(World::new(&redis, false), 500, &mut redis, async |_| {}).await;
    assert_eq!(acknowledged, WRITERS * 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nor_from_a_replica_that_does_not_have_the_change_yet() {
    let mut redis = RedisServer::start();
    let acknowledged = run_world(World::new(&redis, true), 500, &mut redis, async |_| {}).await;
    assert_eq!(acknowledged, WRITERS * 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nor_while_redis_is_killed_and_comes_back_empty() {
    let mut redis = RedisServer::start();
    let acknowledged = run_world(World::new(&redis, false), 1500, &mut redis, async |redis| {
        sleep(Duration::from_millis(300)).await;
        redis.kill();
        sleep(Duration::from_millis(100)).await;
        redis.revive();
    })
    .await;
    assert!(acknowledged > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nor_while_shards_come_and_go_and_processes_hear_of_that_at_other_times() {
    let mut first = RedisServer::start();
    let others = [(); 3].map(|()| RedisServer::start());
    let all: Vec<String> = [&first].into_iter().chain(&others).map(RedisServer::endpoint).collect();
    let all_but = |one: usize| {
        let mut some = all.clone();
        some.remove(one);
        endpoints(&some.join(",")).unwrap()
    };
    let [(one, list_of_one), (other, list_of_other)] =
        [(); 2].map(|()| Process::sharded(&[&first, &others[0], &others[1]], PATIENCE));
    let world = World::of([one, other], true);
    let acknowledged = run_world(world, 1500, &mut first, async |_| {
        for round in 0..24 {
            let lists =
                if round % 2 == 0 { [&list_of_one, &list_of_other] } else { [&list_of_other, &list_of_one] };
            for list in lists {
                list.replace(&all_but(round % 4)).unwrap();
                sleep(Duration::from_millis(fastrand::u64(5..60))).await;
            }
        }
    })
    .await;
    assert_eq!(acknowledged, WRITERS * 1500);
}

#[tokio::test]
async fn a_shard_that_the_changing_process_does_not_have_is_told_by_one_that_has_it() {
    let [old, new] = [(); 2].map(|()| RedisServer::start());
    let (behind, _list) = Process::sharded(&[&old], PATIENCE);
    let (ahead, _list) = Process::sharded(&[&old, &new], PATIENCE);
    ahead.uses_all().await;
    let id = ahead.at_home(&new, 1).remove(0);
    assert_eq!(ahead.get(&id, 1).await, 1);
    behind.change(&id, 7).await.unwrap();
    until("the new shard is told", async || ahead.get(&id, 2).await == 2).await;
    let (late, _list) = Process::sharded(&[&old, &new], PATIENCE);
    late.uses_all().await;
    assert_eq!(late.get(&id, 3).await, 2);
    assert_eq!(late.after(&format!("{id}0000")).await, ReadAfter::Nothing, "of another key");

    // And the other way round: the shard is removed, and one has it still.
    let (ahead, list) = Process::sharded(&[&old, &new], PATIENCE);
    ahead.uses_all().await;
    list.replace(&listed(&[&old])).unwrap();
    until("the list is another", async || ahead.caches.members().unwrap().untold("").len() == 1).await;
    ahead.change(&id, 8).await.unwrap();
    until("the old shard is told", async || late.get(&id, 4).await == 4).await;
}

#[tokio::test]
async fn a_shard_that_comes_back_shows_nothing_from_before() {
    let [stays, comes] = [(); 2].map(|()| RedisServer::start());
    let (process, list) = Process::sharded(&[&stays, &comes], PATIENCE);
    process.uses_all().await;
    let id = process.at_home(&comes, 1).remove(0);
    assert_eq!(process.get(&id, 1).await, 1);
    assert_eq!(comes.ask::<String>(&["SET", "session:1", "kept"]), "OK");

    list.replace(&listed(&[&stays])).unwrap();
    until("the list is another", async || process.caches.members().unwrap().untold("").len() == 1).await;
    process.change(&id, 7).await.unwrap();
    list.replace(&listed(&[&stays, &comes])).unwrap();
    until("the shard is back", async || process.caches.members().unwrap().untold("").len() == 2).await;
    assert_eq!(process.get(&id, 2).await, 2);
    process.uses_all().await;
    assert_eq!(comes.ask::<String>(&["GET", "session:1"]), "kept", "sessions stay");
    let (late, _list) = Process::sharded(&[&stays, &comes], PATIENCE);
    late.uses_all().await;
    let another = late.at_home(&comes, 2).remove(1);
    let shown = late.after(&another).await;
    assert_eq!(shown, ReadAfter::At(Position::at(7)), "the shard was not told of each change");
}

#[tokio::test]
async fn a_dead_shard_costs_its_own_keys_and_no_other() {
    let mut servers = [(); 3].map(|()| RedisServer::start());
    let (process, _list) = Process::sharded(&servers.each_ref(), PATIENCE);
    process.uses_all().await;
    let ids = servers.each_ref().map(|server| process.at_home(server, 30));
    let (other, _list) = Process::sharded(&servers.each_ref(), PATIENCE);
    other.uses_all().await;
    servers[0].kill();
    for (number, ids) in ids.iter().enumerate() {
        for id in ids {
            assert_eq!(process.get(id, 1).await, 1);
            let found = other.get(id, 2).await;
            assert_eq!(found, if number == 0 { 2 } else { 1 }, "{id} on server {number}");
            let told = process.change(id, 1).await;
            assert_eq!(told.is_ok(), number != 0, "{id} on server {number}: {told:?}");
        }
    }
    let standings = format!("{:?}", process.dependencies.standings());
    assert_eq!(standings.matches("\"closed\"").count(), 2, "{standings}");
    assert_eq!(standings.matches("\"open\"").count(), 1, "{standings}");
}
