//! The shop that the tests of its modules share, and what all of its routes refuse.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::child::Service;
use crate::client::Answer;
use crate::postgres::{Reads, shared};

/// Adds an account and `count` products and returns their identifiers.
pub(crate) fn stock(service: &Service, count: usize) -> (i64, Vec<i64>) {
    let account = service.call("POST", "/accounts", "", r#"{"email":"ada@example.org","name":"Ada"}"#);
    assert_eq!(account.status, 201, "{}", account.body);
    let products = (0..count).map(|number| {
        let body = json!({ "name": format!("Tea {number}"), "category": "tea", "priceCents": 100 + number });
        let product = service.call("POST", "/products", "", &body.to_string());
        assert_eq!(product.status, 201, "{}", product.body);
        assert_eq!(product.headers["location"], format!("/products/{}", product.json()["id"]));
        product.json()["id"].as_i64().unwrap()
    });
    (account.json()["id"].as_i64().unwrap(), products.collect())
}

/// Places an order for one of each of `products`.
pub(crate) fn order(service: &Service, key: &str, account: i64, products: &[i64]) -> Answer {
    let items: Vec<Value> =
        products.iter().map(|product| json!({ "product": product, "quantity": 2 })).collect();
    let body = json!({ "account": account, "items": items }).to_string();
    service.call("POST", "/orders", &format!("idempotency-key: {key}\r\n"), &body)
}

#[test]
fn modules_run_by_name_and_only_those() {
    let database = shared();
    let service = database.service(Reads::FromPrimary, &["--modules", "catalog,load"]);
    let status = |path: &str| service.connect().get(path).unwrap().status;
    assert_eq!((status("/products"), status("/work?ms=1")), (200, 200));
    assert_eq!((status("/"), status("/accounts/1"), status("/orders?account=1")), (404, 404, 404));
    let metrics = service.scrape();
    assert!(
        metrics
            .contains("http_route=\"/products\",http_response_status_code=\"200\",module=\"catalog\"} 1\n"),
        "{metrics}"
    );
    assert!(!metrics.contains("module=\"orders\""));
}

/// Every way to ask a route wrongly: method, path, headers, body, and what the answer says.
const WRONG: &[(&str, &str, &str, &str, u16)] = &[
    ("GET", "/products?limit=0", "", "", 400),
    ("GET", "/products?limit=101", "", "", 400),
    ("GET", "/products?limit=ten", "", "", 400),
    ("GET", "/products?after=-", "", "", 400),
    ("GET", "/products?colour=red", "", "", 400),
    ("GET", "/products?category=", "", "", 422),
    ("GET", "/products?category=%00", "", "", 422),
    ("GET", "/products?category=%ff&x=1", "", "", 400),
    ("GET", "/products/0", "", "", 404),
    ("GET", "/products/-1", "", "", 404),
    ("GET", "/products/9223372036854775808", "", "", 400),
    ("GET", "/products/tea", "", "", 400),
    ("GET", "/products/%ff", "", "", 400),
    ("GET", "/products/1", "x-consistency-token: 1-2-3\r\n", "", 400),
    ("GET", "/products/1", "x-consistency-token: \u{fc}\r\n", "", 400),
    ("POST", "/products", "", "", 400),
    ("POST", "/products", "", "{", 400),
    ("POST", "/products", "", "[]", 422),
    ("POST", "/products", "", "\"\\ud800\"", 400),
    ("POST", "/products", "", r#"{"name":"a","category":"b"}"#, 422),
    ("POST", "/products", "", r#"{"name":"a","category":"b","priceCents":1,"x":1}"#, 422),
    ("POST", "/products", "", r#"{"name":"a","category":"b","priceCents":-1}"#, 422),
    ("POST", "/products", "", r#"{"name":"a","category":"b","priceCents":1e30}"#, 422),
    ("POST", "/products", "", r#"{"name":"a","category":"b","priceCents":1000000001}"#, 422),
    ("POST", "/products", "", r#"{"name":"","category":"b","priceCents":1}"#, 422),
    ("POST", "/products", "", r#"{"name":"\u0000","category":"b","priceCents":1}"#, 422),
    ("PUT", "/products/0", "", r#"{"name":"a","category":"b","priceCents":1}"#, 404),
    ("PUT", "/products/tea", "", r#"{"name":"a","category":"b","priceCents":1}"#, 400),
    ("PUT", "/products/1", "", "null", 422),
    ("DELETE", "/products/1", "", "", 405),
    ("PATCH", "/products", "", "", 405),
    ("GET", "/accounts/0", "", "", 404),
    ("GET", "/accounts/ada", "", "", 400),
    ("GET", "/accounts", "", "", 405),
    ("POST", "/accounts", "", "{}", 422),
    ("POST", "/accounts", "", r#"{"email":"ada","name":"Ada"}"#, 422),
    ("POST", "/accounts", "", r#"{"email":"@","name":"Ada"}"#, 422),
    ("POST", "/accounts", "", r#"{"email":"a\n@b","name":"Ada"}"#, 422),
    ("POST", "/accounts", "", r#"{"email":"taken@example.org","name":"Ada"}"#, 409),
    ("PUT", "/accounts/0/name", "", r#"{"name":"Ada"}"#, 404),
    ("PUT", "/accounts/x/name", "", r#"{"name":"Ada"}"#, 400),
    ("PUT", "/accounts/1/name", "", r#"{"name":5}"#, 422),
    ("GET", "/orders", "", "", 400),
    ("GET", "/orders?account=x", "", "", 400),
    ("GET", "/orders?account=1&before=x", "", "", 400),
    ("GET", "/orders?account=1&limit=-1", "", "", 400),
    ("GET", "/orders/1", "", "", 400),
    ("GET", "/orders/00000000-0000-0000-0000-000000000000", "", "", 404),
    ("POST", "/orders", "", r#"{"account":1,"items":[{"product":1,"quantity":1}]}"#, 400),
    (
        "POST",
        "/orders",
        "idempotency-key: \r\n",
        r#"{"account":1,"items":[{"product":1,"quantity":1}]}"#,
        400,
    ),
    ("POST", "/orders", "idempotency-key: k\r\n", r#"{"account":1,"items":[]}"#, 422),
    (
        "POST",
        "/orders",
        "idempotency-key: k\r\n",
        r#"{"account":1,"items":[{"product":1,"quantity":0}]}"#,
        422,
    ),
    (
        "POST",
        "/orders",
        "idempotency-key: k\r\n",
        r#"{"account":1,"items":[{"product":1,"quantity":4294967296}]}"#,
        422,
    ),
    (
        "POST",
        "/orders",
        "idempotency-key: k\r\n",
        r#"{"account":1,"items":[{"product":1,"quantity":1},{"product":1,"quantity":1}]}"#,
        422,
    ),
    (
        "POST",
        "/orders",
        "idempotency-key: k\r\n",
        r#"{"account":0,"items":[{"product":1,"quantity":1}]}"#,
        422,
    ),
    (
        "POST",
        "/orders",
        "idempotency-key: k\r\n",
        r#"{"account":1,"items":[{"product":0,"quantity":1}]}"#,
        422,
    ),
    ("GET", "/reports/1", "", "", 400),
    ("GET", "/reports/00000000-0000-0000-0000-000000000000", "", "", 404),
    ("POST", "/reports", "", r#"{"from":"2026-01-01","to":"2026-01-31"}"#, 400),
    ("POST", "/reports", "idempotency-key: k\r\n", r#"{"from":"2026-02-30","to":"2026-03-01"}"#, 422),
    ("POST", "/reports", "idempotency-key: k\r\n", r#"{"from":"-009999-01-01","to":"2026-03-01"}"#, 422),
    ("POST", "/reports", "idempotency-key: k\r\n", r#"{"from":"2026-02-02","to":"2026-02-01"}"#, 422),
    (
        "POST",
        "/reports",
        "idempotency-key: k\r\n",
        r#"{"from":"2026-01-01","to":"2026-01-31","webhook":"http://127.0.0.1/"}"#,
        422,
    ),
    (
        "POST",
        "/reports",
        "idempotency-key: k\r\n",
        r#"{"from":"2026-01-01","to":"2026-01-31","webhook":"no address"}"#,
        422,
    ),
    ("GET", "/jobs/1", "", "", 400),
    ("GET", "/jobs/00000000-0000-0000-0000-000000000000", "", "", 404),
    ("POST", "/jobs/00000000-0000-0000-0000-000000000000", "", "", 405),
];

#[test]
fn bad_input_on_every_route_of_the_shop_is_a_problem_document() {
    let database = shared();
    let service = database.service(Reads::FromReplica, &[]);
    stock(&service, 1);
    service.call("POST", "/accounts", "", r#"{"email":"taken@example.org","name":"Ada"}"#);
    let mut differing = String::new();
    for (method, path, headers, body, status) in WRONG {
        let answer = service.call(method, path, headers, body);
        let detail = answer.problem()["detail"].as_str().unwrap_or_default().to_owned();
        if answer.status != *status || detail.is_empty() {
            let _ = writeln!(
                differing,
                "{method} {path} {headers:?} {body}: {} in place of {status}: {detail}",
                answer.status
            );
        }
    }
    assert!(differing.is_empty(), "{differing}");

    let large = format!(r#"{{"name":"{}"}}"#, "a".repeat(3_000_000));
    let answer = service.call("POST", "/products", "", &large);
    assert_eq!((answer.status, answer.problem()["title"].as_str()), (413, Some("Payload Too Large")));
    let metrics = service.scrape();
    assert!(!metrics.contains("http_response_status_code=\"500\""), "{metrics}");
    // Every route of the shop that takes anything is in the table.
    for line in metrics.lines().filter(|line| line.starts_with("http_server_request_duration_seconds_count"))
    {
        let route = line.split("http_route=\"").nth(1).unwrap().split('"').next().unwrap();
        let begins = route.split('{').next().unwrap();
        let is_shop = !["", "/", "/work", "/wait"].contains(&route);
        assert!(
            !is_shop || WRONG.iter().any(|(_, path, ..)| path.starts_with(begins)),
            "no bad request to {route}"
        );
    }
}
