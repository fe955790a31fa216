//! Queries Prometheus. I/O: the query API over HTTP, bounded in time and size.
//!
//! Each query is a POST, because the names of many namespaces do not fit into a URL.
//!
//! Errors never repeat what the server sent: the credentials can read all tenants' metrics, and an error is shown in
//! the status of one tenant.

use std::error::Error;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Uri};
use kube::client::ConfigExt;
use prometheus_http_query::response::RangeVector;
use prometheus_http_query::{Client, Error as RequestError};
use reqwest::redirect::Policy as Redirects;
use reqwest::{Client as HttpClient, Response, retry};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::time::timeout;
use yoke::Yoke;

use super::answer::{MaybePartial, Outcome, QueryResult, Unanswered, Values, series_of};
use crate::runtime::{args::PrometheusArgs, clock, metrics};

/// Largest answer to a template, which covers all apps.
pub const TEMPLATE_LIMIT: usize = 8 << 20;
/// Largest answer to a custom query, which should be one series.
pub const CUSTOM_LIMIT: usize = 256 << 10;
/// Largest answer to a range query.
const RANGE_LIMIT: usize = 8 << 20;
/// By default Thanos would skip missing data and still answer 200; a part of a load must not count as all of it.
const PARTIAL: (&str, &str) = ("partial_response", "false");
/// Time-out of a range query. No tick waits for one.
const RANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// The instants of a range query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first, in seconds since the epoch.
    pub from_s: i64,
    /// Their number.
    pub count: u32,
    /// Milliseconds between two instants.
    pub step_ms: i64,
}

impl Span {
    /// The last, in milliseconds since the epoch.
    #[must_use]
    pub fn until_ms(self) -> i64 {
        self.from_s * 1000 + self.step_ms * i64::from(self.count.saturating_sub(1))
    }
}

/// Why the client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is invalid.
    #[error("failed to read --prometheus-url; write for example http://prometheus:9090")]
    Url,
    /// The URL contains a user name or a password.
    #[error("failed to use the user name in --prometheus-url; give a token by --prometheus-token-file")]
    Credentials,
    /// The file with the certificates cannot be read.
    #[error("failed to read the certificates in {path}")]
    CaFile {
        /// Path of the file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file does not contain certificates.
    #[error("failed to find PEM certificates in {0}")]
    NoCertificates(PathBuf),
    /// The TLS library cannot be set up.
    #[error("failed to set up TLS for Prometheus")]
    Tls(#[source] kube::Error),
    /// The HTTP client cannot be set up.
    #[error("failed to set up the HTTP client of Prometheus")]
    Http(#[source] reqwest::Error),
}

/// Why a query has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// No connection could be made, or it broke.
    #[error("failed to reach Prometheus at {server}: {cause}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// The system's error.
        cause: String,
    },
    /// No complete answer in time.
    #[error("failed to get an answer from Prometheus at {server} within {limit:?}")]
    TimedOut {
        /// Host and port.
        server: String,
        /// The time-out.
        limit: Duration,
    },
    /// The server answered with an error, or refused access.
    #[error("failed to query Prometheus at {server}: it answered {status}{}", advice(*.status))]
    Status {
        /// Host and port.
        server: String,
        /// The HTTP status.
        status: StatusCode,
    },
    /// The server refused the query.
    #[error("failed to run the query: Prometheus rejects it as {0}")]
    Rejected(String),
    /// It is not an answer to a query.
    #[error("failed to read the answer of {server} as Prometheus' JSON; check --prometheus-url")]
    NotPrometheus {
        /// Host and port.
        server: String,
    },
    /// The answer exceeds its limit.
    #[error("failed to read an answer of more than {} KiB; {}", .0 >> 10, excess(*.0))]
    TooLarge(usize),
    /// Some servers behind the API did not answer.
    #[error("failed to get a whole answer: some of the servers behind Prometheus did not answer it")]
    Partial,
    /// The bearer token cannot be read.
    #[error("failed to read the token in {path}: {cause}")]
    Token {
        /// Path of the file.
        path: PathBuf,
        /// The system's error.
        cause: String,
    },
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "; check --prometheus-token-file, and --prometheus-header where the server has tenants"
        }
        StatusCode::NOT_FOUND => "; check --prometheus-url",
        _ => "",
    }
}

