//! A request that can be damaged and written down. Pure.

use std::fmt::Write;
use std::ops::Range;

use serde_json::Value;

/// What is sent, piece by piece.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// Names and values as they are written, percent-encoded where they must be.
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    pub(super) is_chunked: bool,
}

impl Request {
    pub(super) fn target(&self) -> String {
        let pairs: Vec<String> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if pairs.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, pairs.join("&")) }
    }

    /// The bytes on the wire.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\nhost: test\r\n", self.method, self.target()).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        if self.is_chunked {
            bytes.extend(b"transfer-encoding: chunked\r\n\r\n");
            for chunk in self.body.chunks(1000) {
                bytes.extend([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(format!("content-length: {}\r\n\r\n", self.body.len()).as_bytes());
            bytes.extend(&self.body);
        }
        bytes
    }

    /// It asks for seconds of waiting or computing, and rightly so: it would only hold the others up.
    pub(super) fn is_slow(&self) -> bool {
        let asks = |pair: &(String, String)| pair.1.parse().is_ok_and(|ms: u64| (20..=300_000).contains(&ms));
        ["/work", "/wait"].contains(&self.path.as_str()) && self.query.iter().any(asks)
    }

    /// How many inputs there are: the name in the path, parameters, headers, and values of the body.
    pub(super) fn inputs(&self) -> usize {
        let body = serde_json::from_slice::<Value>(&self.body).map_or(0, |body| count(&body));
        self.name().iter().count() + self.query.len() + self.headers.len() + body
    }

    /// Puts a text in the place of the input of this number, written as it has to be there; in the body as a string of
    /// JSON, or bare if `is_bare`.
    pub(super) fn replace_input(&mut self, number: usize, text: &str, is_bare: bool) {
        let name = self.name();
        let of_query = name.iter().count();
        let of_headers = of_query + self.query.len();
        let of_body = of_headers + self.headers.len();
        if let Some(name) = name.filter(|_| number < of_query) {
            self.path.replace_range(name, &encoded(text));
        } else if number < of_headers {
            self.query[number - of_query].1 = encoded(text);
        } else if number < of_body {
            // A control character ends a header, and so the request.
            let kept = text.bytes().filter(|byte| !byte.is_ascii_control());
            self.headers[number - of_headers].1 = kept.collect();
        } else if is_bare {
            self.replace_value(number - of_body, text);
        } else {
            self.replace_value(number - of_body, &Value::from(text).to_string());
        }
    }

    /// Where in the path the second segment is.
    fn name(&self) -> Option<Range<usize>> {
        let begin = 2 + self.path.get(1..)?.find('/')?;
        let end = self.path[begin..].find('/').map_or(self.path.len(), |slash| begin + slash);
        Some(begin..end)
    }

    /// Replaces the body's value of this number, counted from the outside in, by a text that need not be JSON.
    pub(super) fn replace_value(&mut self, number: usize, text: &str) {
        let Ok(mut body) = serde_json::from_slice::<Value>(&self.body) else { return };
        let count = count(&body);
        *nth(&mut body, &mut (number % count)) = MARK.into();
        self.body = body.to_string().replacen(&format!("\"{MARK}\""), text, 1).into_bytes();
    }

    /// Adds a member to the body, also one that is there already.
    pub(super) fn add_member(&mut self, name: &str, text: &str) {
        let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(&self.body) else { return };
        body.insert(MARK.to_owned(), Value::Null);
        let member = format!("{}:{text}", Value::from(name));
        self.body =
            Value::from(body).to_string().replacen(&format!("\"{MARK}\":null"), &member, 1).into_bytes();
    }

    /// Takes a member of the body away.
    pub(super) fn remove_member(&mut self, number: usize) {
        let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(&self.body) else { return };
        let Some(name) = body.keys().nth(number % body.len().max(1)).cloned() else { return };
        body.remove(&name);
        self.body = Value::from(body).to_string().into_bytes();
    }
}

/// As it would be sent, cut where it is long.
impl std::fmt::Debug for Request {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.bytes();
        let shown = bytes[..bytes.len().min(2000)].escape_ascii();
        write!(formatter, "{} bytes: {shown}", bytes.len())
    }
}

/// As in a URL; some signs stay as they are although they mean something there.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes().take(4000) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'+' | b'@' | b'*' => {
                encoded.push(byte.into());
            }
            _ => {
                let _ = write!(encoded, "%{byte:02x}");
            }
        }
    }
    encoded
}

/// Stands for a text in JSON while it is put together.
const MARK: &str = "a value that nothing else has";

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// The value of this number; counts it down to 0 on the way.
fn nth<'a>(value: &'a mut Value, number: &mut usize) -> &'a mut Value {
    if *number == 0 {
        return value;
    }
    *number -= 1;
    let inside: Vec<&mut Value> = match value {
        Value::Array(values) => values.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        _ => unreachable!("there are as many values as were counted"),
    };
    for value in inside {
        let within = count(value);
        if *number < within {
            return nth(value, number);
        }
        *number -= within;
    }
    unreachable!("there are as many values as were counted")
}
