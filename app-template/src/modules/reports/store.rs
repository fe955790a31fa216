//! The tables of the reports. I/O: PostgreSQL.

use jiff::civil::Date;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::database::{Connection, DatabaseError, Query, Transaction};

static INSERT: Query = Query::new(
    "INSERT reports.reports",
    "INSERT INTO reports.reports (id, job, first_day, last_day, lines) VALUES ($1, $2, $3, $4, $5)",
);

static BY_ID: Query = Query::new(
    "SELECT reports.reports",
    "SELECT first_day, last_day, lines FROM reports.reports WHERE id = $1",
);

pub(super) async fn insert(
    transaction: &Transaction,
    (id, job): (Uuid, Uuid),
    (first, last): (Date, Date),
    lines: &Value,
) -> Result<(), DatabaseError> {
    transaction.execute(&INSERT, &[&id, &job, &first, &last, lines]).await.map(drop)
}

pub(super) async fn by_id(connection: &Connection, id: Uuid) -> Result<Option<Value>, DatabaseError> {
    Ok(connection.first(&BY_ID, &[&id]).await?.map(|row| {
        json!({
            "report": id,
            "from": row.get::<_, Date>(0),
            "to": row.get::<_, Date>(1),
            "lines": row.get::<_, Value>(2),
        })
    }))
}
