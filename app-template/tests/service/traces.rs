//! Spans continue the caller's trace, and logs name it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::child::{Service, command};
use crate::waiting::PATIENCE;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// An OTLP/HTTP collector that answers each POST with 200 and hands over its path and body.
fn collector() -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, received) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = BufReader::new(stream);
            let (mut request, mut length) = (String::new(), 0);
            stream.read_line(&mut request).unwrap();
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                match line.trim_end().to_ascii_lowercase().split_once(": ") {
                    Some(("content-length", value)) => length = value.parse().unwrap(),
                    Some(_) => {}
                    None => break,
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            let path = request.split(' ').nth(1).unwrap().to_owned();
            if sender.send((path, body)).is_err() {
                break;
            }
        }
    });
    (endpoint, received)
}

fn contains(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn a_span_continues_the_callers_trace_and_is_sent_before_the_process_ends() {
    let (endpoint, received) = collector();
    let mut service = Service::spawn(command(&[]).env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint));
    let mut connection = service.connect();
    connection.send("GET", "/work?ms=1", &format!("traceparent: 00-{TRACE}-{PARENT}-01\r\n")).unwrap();
    assert_eq!(connection.receive().unwrap().status, 200);

    service.terminate();
    assert_eq!(service.wait().0.code(), Some(0));

    let (path, spans) = received.recv_timeout(PATIENCE).unwrap();
    assert_eq!(path, "/v1/traces");
    assert!(contains(&spans, &bytes(TRACE)) && contains(&spans, &bytes(PARENT)));
    assert!(contains(&spans, b"GET /work") && contains(&spans, b"app-template"));
}

#[test]
fn a_dependency_is_asked_within_the_callers_trace() {
    let provider = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", provider.local_addr().unwrap());
    let service = Service::start(&["--payments-url", &url]);
    let mut connection = service.connect();
    let traceparent = format!("traceparent: 00-{TRACE}-{PARENT}-01\r\n");
    connection.send("GET", "/payments/methods", &traceparent).unwrap();

    let head = BufReader::new(provider.accept().unwrap().0).lines().map_while(Result::ok);
    let asked =
        head.take_while(|line| !line.is_empty()).find(|line| line.starts_with("traceparent: ")).unwrap();

    assert!(asked.contains(TRACE), "{asked}");
    assert!(!asked.contains(PARENT), "the call has a span of its own: {asked}");
}

#[test]
fn a_log_line_names_the_trace_it_belongs_to() {
    let service = Service::spawn(command(&[]).env("RUST_LOG", "app_template=debug"));
    let mut connection = service.connect();
    connection.send("GET", "/", &format!("traceparent: 00-{TRACE}-{PARENT}-01\r\n")).unwrap();
    connection.receive().unwrap();
    assert_eq!(service.wait_for_log("answered")["trace_id"], TRACE);

    connection.get("/").unwrap();
    let fresh = service.wait_for_log("answered")["trace_id"].as_str().unwrap().to_owned();
    assert!(fresh.len() == 32 && fresh != TRACE && fresh.bytes().any(|digit| digit != b'0'), "{fresh}");
}
