//! The tables of the orders. I/O: PostgreSQL.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::database::{Connection, DatabaseError, Query, Transaction};

static INSERT: Query = Query::new(
    "INSERT orders.orders",
    "INSERT INTO orders.orders (id, account, total_cents) VALUES ($1, $2, $3)",
);

static INSERT_ITEMS: Query = Query::new(
    "INSERT orders.items",
    "INSERT INTO orders.items (order_id, product, quantity, price_cents)
     SELECT $1, product, quantity, price_cents
     FROM unnest($2::bigint[], $3::int[], $4::bigint[]) AS item (product, quantity, price_cents)",
);

static BY_ID: Query = Query::new(
    "SELECT orders.orders",
    "SELECT id, account, state, total_cents, placed_at FROM orders.orders WHERE id = $1",
);

static OF_ACCOUNT: Query = Query::new(
    "SELECT orders.orders",
    "SELECT id, account, state, total_cents, placed_at FROM orders.orders
     WHERE account = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
);

static ITEMS: Query = Query::new(
    "SELECT orders.items",
    "SELECT order_id, product, quantity, price_cents FROM orders.items WHERE order_id = ANY($1)
     ORDER BY order_id, product",
);

/// Whoever is first changes the state; for the others there is nothing left to do. What failed is open again when its
/// job is tried again.
static SETTLE: Query = Query::new(
    "UPDATE orders.orders",
    "UPDATE orders.orders SET state = $2 WHERE id = $1 AND state IN ('placed', 'failed')",
);

static CHARGED: Query = Query::new(
    "INSERT orders.charges",
    "INSERT INTO orders.charges (order_id, amount_cents) SELECT id, total_cents FROM orders.orders WHERE id = $1",
);

/// An order that nobody has charged for yet is sold; one that could not be charged for is not.
static SALES: Query = Query::new(
    "SELECT orders.items",
    "SELECT product, sum(quantity)::bigint, sum(quantity * items.price_cents)::bigint
     FROM orders.items JOIN orders.orders ON orders.id = order_id
     WHERE state NOT IN ('declined', 'failed')
       AND placed_at >= $1::date::timestamp AT TIME ZONE 'UTC'
       AND placed_at < ($2::date + 1)::timestamp AT TIME ZONE 'UTC'
     GROUP BY product ORDER BY 3 DESC, product LIMIT 1000",
);

/// An order without its items.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Order {
    pub(super) id: Uuid,
    account: i64,
    pub(super) state: String,
    pub(super) total_cents: i64,
    placed_at: Timestamp,
}

impl Order {
    fn read(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            account: row.get("account"),
            state: row.get("state"),
            total_cents: row.get("total_cents"),
            placed_at: row.get("placed_at"),
        }
    }
}

/// A line of an order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) product: i64,
    pub(super) quantity: i32,
    pub(super) price_cents: i64,
}

/// How much of a product was sold.
#[derive(Debug)]
pub(in crate::modules) struct Sale {
    pub(in crate::modules) product: i64,
    pub(in crate::modules) quantity: i64,
    pub(in crate::modules) cents: i64,
}

/// What was sold from `first` to `last`, both included, the most valuable first.
pub(in crate::modules) async fn sales(
    connection: &Connection,
    first: Date,
    last: Date,
) -> Result<Vec<Sale>, DatabaseError> {
    let rows = connection.query(&SALES, &[&first, &last]).await?;
    Ok(rows.iter().map(|row| Sale { product: row.get(0), quantity: row.get(1), cents: row.get(2) }).collect())
}

pub(super) async fn insert(
    transaction: &Transaction,
    (id, account, total_cents): (Uuid, i64, i64),
    items: &[Item],
) -> Result<(), DatabaseError> {
    transaction.execute(&INSERT, &[&id, &account, &total_cents]).await?;
    let products: Vec<i64> = items.iter().map(|item| item.product).collect();
    let quantities: Vec<i32> = items.iter().map(|item| item.quantity).collect();
    let prices: Vec<i64> = items.iter().map(|item| item.price_cents).collect();
    transaction.execute(&INSERT_ITEMS, &[&id, &products, &quantities, &prices]).await?;
    Ok(())
}

pub(super) async fn by_id(connection: &Connection, id: Uuid) -> Result<Option<Order>, DatabaseError> {
    Ok(connection.first(&BY_ID, &[&id]).await?.as_ref().map(Order::read))
}

/// The orders of an account before `before`, the newest first.
pub(super) async fn of_account(
    connection: &Connection,
    account: i64,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Order>, DatabaseError> {
    let rows = connection.query(&OF_ACCOUNT, &[&account, &before, &limit]).await?;
    Ok(rows.iter().map(Order::read).collect())
}

/// The items of all `orders`, in one statement.
pub(super) async fn items(
    connection: &Connection,
    orders: &[Uuid],
) -> Result<BTreeMap<Uuid, Vec<Item>>, DatabaseError> {
    let mut items: BTreeMap<Uuid, Vec<Item>> = BTreeMap::new();
    for row in connection.query(&ITEMS, &[&orders]).await? {
        items.entry(row.get(0)).or_default().push(Item {
            product: row.get(1),
            quantity: row.get(2),
            price_cents: row.get(3),
        });
    }
    Ok(items)
}

/// Notes that the order is paid, once.
pub(super) async fn paid(transaction: &Transaction, id: Uuid) -> Result<(), DatabaseError> {
    if transaction.execute(&SETTLE, &[&id, &"paid"]).await? == 1 {
        transaction.execute(&CHARGED, &[&id]).await?;
    }
    Ok(())
}

/// Notes that the provider refuses to charge, for a reason that is not the customer's.
pub(super) async fn failed(transaction: &Transaction, id: Uuid) -> Result<(), DatabaseError> {
    transaction.execute(&SETTLE, &[&id, &"failed"]).await.map(drop)
}

/// Notes that the provider declined the customer's payment.
pub(super) async fn declined(transaction: &Transaction, id: Uuid) -> Result<(), DatabaseError> {
    transaction.execute(&SETTLE, &[&id, &"declined"]).await.map(drop)
}
