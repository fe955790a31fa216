//! Bytes of answers that are on their way to clients. No I/O.
//!
//! A client may take an answer slowly. The large ones of all such clients hold a bounded number of bytes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

use crate::counted::{Budget, Counted, Share};
use crate::problem::Problem;

/// Bytes of an answer that count for nothing: the number of connections bounds them.
const FREE: usize = 16 * 1024;

/// What all answers may take that their clients have not taken yet.
#[derive(Debug, Clone)]
pub(crate) struct Answers(Budget);

/// The body of an answer that counts until the last of its bytes is sent.
struct OnItsWay {
    body: Body,
    count: Arc<Share>,
}

impl Answers {
    pub(crate) fn new() -> Self {
        Self(Budget::new())
    }

    /// The same answer, counted. One that has a [`Share`] among its extensions counts against the budget of that.
    ///
    /// # Errors
    /// 503 when all answers together are too large.
    pub(crate) fn count(&self, mut response: Response) -> Result<Response, Problem> {
        let count = match response.extensions_mut().remove::<Arc<Share>>() {
            Some(count) => count,
            None => match beyond_free(response.body()) {
                0 => return Ok(response),
                beyond => Arc::new(self.0.take(beyond).ok_or_else(|| {
                    let detail = "As many large answers are on their way as may be; try again in a second.";
                    Problem::unavailable(detail)
                })?),
            },
        };
        Ok(response.map(|body| Body::new(OnItsWay { body, count })))
    }
}

fn beyond_free(body: &Body) -> usize {
    let bytes = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    bytes.saturating_sub(FREE)
}

impl HttpBody for OnItsWay {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        frame.map_ok(|frame| {
            frame.map_data(|bytes| Bytes::from_owner(Counted { bytes, count: Arc::clone(&self.count) }))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::counted::TOTAL;

    const LARGE: usize = 4 * 1024 * 1024;

    fn answer(size: usize) -> Response {
        Response::new(Body::from(vec![b'x'; size]))
    }

    #[tokio::test]
    async fn large_answers_are_refused_together_and_small_ones_never() {
        let answers = Answers::new();
        let mut held = Vec::new();
        while let Ok(response) = answers.count(answer(LARGE)) {
            assert_eq!(response.body().size_hint().exact(), Some(LARGE as u64));
            held.push(response);
        }
        assert_eq!(held.len(), TOTAL / (LARGE - FREE));
        assert!(answers.count(answer(FREE)).is_ok());
        let refused = answers.count(answer(LARGE)).unwrap_err();
        assert_eq!(refused.status(), axum::http::StatusCode::SERVICE_UNAVAILABLE);

        // The connection has taken it, but not its client.
        let bytes = held.pop().unwrap().into_body().collect().await.unwrap().to_bytes();
        assert!(answers.count(answer(LARGE)).is_err());
        drop(bytes);
        assert!(answers.count(answer(LARGE)).is_ok());
    }

    #[test]
    fn an_answer_that_is_counted_elsewhere_takes_nothing_from_the_others() {
        let (answers, others) = (Answers::new(), Budget::new());
        let mut response = answer(LARGE);
        response.extensions_mut().insert(Arc::new(others.take(LARGE).unwrap()));
        let response = answers.count(response).unwrap();
        assert_eq!((answers.0.left(), others.left()), (TOTAL, TOTAL - LARGE));
        drop(response);
        assert_eq!(others.left(), TOTAL);
    }
}
