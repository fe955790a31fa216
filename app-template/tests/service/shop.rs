//! The modules of the shop: what they answer, what that costs the database, and what they refuse.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::child::{PATIENCE, Service};
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
pub(crate) fn order(service: &Service, key: &str, account: i64, products: &[i64]) -> crate::client::Answer {
    let items: Vec<Value> =
        products.iter().map(|product| json!({ "product": product, "quantity": 2 })).collect();
    let body = json!({ "account": account, "items": items }).to_string();
    service.call("POST", "/orders", &format!("idempotency-key: {key}\r\n"), &body)
}

#[test]
fn what_is_written_can_be_read() {
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

    let change = r#"{"name":"Green tea","category":"green","priceCents":7}"#;
    let path = format!("/products/{}", products[0]);
    let changed = service.call("PUT", &path, "", change);
    assert_eq!((changed.status, &changed.json()["version"]), (200, &json!(2)));
    let page = service.connect().get("/products?category=tea&limit=1").unwrap().json();
    assert_eq!((&page["products"][0]["id"], &page["nextAfter"]), (&json!(products[1]), &json!(products[1])));
    let rest =
        service.connect().get(&format!("/products?category=tea&after={}", products[1])).unwrap().json();
    assert_eq!((&rest["products"][0]["id"], &rest["nextAfter"]), (&json!(products[2]), &Value::Null));

    let renamed = service.call("PUT", &format!("/accounts/{account}/name"), "", r#"{"name":"Ada L."}"#);
    assert_eq!(renamed.status, 200);
    assert_eq!(service.connect().get(&format!("/accounts/{account}")).unwrap().json(), renamed.json());
}

#[test]
fn a_repeated_order_is_placed_once() {
    let database = shared();
    let service = database.service(Reads::FromPrimary, &[]);
    let (account, products) = stock(&service, 2);
    let placed: Vec<String> = std::thread::scope(|scope| {
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

#[test]
fn pods_that_start_at_once_migrate_once() {
    let database = shared();
    let services: Vec<Service> =
        (0..5).map(|_| Service::spawn(&mut database.command(Reads::FromPrimary, &[]))).collect();
    let applied: Vec<u64> = services
        .iter()
        .map(|service| {
            let log = service.log_up_to("the database has the schema");
            assert!(
                log.iter().all(|line| line["message"] != "will try again"),
                "in each other's way: {log:?}"
            );
            log.last().unwrap()["applied"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(applied.iter().filter(|steps| **steps > 0).count(), 1, "{applied:?}");
    for service in services {
        let service = service.wait_until_ready();
        assert_eq!(service.connect().get("/products").unwrap().status, 200);
    }
}

#[test]
fn a_migration_that_was_changed_after_it_ran_is_refused() {
    let database = shared();
    drop(database.service(Reads::FromPrimary, &[]));
    database.sql("UPDATE public.migrations SET sha256 = 'another'");
    let service = Service::spawn(&mut database.command(Reads::FromPrimary, &[]));
    let error = service.wait_for_log("will try again")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("step 0001_shop is not the one that was applied"), "{error}");
    assert_eq!(service.connect().get("/readyz").unwrap().status, 503);
}

#[test]
fn a_statement_that_waits_too_long_is_stopped_and_its_connection_serves_again() {
    let database = shared();
    let service = database.service(
        Reads::FromPrimary,
        &[
            "--database-pool",
            "1",
            "--database-statement-timeout",
            "200ms",
            "--database-acquire-timeout",
            "1m",
        ],
    );
    stock(&service, 1);
    {
        let _lock = database.lock_products();
        let answer = service.connect().get("/products").unwrap();
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert_eq!(answer.headers["retry-after"], "1");
        assert!(answer.problem()["detail"].as_str().unwrap().contains("stopped the request"));
    }
    let begun = std::time::Instant::now();
    while service.connect().get("/products").unwrap().status != 200 {
        assert!(begun.elapsed() < PATIENCE, "the connection does not serve again");
    }
}

#[test]
fn a_pool_that_is_used_up_refuses_and_says_when_to_return() {
    let database = shared();
    let service = database.service(
        Reads::FromPrimary,
        &[
            "--database-pool",
            "1",
            "--database-statement-timeout",
            "20s",
            "--database-acquire-timeout",
            "50ms",
        ],
    );
    let _lock = database.lock_products();
    let mut blocked = service.connect();
    blocked.send("GET", "/products", "").unwrap();
    let begun = std::time::Instant::now();
    let refused = loop {
        let answer = service.connect().get("/accounts/1").unwrap();
        if answer.status == 503 {
            break answer;
        }
        assert!(begun.elapsed() < PATIENCE, "the pool does not run out");
    };
    assert!(refused.problem()["detail"].as_str().unwrap().contains("connections to the database are in use"));
    let pool = "{db_client_connection_pool_name=\"write\"}";
    assert!(service.sum(&format!("db_client_connection_timeouts_total{pool}")) >= 1.0);
    service.wait_for_sample(&format!("db_client_connection_max{pool}"), "1");
}

#[test]
fn of_several_hosts_the_one_that_takes_writes_is_used() {
    let database = shared();
    let mut command = database.command(Reads::FromPrimary, &[]);
    let service = Service::spawn(command.env("DATABASE_MAIN_URL", database.url_of_both())).wait_until_ready();
    stock(&service, 1);
}

#[test]
fn a_pool_follows_its_setting_without_a_restart() {
    let database = shared();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("DATABASE_MAIN_POOL");
    std::fs::write(&file, "3\n").unwrap();
    let mut command = database.command(Reads::FromPrimary, &["--database-pool", "7"]);
    let service = Service::spawn(command.env("SCALABLEAPP_SETTINGS", folder.path())).wait_until_ready();
    let largest = "db_client_connection_max{db_client_connection_pool_name=\"write\"}";
    service.wait_for_sample(largest, "3");
    std::fs::write(&file, "0").unwrap();
    let warning = service.wait_for_log("a setting cannot be used");
    assert_eq!(warning["reason"], "give a whole number from 1 to 1000");
    service.wait_for_sample(largest, "3");
    std::fs::remove_file(&file).unwrap();
    service.wait_for_sample(largest, "7");
    assert_eq!(service.connect().get("/products").unwrap().status, 200);
}

#[test]
fn health_lists_the_servers() {
    let database = shared();
    let service = database.service(Reads::FromReplica, &[]);
    let begun = std::time::Instant::now();
    loop {
        let health = service.connect().get("/healthz").unwrap().json();
        let [primary, replicas] = &health["dependencies"].as_array().unwrap()[..] else { panic!("{health}") };
        assert_eq!(
            (primary["name"].as_str(), replicas["name"].as_str()),
            (Some("database main, primary"), Some("database main, replicas"))
        );
        if primary["reachable"] == true && replicas["reachable"] == true && replicas["lagSeconds"].is_number()
        {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{health}");
    }
}

#[test]
fn the_statements_that_cost_most_are_exported_where_the_server_counts_them() {
    let database = shared();
    // Counted before anybody can read it. The second holds its value in its text.
    database.sql("SELECT pg_sleep(0.1), 'a statement of the test'");
    database.sql("DO $$ BEGIN PERFORM pg_sleep(0.1), 'a command of the test'; END $$");
    let service = database.service(Reads::FromPrimary, &[]);
    let begun = std::time::Instant::now();
    while service.sum("db_statement_calls_total{") == 0.0 {
        assert!(begun.elapsed() < PATIENCE, "{}", service.scrape());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let metrics = service.scrape();
    assert!(metrics.contains("query=\"SELECT pg_sleep($1), $2\""), "{metrics}");
    assert!(!metrics.contains("of the test"), "values are not exported: {metrics}");
}

#[test]
fn a_role_that_may_not_count_statements_is_served_without() {
    let database = shared();
    let role = format!("plain{}", std::process::id());
    database.sql(&format!("CREATE ROLE {role} LOGIN"));
    database.sql(&format!("ALTER DATABASE {} OWNER TO {role}", database.sql("SELECT current_database()")));
    database.sql(&format!("GRANT CREATE ON SCHEMA public TO {role}"));
    let mut command = database.command(Reads::FromPrimary, &[]);
    let url = database.url_of_both().replace("postgres@", &format!("{role}@"));
    let service = Service::spawn(command.env("DATABASE_MAIN_URL", url)).wait_until_ready();
    let looked = "db_client_operation_duration_seconds_count{db_system_name=\"postgresql\",db_operation_name=\"SELECT\",\
                  db_query_summary=\"SELECT pg_extension\",error_type=\"\"}";
    service.wait_for_sample(looked, "1");
    let metrics = service.scrape();
    assert!(!metrics.contains("db_statement_") && !metrics.contains("error_type=\"defect\""), "{metrics}");
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
