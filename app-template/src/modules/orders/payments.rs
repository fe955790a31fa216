//! The client of the payment provider. I/O: HTTP.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::json;
use uuid::Uuid;

const TIMEOUT: Duration = Duration::from_secs(2);

/// Why it is not known whether an order is paid.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PaymentError {
    /// No answer, or none in time.
    #[error("failed to ask the payment provider: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// An answer that says neither yes nor no.
    #[error("failed to charge: the payment provider answered {0}")]
    Unexpected(StatusCode),
}

/// What the provider said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charge {
    Paid,
    Declined,
}

/// The payment provider at one address.
#[derive(Debug, Clone)]
pub(crate) struct Payments {
    client: Client,
    charges: String,
}

impl Payments {
    /// `url` is where `/charges` stands below.
    pub(crate) fn new(url: &str) -> Result<Self, reqwest::Error> {
        let client = Client::builder().timeout(TIMEOUT).build()?;
        Ok(Self { client, charges: format!("{}/charges", url.trim_end_matches('/')) })
    }

    /// Charges for `order`. The provider charges once for an order, however often it is asked: that is what the
    /// key is for, and why this may be repeated.
    pub(crate) async fn charge(&self, order: Uuid, cents: i64) -> Result<Charge, PaymentError> {
        let answer = self
            .client
            .post(&self.charges)
            .header("idempotency-key", order.to_string())
            .json(&json!({ "order": order, "amountCents": cents }))
            .send()
            .await?;
        match answer.status() {
            status if status.is_success() => Ok(Charge::Paid),
            StatusCode::PAYMENT_REQUIRED => Ok(Charge::Declined),
            status => Err(PaymentError::Unexpected(status)),
        }
    }
}
