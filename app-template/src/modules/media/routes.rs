//! `/media`. I/O: PostgreSQL, and the object store.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::kind::KINDS;
use super::objects::{Media, MediaError};
use super::store;
use crate::consistency::Superseded;
use crate::input::{Answer, Asked, Named};
use crate::module::Module;
use crate::modules::catalog;
use crate::position::ReadAfter;
use crate::problem::Problem;
use crate::resilience::CallError;
use crate::shop::ShopWith;

pub(in crate::modules) fn routes(module: Module<ShopWith<Media>>) -> Module<ShopWith<Media>> {
    module.get("/media", list).post("/media", StatusCode::CREATED, upload).get("/media/{id}", show)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfProduct {
    product: i64,
}

/// First the object, then its row: what has a row can be shown, and an object without one harms nobody.
async fn upload(
    State(ShopWith { shop, own: media }): State<ShopWith<Media>>,
    after: ReadAfter,
    superseded: Superseded,
    Asked(of): Asked<OfProduct>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Answer {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let Some(kind) = KINDS.iter().find(|kind| content_type == Some(kind.content_type)) else {
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.content_type).collect();
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("Send a picture with the header Content-Type: one of {}.", known.join(", ")),
        ));
    };
    let bytes = bytes.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    kind.check(&bytes).map_err(Problem::unprocessable)?;
    let (id, length) = (Uuid::now_v7(), i64::try_from(bytes.len()).unwrap_or(i64::MAX));
    let connection = shop.database.read(after).await?;
    if catalog::names(&connection, &[of.product]).await?.is_empty() {
        return Err(Problem::unprocessable(format!("There is no product {}.", of.product)));
    }
    // Not kept while the bytes are on their way.
    drop(connection);
    media.put(id, bytes).await.map_err(unavailable)?;
    let transaction = shop.database.begin().await?;
    store::insert(&transaction, (id, of.product), kind.content_type, length).await?;
    let position = transaction.commit().await?;
    let path = format!("/media/{id}");
    let body = Json(json!({ "media": path }));
    Ok((StatusCode::CREATED, shop.written(superseded, position), [(LOCATION, path)], body).into_response())
}

async fn list(
    State(ShopWith { shop, .. }): State<ShopWith<Media>>,
    after: ReadAfter,
    Asked(of): Asked<OfProduct>,
) -> Answer {
    let connection = shop.database.read(after).await?;
    let ids = store::of_product(&connection, of.product).await?;
    let paths: Vec<String> = ids.iter().map(|id| format!("/media/{id}")).collect();
    Ok(Json(json!({ "media": paths })).into_response())
}

async fn show(
    State(ShopWith { shop, own: media }): State<ShopWith<Media>>,
    after: ReadAfter,
    Named(id): Named<Uuid>,
) -> Answer {
    let connection = shop.database.read(after).await?;
    let content_type = store::content_type(&connection, id).await?;
    let content_type = content_type.ok_or_else(|| Problem::missing(format!("There is no picture {id}.")))?;
    drop(connection);
    let (bytes, share) = media.get(id).await.map_err(unavailable)?;
    // What is no picture any more, because its kind is not taken any more, is not to be shown but kept.
    let is_shown = KINDS.iter().any(|kind| kind.content_type == content_type);
    let headers = [
        (CONTENT_TYPE, content_type),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        // Were a browser to read something else in these bytes, it runs none of it.
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
        (CONTENT_DISPOSITION, if is_shown { "inline" } else { "attachment" }.to_owned()),
        // A picture never changes under its identifier.
        (CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
    ];
    Ok((headers, Extension(Arc::new(share)), bytes).into_response())
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err wants it")]
fn unavailable(error: CallError<MediaError>) -> Problem {
    tracing::warn!(%error, "refused a request");
    Problem::unavailable("The pictures cannot be reached now; try again in a second.")
}
