//! `POST /payments` takes a payment, `GET /payments/methods` says how one can pay: a call that must not be
//! made up, and one that has a fallback. No I/O of its own.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::handler::Handler;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::degraded::Degraded;
use crate::http_cache::{self, HttpCache};
use crate::module::Module;
use crate::payments::{METHODS_TOLERANCE, Methods, Payment, PaymentError, Payments};
use crate::problem::Problem;
use crate::resilience::CallError;

const LONGEST_KEY: usize = 64;

pub(super) fn routes(module: Module<Arc<Payments>>) -> Module<Arc<Payments>> {
    let kept = from_fn_with_state(HttpCache::public(METHODS_TOLERANCE), http_cache::validate);
    module.post("/payments", StatusCode::CREATED, pay).get("/payments/methods", methods.layer(kept))
}

async fn pay(
    State(payments): State<Arc<Payments>>,
    headers: HeaderMap,
    payment: Result<Json<Payment>, JsonRejection>,
) -> Result<Response, Problem> {
    let key = idempotency_key(&headers)?;
    let Json(payment) =
        payment.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    if payment.amount == 0 || !is_currency(&payment.currency) {
        return Err(Problem::bad_request(
            "Give an amount of at least 1, in the currency's smallest unit, and a currency of three capital \
             letters: for example {\"amount\": 1250, \"currency\": \"EUR\"}."
                .to_owned(),
        ));
    }
    let receipt = payments.pay(key, &payment).await?;
    Ok((StatusCode::CREATED, Json(receipt)).into_response())
}

async fn methods(State(payments): State<Arc<Payments>>) -> Response {
    match payments.methods().await {
        Methods::Asked(methods) => Json(json!({ "methods": *methods })).into_response(),
        Methods::Fallback(methods) => Degraded::Fallback.mark(Json(json!({ "methods": *methods }))),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    keys.next()
        .filter(|_| keys.next().is_none())
        .and_then(|key| key.to_str().ok())
        .filter(|key| (1..=LONGEST_KEY).contains(&key.len()))
        .ok_or_else(|| {
            Problem::bad_request(format!(
                "Send one Idempotency-Key header of 1 to {LONGEST_KEY} ASCII characters, the same one when \
                 you repeat the request."
            ))
        })
}

fn is_currency(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|letter| letter.is_ascii_uppercase())
}

impl From<CallError<PaymentError>> for Problem {
    fn from(error: CallError<PaymentError>) -> Self {
        let (status, detail) = match &error {
            CallError::Open(_) | CallError::Full(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The payment provider cannot be asked now; repeat the request with the same Idempotency-Key \
                 in a second.",
            ),
            CallError::TimedOut(_) => (
                StatusCode::GATEWAY_TIMEOUT,
                "The payment provider did not answer in time; repeat the request with the same \
                 Idempotency-Key.",
            ),
            CallError::Failed(PaymentError::Refused(_)) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "The payment provider refuses this payment; an Idempotency-Key belongs to one payment only.",
            ),
            CallError::Failed(PaymentError::Failed(_) | PaymentError::Transport(_)) => (
                StatusCode::BAD_GATEWAY,
                "The payment provider failed; repeat the request with the same Idempotency-Key.",
            ),
        };
        tracing::debug!(%error, "no payment");
        Self::new(status, detail)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_keys_but_one_are_refused(keys in prop::collection::vec(prop::collection::vec(0x20..=0xff_u8, 0..70), 0..3)) {
            let values = keys.iter().filter_map(|key| HeaderValue::from_bytes(key).ok());
            let headers: HeaderMap = values.map(|value| ("idempotency-key".parse().unwrap(), value)).collect();
            match idempotency_key(&headers) {
                Ok(key) => prop_assert!(headers.len() == 1 && (1..=LONGEST_KEY).contains(&key.len())),
                Err(problem) => prop_assert_eq!(problem.status(), StatusCode::BAD_REQUEST),
            }
        }

        #[test]
        fn any_currency_is_three_capital_letters(text in "[A-Z]{0,4}|\\PC{0,4}") {
            let capitals = text.chars().filter(char::is_ascii_uppercase).count();
            prop_assert_eq!(is_currency(&text), capitals == 3 && text.chars().count() == 3);
        }
    }
}
