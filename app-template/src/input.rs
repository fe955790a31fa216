//! What a request brings, checked, and refused in words. No I/O.

use axum::extract::{FromRequest, FromRequestParts, Json, Path, Query, Request};
use axum::http::HeaderName;
use axum::http::request::Parts;
use axum::response::Response;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::problem::Problem;

/// The JSON body of a request.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Json::from_request(request, state)
            .await
            .map(|Json(body)| Self(body))
            .map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))
    }
}

/// The parameters after the question mark.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(asked)| Self(asked))
            .map_err(|rejection| Problem::bad_request(rejection.body_text()))
    }
}

/// The variable part of a path.
#[derive(Debug)]
pub(crate) struct Named<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Path::from_request_parts(parts, state)
            .await
            .map(|Path(named)| Self(named))
            .map_err(|rejection| Problem::bad_request(rejection.body_text()))
    }
}

/// The header `Idempotency-Key`: a request that is sent twice with one key takes effect once.
#[derive(Debug)]
pub(crate) struct IdempotencyKey(pub(crate) String);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .headers
            .get(IDEMPOTENCY_KEY)
            .and_then(|key| key.to_str().ok())
            .filter(|key| (1..=255).contains(&key.len()))
            .map(|key| Self(key.to_owned()))
            .ok_or_else(|| {
                Problem::bad_request(
                    "Send a header Idempotency-Key of 1 to 255 letters, digits and signs, a new one for each order or report and the same one when the request is repeated."
                        .to_owned(),
                )
            })
    }
}

/// A text of `1..=longest` characters without control characters, which PostgreSQL would not all store.
pub(crate) fn text(name: &str, text: &str, longest: usize) -> Result<(), Problem> {
    let length = text.chars().count();
    if (1..=longest).contains(&length) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Problem::unprocessable(format!(
        "{name} is a text of 1 to {longest} characters without control characters."
    )))
}

/// A whole number within `range`.
pub(crate) fn number(name: &str, number: i64, range: std::ops::RangeInclusive<i64>) -> Result<(), Problem> {
    if range.contains(&number) {
        return Ok(());
    }
    Err(Problem::unprocessable(format!(
        "{name} is a whole number from {} to {}.",
        range.start(),
        range.end()
    )))
}

/// How many entries of a list are asked for.
pub(crate) fn limit(asked: Option<i64>) -> Result<i64, Problem> {
    let limit = asked.unwrap_or(20);
    number("limit", limit, 1..=100)
        .map_err(|_| Problem::bad_request("limit is a whole number from 1 to 100.".to_owned()))?;
    Ok(limit)
}

/// Tells two bodies apart.
pub(crate) fn fingerprint(body: &impl serde::Serialize) -> String {
    // What was read from JSON can be written as JSON.
    hex::encode(Sha256::digest(serde_json::to_vec(body).unwrap_or_default()))
}

/// What a handler returns that puts its answer together by hand.
pub(crate) type Answer = Result<Response, Problem>;

#[cfg(test)]
mod tests {
    use axum::body::Body as Bytes;
    use axum::http::StatusCode;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// What an extractor makes of a request.
    fn read<T: FromRequest<(), M, Rejection = Problem>, M>(request: Request) -> Result<T, Problem> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(T::from_request(request, &()))
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused_as_a_bad_request(bytes: Vec<u8>, kind in "application/json|[!-~]{0,20}") {
            let request = Request::post("/").header("content-type", &kind).body(Bytes::from(bytes.clone())).unwrap();
            match read::<Body<Value>, _>(request) {
                Ok(Body(value)) => prop_assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), value),
                Err(problem) => prop_assert!(problem.status().is_client_error()),
            }
        }

        #[test]
        fn any_key_is_taken_as_it_is_or_refused(bytes in prop::collection::vec(0x20..=0xff_u8, 0..300)) {
            if let Ok(value) = http::HeaderValue::from_bytes(&bytes) {
                let request = Request::get("/").header(IDEMPOTENCY_KEY, value).body(Bytes::empty()).unwrap();
                match read::<IdempotencyKey, _>(request) {
                    Ok(IdempotencyKey(key)) => prop_assert!(key.as_bytes() == bytes && (1..=255).contains(&key.len())),
                    Err(problem) => prop_assert_eq!(problem.status(), StatusCode::BAD_REQUEST),
                }
            }
        }

        #[test]
        fn any_text_that_is_taken_can_be_stored(text: String, longest in 1..50_usize) {
            let is_taken = super::text("name", &text, longest).is_ok();
            let can_be_stored = !text.is_empty() && text.chars().count() <= longest && !text.contains(char::is_control);
            prop_assert_eq!(is_taken, can_be_stored);
        }

        #[test]
        fn any_number_that_is_taken_is_within_its_bounds(value: i64, asked: Option<i64>) {
            prop_assert_eq!(number("n", value, -5..=5).is_ok(), (-5..=5).contains(&value));
            match limit(asked) {
                Ok(limit) => prop_assert!((1..=100).contains(&limit) && asked.is_none_or(|asked| asked == limit)),
                Err(problem) => prop_assert_eq!(problem.status(), StatusCode::BAD_REQUEST),
            }
        }

        #[test]
        fn any_two_bodies_are_told_apart(one: (String, i64), other: (String, i64)) {
            prop_assert_eq!(fingerprint(&one) == fingerprint(&other), one == other);
        }
    }
}
