//! The ways in which a good request is damaged, byte by byte and by its structure. Pure.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::request::{Request, encoded};

/// One change of a request.
#[derive(Debug, Clone)]
pub(super) enum Damage {
    Method(&'static str),
    /// In place of any input; in the body bare, or as a string.
    Input(Index, String, bool),
    PathByte(Index, u8),
    AddParameter(String, String),
    RepeatParameter(Index),
    DropParameter(Index),
    SetHeader(&'static str, Vec<u8>),
    RepeatHeader(Index),
    DropHeader(Index),
    ReplaceByte(Index, u8),
    InsertBytes(Index, Vec<u8>),
    Cut(Index),
    Body(Vec<u8>),
    ReplaceValue(usize, String),
    AddMember(String, String),
    RemoveMember(usize),
    /// A body of this many brackets.
    Nest(usize, &'static str),
    /// A body of this many bytes.
    Long(usize),
    Chunked,
}

const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "get"];

/// Every header that something here reads, and some that proxies add.
const HEADERS: [&str; 18] = [
    "idempotency-key",
    "x-consistency-token",
    "cookie",
    "if-none-match",
    "if-match",
    "if-modified-since",
    "content-type",
    "content-encoding",
    "accept",
    "accept-encoding",
    "range",
    "traceparent",
    "tracestate",
    "baggage",
    "authorization",
    "x-forwarded-for",
    "origin",
    "expect",
];

const NAMES: [&str; 14] = [
    "ms",
    "category",
    "after",
    "limit",
    "account",
    "before",
    "product",
    "name",
    "email",
    "priceCents",
    "items",
    "webhook",
    "from",
    "__proto__",
];

/// Texts on the edges of what numbers, names, days, identifiers and addresses may be.
pub(super) const EDGES: &[&str] = &[
    "",
    " ",
    "0",
    "-0",
    "-1",
    "1",
    "+1",
    "01",
    "0x10",
    "1.5",
    "1e3",
    "1e400",
    "-1e400",
    "NaN",
    "Infinity",
    "null",
    "true",
    "[]",
    "{}",
    "2147483648",
    "4294967296",
    "1000000001",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "١٢",
    "\0",
    "a\0b",
    "\u{7f}",
    "\u{85}",
    "\u{202e}",
    "\u{feff}",
    "\u{ffff}",
    "🦀",
    "e\u{301}",
    "'; DROP TABLE jobs.jobs; --",
    "%",
    "%00",
    "%ff",
    "..",
    "../../etc/passwd",
    "*",
    "$1",
    "00000000-0000-0000-0000-000000000000",
    "{00000000-0000-0000-0000-000000000000}",
    "urn:uuid:67e55044-10b1-426f-9247-bb680e5fe0c8",
    "2026-02-30",
    "1969-12-31",
    "9999-12-31",
    "-009999-01-01",
    "2026-01-01T00:00:00Z",
    "@",
    "a@b",
    "a@b\r\nbcc: c@d",
    "eur",
    "EUR",
    "http://127.0.0.1/",
    "http://127.0.0.1/\0",
    "http://127.0.0.1/a b",
    " http://127.0.0.1/",
    "http://127.0.0.1:0/",
    "http://user:word@127.0.0.1/",
    "http://127.0.0.1.example.org/",
    "http://[::1]/",
    "https://127.0.0.1/",
    "file:///etc/passwd",
    "http:",
];

/// Values of headers that are nearly in order.
const VALUES: &[&str] = &[
    "",
    "*",
    "W/\"\"",
    "\"\"",
    "\"",
    "\"a\", \"b",
    "application/json",
    "application/json; charset=utf-16",
    "application/problem+json",
    "text/plain",
    "multipart/form-data",
    "image/png",
    "image/svg+xml",
    "image/png, image/png",
    "gzip",
    "bytes=0-",
    "bytes=9-1",
    "session=",
    "session=67e5504410b1426f9247bb680e5fe0c8",
    "session=\u{fc}; session=1",
    "consistency=1-2-3; session=*",
    ";;=;",
    "1-2-3",
    "-",
    "1-0-",
    "ffffffff-ffffffffffffffff-00",
    "100000000-1-00",
    "00-00000000000000000000000000000000-0000000000000000-00",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "ff-x",
    "100-continue",
    "200-ok",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(EDGES).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| number.to_string()),
        2 => "\\PC{0,40}",
        1 => any::<String>(),
        1 => ("[a-zé\\x00]", 1..100_000_usize).prop_map(|(letter, count)| letter.repeat(count)),
    ]
}

/// A value of JSON, or what looks like one.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => text().prop_map(|text| serde_json::Value::from(text).to_string()),
        3 => text(),
        1 => select(&["\"\\ud800\"", "\"\\u0000\"", "\"", "[", "{\"a\":", "[1,]", "nul", "\"\\x\"", "1 2"][..])
            .prop_map(str::to_owned),
    ]
}

