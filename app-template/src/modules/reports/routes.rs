//! `/reports`. I/O: PostgreSQL.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use jiff::civil::{Date, date};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::make::{MAKE, Payload, Period};
use super::store;
use crate::consistency::Superseded;
use crate::input::{self, Answer, Body, IdempotencyKey, Named};
use crate::jobs::{self, Claim, ForbiddenReceiver, NewJob};
use crate::module::Module;
use crate::modules::jobs::accepted;
use crate::position::ReadAfter;
use crate::problem::Problem;
use crate::shop::Shop;

const EARLIEST: Date = date(1970, 1, 1);

pub(in crate::modules) fn routes(module: Module<Shop>) -> Module<Shop> {
    module.post("/reports", StatusCode::ACCEPTED, create).get("/reports/{id}", show)
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct NewReport {
    from: Date,
    to: Date,
    /// Where the end of the job is told.
    webhook: Option<String>,
}

async fn create(
    State(shop): State<Shop>,
    superseded: Superseded,
    key: IdempotencyKey,
    Body(new): Body<NewReport>,
) -> Answer {
    if new.from < EARLIEST || new.from > new.to {
        return Err(Problem::unprocessable(format!(
            "from is a day from {EARLIEST} on that is not after to."
        )));
    }
    let webhook = new.webhook.as_deref().map(|url| address(&shop, url)).transpose()?;
    let mut transaction = shop.database.begin().await?;
    let id = Uuid::now_v7();
    let claimed = jobs::claim(&transaction, "reports", &key.0, &input::fingerprint(&new), id).await?;
    let id = match claimed {
        Claim::Repeated(id) => id,
        Claim::New => {
            let period = Period { from: new.from, to: new.to };
            let after = Some(transaction.position().await?);
            let job = NewJob {
                id,
                queue: "reports",
                kind: MAKE.kind,
                payload: json!(Payload { period, after }),
                max_attempts: 5,
                delay: Duration::ZERO,
                webhook: webhook.as_deref(),
            };
            jobs::enqueue(&mut transaction, job).await?;
            id
        }
    };
    let position = transaction.commit().await?;
    Ok(accepted(shop.written(superseded, position), id))
}

/// Where the end of the job is told; nowhere without a key for webhooks.
fn address(shop: &Shop, url: &str) -> Result<String, ForbiddenReceiver> {
    shop.webhooks.as_ref().ok_or(ForbiddenReceiver)?.check(url)
}

async fn show(State(shop): State<Shop>, after: ReadAfter, Named(id): Named<Uuid>) -> Answer {
    let mut report = store::by_id(&shop.database.read(after).await?, id).await?;
    if report.is_none() {
        // Whoever was just told that it is made asks for it before it is on the replicas.
        report = store::by_id(&shop.database.primary().await?, id).await?;
    }
    report
        .map(|report| Json(report).into_response())
        .ok_or_else(|| Problem::missing(format!("There is no report {id}.")))
}
