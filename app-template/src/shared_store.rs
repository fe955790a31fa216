//! The Redis that all pods share: one server, or shards that are added and removed while the process runs. I/O: reads
//! the settings.
//!
//! A key is on one shard, and moves only if the list of shards changes. What it had stays behind, and is not copied:
//! a value is loaded anew, and a session begins anew.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redis::RedisResult;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use crate::endpoint::Endpoint;
use crate::rendezvous::{Located, Shards};
use crate::resilience::Dependencies;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::shard::{Login, Shard};

/// The variable, and the file of the settings, that list the shards.
pub(crate) const ENDPOINTS: &str = "CACHE_SESSIONS_ENDPOINTS";
/// The same for their password.
pub(crate) const PASSWORD: &str = "CACHE_SESSIONS_PASSWORD";

/// Each has a subscription of every process, and hears of every invalidation.
const MOST: usize = 64;

const EVERY: Duration = Duration::from_secs(1);

/// The shards as they are listed now.
pub(crate) type Listed = Arc<Shards<Arc<Shard>>>;

/// All shards, and which has a key.
#[derive(Debug, Clone)]
pub(crate) struct SharedStore(watch::Receiver<Listed>);

/// How shards are called.
#[derive(Debug)]
pub(crate) struct Access {
    /// That of all of them.
    pub(crate) login: Login,
    /// The file with the authorities; without one there is no TLS.
    pub(crate) authorities: Option<PathBuf>,
    pub(crate) timeout: Duration,
    pub(crate) dependencies: Dependencies,
}

/// The list of shards, for whoever changes it.
#[derive(Debug)]
pub(crate) struct ShardList {
    access: Access,
    first: Shards<Endpoint>,
    listed: watch::Sender<Listed>,
}

/// The shards that `text` lists: 1 to 64, each once, as `host:port`, separated by commas.
///
/// # Errors
/// A sentence that says what to write.
pub(crate) fn endpoints(text: &str) -> Result<Shards<Endpoint>, String> {
    let read: Option<Vec<Endpoint>> = text.split(',').map(|one| one.trim().parse().ok()).collect();
    let fits =
        |all: &Vec<Endpoint>| all.len() <= MOST && all.iter().collect::<BTreeSet<_>>().len() == all.len();
    read.filter(fits).and_then(Shards::of).ok_or_else(|| {
        format!("give 1 to {MOST} shards as host:port, each once, separated by commas, for example cache-0:6379,cache-1:6379")
    })
}

impl SharedStore {
    /// One server, which has all keys for the life of the process. No call takes longer than `timeout`.
    ///
    /// # Errors
    /// A URL that Redis' client cannot use.
    pub(crate) fn one(url: &str, timeout: Duration, dependencies: &Dependencies) -> RedisResult<Self> {
        let only = Arc::new(Shard::of_url(url, timeout, dependencies)?);
        Ok(Self(watch::channel(Arc::new(Shards::one(only))).1))
    }

    /// Several servers, and what changes their list.
    ///
    /// # Errors
    /// When a client of Redis cannot be made.
    pub(crate) fn sharded(first: &Shards<Endpoint>, access: Access) -> RedisResult<(Self, ShardList)> {
        let opened = first.try_map(|endpoint| access.open(endpoint).map(Arc::new))?;
        let (sender, listed) = watch::channel(Arc::new(opened));
        Ok((Self(listed), ShardList { access, first: first.clone(), listed: sender }))
    }

    /// The shard that has `key` now.
    pub(crate) fn home(&self, key: &str) -> Arc<Shard> {
        Arc::clone(self.0.borrow().home(key))
    }

    /// The list as it is now, and its changes.
    pub(crate) fn listed(&self) -> watch::Receiver<Listed> {
        self.0.clone()
    }
}

impl Access {
    /// Takes the password of the settings and the authorities, where they can be read, and returns whether one of them is
    /// another one.
    pub(crate) async fn follow(&mut self, settings: &Settings) -> bool {
        let Login { password, authorities } = &mut self.login;
        let text = settings.read(PASSWORD).await.filter(|text| !text.is_empty());
        let text = text.filter(|text| password.as_ref().is_none_or(|known| known.reveal() != text));
        let mut is_other = text.is_some();
        if let Some(text) = text {
            *password = Some(Secret::new(text));
        }
        if let Some(file) = self.authorities.clone() {
            let text = spawn_blocking(move || std::fs::read_to_string(file).ok()).await.ok().flatten();
            let text = text.filter(|text| authorities.as_ref() != Some(text));
            is_other |= text.is_some();
            // Without any, nobody is trusted.
            *authorities = text.or(authorities.take()).or_else(|| Some(String::new()));
        }
        is_other
    }

    fn open(&self, endpoint: &Endpoint) -> RedisResult<Shard> {
        Shard::at(endpoint, &self.login, self.timeout, &self.dependencies)
    }

