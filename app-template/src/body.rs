//! The body of a request, read before it takes a place among those that are answered. No I/O of its own.
//!
//! A client may send as slowly as it likes for a bounded time, and all bodies together hold a bounded number of bytes.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::EXPECT;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

use crate::counted::{Budget, Counted, Share};
use crate::problem::Problem;

/// The largest body of any route, in bytes.
pub(crate) const LARGEST: usize = 2 * 1024 * 1024;

/// Bytes of a body that count for nothing: the number of connections bounds them. A usual request is never refused for
/// the large ones of others.
const FREE: usize = 16 * 1024;

/// Bytes of a refused body that are still read. A client that sends while its connection closes may lose the answer.
const DISCARDED: usize = 8 * 1024 * 1024;

/// Time without any of it after which the rest of a refused body is not waited for.
const SILENCE: Duration = Duration::from_secs(1);

/// What all bodies that are being read or used may take.
#[derive(Debug, Clone)]
pub(crate) struct Bodies {
    bytes: Budget,
    /// How long a client may take to send a body.
    patience: Duration,
}

impl Bodies {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { bytes: Budget::new(), patience }
    }

    /// The request with its whole body.
    ///
    /// # Errors
    /// 408 when it is late, 413 when it is too large, 503 when all bodies together are, 400 when it is broken off.
    pub(crate) async fn read(&self, request: Request) -> Result<Request, Problem> {
        if request.body().is_end_stream() {
            return Ok(request);
        }
        let is_announced_too_large = request.body().size_hint().lower() > LARGEST as u64;
        // The client sends the body only when it is asked to.
        if is_announced_too_large && request.headers().contains_key(EXPECT) {
            return Err(too_large());
        }
        let (head, mut body) = request.into_parts();
        let end = Instant::now() + self.patience;
        let collected = if is_announced_too_large {
            Err(too_large())
        } else {
            timeout_at(end, self.collect(&mut body)).await.map_err(|_| {
                let patience = self.patience;
                let detail = format!("The body was not complete within {patience:?}; send it faster.");
                Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
            })?
        };
        match collected {
            Ok(whole) => Ok(Request::from_parts(head, Body::from(whole))),
            Err(refusal) => {
                // Late or not, the refusal is the answer.
                let _ = timeout_at(end, discard(body)).await;
                Err(refusal)
            }
        }
    }

    async fn collect(&self, body: &mut Body) -> Result<Bytes, Problem> {
        let most = body.size_hint().upper().map_or(LARGEST, |announced| announced as usize).min(LARGEST);
        let mut whole = Counted { bytes: Vec::with_capacity(most.min(FREE)), count: self.share(0)? };
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|error| Problem::bad_request(format!("The body broke off: {error}.")))?;
            // Trailers say nothing to us.
            let Ok(data) = frame.into_data() else { continue };
            let length = whole.bytes.len() + data.len();
            if length > LARGEST {
                return Err(too_large());
            }
            self.make_room(&mut whole, length, most)?;
            whole.bytes.extend_from_slice(&data);
        }
        Ok(Bytes::from_owner(whole))
    }

    /// Makes room for `length` bytes of a body that has at most `most`. What is reserved counts, used or not.
    fn make_room(
        &self,
        whole: &mut Counted<Vec<u8>, Share>,
        length: usize,
        most: usize,
    ) -> Result<(), Problem> {
        if length <= whole.bytes.capacity() {
            return Ok(());
        }
        let reserved = (2 * whole.bytes.capacity()).min(most).max(length);
        let more = reserved.saturating_sub(FREE).saturating_sub(whole.count.bytes());
        whole.count.add(self.share(more)?);
        whole.bytes.reserve_exact(reserved - whole.bytes.len());
        Ok(())
    }

    fn share(&self, bytes: usize) -> Result<Share, Problem> {
        self.bytes.take(bytes).ok_or_else(|| {
            Problem::unavailable("As many uploads are under way as may be; try again in a second.")
        })
    }
}

