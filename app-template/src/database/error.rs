//! What can go wrong with a database, and who has to know. No I/O.

use deadpool::managed::{BuildError, PoolError, TimeoutType};
use tokio_postgres::error::SqlState;

/// Why a database cannot be used as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL does not say where the server is.
    #[error("failed to read {variable}, give postgres://user:password@host:5432/name: {source}")]
    Url {
        /// The environment variable that holds it.
        variable: &'static str,
        /// What is wrong with it; it quotes no password.
        source: tokio_postgres::Error,
    },
    /// The URL names no host or no database.
    #[error(
        "failed to read {0}, give the host and the name of the database: postgres://user:password@host:5432/name"
    )]
    Incomplete(&'static str),
    /// `sslmode=require` without anything to trust.
    #[error("failed to find certificates to trust for sslmode=require, name a file in SSL_CERT_FILE")]
    NoTrustAnchors,
    /// TLS cannot be set up.
    #[error("failed to set up TLS for the database: {0}")]
    Tls(#[from] rustls::Error),
    /// The pool cannot be made.
    #[error("failed to make a connection pool: {0}")]
    Pool(#[from] BuildError),
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// The server cannot be reached, or went away meanwhile.
    #[error("failed to reach the database: {0}")]
    Unreachable(String),
    /// Every connection of the pool is taken.
    #[error("failed to get a connection in time: all of the {0} pool are in use")]
    Busy(&'static str),
    /// The server stopped the statement, because of its time limit or of what a replica has to replay.
    #[error("failed to finish a statement: {0}")]
    Interrupted(tokio_postgres::Error),
    /// The client's last write is not on the replicas yet, and the primary answers enough reads in their place.
    #[error("failed to find a server with the client's last write that has room")]
    ReplicasBehind,
    /// The statement does not fit the schema or the data: a defect of this program.
    #[error("failed to run a statement: {0}")]
    Defect(#[source] tokio_postgres::Error),
}

impl DatabaseError {
    /// A word for the label `error_type`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Busy(_) => "busy",
            Self::Interrupted(_) => "interrupted",
            Self::ReplicasBehind => "replicas_behind",
            Self::Defect(_) => "defect",
        }
    }

    /// Whatever keeps a connection from being made.
    pub(super) fn of_connecting(error: &tokio_postgres::Error) -> Self {
        Self::Unreachable(with_cause(error))
    }

    pub(super) fn of_pool(pool: &'static str, error: PoolError<tokio_postgres::Error>) -> Self {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => Self::Busy(pool),
            PoolError::Backend(error) => Self::of_connecting(&error),
            other => Self::Unreachable(other.to_string()),
        }
    }
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else {
            // No word from the server: its connection is gone, unless the client could not encode or decode.
            return if error.is_closed() || is_io(&error) {
                Self::Unreachable(with_cause(&error))
            } else {
                Self::Defect(error)
            };
        };
        let interrupted = [
            SqlState::QUERY_CANCELED,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            SqlState::DISK_FULL,
            SqlState::OUT_OF_MEMORY,
        ];
        let gone = [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::DATABASE_DROPPED,
            SqlState::TOO_MANY_CONNECTIONS,
            // The primary of yesterday is a replica today; the URL leads to the new one soon.
            SqlState::READ_ONLY_SQL_TRANSACTION,
        ];
        if interrupted.contains(code) {
            Self::Interrupted(error)
        } else if gone.contains(code) || code.code().starts_with("08") {
            Self::Unreachable(with_cause(&error))
        } else {
            Self::Defect(error)
        }
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>())
}

/// The client's errors name their kind only; what happened is in their source.
fn with_cause(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) if is_untrusted(cause) => {
            format!("{error}: {cause}; name a file with the certificate of its authority in SSL_CERT_FILE")
        }
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Whether nobody that is trusted vouches for the server's certificate.
fn is_untrusted(cause: &(dyn std::error::Error + 'static)) -> bool {
    let cause = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    cause.and_then(|cause| cause.downcast_ref::<rustls::Error>()).is_some_and(|error| *error == unknown)
}
