//! `/products`. I/O: PostgreSQL, Redis.

use axum::Json;
use axum::extract::State;
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::cached::{Products, missing};
use super::store;
use crate::consistency::Superseded;
use crate::http_cache::{self, HttpCache};
use crate::input::{self, Answer, Asked, Body, Named};
use crate::module::Module;
use crate::position::ReadAfter;
use crate::problem::Problem;
use crate::shop::ShopWith;

const DEAREST: i64 = 1_000_000_000;

pub(in crate::modules) fn routes(module: Module<ShopWith<Products>>) -> Module<ShopWith<Products>> {
    // No lifetime: a client that has changed a product would be shown the old page from its own cache.
    let kept = from_fn_with_state(HttpCache::REVALIDATED, http_cache::validate);
    module
        .get("/products", list.layer(kept))
        .post("/products", StatusCode::CREATED, create)
        .get("/products/{id}", show)
        .put("/products/{id}", change)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    category: Option<String>,
    after: Option<i64>,
    limit: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Wanted {
    name: String,
    category: String,
    price_cents: i64,
}

impl Wanted {
    fn check(&self) -> Result<(&str, &str, i64), Problem> {
        input::text("name", &self.name, 200)?;
        input::text("category", &self.category, 50)?;
        input::number("priceCents", self.price_cents, 0..=DEAREST)?;
        Ok((&self.name, &self.category, self.price_cents))
    }
}

async fn list(
    State(ShopWith { shop, .. }): State<ShopWith<Products>>,
    after: ReadAfter,
    Asked(page): Asked<Page>,
) -> Answer {
    let limit = input::limit(page.limit)?;
    if let Some(category) = &page.category {
        input::text("category", category, 50)?;
    }
    let connection = shop.database.read(after).await?;
    let products = store::page(&connection, page.category.as_deref(), page.after.unwrap_or(0), limit).await?;
    let is_full = i64::try_from(products.len()) == Ok(limit);
    let next = products.last().filter(|_| is_full).map(|last| last.id);
    Ok(Json(json!({ "products": products, "nextAfter": next })).into_response())
}

/// From the cache, unless the client has written, or could not say so for want of a key: other processes hear of a
/// change a moment after it.
async fn show(
    State(ShopWith { shop, own: products }): State<ShopWith<Products>>,
    after: ReadAfter,
    Named(id): Named<i64>,
) -> Answer {
    if after == ReadAfter::Nothing && shop.keys.is_some() {
        let product = products.get(&shop.database, id).await?;
        return Ok(Json(product.as_ref().as_ref().ok_or_else(|| missing(id))?).into_response());
    }
    let connection = shop.database.read(after).await?;
    let product = store::by_id(&connection, id).await?;
    Ok(Json(product.ok_or_else(|| missing(id))?).into_response())
}

async fn create(
    State(ShopWith { shop, own: products }): State<ShopWith<Products>>,
    superseded: Superseded,
    Body(wanted): Body<Wanted>,
) -> Answer {
    let wanted = wanted.check()?;
    let transaction = shop.database.begin().await?;
    let product = store::insert(&transaction, wanted).await?.ok_or_else(Problem::defect)?;
    // Somebody may have asked for it before it was there.
    let position = products.commit(transaction, product.id).await?;
    let location = [(LOCATION, format!("/products/{}", product.id))];
    Ok((StatusCode::CREATED, shop.written(superseded, position), location, Json(product)).into_response())
}

async fn change(
    State(ShopWith { shop, own: products }): State<ShopWith<Products>>,
    superseded: Superseded,
    Named(id): Named<i64>,
    Body(wanted): Body<Wanted>,
) -> Answer {
    let wanted = wanted.check()?;
    let transaction = shop.database.begin().await?;
    let product = store::update(&transaction, id, wanted).await?.ok_or_else(|| missing(id))?;
    let position = products.commit(transaction, id).await?;
    Ok((shop.written(superseded, position), Json(product)).into_response())
}