/// Reads the rest of a body, and holds none of it.
async fn discard(mut body: Body) {
    let mut left = DISCARDED;
    while let Ok(Some(Ok(frame))) = timeout(SILENCE, body.frame()).await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

fn too_large() -> Problem {
    let detail = format!("The body is larger than {} MiB; send less.", LARGEST / 1024 / 1024);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

#[cfg(test)]
mod tests {
    use futures::stream::{self, StreamExt};
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::counted::TOTAL;

    fn chunks(count: usize, size: usize) -> Request {
        let chunk = move |_| Ok::<_, Infallible>(vec![0_u8; size]);
        Request::new(Body::from_stream(stream::iter((0..count).map(chunk))))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_not_complete_in_time_is_refused() {
        let bodies = Bodies::new(Duration::from_secs(10));
        let endless = stream::iter([Ok::<_, Infallible>("half")]).chain(stream::pending());
        let refused = bodies.read(Request::new(Body::from_stream(endless))).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::REQUEST_TIMEOUT);
    }

    #[tokio::test]
    async fn a_body_is_bounded_whether_or_not_it_says_its_length() {
        let bodies = Bodies::new(Duration::from_secs(10));
        let refused = bodies.read(Request::new(Body::from(vec![0; LARGEST + 1]))).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let refused = bodies.read(chunks(33, 64 * 1024)).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert!(bodies.read(chunks(32, 64 * 1024)).await.is_ok());
        assert_eq!(bodies.bytes.left(), TOTAL, "what was refused or used counts no more");
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_of_a_refused_body_is_read_unless_the_client_waits_to_send_it() {
        let bodies = Bodies::new(Duration::from_secs(10));
        let read = Arc::new(AtomicUsize::new(0));
        let counted = |count: usize| {
            let read = Arc::clone(&read);
            stream::iter(0..count).map(move |_| {
                read.fetch_add(1, Ordering::SeqCst);
                Ok::<_, Infallible>(vec![0_u8; 1024 * 1024])
            })
        };
        bodies.read(Request::new(Body::from_stream(counted(5)))).await.unwrap_err();
        assert_eq!(read.swap(0, Ordering::SeqCst), 5);
        bodies.read(Request::new(Body::from_stream(counted(1000)))).await.unwrap_err();
        assert_eq!(read.swap(0, Ordering::SeqCst), 3 + DISCARDED / 1024 / 1024, "no more than is bounded");
        let silent = stream::iter([Ok::<_, Infallible>(vec![0; LARGEST + 1])]).chain(stream::pending());
        let begun = Instant::now();
        bodies.read(Request::new(Body::from_stream(silent))).await.unwrap_err();
        assert!(begun.elapsed() < 2 * SILENCE, "a client that sends no more is answered");
        let waits = Request::builder().header(EXPECT, "100-continue");
        let refused = bodies.read(waits.body(Body::from(vec![0; LARGEST + 1])).unwrap()).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn a_body_holds_no_more_bytes_than_count() {
        let bodies = Bodies::new(Duration::from_secs(10));
        for (part, most) in [(1000, LARGEST), (100_000, LARGEST), (100_000, 1_000_000)] {
            let mut whole = Counted { bytes: Vec::new(), count: bodies.share(0).unwrap() };
            while whole.bytes.len() < 1_000_000 {
                let length = whole.bytes.len() + part;
                bodies.make_room(&mut whole, length, most).unwrap();
                whole.bytes.extend(vec![0; part]);
                let counted = TOTAL - bodies.bytes.left();
                assert!(whole.bytes.capacity() <= FREE + counted && counted <= most - FREE);
            }
        }
    }

    #[tokio::test]
    async fn large_bodies_are_refused_together_and_small_ones_never() {
        let bodies = Bodies::new(Duration::from_secs(10));
        let mut held = Vec::new();
        while let Ok(request) = bodies.read(chunks(1, LARGEST)).await {
            held.push(request);
        }
        assert_eq!(held.len(), TOTAL / (LARGEST - FREE));
        assert!(bodies.read(chunks(2, FREE / 2)).await.is_ok());
        held.pop();
        assert!(
            bodies.read(chunks(1, LARGEST)).await.is_ok(),
            "the place of one that is done with is free again"
        );
    }
}
