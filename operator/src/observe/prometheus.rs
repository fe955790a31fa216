//! Asks Prometheus. I/O: the query API over HTTP, bounded in time and size.
//!
//! Errors never repeat what the server sent: the credentials read all tenants' metrics, and an error ends up in the
//! status of one of them.

use std::error::Error;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use prometheus_http_query::response::Data;
use reqwest::header::{AUTHORIZATION, HeaderValue, InvalidHeaderValue};
use reqwest::{Certificate, Response, StatusCode, Url, redirect};
use serde::Deserialize;

use crate::runtime::{args::PrometheusArgs, clock, metrics};

/// Largest answer to a template, which covers all apps.
pub const TEMPLATE_LIMIT: usize = 16 << 20;
/// Largest answer to an app's own query, which should be one series.
pub const CUSTOM_LIMIT: usize = 256 << 10;

/// Why the client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is not one.
    #[error("failed to read --prometheus-url {0}; write for example http://prometheus:9090")]
    Url(String),
    /// The file with the certificates cannot be read.
    #[error("failed to read the certificates in {path}")]
    CaFile {
        /// Path of the file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds no certificates, or the TLS library cannot be set up.
    #[error("failed to set up TLS for Prometheus; --prometheus-ca-file must hold PEM certificates")]
    Tls(#[source] reqwest::Error),
}

/// Why a query has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// No connection could be made, or it broke.
    #[error("failed to reach Prometheus at {server}: {cause}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// What the system says.
        cause: String,
    },
    /// No whole answer came in time.
    #[error("failed to get an answer from Prometheus at {server} within {limit:?}")]
    TimedOut {
        /// Host and port.
        server: String,
        /// The time that a query may take.
        limit: Duration,
    },
    /// The server answered that it cannot answer, or that we may not ask.
    #[error("failed to query Prometheus at {server}: it answered {status}{}", advice(*.status))]
    Status {
        /// Host and port.
        server: String,
        /// The HTTP status.
        status: StatusCode,
    },
    /// The server read the query and would not run it.
    #[error("failed to run the query: Prometheus rejects it as {0}")]
    Rejected(String),
    /// The answer is something else than an answer to a query.
    #[error("failed to read the answer of {server} as Prometheus' JSON; check --prometheus-url")]
    NotPrometheus {
        /// Host and port.
        server: String,
    },
    /// The answer is larger than a query may have.
    #[error("failed to read an answer of more than {} KiB; make the query return one series", .0 >> 10)]
    TooLarge(usize),
    /// The bearer token cannot be read.
    #[error("failed to read the token in {path}: {cause}")]
    Token {
        /// Path of the file.
        path: PathBuf,
        /// What the system says.
        cause: String,
    },
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; check --prometheus-token-file",
        StatusCode::NOT_FOUND => "; check --prometheus-url",
        _ => "",
    }
}

impl QueryError {
    /// The result in the process' own metrics.
    fn result(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::Token { .. } => "unreachable",
            Self::TimedOut { .. } => "timeout",
            Self::Status { .. } => "http_error",
            Self::Rejected(_) => "rejected",
            Self::NotPrometheus { .. } => "invalid",
            Self::TooLarge(_) => "too_large",
        }
    }
}

/// Asks one Prometheus, over one pool of connections. Cheap to clone.
#[derive(Clone)]
pub struct Prometheus {
    client: prometheus_http_query::Client,
    server: String,
    token_file: Option<PathBuf>,
    timeout: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    data: Option<Data>,
    error_type: Option<String>,
}

impl Prometheus {
    /// A client that has not connected yet. A TLS provider must be installed in the process.
    ///
    /// Redirects and proxies are not followed: the server that is named is the one that gets the token.
    ///
    /// # Errors
    /// When the URL is none, or the certificates cannot be used.
    pub fn new(args: &PrometheusArgs) -> Result<Self, ClientError> {
        let invalid = || ClientError::Url(args.url.clone());
        let url = Url::parse(&args.url).map_err(|_| invalid())?;
        let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")).ok_or_else(invalid)?;
        let server = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        let mut builder =
            reqwest::Client::builder().timeout(args.timeout).redirect(redirect::Policy::none()).no_proxy();
        if let Some(path) = &args.ca_file {
            let pem = fs::read(path).map_err(|source| ClientError::CaFile { path: path.clone(), source })?;
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(&pem).map_err(ClientError::Tls)?);
        } else if url.scheme() == "http" {
            // The system's certificates are not needed, and an image without any must do for plain HTTP.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(ClientError::Tls)?;
        let client = prometheus_http_query::Client::from(client, url.as_str()).map_err(|_| invalid())?;
        Ok(Self { client, server, token_file: args.token_file.clone(), timeout: args.timeout })
    }

    /// Runs a query now. `name` stands for it in the process' own metrics; `limit` is in bytes.
    ///
    /// # Errors
    /// When there is no answer, or none that can be used.
    #[tracing::instrument(level = "info", skip_all, fields(template = name), err(level = "debug"))]
    pub async fn query(&self, name: &'static str, query: &str, limit: usize) -> Result<Data, QueryError> {
        let started = clock::monotonic();
        let answer = self.ask(query, limit).await;
        let result = answer.as_ref().err().map_or("ok", QueryError::result);
        metrics::queried(name, started.elapsed(), result);
        answer
    }

    async fn ask(&self, query: &str, limit: usize) -> Result<Data, QueryError> {
        let mut request = self.client.query(query).timeout(self.timeout.as_millis() as i64);
        if let Some(bearer) = self.bearer()? {
            request = request.header(AUTHORIZATION, bearer);
        }
        let response = request.post_raw().await.map_err(|error| self.explain(&error))?;
        let status = response.status();
        if status.is_server_error() || status.is_redirection() {
            return Err(self.refused(status));
        }
        let body = self.read(response, limit).await?;
        match serde_json::from_slice(&body) {
            Ok(Answer { data: Some(data), .. }) => Ok(data),
            // What Prometheus calls the error is a word of a fixed list; only such a word is repeated.
            Ok(Answer { error_type: Some(kind), .. })
                if kind.chars().all(|c| c.is_ascii_lowercase() || c == '_') =>
            {
                Err(QueryError::Rejected(kind))
            }
            _ if status.is_success() => Err(QueryError::NotPrometheus { server: self.server.clone() }),
            _ => Err(self.refused(status)),
        }
    }

    async fn read(&self, mut response: Response, limit: usize) -> Result<Vec<u8>, QueryError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.explain(&error))? {
            if body.len() + chunk.len() > limit {
                return Err(QueryError::TooLarge(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn bearer(&self) -> Result<Option<HeaderValue>, QueryError> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let unreadable = |cause: String| QueryError::Token { path: path.clone(), cause };
        let token = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|error: InvalidHeaderValue| unreadable(error.to_string()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn refused(&self, status: StatusCode) -> QueryError {
        QueryError::Status { server: self.server.clone(), status }
    }

    /// The first cause says what a person can act on: a refused connection, an unknown host, a certificate.
    fn explain<'e>(&self, error: &'e (dyn Error + 'static)) -> QueryError {
        let server = self.server.clone();
        let causes =
            || std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| (*error).source());
        let timed_out = |error: &&'e (dyn Error + 'static)| {
            error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout)
        };
        if causes().find(timed_out).is_some() {
            return QueryError::TimedOut { server, limit: self.timeout };
        }
        let cause = causes().last().map(ToString::to_string).unwrap_or_default();
        QueryError::Unreachable { server, cause }
    }
}
