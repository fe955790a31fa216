//! Every refusal, as a problem document (RFC 9457). No I/O.

use std::any::Any;

use axum::http::header::RETRY_AFTER;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use problem_details::ProblemDetails;

use crate::degraded::Degraded;

/// A request that is not answered as its sender wished.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    /// A sentence for the person who sent the request.
    detail: String,
}

impl Problem {
    /// The request cannot be understood; `detail` says what to send instead.
    pub(crate) fn bad_request(detail: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, detail }
    }

    /// Any other refusal; 503 is marked as shed, with a time to return.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// The request is well formed and asks for what cannot be.
    pub(crate) fn unprocessable(detail: String) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, detail }
    }

    /// There is no such thing.
    pub(crate) fn missing(detail: String) -> Self {
        Self { status: StatusCode::NOT_FOUND, detail }
    }

    /// Something that is needed cannot be had now.
    pub(crate) fn unavailable(detail: &str) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, detail: detail.to_owned() }
    }

    /// Whether it may be better in a moment.
    pub(crate) fn is_passing(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The cause is for the log only: it may quote private data.
    pub(crate) fn defect() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            detail: "The service has a defect here; its log says more.".to_owned(),
        }
    }
}

/// The fallback for a path that no route has.
pub(crate) async fn not_found(uri: Uri) -> Problem {
    Problem { status: StatusCode::NOT_FOUND, detail: format!("There is no route {}.", uri.path()) }
}

/// The fallback for a route that does not know the method; axum adds the `Allow` header.
pub(crate) async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem {
        status: StatusCode::METHOD_NOT_ALLOWED,
        detail: format!("{} does not answer {method}; the Allow header lists what it answers.", uri.path()),
    }
}

/// The answer in place of a handler that panicked; the panic hook has written the cause to stderr.
pub(crate) fn panicked(_cause: Box<dyn Any + Send>) -> Response {
    tracing::error!("failed to answer a request: its handler panicked");
    Problem::defect().into_response()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = ProblemDetails::from_status_code(self.status).with_detail(self.detail);
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => Degraded::Shed.mark(([(RETRY_AFTER, "1")], document)),
            _ => document.into_response(),
        }
    }
}
