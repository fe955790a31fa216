//! One server of the Redis that all pods share, called by its policy. I/O: Redis.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use metrics::{Histogram, histogram};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, ConnectionAddr, FromRedisValue, IntoConnectionInfo, RedisConnectionInfo, RedisError, RedisResult,
    TlsCertificates,
};

use crate::endpoint::Endpoint;
use crate::rendezvous::Located;
use crate::resilience::{Backoff, BreakerSettings, CallError, Dependencies, Dependency, Fault, Policy};
use crate::secret::Secret;
use crate::store_duration::STORE_DURATION;

/// Nothing that Redis holds is worth a second try.
const fn policy(timeout: Duration) -> Policy {
    Policy {
        concurrency: 512,
        attempt_timeout: timeout,
        deadline: timeout,
        retries: 0,
        backoff: Backoff { base: Duration::ZERO, max: Duration::ZERO },
        retry_share: 0.0,
        breaker: BreakerSettings {
            window: Duration::from_secs(10),
            minimum_calls: 20,
            failure_share: 0.5,
            open_for: Duration::from_secs(2),
            probes: 3,
        },
        fallback: "values come from their source and stay in the process; requests with a session get 503",
    }
}

const CONNECT: Duration = Duration::from_secs(1);

pub(crate) type StoreError = CallError<RedisError>;

impl Fault for RedisError {
    fn is_fault(&self) -> bool {
        true
    }
}

/// The address of a Redis without TLS.
///
/// Checked apart from the argument parser, which would show a password that is in the URL.
///
/// # Errors
/// A sentence that says what to write and does not quote `text`.
pub(crate) fn plain_redis(text: &str) -> Result<String, String> {
    let is_plain = ["redis://", "redis+unix://"].iter().any(|scheme| text.starts_with(scheme));
    let usable = is_plain && redis::parse_redis_url(text).is_some();
    usable.then(|| text.to_owned()).ok_or_else(|| "give a URL like redis://127.0.0.1:6379".to_owned())
}

/// A kind of call, under the name of its command.
#[derive(Debug)]
pub(crate) struct Operation {
    name: &'static str,
    /// Its series, named at the first call.
    duration: OnceLock<Histogram>,
}

impl Operation {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, duration: OnceLock::new() }
    }

    fn duration(&self) -> &Histogram {
        self.duration.get_or_init(
            || histogram!(STORE_DURATION, "db_system_name" => "redis", "db_operation_name" => self.name),
        )
    }
}

/// What all shards are called with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Login {
    pub(crate) password: Option<Secret>,
    /// The certificates of those who may vouch for a shard, as PEM; without them there is no TLS.
    pub(crate) authorities: Option<String>,
}

/// A connection to a server that is made when it is first used, and again after it broke.
pub(crate) struct Shard {
    endpoint: String,
    client: Client,
    connection: ConnectionManager,
    dependency: Arc<Dependency>,
}

impl Shard {
    /// The server of a URL, under the name `redis`. It need not be there yet. No call takes longer than `timeout`.
    ///
    /// # Errors
    /// A URL that Redis' client cannot use.
    pub(crate) fn of_url(url: &str, timeout: Duration, dependencies: &Dependencies) -> RedisResult<Self> {
        Self::open(String::new(), Client::open(url)?, dependencies.add("redis", policy(timeout)))
    }

    /// One of several servers, under the name `redis HOST:PORT`.
    ///
    /// # Errors
    /// When Redis' client cannot be made.
    pub(crate) fn at(
        endpoint: &Endpoint,
        access: &Login,
        timeout: Duration,
        dependencies: &Dependencies,
    ) -> RedisResult<Self> {
        let client = client(endpoint, access)?;
        let dependency = dependencies.add_passing(&format!("redis {endpoint}"), policy(timeout));
        Self::open(endpoint.to_string(), client, dependency)
    }

    /// The same server for another login, with the breaker of this one.
    ///
    /// # Errors
    /// When Redis' client cannot be made.
    pub(crate) fn reopened(&self, endpoint: &Endpoint, login: &Login) -> RedisResult<Self> {
        Self::open(self.endpoint.clone(), client(endpoint, login)?, Arc::clone(&self.dependency))
    }

    fn open(endpoint: String, client: Client, dependency: Arc<Dependency>) -> RedisResult<Self> {
        // A call that finds no connection tries once to make one; whether to try at all is the breaker's
        // business.
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(None)
            .set_number_of_retries(0);
        let connection = client.get_connection_manager_lazy(config)?;
        Ok(Self { endpoint, client, connection, dependency })
    }

    /// As in the series of its breaker.
    pub(crate) fn name(&self) -> &'static str {
        self.dependency.name()
    }

    /// By what the server is called.
    pub(crate) fn dependency(&self) -> &Arc<Dependency> {
        &self.dependency
    }

    /// Sends what `command` asks of the connection that it is given.
    pub(crate) async fn call<T, F>(
        &self,
        operation: &Operation,
        command: impl Fn(ConnectionManager) -> F,
    ) -> Result<T, StoreError>
    where
        T: FromRedisValue,
        F: Future<Output = RedisResult<T>>,
    {
        let begun = Instant::now();
        let answer = self.dependency.call(|| command(self.connection.clone())).await;
        operation.duration().record(begun.elapsed());
        answer
    }

    /// Counts an answer that was made without it.
    pub(crate) fn fell_back(&self) {
        self.dependency.fell_back();
    }

    /// For a connection of one's own.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }
}

fn client(endpoint: &Endpoint, login: &Login) -> RedisResult<Client> {
    let mut settings = RedisConnectionInfo::default();
    if let Some(password) = &login.password {
        settings = settings.set_password(password.reveal());
    }
    let Some(authorities) = &login.authorities else {
        let address = (endpoint.host.as_str(), endpoint.port).into_connection_info()?;
        return Client::open(address.set_redis_settings(settings));
    };
    let (host, port) = (endpoint.host.clone(), endpoint.port);
    let address = ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None };
    let address = address.into_connection_info()?.set_redis_settings(settings);
    let root_cert = Some(authorities.clone().into_bytes());
    Client::build_with_tls(address, TlsCertificates { client_tls: None, root_cert })
}

impl Located for Arc<Shard> {
    /// Empty of the only one.
    fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").field("dependency", &self.dependency).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_a_plain_address_or_refused_in_words(text in "rediss?(\\+unix)?://\\PC*|.*") {
            match plain_redis(&text) {
                Ok(url) => prop_assert!(url == text && url.starts_with("redis")),
                Err(reason) => prop_assert!(reason.contains("like redis://")),
            }
        }
    }

    #[test]
    fn a_bad_address_says_what_to_write() {
        for good in ["redis://:secret@cache:6379/1", "redis+unix:///run/redis.sock"] {
            assert!(plain_redis(good).is_ok(), "{good}");
        }
        for bad in ["", "cache:6379", "rediss://cache", "http://cache"] {
            assert!(plain_redis(bad).unwrap_err().contains("like redis://"), "{bad}");
        }
    }
}