    fn reopen(&self, shard: &Shard, endpoint: &Endpoint) -> RedisResult<Shard> {
        shard.reopened(endpoint, &self.login)
    }
}

impl ShardList {
    /// Follows the settings for as long as the process lives. Without them the shards are those `configured`, if they
    /// are, else those that were listed last.
    pub(crate) async fn follow(mut self, settings: Settings, configured: Option<Shards<Endpoint>>) {
        let (mut current, mut refused) = (self.first.clone(), None);
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let is_anew = self.access.follow(&settings).await;
            if is_anew {
                tracing::info!("the login of the cache is another one");
            }
            let text = settings.read(ENDPOINTS).await.filter(|text| !text.is_empty());
            let wanted = match text.as_deref().map(endpoints) {
                None => configured.clone(),
                Some(Ok(listed)) => Some(listed),
                Some(Err(reason)) => {
                    if refused != text {
                        tracing::warn!(name = ENDPOINTS, text, reason, "a setting cannot be used");
                        refused = text.clone();
                    }
                    None
                }
            };
            refused = refused.filter(|refused| text.as_ref() == Some(refused));
            let wanted = wanted.unwrap_or_else(|| current.clone());
            match self.open(&wanted, is_anew) {
                Ok(()) => current = wanted,
                Err(error) => {
                    tracing::error!(%error, "failed to make the client of a shard, the shards stay as they were");
                }
            }
        }
    }

    /// Makes `wanted` the list; shards that stay keep their connections and breakers.
    ///
    /// # Errors
    /// When a client of Redis cannot be made; then the list stays as it was.
    #[cfg(test)]
    pub(crate) fn replace(&self, wanted: &Shards<Endpoint>) -> RedisResult<()> {
        self.open(wanted, false)
    }

    /// Makes `wanted` the list. Shards that stay keep their breakers, and their connections unless those are made
    /// `anew`.
    fn open(&self, wanted: &Shards<Endpoint>, anew: bool) -> RedisResult<()> {
        let before = Arc::clone(&self.listed.borrow());
        let names = |shards: &Shards<Arc<Shard>>| -> BTreeSet<String> {
            shards.iter().map(|shard| shard.endpoint().to_owned()).collect()
        };
        let after = wanted.try_map(|endpoint| {
            let name = endpoint.to_string();
            match before.iter().find(|shard| shard.endpoint() == name) {
                Some(shard) if anew => self.access.reopen(shard, endpoint).map(Arc::new),
                Some(shard) => Ok(Arc::clone(shard)),
                None => self.access.open(endpoint).map(Arc::new),
            }
        })?;
        let (old, new) = (names(&before), names(&after));
        if anew && old == new {
            self.listed.send_replace(Arc::new(after));
        } else if old != new {
            self.listed.send_replace(Arc::new(after));
            let gone = before.iter().filter(|shard| !new.contains(shard.endpoint()));
            gone.for_each(|shard| self.access.dependencies.remove(shard.dependency()));
            tracing::info!(?old, ?new, "the shards of the cache are others");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_lists_shards_or_is_refused_in_words(text in "([a-c]:[1-3],? ?){0,4}|\\PC*") {
            match endpoints(&text) {
                Ok(shards) => prop_assert!((1..=MOST).contains(&shards.iter().count())),
                Err(reason) => prop_assert!(reason.contains("give 1 to 64 shards as host:port")),
            }
        }
    }

    #[test]
    fn a_list_has_one_to_64_shards_each_once() {
        let list =
            |count: u16| (1..=count).map(|port| format!("cache:{port}")).collect::<Vec<_>>().join(", ");
        for count in [1, 2, 64] {
            assert_eq!(endpoints(&list(count)).unwrap().iter().count(), usize::from(count));
        }
        for bad in [list(0), list(65), "a:1,a:1".to_owned(), "a:1,".to_owned(), "redis://a:1".to_owned()] {
            assert!(endpoints(&bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn shards_that_stay_are_the_same_and_those_that_go_are_no_longer_listed() {
        let dependencies = Dependencies::default();
        let access = Access {
            login: Login::default(),
            authorities: None,
            timeout: EVERY,
            dependencies: dependencies.clone(),
        };
        let (store, list) = SharedStore::sharded(&endpoints("a:1,b:2").unwrap(), access).unwrap();
        let find = |name| store.listed().borrow().iter().find(|shard| shard.endpoint() == name).cloned();
        let stays = find("b:2").unwrap();
        list.replace(&endpoints("c:3,b:2").unwrap()).unwrap();
        assert!(Arc::ptr_eq(&stays, &find("b:2").unwrap()) && find("a:1").is_none());
        let standings = format!("{:?}", dependencies.standings());
        assert!(standings.contains("redis b:2") && standings.contains("redis c:3"), "{standings}");
        assert!(!standings.contains("redis a:1"), "{standings}");
    }
}
