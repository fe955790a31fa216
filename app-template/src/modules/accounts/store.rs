//! The tables of the accounts. I/O: PostgreSQL.

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Row;

use crate::database::{Connection, DatabaseError, Query, Transaction};

static BY_ID: Query = Query::new(
    "SELECT accounts.accounts",
    "SELECT id, email, name, created_at FROM accounts.accounts WHERE id = $1",
);

static EXISTS: Query = Query::new("SELECT accounts.accounts", "SELECT FROM accounts.accounts WHERE id = $1");

static INSERT: Query = Query::new(
    "INSERT accounts.accounts",
    "INSERT INTO accounts.accounts (email, name) VALUES ($1, $2) ON CONFLICT (email) DO NOTHING
     RETURNING id, email, name, created_at",
);

static RENAME: Query = Query::new(
    "UPDATE accounts.accounts",
    "UPDATE accounts.accounts SET name = $2 WHERE id = $1 RETURNING id, email, name, created_at",
);

/// Somebody who buys.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Account {
    pub(super) id: i64,
    email: String,
    name: String,
    created_at: Timestamp,
}

impl Account {
    fn read(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            email: row.get("email"),
            name: row.get("name"),
            created_at: row.get("created_at"),
        }
    }
}

/// Whether there is such an account.
pub(in crate::modules) async fn exists(transaction: &Transaction, id: i64) -> Result<bool, DatabaseError> {
    Ok(transaction.first(&EXISTS, &[&id]).await?.is_some())
}

pub(super) async fn by_id(connection: &Connection, id: i64) -> Result<Option<Account>, DatabaseError> {
    Ok(connection.first(&BY_ID, &[&id]).await?.as_ref().map(Account::read))
}

/// None if the address has an account already.
pub(super) async fn insert(
    transaction: &Transaction,
    email: &str,
    name: &str,
) -> Result<Option<Account>, DatabaseError> {
    Ok(transaction.first(&INSERT, &[&email, &name]).await?.as_ref().map(Account::read))
}

pub(super) async fn rename(
    transaction: &Transaction,
    id: i64,
    name: &str,
) -> Result<Option<Account>, DatabaseError> {
    Ok(transaction.first(&RENAME, &[&id, &name]).await?.as_ref().map(Account::read))
}
