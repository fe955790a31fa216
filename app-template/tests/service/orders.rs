//! What is ordered: once for each key, at the same cost however long the list is.

use std::thread;

use serde_json::json;

use crate::postgres::{Reads, shared};
use crate::shop::{order, stock};

#[test]
fn an_order_shows_what_was_bought_at_which_price() {
    let database = shared();
    let service = database.service(Reads::FromPrimary, &[]);
    let (account, products) = stock(&service, 3);

    let placed = order(&service, "one", account, &products);
    assert_eq!(placed.status, 201, "{}", placed.body);
    assert_eq!(placed.json()["totalCents"], 2 * (100 + 101 + 102));
    let shown = service.connect().get(&placed.headers["location"]).unwrap().json();
    assert_eq!(shown, placed.json());
    assert_eq!(
        shown["items"][2],
        json!({ "product": products[2], "name": "Tea 2", "quantity": 2, "priceCents": 102 })
    );
}

#[test]
fn a_repeated_order_is_placed_once() {
    let database = shared();
    let service = database.service(Reads::FromPrimary, &[]);
    let (account, products) = stock(&service, 2);
    let placed: Vec<String> = thread::scope(|scope| {
        let same = (0..8).map(|_| scope.spawn(|| order(&service, "same", account, &products)));
        let same: Vec<_> = same.collect();
        same.into_iter()
            .map(|order| {
                let answer = order.join().unwrap();
                assert_eq!(answer.status, 201, "{}", answer.body);
                answer.headers["location"].clone()
            })
            .collect()
    });
    assert!(placed.iter().all(|location| *location == placed[0]), "{placed:?}");
    assert_eq!(database.sql("SELECT count(*) FROM orders.orders"), "1");

    let other = order(&service, "same", account, &products[..1]);
    assert_eq!(other.status, 422);
    assert!(other.problem()["detail"].as_str().unwrap().contains("send a new key"));
}

#[test]
fn a_list_costs_the_same_number_of_statements_whatever_its_length() {
    let database = shared();
    let service = database.service(Reads::FromPrimary, &[]);
    let (account, products) = stock(&service, 6);
    // Those of the watchers come by themselves; a request's are these.
    let statements = || {
        ["catalog.", "accounts.", "orders.", "reports."]
            .iter()
            .flat_map(|schema| ["SELECT", "INSERT", "UPDATE"].map(|operation| (operation, schema)))
            .map(|(operation, schema)| {
                service.sum(&format!(
                    "db_client_operation_duration_seconds_count{{db_system_name=\"postgresql\",\
                     db_operation_name=\"{operation}\",db_query_summary=\"{operation} {schema}"
                ))
            })
            .sum::<f64>()
    };
    let cost = |path: &str| {
        let before = statements();
        assert_eq!(service.connect().get(path).unwrap().status, 200);
        statements() - before
    };
    order(&service, "first", account, &products[..1]);
    let list = format!("/orders?account={account}");
    let of_one = cost(&list);
    for number in 0..10 {
        order(&service, &format!("more {number}"), account, &products);
    }
    let answer = service.connect().get(&list).unwrap().json();
    assert_eq!(answer["orders"].as_array().unwrap().len(), 11);
    assert_eq!((of_one, cost(&list)), (3.0, 3.0), "orders, items, names");
    assert_eq!(cost("/products"), 1.0);

    let before = statements();
    order(&service, "last", account, &products);
    assert_eq!(statements() - before, 7.0, "account, prices, order, items; and reading it back");
}
