//! What clients and proxies may keep, and how they ask again (RFC 9110, 9111, 5861). No I/O.
//!
//! A layer around one handler:
//!
//! ```text
//! let kept = from_fn_with_state(HttpCache::public(Duration::from_secs(60)), http_cache::validate);
//! module.get("/prices", prices.layer(kept))
//! ```

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use headers::{ETag, HeaderMapExt, IfNoneMatch};
use sha2::{Digest, Sha256};

use crate::degraded::Degraded;
use crate::problem::Problem;

/// Who may keep an answer, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HttpCache {
    tolerance: Duration,
}

impl HttpCache {
    /// The answer may be kept, but not used without asking whether it is still true: what that saves is its bytes.
    pub(crate) const REVALIDATED: Self = Self::public(Duration::ZERO);

    /// The answer is the same for everybody, and may be `tolerance` old when it is used.
    pub(crate) const fn public(tolerance: Duration) -> Self {
        Self { tolerance }
    }

    /// One half of the tolerance without asking, and the other while asking: nobody waits for a
    /// revalidation, and nobody is served what is older.
    fn cache_control(self) -> String {
        if self.tolerance.is_zero() {
            return "no-cache".to_owned();
        }
        let seconds = self.tolerance.as_secs();
        let fresh = seconds / 2;
        format!("public, max-age={fresh}, stale-while-revalidate={}", seconds - fresh)
    }
}

/// Marks a full answer with its validator and its lifetime, and replaces it by 304 for a client that has it.
///
/// What is not a full answer, or made without a dependency, is not to be kept.
pub(crate) async fn validate(State(policy): State<HttpCache>, request: Request, next: Next) -> Response {
    let known: Option<IfNoneMatch> = request.headers().typed_get();
    let mut response = next.run(request).await;
    if response.status() != StatusCode::OK || Degraded::of(&response).is_some() {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return response;
    }
    match tagged(response).await {
        Ok((tag, mut response)) => {
            if known.is_some_and(|known| !known.precondition_passes(&tag)) {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                *response.body_mut() = Body::empty();
                response.headers_mut().remove(CONTENT_TYPE);
                response.headers_mut().remove(CONTENT_LENGTH);
            }
            if let Ok(value) = HeaderValue::from_str(&policy.cache_control()) {
                response.headers_mut().insert(CACHE_CONTROL, value);
            }
            response
        }
        Err(problem) => problem.into_response(),
    }
}

/// The answer with its ETag: the handler's own, or one from the body.
async fn tagged(response: Response) -> Result<(ETag, Response), Problem> {
    if let Some(tag) = response.headers().typed_get::<ETag>() {
        return Ok((tag, response));
    }
    let (mut head, body) = response.into_parts();
    // Made by a handler, so it is in memory already.
    let body = to_bytes(body, usize::MAX).await.map_err(broken)?;
    let digest: String = Sha256::digest(&body).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let tag: ETag = format!("\"{digest}\"").parse().map_err(broken)?;
    head.headers.typed_insert(tag.clone());
    Ok((tag, Response::from_parts(head, Body::from(body))))
}

fn broken(error: impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "failed to read an answer to tag it");
    Problem::defect()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::handler::Handler;
    use axum::http::header::{ETAG, IF_NONE_MATCH};
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    const POLICY: HttpCache = HttpCache::public(Duration::from_secs(61));

    fn routes() -> Router {
        let cached = from_fn_with_state(POLICY, validate);
        Router::new()
            .route("/page", get((async || "page").layer(cached.clone())))
            .route("/other", get((async || "other").layer(cached.clone())))
            .route("/tagged", get((async || ([(ETAG, "\"row-7\"")], "page")).layer(cached.clone())))
            .route("/failed", get((async || StatusCode::BAD_GATEWAY).layer(cached.clone())))
            .route("/fallback", get((async || Degraded::Fallback.mark("old")).layer(cached)))
    }

    async fn ask(path: &str, known: Option<&str>) -> Response {
        let mut request = Request::get(path);
        if let Some(known) = known {
            request = request.header(IF_NONE_MATCH, known);
        }
        routes().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn tag(path: &str) -> String {
        ask(path, None).await.headers()[ETAG].to_str().unwrap().to_owned()
    }

    async fn body(response: Response) -> String {
        String::from_utf8(to_bytes(response.into_body(), 1000).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_client_that_has_the_answer_gets_304_and_no_body() {
        let known = tag("/page").await;
        for condition in
            [known.clone(), format!("W/{known}"), format!("\"a\", {known}, \"b\""), "*".to_owned()]
        {
            let answer = ask("/page", Some(&condition)).await;
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{condition}");
            assert_eq!(answer.headers()[ETAG], known.as_str());
            assert!(answer.headers().contains_key(CACHE_CONTROL));
            assert!(!answer.headers().contains_key(CONTENT_TYPE));
            assert_eq!(body(answer).await, "");
        }
    }

    #[tokio::test]
    async fn a_client_that_has_something_else_gets_the_answer() {
        let known = tag("/page").await;
        assert_ne!(known, tag("/other").await);
        for condition in ["\"other\"", "page", "\"", "", known.trim_matches('"')] {
            let answer = ask("/page", Some(condition)).await;
            assert_eq!(answer.status(), StatusCode::OK, "{condition}");
            assert_eq!(answer.headers()[ETAG], known.as_str());
            assert_eq!(body(answer).await, "page");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_condition_is_answered_with_the_answer_or_304(bytes in proptest::collection::vec(0x20..=0xff_u8, 0..60)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            if let Ok(condition) = HeaderValue::from_bytes(&bytes) {
                let request = Request::get("/page").header(IF_NONE_MATCH, condition).body(Body::empty()).unwrap();
                let answer = runtime.block_on(routes().oneshot(request)).unwrap();
                // Only `*`, since nobody guesses a digest.
                let expected = if bytes.trim_ascii() == b"*" { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
                proptest::prop_assert_eq!(answer.status(), expected);
            }
        }
    }

    #[tokio::test]
    async fn a_handler_may_bring_its_own_validator() {
        assert_eq!(tag("/tagged").await, "\"row-7\"");
        assert_eq!(ask("/tagged", Some("\"row-7\"")).await.status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn without_a_tolerance_nothing_is_used_unasked() {
        assert_eq!(HttpCache::REVALIDATED.cache_control(), "no-cache");
    }

    #[tokio::test]
    async fn both_lifetimes_together_are_the_tolerance() {
        let answer = ask("/page", None).await;
        assert_eq!(answer.headers()[CACHE_CONTROL], "public, max-age=30, stale-while-revalidate=31");
    }

    #[tokio::test]
    async fn failures_and_fallbacks_are_not_kept() {
        for (path, status) in [("/failed", StatusCode::BAD_GATEWAY), ("/fallback", StatusCode::OK)] {
            let answer = ask(path, Some("*")).await;
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
            assert!(!answer.headers().contains_key(ETAG));
        }
    }
}
