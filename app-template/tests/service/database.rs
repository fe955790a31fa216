//! The schema and the connections: what pods do to them, and what happens when there is not enough of them.

use crate::child::Service;
use crate::postgres::{Database, Reads, shared};
use crate::shop::stock;
use crate::waiting::{eventually, until};

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

/// A service with one connection, which a statement may keep for `statement`, and a request wait for as long as `wait`.
fn with_one_connection<Guard>(database: &Database<Guard>, statement: &str, wait: &str) -> Service {
    let limits = ["--database-pool", "1", "--database-statement-timeout", statement];
    database.service(Reads::FromPrimary, &[&limits[..], &["--database-acquire-timeout", wait]].concat())
}

#[test]
fn a_statement_that_waits_too_long_is_stopped_and_its_connection_serves_again() {
    let database = shared();
    let service = with_one_connection(&database, "200ms", "1m");
    stock(&service, 1);
    {
        let _lock = database.lock_products();
        let answer = service.connect().get("/products").unwrap();
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert_eq!(answer.headers["retry-after"], "1");
        assert!(answer.problem()["detail"].as_str().unwrap().contains("stopped the request"));
    }
    until("the connection does not serve again", || {
        service.connect().get("/products").unwrap().status == 200
    });
}

#[test]
fn a_pool_that_is_used_up_refuses_and_says_when_to_return() {
    let database = shared();
    let service = with_one_connection(&database, "1m", "50ms");
    let _lock = database.lock_products();
    let mut blocked = service.connect();
    blocked.send("GET", "/products", "").unwrap();
    let refused = eventually(|| {
        let answer = service.connect().get("/accounts/1").unwrap();
        if answer.status == 503 { Ok(answer) } else { Err("the pool does not run out") }
    });
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
fn the_connections_of_the_server_are_exported_by_owner() {
    let database = shared();
    let mut command = database.command(Reads::FromPrimary, &[]);
    let service = Service::spawn(command.env("PGAPPNAME", "shop.team-a")).wait_until_ready();
    let most: f64 = database
        .sql("SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int")
        .trim()
        .parse()
        .unwrap();
    until("the server's connections are not exported", || {
        service.sum("db_server_connections_max{database=\"main\"}") == most
    });
    let own = "db_server_connections{database=\"main\",owner=\"app\"}";
    until("the own sessions are not counted", || (1.0..=11.0).contains(&service.sum(own)));
    let names = database
        .sql("SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'shop.team-a%'");
    assert!(names.starts_with("shop.team-a"), "{names}");
}

#[test]
fn health_lists_the_servers() {
    let database = shared();
    let service = database.service(Reads::FromReplica, &[]);
    eventually(|| {
        let health = service.connect().get("/healthz").unwrap().json();
        let [primary, replicas] = &health["dependencies"].as_array().unwrap()[..] else { panic!("{health}") };
        assert_eq!(
            (primary["name"].as_str(), replicas["name"].as_str()),
            (Some("database main, primary"), Some("database main, replicas"))
        );
        let is_known = primary["reachable"] == true && replicas["reachable"] == true;
        if is_known && replicas["lagSeconds"].is_number() { Ok(()) } else { Err(health) }
    });
}

#[test]
fn the_statements_that_cost_most_are_exported_where_the_server_counts_them() {
    let database = shared();
    // Counted before anybody can read it. The second holds its value in its text.
    database.sql("SELECT pg_sleep(0.1), 'a statement of the test'");
    database.sql("DO $$ BEGIN PERFORM pg_sleep(0.1), 'a command of the test'; END $$");
    let service = database.service(Reads::FromPrimary, &[]);
    until("no statements are exported", || service.sum("db_statement_calls_total{") > 0.0);
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
