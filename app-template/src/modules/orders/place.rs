//! Placing an order: once for each key, with prices of the same instant. I/O: PostgreSQL.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::store::Item;
use super::{charge, store};
use crate::database::Transaction;
use crate::input::{self, IdempotencyKey};
use crate::jobs::{Claim, claim};
use crate::modules::{accounts, catalog};
use crate::position::Position;
use crate::problem::Problem;
use crate::shop::Shop;

const MOST_ITEMS: usize = 50;

/// What somebody wants to buy.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOrder {
    account: i64,
    items: Vec<NewItem>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct NewItem {
    product: i64,
    quantity: i32,
}

/// An order that is in the database.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) id: Uuid,
    /// What is to be charged, if this request placed it and there is somebody to charge.
    pub(super) to_charge: Option<i64>,
    pub(super) position: Position,
}

/// Places the order together with the job that charges for it, or finds the one that the same request placed before.
pub(super) async fn place(shop: &Shop, key: &IdempotencyKey, new: &NewOrder) -> Result<Placed, Problem> {
    check(new)?;
    let mut transaction = shop.database.begin().await?;
    let id = Uuid::now_v7();
    let scope = format!("orders of account {}", new.account);
    if let Claim::Repeated(id) = claim(&transaction, &scope, &key.0, &input::fingerprint(new), id).await? {
        let position = transaction.commit().await?;
        return Ok(Placed { id, to_charge: None, position });
    }
    if !accounts::exists(&transaction, new.account).await? {
        return Err(Problem::unprocessable(format!("There is no account {}.", new.account)));
    }
    let items = price(&transaction, new).await?;
    let total = items.iter().map(|item| item.price_cents * i64::from(item.quantity)).sum();
    store::insert(&transaction, (id, new.account, total), &items).await?;
    if shop.payments.is_some() {
        charge::enqueue(&mut transaction, id, total).await?;
    }
    let position = transaction.commit().await?;
    Ok(Placed { id, to_charge: shop.payments.is_some().then_some(total), position })
}

fn check(new: &NewOrder) -> Result<(), Problem> {
    if !(1..=MOST_ITEMS).contains(&new.items.len()) {
        return Err(Problem::unprocessable(format!("items has 1 to {MOST_ITEMS} entries.")));
    }
    for item in &new.items {
        input::number("quantity", item.quantity.into(), 1..=1000)?;
    }
    let products: std::collections::BTreeSet<i64> = new.items.iter().map(|item| item.product).collect();
    if products.len() < new.items.len() {
        return Err(Problem::unprocessable("items names a product twice; add up the quantities.".to_owned()));
    }
    Ok(())
}

async fn price(transaction: &Transaction, new: &NewOrder) -> Result<Vec<Item>, Problem> {
    let products: Vec<i64> = new.items.iter().map(|item| item.product).collect();
    let offers: BTreeMap<i64, i64> = catalog::offers(transaction, &products)
        .await?
        .into_iter()
        .map(|offer| (offer.product, offer.price_cents))
        .collect();
    new.items
        .iter()
        .map(|item| match offers.get(&item.product) {
            Some(&price_cents) => Ok(Item { product: item.product, quantity: item.quantity, price_cents }),
            None => Err(Problem::unprocessable(format!("There is no product {}.", item.product))),
        })
        .collect()
}
