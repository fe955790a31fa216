//! `GET /jobs/{id}`: what became of a job, and the answer 202 that leads there. I/O: PostgreSQL.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use uuid::Uuid;

use crate::consistency::Written;
use crate::input::{Answer, Named};
use crate::jobs;
use crate::module::Module;
use crate::position::ReadAfter;
use crate::problem::Problem;
use crate::shop::Shop;

pub(super) fn routes(module: Module<Shop>) -> Module<Shop> {
    module.get("/jobs/{id}", show)
}

async fn show(State(shop): State<Shop>, after: ReadAfter, Named(id): Named<Uuid>) -> Answer {
    let mut job = jobs::status(&shop.database.read(after).await?, id).await?;
    if job.is_none() {
        // Whoever was just told of the job asks for it before it is on the replicas.
        job = jobs::status(&shop.database.primary().await?, id).await?;
    }
    let job = job.ok_or_else(|| Problem::missing(format!("There is no job {id}.")))?;
    let body = Json(json!({
        "job": id,
        "queue": job.queue,
        "state": job.state,
        "attempts": job.attempts,
        "result": job.result,
        "enqueuedAt": job.enqueued_at.to_string(),
        "finishedAt": job.finished_at.map(|at| at.to_string()),
    }));
    Ok(if job.is_over() { body.into_response() } else { ([(RETRY_AFTER, "1")], body).into_response() })
}

/// `202 Accepted`: where to ask what became of the job.
pub(super) fn accepted(written: Written<'_>, job: Uuid) -> Response {
    let status = format!("/jobs/{job}");
    let body = Json(json!({ "job": job, "status": status }));
    (StatusCode::ACCEPTED, written, [(LOCATION, status)], body).into_response()
}
