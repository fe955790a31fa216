//! The tables of the catalog. I/O: PostgreSQL.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use crate::database::{Connection, DatabaseError, Query, Transaction};

static BY_ID: Query = Query::new(
    "SELECT catalog.products",
    "SELECT id, name, category, price_cents, version FROM catalog.products WHERE id = $1",
);

/// By key, not by offset: the hundredth page costs what the first does.
static PAGE: Query = Query::new(
    "SELECT catalog.products",
    "SELECT id, name, category, price_cents, version FROM catalog.products WHERE id > $1 ORDER BY id LIMIT $2",
);

static PAGE_OF_CATEGORY: Query = Query::new(
    "SELECT catalog.products",
    "SELECT id, name, category, price_cents, version FROM catalog.products
     WHERE category = $3 AND id > $1 ORDER BY id LIMIT $2",
);

static OFFERS: Query =
    Query::new("SELECT catalog.products", "SELECT id, price_cents FROM catalog.products WHERE id = ANY($1)");

static NAMES: Query =
    Query::new("SELECT catalog.products", "SELECT id, name FROM catalog.products WHERE id = ANY($1)");

static INSERT: Query = Query::new(
    "INSERT catalog.products",
    "INSERT INTO catalog.products (name, category, price_cents) VALUES ($1, $2, $3)
     RETURNING id, name, category, price_cents, version",
);

static UPDATE: Query = Query::new(
    "UPDATE catalog.products",
    "UPDATE catalog.products SET name = $2, category = $3, price_cents = $4, version = version + 1 WHERE id = $1
     RETURNING id, name, category, price_cents, version",
);

/// Something that can be bought.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Product {
    pub(super) id: i64,
    name: String,
    category: String,
    price_cents: i64,
    version: i64,
}

impl Product {
    fn read(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            name: row.get("name"),
            category: row.get("category"),
            price_cents: row.get("price_cents"),
            version: row.get("version"),
        }
    }
}

/// What a product costs now.
#[derive(Debug, Clone, Copy)]
pub(in crate::modules) struct Offer {
    pub(in crate::modules) product: i64,
    pub(in crate::modules) price_cents: i64,
}

/// The prices of those of `products` that exist, in one statement.
pub(in crate::modules) async fn offers(
    transaction: &Transaction,
    products: &[i64],
) -> Result<Vec<Offer>, DatabaseError> {
    let rows = transaction.query(&OFFERS, &[&products]).await?;
    Ok(rows.iter().map(|row| Offer { product: row.get(0), price_cents: row.get(1) }).collect())
}

/// The names of those of `products` that exist, in one statement.
pub(in crate::modules) async fn names(
    connection: &Connection,
    products: &[i64],
) -> Result<BTreeMap<i64, String>, DatabaseError> {
    let rows = connection.query(&NAMES, &[&products]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

pub(super) async fn by_id(connection: &Connection, id: i64) -> Result<Option<Product>, DatabaseError> {
    Ok(connection.first(&BY_ID, &[&id]).await?.as_ref().map(Product::read))
}

/// The products after `after`, of one category or of all.
pub(super) async fn page(
    connection: &Connection,
    category: Option<&str>,
    after: i64,
    limit: i64,
) -> Result<Vec<Product>, DatabaseError> {
    let rows = match category {
        Some(category) => connection.query(&PAGE_OF_CATEGORY, &[&after, &limit, &category]).await?,
        None => connection.query(&PAGE, &[&after, &limit]).await?,
    };
    Ok(rows.iter().map(Product::read).collect())
}

pub(super) async fn insert(
    transaction: &Transaction,
    (name, category, price_cents): (&str, &str, i64),
) -> Result<Option<Product>, DatabaseError> {
    let row = transaction.first(&INSERT, &[&name, &category, &price_cents]).await?;
    Ok(row.as_ref().map(Product::read))
}

pub(super) async fn update(
    transaction: &Transaction,
    id: i64,
    (name, category, price_cents): (&str, &str, i64),
) -> Result<Option<Product>, DatabaseError> {
    let row = transaction.first(&UPDATE, &[&id, &name, &category, &price_cents]).await?;
    Ok(row.as_ref().map(Product::read))
}
