//! `/orders`. I/O: PostgreSQL, and the payment provider.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::charge;
use super::place::{NewOrder, place};
use super::store::{self, Item, Order};
use crate::consistency::Superseded;
use crate::database::{Connection, DatabaseError};
use crate::degraded::Degraded;
use crate::input::{self, Answer, Asked, Body, IdempotencyKey, Named};
use crate::module::Module;
use crate::modules::catalog;
use crate::position::ReadAfter;
use crate::problem::Problem;
use crate::shop::Shop;

pub(in crate::modules) fn routes(module: Module<Shop>) -> Module<Shop> {
    module.get("/orders", list).post("/orders", StatusCode::CREATED, create).get("/orders/{id}", show)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    account: i64,
    before: Option<Uuid>,
    limit: Option<i64>,
}

/// 201 when the order is settled or nobody charges for it, 202 when it is charged later; that is marked as a fallback
/// if the provider should have charged now.
async fn create(
    State(shop): State<Shop>,
    superseded: Superseded,
    key: IdempotencyKey,
    Body(new): Body<NewOrder>,
) -> Answer {
    let placed = place(&shop, &key, &new).await?;
    let mut position = placed.position;
    let mut is_put_off = false;
    if let (Some(payments), Some(cents)) = (&shop.payments, placed.to_charge) {
        // The order stands whatever becomes of this: the job charges for it.
        match charge::now(&shop, payments, placed.id, cents).await {
            Ok(Some(settled)) => position = settled,
            Ok(None) => is_put_off = true,
            Err(error) => tracing::warn!(order = %placed.id, %error, "the order is charged later"),
        }
    }
    // Not a replica's: the answer must not fail for a write that is done.
    let connection = shop.database.primary().await?;
    let order = store::by_id(&connection, placed.id).await?;
    let order = order.ok_or_else(|| missing(placed.id))?;
    let is_open = shop.payments.is_some() && order.state == "placed";
    let status = if is_open { StatusCode::ACCEPTED } else { StatusCode::CREATED };
    let mut body = described(&connection, vec![order]).await?;
    let location = format!("/orders/{}", placed.id);
    let answer = (status, shop.written(superseded, position), [(LOCATION, location)], Json(body.pop()));
    Ok(if is_put_off { Degraded::Fallback.mark(answer) } else { answer.into_response() })
}

async fn show(State(shop): State<Shop>, after: ReadAfter, Named(id): Named<Uuid>) -> Answer {
    let connection = shop.database.read(after).await?;
    let order = store::by_id(&connection, id).await?.ok_or_else(|| missing(id))?;
    Ok(Json(described(&connection, vec![order]).await?.pop()).into_response())
}

async fn list(State(shop): State<Shop>, after: ReadAfter, Asked(page): Asked<Page>) -> Answer {
    let limit = input::limit(page.limit)?;
    let connection = shop.database.read(after).await?;
    let orders = store::of_account(&connection, page.account, page.before, limit).await?;
    let is_full = i64::try_from(orders.len()) == Ok(limit);
    let next = orders.last().filter(|_| is_full).map(|last| last.id);
    let orders = described(&connection, orders).await?;
    Ok(Json(json!({ "orders": orders, "nextBefore": next })).into_response())
}

/// The orders with their items and the products' names: two statements, however many orders.
async fn described(connection: &Connection, orders: Vec<Order>) -> Result<Vec<Value>, DatabaseError> {
    let ids: Vec<Uuid> = orders.iter().map(|order| order.id).collect();
    let items = store::items(connection, &ids).await?;
    let products: Vec<i64> = items.values().flatten().map(|item| item.product).collect();
    let names = catalog::names(connection, &products).await?;
    Ok(orders.into_iter().map(|order| with_items(&order, items.get(&order.id), &names)).collect())
}

fn with_items(order: &Order, items: Option<&Vec<Item>>, names: &BTreeMap<i64, String>) -> Value {
    let items: Vec<Value> = items
        .into_iter()
        .flatten()
        .map(|item| {
            json!({
                "product": item.product,
                "name": names.get(&item.product),
                "quantity": item.quantity,
                "priceCents": item.price_cents,
            })
        })
        .collect();
    let mut order = json!(order);
    order["items"] = items.into();
    order
}

fn missing(id: Uuid) -> Problem {
    Problem::missing(format!("There is no order {id}."))
}
