//! What the routes answer and what `/metrics` shows of it.

use std::collections::BTreeSet;

use crate::child::Service;

fn count(route: &str, status: u16, module: &str) -> String {
    format!(
        "http_server_request_duration_seconds_count{{http_request_method=\"GET\",http_route=\"{route}\",\
         http_response_status_code=\"{status}\",module=\"{module}\"}}"
    )
}

#[test]
fn every_route_answers() {
    let service = Service::start(&[]);
    let mut connection = service.connect();
    for (path, words) in [
        ("/", "reference service"),
        ("/work", "20 ms"),
        ("/work?ms=1", "used 1 ms"),
        ("/wait", "50 ms"),
        ("/wait?ms=1", "waited 1 ms"),
        ("/livez", "alive"),
        ("/readyz", "ready"),
        ("/healthz", r#"{"dependencies":[]}"#),
    ] {
        let answer = connection.get(path).unwrap();
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.contains(words), "{path}: {}", answer.body);
    }
}

#[test]
fn bad_input_is_a_problem_document_that_says_what_to_send() {
    let service = Service::start(&[]);
    let mut connection = service.connect();
    for (path, longest) in [("/work", 5000), ("/wait", 300_000)] {
        let too_long = format!("ms={}", longest + 1);
        for query in ["ms=0", &too_long, "ms=-1", "ms=", "ms=1.5", "ms=ten", "ms=1&ms=2", "sec=1", "ms=%ff"] {
            let answer = connection.get(&format!("{path}?{query}")).unwrap();
            assert_eq!(answer.status, 400, "{path}?{query}");
            let detail = answer.problem()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(&format!("from 1 to {longest}:")) && detail.contains("?ms="), "{detail}");
        }
    }
}

#[test]
fn unknown_route_and_method_are_problem_documents() {
    let service = Service::start(&[]);
    let mut connection = service.connect();

    let answer = connection.get("/carts/17").unwrap();
    assert_eq!((answer.status, answer.problem()["title"].as_str()), (404, Some("Not Found")));

    for path in ["/work", "/livez"] {
        connection.send("DELETE", path, "").unwrap();
        let answer = connection.receive().unwrap();
        assert_eq!((answer.status, answer.problem()["title"].as_str()), (405, Some("Method Not Allowed")));
        assert_eq!(answer.headers["allow"], "GET,HEAD");
    }
}

#[test]
fn known_routes_are_measured_from_zero() {
    let service = Service::start(&[]);
    let metrics = service.scrape();
    for (route, module) in [("/", "welcome"), ("/work", "load"), ("/wait", "load")] {
        assert!(metrics.contains(&format!("{} 0\n", count(route, 200, module))), "{route} in\n{metrics}");
    }
    assert!(
        metrics.contains("http_server_active_requests{http_request_method=\"GET\",url_scheme=\"http\"} 0\n")
    );
    assert!(metrics.contains("process_resident_memory_bytes "));
    assert!(metrics.contains("process_cpu_seconds_total "));
}

#[test]
fn buckets_are_those_of_the_opentelemetry_advice() {
    let metrics = Service::start(&[]).scrape();
    let bounds: Vec<&str> = metrics
        .lines()
        .filter(|line| line.contains("_bucket{") && line.contains("http_route=\"/work\""))
        .filter_map(|line| line.split(",le=\"").nth(1)?.split('"').next())
        .collect();
    let advised = "0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10 +Inf";
    assert_eq!(bounds, advised.split(' ').collect::<Vec<_>>());
}

#[test]
fn each_answer_is_counted_under_its_route_and_no_path_becomes_a_label() {
    let service = Service::start(&[]);
    let mut connection = service.connect();
    for path in ["/work?ms=1", "/work?ms=1", "/wait?ms=0", "/carts/17", "/carts/18"] {
        connection.get(path).unwrap();
    }
    connection.send("BREW", "/wait", "").unwrap();
    connection.receive().unwrap();

    let metrics = service.scrape();
    assert!(metrics.contains(&format!("{} 2\n", count("/work", 200, "load"))), "{metrics}");
    assert!(metrics.contains(&format!("{} 1\n", count("/wait", 400, "load"))), "{metrics}");
    assert!(metrics.contains(&format!("{} 2\n", count("", 404, ""))), "{metrics}");
    assert!(
        metrics.contains("_OTHER") && !metrics.contains("BREW") && !metrics.contains("carts"),
        "{metrics}"
    );
}

#[test]
fn health_and_metrics_are_not_counted_as_requests() {
    let service = Service::start(&[]);
    let mut connection = service.connect();
    for path in ["/livez", "/readyz", "/healthz"] {
        connection.get(path).unwrap();
    }
    service.scrape();
    let metrics = service.scrape();
    let routes: BTreeSet<&str> =
        metrics.lines().filter_map(|line| line.split("http_route=\"").nth(1)?.split('"').next()).collect();
    assert_eq!(routes, BTreeSet::from(["/", "/wait", "/work"]));
}

#[test]
fn the_request_of_a_client_that_went_away_is_counted() {
    let service = Service::start(&[]);
    let mut connection = service.connect();
    connection.send("GET", "/wait?ms=5000", "").unwrap();
    service
        .wait_for_sample("http_server_active_requests{http_request_method=\"GET\",url_scheme=\"http\"}", "1");
    drop(connection);
    service.wait_for_sample(&count("/wait", 499, "load"), "1");
    service
        .wait_for_sample("http_server_active_requests{http_request_method=\"GET\",url_scheme=\"http\"}", "0");
}
