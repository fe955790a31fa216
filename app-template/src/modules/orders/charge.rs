//! Charging for an order: at once if the provider answers, otherwise by a job. I/O: PostgreSQL, HTTP.

use std::time::Duration;

use futures::FutureExt;
use reqwest::StatusCode;
use serde_json::json;
use uuid::Uuid;

use super::store;
use crate::database::{DatabaseError, Transaction};
use crate::jobs::{self, JobError, Lease, NewJob, Work};
use crate::payments::{Payment, PaymentError, Payments};
use crate::position::Position;
use crate::resilience::CallError;
use crate::shop::Shop;

/// Longer than the request waits for the provider, so that a worker does not ask beside it.
const HEAD_START: Duration = Duration::from_secs(3);
/// How often it may end with its worker.
const ATTEMPTS: i32 = 20;

/// The shop has one.
const CURRENCY: &str = "EUR";

pub(in crate::modules) const CHARGE: Work<Shop> = Work {
    kind: "charge",
    run: |shop, lease| run(shop, lease).boxed(),
    refused: Some(|transaction, lease| refused(transaction, lease).boxed()),
};

/// What the provider said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charge {
    Paid,
    Declined,
}

/// Adds the job that charges if the request does not get that far; it bears the order's identifier.
pub(super) async fn enqueue(
    transaction: &mut Transaction,
    order: Uuid,
    cents: i64,
) -> Result<(), DatabaseError> {
    let job = NewJob {
        id: order,
        queue: "payments",
        kind: CHARGE.kind,
        payload: json!({ "order": order, "amountCents": cents }),
        max_attempts: ATTEMPTS,
        delay: HEAD_START,
        webhook: None,
    };
    jobs::enqueue(transaction, job).await
}

/// Charges within the request. None if the provider is not asked or gives no answer: then the job does it later.
pub(super) async fn now(
    shop: &Shop,
    payments: &Payments,
    order: Uuid,
    cents: i64,
) -> Result<Option<Position>, DatabaseError> {
    let charge = match ask(payments, order, cents).await {
        Ok(charge) => charge,
        Err(error) => {
            tracing::warn!(%order, %error, "the order is charged later");
            payments.put_off();
            return Ok(None);
        }
    };
    let transaction = shop.database.begin().await?;
    note(&transaction, order, charge).await?;
    jobs::withdraw(&transaction, order, &json!({ "charged": "with the order" })).await?;
    transaction.commit().await.map(Some)
}

async fn run(shop: &Shop, lease: &Lease) -> Result<(), JobError> {
    let (Some(order), Some(cents)) = (order(lease), lease.payload["amountCents"].as_i64()) else {
        return Err(JobError::Hopeless("the job names no order".to_owned()));
    };
    let Some(payments) = &shop.payments else {
        return Err(JobError::NotTried("this worker has no PAYMENTS_URL".to_owned()));
    };
    let charge = ask(payments, order, cents).await?;
    let mut transaction = shop.database.begin().await?;
    note(&transaction, order, charge).await?;
    lease.finish(&mut transaction, &json!({ "order": format!("/orders/{order}") })).await?;
    transaction.commit().await?;
    Ok(())
}

/// An order that nobody will charge for is not sold.
async fn refused(transaction: &Transaction, lease: &Lease) -> Result<(), DatabaseError> {
    match order(lease) {
        Some(order) => store::failed(transaction, order).await,
        None => Ok(()),
    }
}

fn order(lease: &Lease) -> Option<Uuid> {
    lease.payload["order"].as_str()?.parse().ok()
}

/// The provider charges once for an order, however often it is asked: that is what the key is for, and why this may be
/// repeated.
async fn ask(payments: &Payments, order: Uuid, cents: i64) -> Result<Charge, CallError<PaymentError>> {
    let payment = Payment { amount: cents.unsigned_abs(), currency: CURRENCY.to_owned() };
    match payments.pay(&order.to_string(), &payment).await {
        Ok(_) => Ok(Charge::Paid),
        Err(CallError::Failed(PaymentError::Refused(StatusCode::PAYMENT_REQUIRED))) => Ok(Charge::Declined),
        Err(error) => Err(error),
    }
}

async fn note(transaction: &Transaction, order: Uuid, charge: Charge) -> Result<(), DatabaseError> {
    match charge {
        Charge::Paid => store::paid(transaction, order).await,
        Charge::Declined => store::declined(transaction, order).await,
    }
}
