//! Asks Prometheus. I/O: the query API over HTTP, bounded in time and size.
//!
//! Errors never repeat what the server sent: the credentials read all tenants' metrics, and an error ends up in the
//! status of one of them.

use std::error::Error;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use form_urlencoded::Serializer;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::time::timeout;
use yoke::Yoke;

use super::answer::{self, Outcome, QueryResult, RangeData, Trace, Unanswered, Whole};
use crate::runtime::{args::PrometheusArgs, clock, metrics};

/// Largest answer to a template, which covers all apps.
pub const TEMPLATE_LIMIT: usize = 8 << 20;
/// Largest answer to an app's own query, which should be one series.
pub const CUSTOM_LIMIT: usize = 256 << 10;
/// Largest answer to a range query.
const RANGE_LIMIT: usize = 8 << 20;
/// Time that a range query may take. Nobody waits for one.
const RANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// The instants of a range query, in milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub from_ms: i64,
    /// The last.
    pub until_ms: i64,
    /// Time between two of them.
    pub step_ms: i64,
}

/// What a connection may hold of an answer before it is taken, in bytes. It keeps that much for as long as it is open.
const READ_BUFFER: usize = 64 << 10;

/// Why the client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is not one.
    #[error("failed to read --prometheus-url; write for example http://prometheus:9090")]
    Url,
    /// The URL carries a user name or a password.
    #[error("failed to use the user name in --prometheus-url; give a token by --prometheus-token-file")]
    Credentials,
    /// The file with the certificates cannot be read.
    #[error("failed to read the certificates in {path}")]
    CaFile {
        /// Path of the file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds something else than certificates.
    #[error("failed to find PEM certificates in {0}")]
    NoCertificates(PathBuf),
    /// The TLS library cannot be set up.
    #[error("failed to set up TLS for Prometheus")]
    Tls(#[source] kube::Error),
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
    #[error("failed to read an answer of more than {} KiB; {}", .0 >> 10, excess(*.0))]
    TooLarge(usize),
    /// Servers that the server asks did not answer it.
    #[error("failed to get a whole answer: some of the servers behind Prometheus did not answer it")]
    Partial,
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
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "; check --prometheus-token-file, and --prometheus-header where the server has tenants"
        }
        StatusCode::NOT_FOUND => "; check --prometheus-url",
        _ => "",
    }
}

fn excess(limit: usize) -> &'static str {
    match limit {
        CUSTOM_LIMIT => "make the query return one series",
        _ => {
            "export fewer series: fewer buckets of histograms, and fewer values of labels such as http_route"
        }
    }
}

impl QueryError {
    /// Whether the same query may be answered a moment later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Status { status, .. } => status.is_server_error(),
            _ => false,
        }
    }

    /// Whether the same query over fewer apps may be answered.
    #[must_use]
    pub fn is_of_size(&self) -> bool {
        // Prometheus calls it an error of the execution when a query reads more samples than it may.
        matches!(self, Self::TooLarge(_)) || matches!(self, Self::Rejected(kind) if kind == "execution")
    }

    /// The result in the process' own metrics.
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

/// Asks one Prometheus, over one pool of connections. Cheap to clone.
///
/// It goes over the HTTP stack that the Kubernetes client brings along; a second one would cost memory and build time.
#[derive(Clone)]
pub struct Prometheus {
    client: Client<HttpsConnector<HttpConnector>, String>,
    instant: Uri,
    range: Uri,
    server: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    token_file: Option<PathBuf>,
    timeout: Duration,
}

