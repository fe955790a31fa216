//! The HTTP library's own refusals of heads that it cannot read, as problem documents. No I/O of its own.
//!
//! It answers them with an empty body and has no hook for another one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use axum::http::StatusCode;
use problem_details::ProblemDetails;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection on which an empty refusal is replaced as it is written.
#[derive(Debug)]
pub(crate) struct Documented<S> {
    inner: S,
    /// What is left to write of a document.
    document: Bytes,
}

impl<S> Documented<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, document: Bytes::new() }
    }
}

/// The document in place of a head that refuses with an empty body.
fn document(head: &[u8]) -> Option<Bytes> {
    let head = std::str::from_utf8(head.strip_prefix(b"HTTP/1.1 4")?).ok()?;
    let (status, detail) = match head.get(..2)? {
        "00" => (StatusCode::BAD_REQUEST, "The request is no HTTP/1.1 that can be read."),
        "14" => (StatusCode::URI_TOO_LONG, "The path and its parameters are too long; send less."),
        "31" => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "The headers are too many or too large; send fewer or shorter ones.",
        ),
        _ => return None,
    };
    if !head.contains("content-length: 0\r\n") {
        return None;
    }
    let document = ProblemDetails::from_status_code(status).with_detail(detail);
    let document = serde_json::to_string(&document).ok()?;
    let length = document.len();
    Some(Bytes::from(format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{document}"
    )))
}

impl<S: AsyncWrite + Unpin> Documented<S> {
    /// Writes a document in place of `head`, if that needs one.
    fn replace(&mut self, head: &[u8], context: &mut Context<'_>) -> Poll<Option<io::Result<usize>>> {
        if self.document.is_empty() {
            match document(head) {
                Some(document) => self.document = document,
                None => return Poll::Ready(None),
            }
        }
        while !self.document.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_write(context, &self.document)) {
                Ok(0) => return Poll::Ready(Some(Err(io::ErrorKind::WriteZero.into()))),
                Ok(written) => drop(self.document.split_to(written)),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        Poll::Ready(Some(Ok(head.len())))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Documented<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Documented<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match ready!(self.replace(bytes, context)) {
            Some(written) => Poll::Ready(written),
            None => Pin::new(&mut self.inner).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match ready!(self.replace(slices.first().map_or(&[], |first| first), context)) {
            Some(written) => Poll::Ready(written),
            None => Pin::new(&mut self.inner).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