/// What a header may hold: everything but control characters.
fn field() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![8 => 0x20..0x7f_u8, 1 => 0x80..=0xff_u8, 1 => Just(b'\t')];
    prop_oneof![
        4 => select(VALUES).prop_map(|value| value.as_bytes().to_vec()),
        2 => prop::collection::vec(byte, 0..80),
        1 => (0x20..0x7f_u8, 200..20_000_usize).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

pub(super) fn damage() -> impl Strategy<Value = Damage> {
    let name = || prop_oneof![3 => select(&NAMES[..]).prop_map(str::to_owned), 1 => text()];
    let of_head = prop_oneof![
        1 => select(&METHODS[..]).prop_map(Damage::Method),
        1 => (any::<Index>(), select(b"/%.;-0aZ?&=".as_slice()))
            .prop_map(|(at, byte)| Damage::PathByte(at, byte)),
        2 => (name(), text()).prop_map(|(name, text)| Damage::AddParameter(encoded(&name), encoded(&text))),
        1 => any::<Index>().prop_map(Damage::RepeatParameter),
        1 => any::<Index>().prop_map(Damage::DropParameter),
        6 => (select(&HEADERS[..]), field()).prop_map(|(name, value)| Damage::SetHeader(name, value)),
        1 => any::<Index>().prop_map(Damage::RepeatHeader),
        1 => any::<Index>().prop_map(Damage::DropHeader),
    ];
    let of_body = prop_oneof![
        3 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::ReplaceByte(at, byte)),
        2 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..8))
            .prop_map(|(at, bytes)| Damage::InsertBytes(at, bytes)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => prop::collection::vec(any::<u8>(), 0..400).prop_map(Damage::Body),
        8 => (any::<usize>(), value()).prop_map(|(number, text)| Damage::ReplaceValue(number, text)),
        2 => (name(), value()).prop_map(|(name, text)| Damage::AddMember(name, text)),
        1 => any::<usize>().prop_map(Damage::RemoveMember),
        1 => (1..20_000_usize, select(&["[", "{\"a\":", "[{\"items\":"][..]))
            .prop_map(|(depth, bracket)| Damage::Nest(depth, bracket)),
        1 => prop_oneof![9 => 0..10_000_usize, 1 => 2_000_000..2_200_000_usize].prop_map(Damage::Long),
        1 => Just(Damage::Chunked),
    ];
    let input = (any::<Index>(), text(), any::<bool>());
    prop_oneof![
        5 => input.prop_map(|(at, text, is_bare)| Damage::Input(at, text, is_bare)),
        2 => of_head,
        3 => of_body,
    ]
}

impl Damage {
    pub(super) fn to(&self, request: &mut Request) {
        match self {
            Self::Method(method) => request.method = (*method).to_owned(),
            Self::Input(at, text, is_bare) => {
                if request.inputs() > 0 {
                    request.replace_input(at.index(request.inputs()), text, *is_bare);
                }
            }
            Self::PathByte(at, byte) => {
                // After the slash that every path begins with.
                request.path.insert(1 + at.index(request.path.len()), char::from(*byte));
            }
            Self::AddParameter(name, value) => request.query.push((name.clone(), value.clone())),
            Self::RepeatParameter(at) => repeat(&mut request.query, *at),
            Self::DropParameter(at) => drop_one(&mut request.query, *at),
            Self::SetHeader(name, value) => {
                request.headers.retain(|(known, _)| known != name);
                request.headers.push(((*name).to_owned(), value.clone()));
            }
            Self::RepeatHeader(at) => repeat(&mut request.headers, *at),
            Self::DropHeader(at) => drop_one(&mut request.headers, *at),
            Self::ReplaceByte(at, byte) => change(&mut request.body, *at, |old| *old = *byte),
            Self::InsertBytes(at, bytes) => {
                let at = at.index(request.body.len() + 1);
                request.body.splice(at..at, bytes.iter().copied());
            }
            Self::Cut(at) => request.body.truncate(at.index(request.body.len() + 1)),
            Self::Body(bytes) => request.body.clone_from(bytes),
            Self::ReplaceValue(number, text) => request.replace_value(*number, text),
            Self::AddMember(name, text) => request.add_member(name, text),
            Self::RemoveMember(number) => request.remove_member(*number),
            Self::Nest(depth, bracket) => request.body = bracket.repeat(*depth).into_bytes(),
            Self::Long(length) => request.body = vec![b'1'; *length],
            Self::Chunked => request.is_chunked = true,
        }
    }
}

fn change<T>(list: &mut [T], at: Index, with: impl FnOnce(&mut T)) {
    if !list.is_empty() {
        with(&mut list[at.index(list.len())]);
    }
}

fn repeat<T: Clone>(list: &mut Vec<T>, at: Index) {
    if !list.is_empty() {
        list.push(list[at.index(list.len())].clone());
    }
}

fn drop_one<T>(list: &mut Vec<T>, at: Index) {
    if !list.is_empty() {
        list.remove(at.index(list.len()));
    }
}
