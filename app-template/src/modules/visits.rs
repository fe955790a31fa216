//! `POST /visits` counts how often a client has come, in its session. No I/O of its own.

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::module::Module;
use crate::problem::Problem;
use crate::sessions::{SaveError, Sessions};
use crate::shard::StoreError;

pub(super) fn routes(module: Module<Sessions>) -> Module<Sessions> {
    module.post("/visits", StatusCode::OK, visit)
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Visits {
    count: u64,
}

async fn visit(State(sessions): State<Sessions>, headers: HeaderMap) -> Result<Response, Problem> {
    let mut session = sessions.open::<Visits>(&headers).await?;
    session.data.count += 1;
    let cookie = sessions.save(&session).await?;
    let answer = [(SET_COOKIE, cookie), (CACHE_CONTROL, "no-store".to_owned())];
    Ok((answer, Json(session.data)).into_response())
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::debug!(%error, "no session");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Sessions cannot be read now; try again in a second.")
    }
}

impl From<SaveError> for Problem {
    fn from(error: SaveError) -> Self {
        match error {
            SaveError::Store(error) => error.into(),
            SaveError::Encode(_) => {
                tracing::error!(%error, "failed to answer a request");
                Self::defect()
            }
        }
    }
}
