//! `GET /jobs/{id}`: what became of a job. I/O: PostgreSQL.

use axum::Json;
use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::database::Query;
use crate::input::{Answer, Named};
use crate::module::Module;
use crate::position::ReadAfter;
use crate::problem::Problem;
use crate::shop::Shop;

static BY_ID: Query = Query::new(
    "SELECT jobs.jobs",
    "SELECT queue, state, attempts, result, enqueued_at, finished_at FROM jobs.jobs WHERE id = $1",
);

pub(crate) fn routes(module: Module<Shop>) -> Module<Shop> {
    module.get("/jobs/{id}", status)
}

async fn status(State(shop): State<Shop>, after: ReadAfter, Named(id): Named<Uuid>) -> Answer {
    let mut row = shop.database.read(after).await?.first(&BY_ID, &[&id]).await?;
    if row.is_none() {
        // Whoever was just told of the job asks for it before it is on the replicas.
        row = shop.database.primary().await?.first(&BY_ID, &[&id]).await?;
    }
    let row = row.ok_or_else(|| Problem::missing(format!("There is no job {id}.")))?;
    let state: &str = row.get("state");
    let body = Json(json!({
        "job": id,
        "queue": row.get::<_, &str>("queue"),
        "state": state,
        "attempts": row.get::<_, i32>("attempts"),
        "result": row.get::<_, Option<Value>>("result"),
        "enqueuedAt": row.get::<_, Timestamp>("enqueued_at").to_string(),
        "finishedAt": row.get::<_, Option<Timestamp>>("finished_at").map(|at| at.to_string()),
    }));
    let is_over = matches!(state, "done" | "dead");
    Ok(if is_over { body.into_response() } else { ([(RETRY_AFTER, "1")], body).into_response() })
}