fn excess(limit: usize) -> &'static str {
    match limit {
        CUSTOM_LIMIT => "make the query return one series, or for a circuit one for each pod",
        _ => {
            "export fewer series: fewer buckets of histograms, and fewer values of labels such as http_route"
        }
    }
}

impl QueryError {
    /// Whether a retry may succeed a moment later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Status { status, .. } => status.is_server_error(),
            _ => false,
        }
    }

    /// Whether the same query over fewer apps may succeed.
    #[must_use]
    pub fn is_of_size(&self) -> bool {
        // For a query that reads too many samples, Prometheus reports an execution error.
        matches!(self, Self::TooLarge(_)) || matches!(self, Self::Rejected(kind) if kind == "execution")
    }

    /// The label of the process' own metrics.
    fn result(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::Token { .. } => "unreachable",
            Self::TimedOut { .. } => "timeout",
            Self::Status { .. } => "http_error",
            Self::Rejected(_) => "rejected",
            Self::NotPrometheus { .. } => "invalid",
            Self::TooLarge(_) => "too_large",
            Self::Partial => "partial",
        }
    }
}

/// A client of one Prometheus, with one pool of connections. Cheap to clone.
#[derive(Clone)]
pub struct Prometheus {
    client: Client,
    server: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    token_file: Option<PathBuf>,
    timeout: Duration,
}