impl Prometheus {
    /// A client that has not connected yet.
    ///
    /// Redirects and proxies are not followed: the server that is named is the one that gets the token.
    ///
    /// # Errors
    /// When the URL is none, or the certificates cannot be used.
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
        let endpoint = |path| {
            let url = format!("{}/api/v1/{path}", args.url.trim_end_matches('/'));
            url.parse().map_err(|_| ClientError::Url)
        };
        let (instant, range) = (endpoint("query")?, endpoint("query_range")?);
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        let mut tls = kube::Config::new(url.clone());
        tls.root_cert = roots(args, &url)?;
        let connector = tls.rustls_https_connector_with_connector(connector).map_err(ClientError::Tls)?;
        let client = Client::builder(TokioExecutor::new()).http1_max_buf_size(READ_BUFFER).build(connector);
        Ok(Self {
            client,
            instant,
            range,
            server,
            headers: args.headers.clone(),
            token_file: args.token_file.clone(),
            timeout: args.timeout,
        })
    }

    /// Runs a query now. `name` stands for it in the process' own metrics; `limit` is in bytes.
    ///
    /// # Errors
    /// When there is no answer, or none that can be used.
    #[tracing::instrument(level = "info", skip_all, fields(template = name), err(level = "debug"))]
    pub async fn query(
        &self,
        name: &'static str,
        query: &str,
        limit: usize,
    ) -> Result<QueryResult, QueryError> {
        let form = [("query", query.to_owned())];
        let read = |body| Yoke::try_attach_to_cart(body, |body| Outcome::read(body));
        self.ask(name, &self.instant, &form, self.timeout, limit, read).await
    }

    /// Runs a query at many instants. `name` stands for it in the process' own metrics.
    ///
    /// # Errors
    /// When there is no answer, or none that can be used.
    #[tracing::instrument(level = "info", skip_all, fields(template = name), err(level = "debug"))]
    pub async fn query_range(
        &self,
        name: &'static str,
        query: &str,
        span: Span,
    ) -> Result<Vec<Trace>, QueryError> {
        let seconds = |ms: i64| format!("{}.{:03}", ms / 1000, ms % 1000);
        let form = [
            ("query", query.to_owned()),
            ("start", seconds(span.from_ms)),
            ("end", seconds(span.until_ms)),
            ("step", seconds(span.step_ms)),
        ];
        let read = |body: Vec<u8>| answer::read(&body);
        let Whole { data: RangeData::Matrix(traces), is_partial } =
            self.ask(name, &self.range, &form, RANGE_TIMEOUT, RANGE_LIMIT, read).await?;
        if is_partial { Err(QueryError::Partial) } else { Ok(traces) }
    }

    /// `limit` is the time that it may take, `most` the bytes that the answer may have.
    async fn ask<T>(
        &self,
        name: &'static str,
        endpoint: &Uri,
        form: &[(&str, String)],
        limit: Duration,
        most: usize,
        read: impl FnOnce(Vec<u8>) -> Result<T, Unanswered>,
    ) -> Result<T, QueryError> {
        let started = clock::monotonic();
        let timed_out = || QueryError::TimedOut { server: self.server.clone(), limit };
        let asked = async { self.exchange(self.request(endpoint, form, limit)?, most, read).await };
        let answer = timeout(limit, asked).await.unwrap_or_else(|_| Err(timed_out()));
        let result = answer.as_ref().err().map_or("ok", QueryError::result);
        metrics::queried(name, started.elapsed(), result);
        answer
    }

    async fn exchange<T>(
        &self,
        request: Request<String>,
        limit: usize,
        read: impl FnOnce(Vec<u8>) -> Result<T, Unanswered>,
    ) -> Result<T, QueryError> {
        let response = self.client.request(request).await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_server_error() || status.is_redirection() {
            return Err(self.refused(status));
        }
        let mut frames = Limited::new(response.into_body(), limit);
        let mut body = Vec::new();
        // Collected, the frames would keep several times their size in buffers until the last has come.
        while let Some(frame) = frames.frame().await {
            match frame.map(|frame| frame.into_data()) {
                Ok(data) => body.extend_from_slice(&data.unwrap_or_default()),
                Err(error) if error.is::<LengthLimitError>() => return Err(QueryError::TooLarge(limit)),
                Err(error) => return Err(self.unreachable(&*error)),
            }
        }
        read(body).map_err(|unanswered| match unanswered {
            Unanswered::Rejected(kind) => QueryError::Rejected(kind),
            Unanswered::Unreadable if status.is_success() => {
                QueryError::NotPrometheus { server: self.server.clone() }
            }
            Unanswered::Unreadable => self.refused(status),
        })
    }

    /// A POST, because the names of many namespaces do not fit into a URL. Prometheus gives up when we do.
    fn request(
        &self,
        endpoint: &Uri,
        form: &[(&str, String)],
        limit: Duration,
    ) -> Result<Request<String>, QueryError> {
        let form = Serializer::new(String::new())
            .extend_pairs(form)
            .append_pair("timeout", &format!("{}ms", limit.as_millis()))
            // Thanos would leave out what it cannot read and still answer 200; part of a load must not read as all of it.
            .append_pair("partial_response", "false")
            .finish();
        let mut request = Request::new(form);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoint.clone();
        request
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        request.headers_mut().extend(self.headers.iter().cloned());
        if let Some(bearer) = self.bearer()? {
            request.headers_mut().insert(AUTHORIZATION, bearer);
        }
        Ok(request)
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

    /// The innermost cause is what a person can act on: a refused connection, an unknown host, a certificate.
    fn unreachable(&self, error: &(dyn Error + 'static)) -> QueryError {
        let mut cause = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        QueryError::Unreachable { server: self.server.clone(), cause: cause.to_string() }
    }
}

/// The certificates, in DER, that may sign the server's; nothing for the system's.
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
