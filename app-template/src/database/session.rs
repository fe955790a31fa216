//! One connection to a server, and what is remembered of it. I/O: PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::{ClientWrapper, ManagerConfig, RecyclingMethod};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::NoTls;
use tokio_postgres::config::{Config, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::OpenError;
use crate::endpoint::Endpoint;
use crate::position::Position;

/// A connection is replaced after about this time, so that a replica that joined gets its share.
const LIFETIME: Duration = Duration::from_secs(90);

/// The variables that hold the URLs.
pub(super) const WRITE_URL: &str = "DATABASE_MAIN_URL";
pub(super) const READ_URL: &str = "DATABASE_MAIN_READ_URL";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Unanswered packets for this long end a connection: a server whose node died says nothing.
const SILENCE: Duration = Duration::from_secs(10);

/// A connection, and how far its server was when last asked.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: ClientWrapper,
    pub(super) replayed: Option<(Position, Instant)>,
    /// The server has been seen to have the schema.
    pub(super) has_schema: bool,
    /// The server said that it cannot be used: it leaves, or it is no primary any more.
    pub(super) is_useless: AtomicBool,
    ends: Instant,
}

/// Opens connections and looks at them before they are used again.
#[derive(Debug)]
pub(super) struct Sessions {
    connect: deadpool_postgres::Manager,
    pool: &'static str,
}

impl Sessions {
    pub(super) fn new(pool: &'static str, config: Config) -> Result<Self, OpenError> {
        // Nothing is asked before a reuse: a connection that broke is known to be closed, and one that breaks
        // later would not be found by asking either.
        let settings = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let connect = match config.get_ssl_mode() {
            SslMode::Require => deadpool_postgres::Manager::from_config(config, tls()?, settings),
            _ => deadpool_postgres::Manager::from_config(config, NoTls, settings),
        };
        Ok(Self { connect, pool })
    }
}

impl managed::Manager for Sessions {
    type Type = Session;
    type Error = tokio_postgres::Error;

    async fn create(&self) -> Result<Session, tokio_postgres::Error> {
        let begun = Instant::now();
        let client = self.connect.create().await?;
        metrics::histogram!("db_client_connection_create_time_seconds", "db_client_connection_pool_name" => self.pool)
            .record(begun.elapsed());
        // Spread by a third, so that they do not all end at once.
        let ends = begun + LIFETIME.mul_f64(0.67 + fastrand::f64() * 0.66);
        Ok(Session { client, replayed: None, has_schema: false, is_useless: AtomicBool::new(false), ends })
    }

    async fn recycle(
        &self,
        session: &mut Session,
        metrics: &Metrics,
    ) -> RecycleResult<tokio_postgres::Error> {
        if session.ends <= Instant::now() {
            return Err(RecycleError::message("the connection is at the end of its lifetime"));
        }
        if session.is_useless.load(Ordering::Relaxed) {
            return Err(RecycleError::message("the server cannot be used any more"));
        }
        self.connect.recycle(&mut session.client, metrics).await
    }
}

/// What `url` says, with the limits that hold on the server.
pub(super) fn config(
    url: &str,
    variable: &'static str,
    statement_timeout: Duration,
) -> Result<Config, OpenError> {
    let mut config: Config = url.parse().map_err(|source| OpenError::Url { variable, source })?;
    if config.get_hosts().is_empty() || config.get_dbname().is_none() {
        return Err(OpenError::Incomplete(variable));
    }
    if variable == WRITE_URL {
        // Of several hosts in the URL, and through an address that leads to another server after a failover.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    limit(&mut config, statement_timeout);
    Ok(config)
}

/// The same as `url` says, with the limits, but at another host and port, and whether writes are taken there or not.
pub(super) fn config_at(
    endpoint: &Endpoint,
    url: &str,
    statement_timeout: Duration,
) -> Result<Config, OpenError> {
    let given: Config = url.parse().map_err(|source| OpenError::Url { variable: WRITE_URL, source })?;
    let mut config = Config::new();
    config.host(&endpoint.host).port(endpoint.port);
    if let Some(user) = given.get_user() {
        config.user(user);
    }
    if let Some(password) = given.get_password() {
        config.password(password);
    }
    if let Some(name) = given.get_dbname() {
        config.dbname(name);
    }
    if let Some(options) = given.get_options() {
        config.options(options);
    }
    if let Some(name) = given.get_application_name() {
        config.application_name(name);
    }
    if let Some(interval) = given.get_keepalives_interval() {
        config.keepalives_interval(interval);
    }
    if let Some(retries) = given.get_keepalives_retries() {
        config.keepalives_retries(retries);
    }
    config
        .ssl_mode(given.get_ssl_mode())
        .ssl_negotiation(given.get_ssl_negotiation())
        .channel_binding(given.get_channel_binding())
        .load_balance_hosts(given.get_load_balance_hosts())
        .keepalives(given.get_keepalives());
    limit(&mut config, statement_timeout);
    Ok(config)
}

/// Adds limits of the server, so that a process that died cannot hold a lock for long, and of the connection.
fn limit(config: &mut Config, statement_timeout: Duration) {
    let limits = format!(
        "-c statement_timeout={} -c idle_in_transaction_session_timeout={}",
        statement_timeout.as_millis(),
        (statement_timeout * 5).as_millis()
    );
    let options = config.get_options().map_or(limits.clone(), |given| format!("{limits} {given}"));
    config
        .options(options)
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(SILENCE)
        .keepalives_idle(SILENCE);
    if config.get_application_name().is_none() {
        // The app among all clients of the server, and the pod's name in a container.
        let app = std::env::var("PGAPPNAME").unwrap_or_else(|_| env!("CARGO_PKG_NAME").to_owned());
        let host = std::env::var("HOSTNAME").unwrap_or_default();
        config.application_name(format!("{app}/{host}").trim_end_matches('/'));
    }
}

/// TLS that trusts what the system trusts, or the file in `SSL_CERT_FILE`.
pub(super) fn tls() -> Result<MakeRustlsConnect, OpenError> {
    let mut trusted = RootCertStore::empty();
    trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if trusted.is_empty() {
        return Err(OpenError::NoTrustAnchors);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_address_is_read_or_refused_in_words_that_name_no_password(
            text in "(postgres(ql)?://)?\\PC{0,6}(:hunter2)?@?\\PC{0,9}(:[0-9]{1,6})?(/\\PC{0,9})?(\\?\\PC{0,9}=\\PC{0,9})?|.*",
        ) {
            match config(&text, WRITE_URL, Duration::from_secs(1)) {
                Ok(config) => prop_assert!(!config.get_hosts().is_empty() && config.get_dbname().is_some()),
                Err(error) => {
                    let words = error.to_string();
                    prop_assert!(words.contains("postgres://user:password@host:5432/name"), "{words}");
                    prop_assert!(!words.contains("hunter2"), "{words}");
                }
            }
        }
    }

    #[test]
    fn another_host_changes_the_host_and_the_port_and_nothing_else() {
        let url = "postgres://shop:secret@a,b:1/shop?sslmode=require&options=-c%20geqo%3Doff&application_name=it\
                   &target_session_attrs=read-write&keepalives=0&keepalives_retries=7&channel_binding=disable";
        let read = |url: &str| config(url, READ_URL, Duration::from_secs(1)).unwrap();
        let endpoint = "replicas.shop:5433".parse().unwrap();
        let moved = config_at(&endpoint, url, Duration::from_secs(1)).unwrap();
        let wanted =
            url.replace("@a,b:1/", "@replicas.shop:5433/").replace("&target_session_attrs=read-write", "");
        assert_eq!(moved, read(&wanted));
    }
}
