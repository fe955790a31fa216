//! Counting at the end: whatever was promised is there, once, and paid once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::stand_in::Provider;
use crate::steady::Promised;
use crate::waiting::eventually;

/// Waits until every job is done, and compares the shop's and the provider's books with what customers were told.
///
/// `sql` asks the server that takes writes. A worker has to run.
pub(crate) fn settle(sql: impl Fn(&str) -> String, provider: &Provider, promised: &Promised) {
    let jobs = "SELECT coalesce(string_agg(DISTINCT state, ','), '') FROM jobs.jobs WHERE state <> 'done'";
    let mut brought_forward = Instant::now();
    eventually(|| {
        // Those that were put off for long are not waited for; not at once, because each try is one of twenty.
        if brought_forward.elapsed() > Duration::from_secs(1) {
            brought_forward = Instant::now();
            sql(
                "UPDATE jobs.jobs SET due_at = now() WHERE state = 'available' AND due_at > now() + interval '5 s'",
            );
        }
        let left = sql(jobs);
        if left.is_empty() { Ok(()) } else { Err(format!("there are jobs that are {left}")) }
    });

    let (placed, cents) =
        (promised.orders.len(), promised.orders.iter().map(|(_, cents)| cents).sum::<i64>());
    let told: BTreeSet<&str> = promised.orders.iter().map(|(order, _)| order.as_str()).collect();
    let there = sql("SELECT id FROM orders.orders");
    assert_eq!(told, there.lines().collect(), "the orders that customers know and those in the table");
    assert_eq!(told.len(), placed, "no two keys are one order");
    assert_eq!(
        sql("SELECT count(*), count(DISTINCT order_id), sum(amount_cents) FROM orders.charges"),
        format!("{placed}|{placed}|{cents}"),
        "each order is charged once"
    );
    assert_eq!(sql("SELECT DISTINCT state FROM orders.orders"), "paid");
    let ledger = provider.ledger();
    assert_eq!((ledger["count"].as_u64(), ledger["amount"].as_i64()), (Some(placed as u64), Some(cents)));

    let accepted: BTreeSet<&str> = promised.reports.iter().map(String::as_str).collect();
    let made = sql("SELECT job FROM reports.reports ORDER BY job");
    assert_eq!(
        made.lines().collect::<Vec<_>>(),
        accepted.into_iter().collect::<Vec<_>>(),
        "each report is made once"
    );
}
