//! An HTTP/1.1 client that shows what a connection does, which clients in libraries hide. I/O: sockets.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::waiting::PATIENCE;

/// One keep-alive connection.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// By lower-case name; a header that comes again is a further line of the same text.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    /// The server asks to come back on a new connection.
    pub(crate) fn sends_away(&self) -> bool {
        self.headers.get("connection").is_some_and(|value| value == "close")
    }

    /// The body as JSON; panics on any other.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}: {}", self.status, self.body))
    }

    /// The body of a problem document; panics on any other.
    pub(crate) fn problem(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.body);
        let problem: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem["status"], self.status);
        problem
    }
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self::of(stream))
    }

    pub(crate) fn of(stream: TcpStream) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Sends a whole request and receives its answer; a body that is no text is shown as far as it is.
    pub(crate) fn ask(&mut self, request: &[u8], is_head: bool) -> io::Result<Answer> {
        // What reads no more may have answered.
        let sent = self.stream.get_mut().write_all(request);
        let mut answer = self.receive_head()?;
        while answer.status == 100 {
            answer = self.receive_head()?;
        }
        let length = answer.headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; if is_head || answer.status == 304 { 0 } else { length }];
        self.stream.read_exact(&mut body)?;
        answer.body = String::from_utf8_lossy(&body).into_owned();
        if sent.is_err() {
            answer.headers.insert("connection".to_owned(), "close".to_owned());
        }
        Ok(answer)
    }

    pub(crate) fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send("GET", path, "")?;
        self.receive()
    }

    /// Sends a JSON body; `headers` are whole lines.
    pub(crate) fn exchange(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> io::Result<Answer> {
        let length = body.len();
        let headers =
            format!("{headers}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
        let request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n{headers}");
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.receive()
    }

    /// Sends a request and does not wait; `headers` are whole lines.
    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &str) -> io::Result<()> {
        self.send_with(method, path, headers, "")
    }

    pub(crate) fn send_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> io::Result<()> {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n{headers}\r\n{body}");
        self.stream.get_mut().write_all(request.as_bytes())
    }

    pub(crate) fn receive(&mut self) -> io::Result<Answer> {
        let mut answer = self.receive_head()?;
        let mut body = vec![0; answer.headers["content-length"].parse().unwrap()];
        self.stream.read_exact(&mut body)?;
        answer.body = String::from_utf8(body).unwrap();
        Ok(answer)
    }

    /// An answer that has no body, such as 304.
    pub(crate) fn receive_head(&mut self) -> io::Result<Answer> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = BTreeMap::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else { break };
            let values: &mut String = headers.entry(name.to_ascii_lowercase()).or_default();
            if !values.is_empty() {
                values.push('\n');
            }
            values.push_str(value);
        }
        Ok(Answer { status, headers, body: String::new() })
    }

    /// Waits until the server closes the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}
