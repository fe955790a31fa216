//! The mark on answers that are less than was asked for. No I/O.
//!
//! A fallback looks like a success to whoever only reads the status: a canary that never reaches its
//! dependency would pass for healthy. So both the answer and the request's series are marked.

use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};

/// The header that says how an answer is degraded: `fallback` or `shed`.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-degraded");

/// In what way an answer is less than was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Degraded {
    /// Made without a dependency that should have been asked.
    Fallback,
    /// Refused, because there is no room or a dependency is left alone.
    Shed,
}

impl Degraded {
    /// The mark of `response`, if it has one.
    pub(crate) fn of(response: &Response) -> Option<Self> {
        let value = response.headers().get(HEADER)?;
        [Self::Fallback, Self::Shed].into_iter().find(|mark| value == mark.word())
    }

    /// The word in the header and in the label `degraded`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Fallback => "fallback",
            Self::Shed => "shed",
        }
    }

    /// Marks an answer.
    pub(crate) fn mark(self, answer: impl IntoResponse) -> Response {
        let mut response = answer.into_response();
        response.headers_mut().insert(HEADER, HeaderValue::from_static(self.word()));
        response
    }
}
