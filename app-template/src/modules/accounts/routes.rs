//! `/accounts`. I/O: PostgreSQL.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use serde::Deserialize;

use super::store;
use crate::consistency::Superseded;
use crate::input::{self, Answer, Body, Named};
use crate::module::Module;
use crate::position::ReadAfter;
use crate::problem::Problem;
use crate::shop::Shop;

pub(in crate::modules) fn routes(module: Module<Shop>) -> Module<Shop> {
    module
        .post("/accounts", StatusCode::CREATED, create)
        .get("/accounts/{id}", show)
        .put("/accounts/{id}/name", rename)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    email: String,
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewName {
    name: String,
}

async fn show(State(shop): State<Shop>, after: ReadAfter, Named(id): Named<i64>) -> Answer {
    let connection = shop.database.read(after).await?;
    let account = store::by_id(&connection, id).await?;
    Ok(Json(account.ok_or_else(|| missing(id))?).into_response())
}

async fn create(State(shop): State<Shop>, superseded: Superseded, Body(new): Body<NewAccount>) -> Answer {
    input::text("email", &new.email, 254)?;
    input::text("name", &new.name, 200)?;
    if !new.email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty()) {
        return Err(Problem::unprocessable("email is an address such as ada@example.org.".to_owned()));
    }
    let transaction = shop.database.begin().await?;
    let Some(account) = store::insert(&transaction, &new.email, &new.name).await? else {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "This address has an account already; use another one.".to_owned(),
        ));
    };
    let position = transaction.commit().await?;
    let location = [(LOCATION, format!("/accounts/{}", account.id))];
    Ok((StatusCode::CREATED, shop.written(superseded, position), location, Json(account)).into_response())
}

async fn rename(
    State(shop): State<Shop>,
    superseded: Superseded,
    Named(id): Named<i64>,
    Body(new): Body<NewName>,
) -> Answer {
    input::text("name", &new.name, 200)?;
    let transaction = shop.database.begin().await?;
    let account = store::rename(&transaction, id, &new.name).await?.ok_or_else(|| missing(id))?;
    let position = transaction.commit().await?;
    Ok((shop.written(superseded, position), Json(account)).into_response())
}

fn missing(id: i64) -> Problem {
    Problem::missing(format!("There is no account {id}."))
}
