//! The tables of the media. I/O: PostgreSQL.

use uuid::Uuid;

use crate::database::{Connection, DatabaseError, Query, Transaction};

static INSERT: Query = Query::new(
    "INSERT media.files",
    "INSERT INTO media.files (id, product, content_type, bytes) VALUES ($1, $2, $3, $4)",
);

static CONTENT_TYPE: Query =
    Query::new("SELECT media.files", "SELECT content_type FROM media.files WHERE id = $1");

static OF_PRODUCT: Query =
    Query::new("SELECT media.files", "SELECT id FROM media.files WHERE product = $1 ORDER BY id LIMIT 100");

pub(super) async fn insert(
    transaction: &Transaction,
    (id, product): (Uuid, i64),
    content_type: &str,
    bytes: i64,
) -> Result<(), DatabaseError> {
    transaction.execute(&INSERT, &[&id, &product, &content_type, &bytes]).await.map(drop)
}

pub(super) async fn content_type(connection: &Connection, id: Uuid) -> Result<Option<String>, DatabaseError> {
    Ok(connection.first(&CONTENT_TYPE, &[&id]).await?.map(|row| row.get(0)))
}

/// The first hundred pictures of a product.
pub(super) async fn of_product(connection: &Connection, product: i64) -> Result<Vec<Uuid>, DatabaseError> {
    Ok(connection.query(&OF_PRODUCT, &[&product]).await?.iter().map(|row| row.get(0)).collect())
}
