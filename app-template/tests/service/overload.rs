//! More CPU work than there is CPU.

use crate::child::Service;
use crate::client::Connection;

#[test]
fn computing_does_not_stall_the_probes() {
    // More workers than the runtime has threads: were they the runtime's own, nothing else would be answered.
    let workers = std::thread::available_parallelism().unwrap().get() + 2;
    let service = Service::start(&["--cpu-workers", &workers.to_string()]);
    let mut computing: Vec<Connection> = (0..workers).map(|_| service.connect()).collect();
    for connection in &mut computing {
        connection.send("GET", "/work?ms=1000", "").unwrap();
    }
    let in_use = "bulkhead_in_use{name=\"cpu\"}";
    service.wait_for_sample(in_use, &workers.to_string());

    assert_eq!(service.connect().get("/livez").unwrap().status, 200);
    let still = service.scrape();
    assert!(
        still.contains(&format!("{in_use} {workers}\n")),
        "the probe was answered after the work\n{still}"
    );

    for connection in &mut computing {
        assert_eq!(connection.receive().unwrap().status, 200);
    }
}

#[test]
fn a_request_too_many_is_refused_at_once_and_health_is_answered() {
    let service = Service::start(&["--max-requests", "1"]);
    let mut slow = service.connect();
    slow.send("GET", "/wait?ms=5000", "").unwrap();
    service.wait_for_sample("bulkhead_in_use{name=\"requests\"}", "1");

    let answer = service.connect().get("/").unwrap();
    assert_eq!((answer.status, answer.headers["retry-after"].as_str()), (503, "1"));
    assert_eq!(answer.headers["x-degraded"], "shed");
    assert!(answer.problem()["detail"].as_str().unwrap().contains("try again"));
    assert_eq!(service.connect().get("/readyz").unwrap().status, 200);
    let metrics = service.scrape();
    assert!(metrics.contains("bulkhead_rejected_total{name=\"requests\"} 1\n"), "{metrics}");
    assert!(metrics.contains("http_response_status_code=\"503\",module=\"welcome\",degraded=\"shed\"} 1\n"));

    drop(slow);
    service.wait_for_sample("bulkhead_in_use{name=\"requests\"}", "0");
    assert_eq!(service.connect().get("/").unwrap().status, 200);
}

#[test]
fn work_beyond_the_queue_is_refused_and_says_when_to_return() {
    let service = Service::start(&["--cpu-workers", "1", "--cpu-queue", "1"]);
    let mut admitted = [service.connect(), service.connect()];
    for connection in &mut admitted {
        connection.send("GET", "/work?ms=1000", "").unwrap();
    }
    service
        .wait_for_sample("http_server_active_requests{http_request_method=\"GET\",url_scheme=\"http\"}", "2");

    let answer = service.connect().get("/work?ms=1").unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(answer.headers["x-degraded"], "shed");
    assert!(answer.problem()["detail"].as_str().unwrap().contains("queue is full"));
    assert!(service.scrape().contains("bulkhead_rejected_total{name=\"cpu\"} 1\n"));

    for connection in &mut admitted {
        assert_eq!(connection.receive().unwrap().status, 200);
    }
    assert_eq!(service.connect().get("/work?ms=1").unwrap().status, 200);
}
