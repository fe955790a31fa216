//! Clients that send slowly, or nothing, keep nobody else out and cost a bounded amount of memory.

use std::io::Write;
use std::net::TcpStream;

use socket2::{Domain, Socket, Type};

use crate::child::Service;
use crate::client::Connection;
use crate::postgres::{Reads, shared};
use crate::waiting::{PATIENCE, eventually, until};

const HALF_BODY: &str = "content-type: application/json\r\ncontent-length: 100\r\n";

#[test]
fn half_bodies_take_no_place_and_are_refused_in_time() {
    let service = Service::start(&["--max-requests", "2", "--body-timeout", "2s"]);
    let mut slow: Vec<Connection> = (0..10).map(|_| service.connect()).collect();
    for connection in &mut slow {
        connection.send("POST", "/", HALF_BODY).unwrap();
    }
    assert_eq!(service.connect().get("/").unwrap().status, 200);
    for mut connection in slow {
        let refused = connection.receive().unwrap();
        assert_eq!(refused.status, 408);
        assert!(refused.problem()["detail"].as_str().unwrap().contains("send it faster"));
        assert!(refused.sends_away() && connection.is_closed());
    }
}

#[test]
fn silent_connections_beyond_the_limit_make_room_for_probes_and_requests() {
    let service = Service::start(&["--max-requests", "8"]);
    let silent: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(service.address).unwrap()).collect();
    for path in ["/livez", "/readyz", "/"] {
        assert_eq!(service.connect().get(path).unwrap().status, 200);
    }
    // 2 × 8 + 64, and perhaps those that are about to be closed.
    eventually(|| match service.sum("http_server_connections{port=\"service\"}") {
        open if open <= 81.0 => Ok(()),
        open => Err(format!("{open} connections are open")),
    });
    assert!(service.sum("http_server_connections_closed_total{port=\"service\"}") >= 200.0);
    drop(silent);
}

#[test]
fn what_is_being_answered_is_not_closed_for_what_comes_new() {
    let service = Service::start(&["--max-requests", "8"]);
    let mut answered = service.connect();
    answered.send("GET", "/wait?ms=1500", "").unwrap();
    service.wait_for_sample("bulkhead_in_use{name=\"requests\"}", "1");
    let _silent: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(service.address).unwrap()).collect();
    assert_eq!(answered.receive().unwrap().status, 200);
}

#[test]
fn a_head_that_does_not_come_closes_its_connection() {
    let service = Service::start(&["--idle-timeout", "300ms"]);
    let mut half = TcpStream::connect(service.address).unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nhost: te").unwrap();
    assert!(Connection::of(half).is_closed());
    let mut idle = service.connect();
    assert_eq!(idle.get("/").unwrap().status, 200);
    assert!(idle.is_closed());
}

#[test]
fn half_uploads_hold_a_bounded_amount_of_memory() {
    let service = Service::start(&["--body-timeout", "1h"]);
    let part = vec![b'x'; 1_900_000];
    let mut uploads = Vec::new();
    let mut refused = 0;
    for _ in 0..200 {
        let mut stream = TcpStream::connect(service.address).unwrap();
        // Whoever is refused reads no more.
        let head = "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 2000000\r\n\r\n";
        let is_taken = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&part)).is_ok();
        refused += usize::from(!is_taken);
        uploads.push(stream);
    }
    eventually(|| match service.sum("http_server_active_requests{http_request_method=\"POST\"") {
        reading if reading <= 26.0 => Ok(()),
        reading => Err(format!("{reading} bodies are being read")),
    });
    let resident = service.sum("process_resident_memory_bytes");
    println!("{refused} of 200 half uploads broke off, {} MiB resident", resident / 1024.0 / 1024.0);
    assert!(resident < 160.0 * 1024.0 * 1024.0, "{resident} bytes resident");
    // A usual request is not refused for them.
    let answer = service.call("POST", "/", "", &"x".repeat(10_000));
    assert_eq!(answer.status, 405, "{}", answer.body);
}

/// A connection whose kernel takes little that nobody reads.
fn unable_to_take_much(service: &Service) -> Connection {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&service.address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Connection::of(stream)
}

#[test]
fn large_answers_that_nobody_takes_hold_a_bounded_amount_of_memory() {
    let database = shared();
    let service = database.service(Reads::FromPrimary, &[]);
    // A page of them is 4 MB.
    database.sql(
        "INSERT INTO catalog.products (name, category, price_cents)
         SELECT repeat('x', 800), 'tea', 1 FROM generate_series(1, 50);
         INSERT INTO orders.orders (id, account, total_cents)
         SELECT gen_random_uuid(), 1, 1 FROM generate_series(1, 100);
         INSERT INTO orders.items (order_id, product, quantity, price_cents)
         SELECT orders.id, products.id, 1, 1 FROM orders.orders, catalog.products",
    );
    let ask = || {
        let mut connection = unable_to_take_much(&service);
        connection.send("GET", "/orders?account=1&limit=100", "").unwrap();
        let status = connection.receive_head().unwrap().status;
        (connection, status)
    };
    let clients: Vec<(Connection, u16)> = (0..40).map(|_| ask()).collect();
    let shown = clients.iter().filter(|(_, status)| *status == 200).count();
    let refused = clients.iter().filter(|(_, status)| *status == 503).count();
    let resident = service.sum("process_resident_memory_bytes");
    println!("{shown} of 40 large answers, {refused} refused, {} MiB resident", resident / 1024.0 / 1024.0);
    assert!(shown >= 8 && shown + refused == 40 && refused >= 20, "{shown} shown, {refused} refused");
    assert!(resident < 160.0 * 1024.0 * 1024.0, "{resident} bytes resident");
    assert_eq!(service.connect().get("/products?limit=1").unwrap().status, 200);
    drop(clients);
    until("the places of those that are gone are not free", || ask().1 == 200);
}

#[test]
fn a_head_that_cannot_be_taken_is_refused_as_a_problem_document() {
    let service = Service::start(&[]);
    let long = "x".repeat(10_000);
    for (head, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_owned(), 400),
        (format!("GET /?{long} HTTP/1.1\r\nhost: test\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nhost: test\r\na: {long}\r\nb: {long}\r\n\r\n"), 431),
    ] {
        let refused = service.connect().ask(head.as_bytes(), false).unwrap();
        assert_eq!(refused.status, status, "{}", refused.body);
        refused.problem();
    }
    let bare = service.connect().ask(b"GET / HTTP/1.0\r\n\r\n", false).unwrap();
    assert_eq!(bare.status, 200, "{}", bare.body);
}

#[test]
fn an_answer_that_says_nothing_of_caches_is_kept_by_none() {
    let service = Service::start(&[]);
    for path in ["/", "/nothing"] {
        let answer = service.connect().get(path).unwrap();
        assert_eq!(answer.headers["cache-control"], "private, no-store", "{path}");
    }
}

#[test]
fn probes_are_answered_on_the_metrics_port_too() {
    let service = Service::start(&[]);
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(Connection::open(service.metrics).unwrap().get(path).unwrap().status, 200, "{path}");
    }
}
