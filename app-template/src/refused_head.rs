//! The HTTP library's own refusals of heads that it cannot read, as problem documents. No I/O of its own.
//!
//! It answers them with an empty body and has no hook for another one. So they are known by what is written while no
//! answer of the service is.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::Response;
use http_body_util::BodyExt;
use problem_details::ProblemDetails;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest refusal of the library, in bytes.
const LONGEST: usize = 256;

/// A connection on which an empty refusal is replaced as it is written.
#[derive(Debug)]
pub(crate) struct Documented<S> {
    inner: S,
    /// What is left to write of a document.
    document: Bytes,
    speech: Speech,
}

impl<S> Documented<S> {
    pub(crate) fn new(inner: S, speech: Speech) -> Self {
        Self { inner, document: Bytes::new(), speech }
    }
}

/// Whether the service is answering on a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Speech(Arc<AtomicU8>);

const SILENT: u8 = 0;
const SPEAKING: u8 = 1;
/// The library has all of the answer, and may not have written it.
const SPOKEN: u8 = 2;

/// An answer of the service, from its request until the library has all of it.
#[derive(Debug)]
pub(crate) struct Speaking(Speech);

impl Speech {
    pub(crate) fn begin(&self) -> Speaking {
        self.0.store(SPEAKING, Ordering::Relaxed);
        Speaking(self.clone())
    }

    fn is_silent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SILENT
    }

    /// All that the library has is written.
    fn flushed(&self) {
        // Of a newer answer nothing is written yet.
        let _ = self.0.compare_exchange(SPOKEN, SILENT, Ordering::Relaxed, Ordering::Relaxed);
    }
}

impl Speaking {
    /// Lasts until the last byte of `response` is taken.
    pub(crate) fn through(self, response: Response) -> Response {
        response.map(|body| {
            // The body holds it, and does nothing else with it.
            Body::new(body.inspect_frame(move |_| {
                let _held = &self;
            }))
        })
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        let Self(Speech(state)) = self;
        state.store(SPOKEN, Ordering::Relaxed);
    }
}

/// The document in place of a head that refuses with an empty body.
fn document(head: &[u8]) -> Option<Bytes> {
    if head.len() > LONGEST || !head.ends_with(b"\r\n\r\n") {
        return None;
    }
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
            match self.speech.is_silent().then(|| document(head)).flatten() {
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
        // A refusal is written by itself.
        let head: &[u8] = if let [head] = slices { head } else { &[] };
        match ready!(self.replace(head, context)) {
            Some(written) => Poll::Ready(written),
            None => Pin::new(&mut self.inner).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        if flushed.is_ready() {
            self.speech.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

    /// What a client gets when `parts` are written one by one.
    async fn written(speech: &Speech, parts: &[&[u8]]) -> Vec<u8> {
        let (inner, mut client) = tokio::io::duplex(64 * 1024);
        let mut connection = Documented::new(inner, speech.clone());
        for part in parts {
            connection.write_all(part).await.unwrap();
        }
        connection.flush().await.unwrap();
        drop(connection);
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        got
    }

    #[tokio::test]
    async fn an_empty_refusal_becomes_a_document_and_nothing_else_does() {
        let silent = Speech::default();
        let document = String::from_utf8(written(&silent, &[REFUSAL]).await).unwrap();
        assert!(document.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{document}");
        assert!(document.contains("application/problem+json") && document.ends_with('}'), "{document}");
        let long = [&REFUSAL[..REFUSAL.len() - 2], &[b'x'; LONGEST], b"\r\n\r\n"].concat();
        for other in [&REFUSAL[..REFUSAL.len() - 1], &long, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"] {
            assert_eq!(written(&silent, &[other]).await, other);
        }
    }

    #[tokio::test]
    async fn no_part_of_an_answer_is_taken_for_a_refusal() {
        let speech = Speech::default();
        let speaking = speech.begin();
        assert_eq!(written(&speech, &[b"a picture", REFUSAL]).await, [b"a picture", REFUSAL].concat());
        drop(speaking);
        assert_eq!(written(&speech, &[REFUSAL]).await, REFUSAL, "it was not written before");
        assert_ne!(written(&speech, &[REFUSAL]).await, REFUSAL, "the answer is over");
    }
}
