//! The other side: one handler each, as a good engineer writes it by hand, with the same answer. I/O: Redis, PostgreSQL.

use std::net::Ipv4Addr;

use anyhow::Context;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use redis::AsyncCommands;
use redis::aio::ConnectionManager;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_postgres::NoTls;

/// As many connections as the app's pool has by default.
const POOL: usize = 10;

/// The key of a product's JSON.
pub(crate) fn key(product: i64) -> String {
    format!("product:{product}")
}

/// `GET` from Redis for each request.
pub(crate) async fn redis() -> anyhow::Result<()> {
    let client = redis::Client::open(setting("REDIS_URL")?)?;
    let connection = client.get_connection_manager().await?;
    serve(Router::new().route("/products/{id}", get(cached)).with_state(connection)).await
}

async fn cached(
    State(mut redis): State<ConnectionManager>,
    Path(product): Path<i64>,
) -> Result<Response, StatusCode> {
    let found: Option<Vec<u8>> =
        redis.get(key(product)).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let body = found.ok_or(StatusCode::NOT_FOUND)?;
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// The app's own query, prepared, on a connection of a pool, to the replica if there is one.
pub(crate) async fn postgres() -> anyhow::Result<()> {
    let settings = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let url = setting("DATABASE_MAIN_READ_URL").or_else(|_| setting("DATABASE_MAIN_URL"))?;
    let manager = Manager::from_config(url.parse()?, NoTls, settings);
    let pool = Pool::builder(manager).max_size(POOL).runtime(Runtime::Tokio1).build()?;
    serve(Router::new().route("/products/{id}", get(uncached)).with_state(pool)).await
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Product {
    id: i64,
    name: String,
    category: String,
    price_cents: i64,
    version: i64,
}

async fn uncached(State(pool): State<Pool>, Path(product): Path<i64>) -> Result<Json<Product>, StatusCode> {
    let query = async {
        let client = pool.get().await?;
        let text = "SELECT id, name, category, price_cents, version FROM catalog.products WHERE id = $1";
        let statement = client.prepare_cached(text).await?;
        anyhow::Ok(client.query_opt(&statement, &[&product]).await?)
    };
    let found = query.await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let row = found.ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(Product {
        id: row.get(0),
        name: row.get(1),
        category: row.get(2),
        price_cents: row.get(3),
        version: row.get(4),
    }))
}

async fn serve(router: Router) -> anyhow::Result<()> {
    let port = setting("PORT")?.parse()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    Ok(axum::serve(listener, router.route("/readyz", get(async || "ready\n"))).await?)
}

fn setting(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("failed to read {name}"))
}
