//! What can be bought: pages that go on where the last one ended, and single products.

use serde_json::{Value, json};

use crate::child::Service;
use crate::postgres::{Reads, shared};
use crate::redis_server::RedisServer;
use crate::shop::stock;
use crate::waiting::until;

#[test]
fn a_change_shows_in_the_next_page() {
    let database = shared();
    let service = database.service(Reads::FromPrimary, &[]);
    let (_, products) = stock(&service, 3);
    let change = r#"{"name":"Green tea","category":"green","priceCents":7}"#;
    let changed = service.call("PUT", &format!("/products/{}", products[0]), "", change);
    assert_eq!((changed.status, &changed.json()["version"]), (200, &json!(2)));

    let page = service.connect().get("/products?category=tea&limit=1").unwrap().json();
    assert_eq!((&page["products"][0]["id"], &page["nextAfter"]), (&json!(products[1]), &json!(products[1])));
    let rest = format!("/products?category=tea&after={}", products[1]);
    let rest = service.connect().get(&rest).unwrap().json();
    assert_eq!((&rest["products"][0]["id"], &rest["nextAfter"]), (&json!(products[2]), &Value::Null));
}

#[test]
fn a_product_comes_from_the_cache_until_it_is_changed() {
    let database = shared();
    let redis = RedisServer::start();
    let cached = ["--redis-url", &redis.url(), "--redis-timeout", "10s"];
    let [changing, other] = [(), ()].map(|()| database.service(Reads::FromReplica, &cached));
    let (_, products) = stock(&changing, 1);
    database.wait_for_replica();
    let path = format!("/products/{}", products[0]);
    let name = |service: &Service, headers: &str| {
        service.call("GET", &path, headers, "").json()["name"].as_str().unwrap().to_owned()
    };
    let statements = |service: &Service| {
        service.sum("db_client_operation_duration_seconds_count{db_system_name=\"postgresql\",db_operation_name=\"SELECT\",db_query_summary=\"SELECT catalog.products\"")
    };
    assert_eq!(name(&changing, ""), "Tea 0");
    assert_eq!(name(&other, ""), "Tea 0");
    assert_eq!((statements(&changing), statements(&other)), (1.0, 0.0), "pods share what one has loaded");

    for round in 1..=10 {
        let new = format!("Tea {round}");
        let body = format!(r#"{{"name":"{new}","category":"tea","priceCents":1}}"#);
        let changed = changing.call("PUT", &path, "", &body);
        assert_eq!(changed.status, 200, "{}", changed.body);
        assert_eq!(name(&changing, ""), new, "the pod that changed it knows");
        let token = format!("x-consistency-token: {}\r\n", changed.headers["x-consistency-token"]);
        assert_eq!(name(&other, &token), new, "whoever has written is shown it by every pod");
        until("the other pod does not hear of the change", || name(&other, "") == new);
    }
}

#[test]
fn a_page_that_a_client_has_is_not_sent_again_until_it_changes() {
    let database = shared();
    let service = database.service(Reads::FromPrimary, &[]);
    let (_, products) = stock(&service, 2);
    let mut connection = service.connect();
    let page = connection.get("/products").unwrap();
    assert_eq!(page.headers["cache-control"], "no-cache", "not used without asking");

    let known = format!("if-none-match: {}\r\n", page.headers["etag"]);
    connection.send("GET", "/products", &known).unwrap();
    assert_eq!(connection.receive_head().unwrap().status, 304);

    let change = r#"{"name":"Green tea","category":"tea","priceCents":7}"#;
    assert_eq!(service.call("PUT", &format!("/products/{}", products[1]), "", change).status, 200);
    connection.send("GET", "/products", &known).unwrap();
    let changed = connection.receive().unwrap();
    assert_eq!((changed.status, &changed.json()["products"][1]["name"]), (200, &json!("Green tea")));
}
