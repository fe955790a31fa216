//! An HTTP server that hands every request to the test and sends what the test answers. I/O: sockets.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::waiting::PATIENCE;

/// Stands for whatever the service calls: the payment provider, the receiver of a webhook.
pub(crate) struct Provider {
    pub(crate) url: String,
    requests: Receiver<Received>,
}

/// A request that waits for its answer.
pub(crate) struct Received {
    stream: TcpStream,
    /// By lower-case name.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Provider {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that goes away before its request is none.
                let Some(received) = receive(stream) else { continue };
                if sender.send(received).is_err() {
                    break;
                }
            }
        });
        Self { url, requests }
    }

    pub(crate) fn next(&self) -> Received {
        self.requests.recv_timeout(PATIENCE).unwrap()
    }

    /// The host and the port.
    pub(crate) fn authority(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Answers every request with `status` until `work` ends.
    pub(crate) fn answer_all<T: Send>(&self, status: u16, work: impl FnOnce() -> T + Send) -> T {
        self.serve(|asked| asked.answer(status), work).1
    }

    /// Hands every request to `answer` until `work` ends; how many those were, and what it returned.
    pub(crate) fn serve<T: Send>(
        &self,
        answer: impl Fn(Received),
        work: impl FnOnce() -> T + Send,
    ) -> (usize, T) {
        thread::scope(|scope| {
            let work = scope.spawn(work);
            let mut count = 0;
            while !work.is_finished() {
                if let Ok(asked) = self.requests.recv_timeout(Duration::from_millis(5)) {
                    answer(asked);
                    count += 1;
                }
            }
            (count, work.join().unwrap())
        })
    }

    /// How many have asked since, and are left without an answer.
    pub(crate) fn left_waiting(&self) -> Vec<Received> {
        self.requests.try_iter().collect()
    }

    /// Nobody has asked since.
    pub(crate) fn is_quiet(&self) -> bool {
        self.requests.try_recv().is_err()
    }
}

impl Received {
    /// Takes a payment, as the payment provider does.
    pub(crate) fn pay(self) {
        self.answer_with(201, r#"{"id":"pay-1","amount":1,"currency":"EUR"}"#);
    }

    pub(crate) fn answer(self, status: u16) {
        self.answer_with(status, "");
    }

    fn answer_with(mut self, status: u16, body: &str) {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} Answer\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        // Whoever asked may be gone.
        let _ = self.stream.write_all(answer.as_bytes());
    }
}

fn receive(stream: TcpStream) -> Option<Received> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length").map_or(Ok(0), |length| length.parse()).ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Received { stream: reader.into_inner(), headers, body: String::from_utf8(body).ok()? })
}
