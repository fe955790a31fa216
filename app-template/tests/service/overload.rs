//! More CPU work than there is CPU.

use std::thread;

use crate::child::Service;
use crate::client::Connection;

#[test]
fn computing_does_not_stall_the_probes() {
    // More workers than the runtime has threads: were they the runtime's own, nothing else would be answered.
    let workers = thread::available_parallelism().unwrap().get() + 2;
    let service = Service::start(&["--cpu-workers", &workers.to_string()]);
    // So much that none has computed it before the probes are answered, however busy the machine is: each uses CPU
    // time that the probes would otherwise have. Nobody waits for the end.
    let mut computing: Vec<Connection> = (0..workers).map(|_| service.connect()).collect();
    for connection in &mut computing {
        connection.send("GET", "/work?ms=5000", "").unwrap();
    }
    let in_use = "bulkhead_in_use{name=\"cpu\"}";
    service.wait_for_sample(in_use, &workers.to_string());

    assert_eq!(service.connect().get("/livez").unwrap().status, 200);
    let still = service.scrape();
    assert!(
        still.contains(&format!("{in_use} {workers}\n")),
        "the probe was answered after the work\n{still}"
    );
}

#[test]
fn a_request_too_many_is_refused_at_once_and_health_is_answered() {
    let service = Service::start(&["--max-requests", "1"]);
    let mut slow = service.connect();
    slow.send("GET", "/wait?ms=300000", "").unwrap();
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
    // Three at once where two have room: one computes and one waits, whichever they are, and one is refused.
    let mut connections = [service.connect(), service.connect(), service.connect()];
    for connection in &mut connections {
        assert_eq!(connection.get("/").unwrap().status, 200);
    }
    for connection in &mut connections {
        connection.send("GET", "/work?ms=1000", "").unwrap();
    }
    service.wait_for_sample("bulkhead_rejected_total{name=\"cpu\"}", "1");
    let metrics = service.scrape();
    assert!(
        metrics.contains("bulkhead_in_use{name=\"cpu\"} 1\n"),
        "refused at once, not after the work\n{metrics}"
    );

    let answers = connections.map(|mut connection| connection.receive().unwrap());
    let (refused, computed): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 503);
    assert!(computed.len() == 2 && computed.iter().all(|answer| answer.status == 200));
    assert_eq!(refused[0].headers["retry-after"], "1");
    assert_eq!(refused[0].headers["x-degraded"], "shed");
    assert!(refused[0].problem()["detail"].as_str().unwrap().contains("queue is full"));
    assert_eq!(service.connect().get("/work?ms=1").unwrap().status, 200);
}