impl Prometheus {
    /// A client that has not connected yet.
    ///
    /// Redirects and proxies are not followed: only the configured server gets the token.
    ///
    /// # Errors
    /// When the URL is invalid, or the certificates cannot be used.
    pub fn new(args: &PrometheusArgs) -> Result<Self, ClientError> {
        let url: Uri = args.url.parse().map_err(|_| ClientError::Url)?;
        let authority = url.authority().ok_or(ClientError::Url)?;
        let port = match url.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return Err(ClientError::Url),
        };
        if authority.as_str().contains('@') {
            return Err(ClientError::Credentials);
        }
        let server = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(port));
        let mut tls = kube::Config::new(url.clone());
        tls.root_cert = roots(args, &url)?;
        let client = http_client(tls.rustls_client_config().map_err(ClientError::Tls)?)?;
        Ok(Self {
            client: Client::from(client, args.url.trim_end_matches('/')).map_err(|_| ClientError::Url)?,
            server,
            headers: args.headers.clone(),
            token_file: args.token_file.clone(),
            timeout: args.timeout,
        })
    }

    /// Runs a template's query now. `name` is its label in the process' own metrics.
    ///
    /// # Errors
    /// When there is no valid answer.
    #[tracing::instrument(level = "info", skip_all, fields(template = name), err(level = "debug"))]
    pub async fn query(&self, name: &'static str, query: &str) -> Result<QueryResult, QueryError> {
        let read = |body| Yoke::try_attach_to_cart(body, |body| Outcome::read(body));
        self.timed(name, self.timeout, self.instant(query, TEMPLATE_LIMIT, read)).await
    }

    /// Runs a custom query now. `name` is its label in the process' own metrics.
    ///
    /// # Errors
    /// When there is no valid answer.
    #[tracing::instrument(level = "info", skip_all, fields(template = name), err(level = "debug"))]
    pub async fn query_values(&self, name: &'static str, query: &str) -> Result<Values, QueryError> {
        let read = |body: Vec<u8>| Values::read(&body);
        self.timed(name, self.timeout, self.instant(query, CUSTOM_LIMIT, read)).await
    }

    /// Runs a query at many instants. `name` is its label in the process' own metrics.
    ///
    /// # Errors
    /// When there is no valid answer.
    #[tracing::instrument(level = "info", skip_all, fields(template = name), err(level = "debug"))]
    pub async fn query_range(
        &self,
        name: &'static str,
        query: &str,
        span: Span,
    ) -> Result<Vec<RangeVector>, QueryError> {
        let MaybePartial { data, is_partial } =
            self.timed(name, RANGE_TIMEOUT, self.range(query, span)).await?;
        if is_partial { Err(QueryError::Partial) } else { Ok(data) }
    }

    async fn instant<T>(
        &self,
        query: &str,
        most: usize,
        read: impl FnOnce(Vec<u8>) -> Result<T, Unanswered>,
    ) -> Result<T, QueryError> {
        let request = self.client.query(query).timeout(self.timeout.as_millis() as i64);
        let request = self
            .headers()?
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value.clone()));
        let response = request.query(PARTIAL.0, PARTIAL.1).post_raw().await;
        self.answer(response, most, read).await
    }

    async fn range(&self, query: &str, span: Span) -> Result<MaybePartial<Vec<RangeVector>>, QueryError> {
        // In whole seconds: the end may be after the last instant, by less than a step.
        let end = span.until_ms().div_euclid(1000) + i64::from(span.until_ms() % 1000 != 0);
        let request = self.client.query_range(query, span.from_s, end, span.step_ms as f64 / 1000.0);
        let request = request.timeout(RANGE_TIMEOUT.as_millis() as i64);
        let request = self
            .headers()?
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value.clone()));
        let response = request.query(PARTIAL.0, PARTIAL.1).post_raw().await;
        self.answer(response, RANGE_LIMIT, |body| series_of(&body)).await
    }

    /// `limit` is the time-out.
    async fn timed<T>(
        &self,
        name: &'static str,
        limit: Duration,
        asked: impl Future<Output = Result<T, QueryError>>,
    ) -> Result<T, QueryError> {
        let started = clock::monotonic();
        let timed_out = || QueryError::TimedOut { server: self.server.clone(), limit };
        let answer = timeout(limit, asked).await.unwrap_or_else(|_| Err(timed_out()));
        let result = answer.as_ref().err().map_or("ok", QueryError::result);
        metrics::queried(name, started.elapsed(), result);
        answer
    }

    /// `most` is the maximum size of the answer in bytes.
    async fn answer<T>(
        &self,
        response: Result<Response, RequestError>,
        most: usize,
        read: impl FnOnce(Vec<u8>) -> Result<T, Unanswered>,
    ) -> Result<T, QueryError> {
        let mut response = response.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_server_error() || status.is_redirection() {
            return Err(self.refused(status));
        }
        let mut body = Vec::new();
        // If collected, the chunks would occupy several times their size until the last arrives.
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + chunk.len() > most {
                return Err(QueryError::TooLarge(most));
            }
            body.extend_from_slice(&chunk);
        }
        read(body).map_err(|unanswered| match unanswered {
            Unanswered::Rejected(kind) => QueryError::Rejected(kind),
            Unanswered::Unreadable if status.is_success() => {
                QueryError::NotPrometheus { server: self.server.clone() }
            }
            Unanswered::Unreadable => self.refused(status),
        })
    }

    fn headers(&self) -> Result<HeaderMap, QueryError> {
        let mut headers: HeaderMap = self.headers.iter().cloned().collect();
        if let Some(bearer) = self.bearer()? {
            headers.insert(AUTHORIZATION, bearer);
        }
        Ok(headers)
    }

    fn bearer(&self) -> Result<Option<HeaderValue>, QueryError> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let unreadable = |cause: String| QueryError::Token { path: path.clone(), cause };
        let token = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|error| unreadable(error.to_string()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn refused(&self, status: StatusCode) -> QueryError {
        QueryError::Status { server: self.server.clone(), status }
    }

    /// The innermost cause is the useful one: a refused connection, an unknown host, a certificate.
    fn unreachable(&self, error: &(dyn Error + 'static)) -> QueryError {
        let mut cause = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        QueryError::Unreachable { server: self.server.clone(), cause: cause.to_string() }
    }
}

#[expect(clippy::disallowed_methods, reason = "its TLS is set up already")]
fn http_client(tls: ClientConfig) -> Result<HttpClient, ClientError> {
    HttpClient::builder()
        .tls_backend_preconfigured(tls)
        .redirect(Redirects::none())
        .retry(retry::never())
        .no_proxy()
        .build()
        .map_err(ClientError::Http)
}

/// The authorities' certificates, in DER; `None` for the system's.
fn roots(args: &PrometheusArgs, url: &Uri) -> Result<Option<Vec<Vec<u8>>>, ClientError> {
    let Some(path) = &args.ca_file else {
        // Plain HTTP needs none, and must work in an image without any.
        return Ok((url.scheme_str() == Some("http")).then(Vec::new));
    };
    let pem = fs::read(path).map_err(|source| ClientError::CaFile { path: path.clone(), source })?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(found) if !found.is_empty() => Ok(Some(found.iter().map(|one| one.to_vec()).collect())),
        _ => Err(ClientError::NoCertificates(path.clone())),
    }
}
