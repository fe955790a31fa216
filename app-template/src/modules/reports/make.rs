//! The job that makes a report. I/O: PostgreSQL.

use futures::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::store;
use crate::jobs::{JobError, Lease, Work};
use crate::modules::{catalog, orders};
use crate::position::{Position, ReadAfter};
use crate::shop::Shop;
use jiff::civil::Date;

pub(in crate::modules) const MAKE: Work<Shop> =
    Work { kind: "report", run: |shop, lease| run(shop, lease).boxed(), refused: None };

/// From the first day to the last, both included, in UTC.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub(super) struct Period {
    pub(super) from: Date,
    pub(super) to: Date,
}

/// What the job is told.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Payload {
    #[serde(flatten)]
    pub(super) period: Period,
    /// Where the log ended when the report was asked for: it has to show what its caller had written by then. None in
    /// jobs of an earlier version.
    pub(super) after: Option<Position>,
}

async fn run(shop: &Shop, lease: &Lease) -> Result<(), JobError> {
    let Payload { period, after } = serde_json::from_value(lease.payload.clone())
        .map_err(|error| JobError::Hopeless(format!("the job names no period: {error}")))?;
    let lines = lines(shop, period, after.map_or(ReadAfter::Everything, ReadAfter::At)).await?;
    let id = Uuid::now_v7();
    let mut transaction = shop.database.begin().await?;
    store::insert(&transaction, (id, lease.id), (period.from, period.to), &lines).await?;
    lease.finish(&mut transaction, &json!({ "report": format!("/reports/{id}") })).await?;
    transaction.commit().await?;
    Ok(())
}

/// Adds up on a replica; the connection is given back before anything is written.
async fn lines(shop: &Shop, period: Period, after: ReadAfter) -> Result<Value, JobError> {
    let connection = shop.database.read(after).await?;
    let sales = orders::sales(&connection, period.from, period.to).await?;
    let products: Vec<i64> = sales.iter().map(|sale| sale.product).collect();
    let names = catalog::names(&connection, &products).await?;
    let line = |sale: &orders::Sale| {
        json!({
            "product": sale.product,
            "name": names.get(&sale.product),
            "quantity": sale.quantity,
            "cents": sale.cents,
        })
    };
    Ok(sales.iter().map(line).collect())
}
