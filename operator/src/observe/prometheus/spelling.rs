//! Rewrites notations that Prometheus accepts and the PromQL parser does not, into equal ones that both accept. Pure.
//!
//! These are raw strings with a backslash, regular expressions in Go-only syntax, `1_000` and `offset 0s`. The result
//! is parsed, confined and printed like any other query: a mistake here changes the meaning of the query, but not what
//! it may read.

use promql_parser::util::{escape_string, unquote_string};

use super::patterns::in_common_notation;

/// The query for the parser.
#[must_use]
pub fn readable(query: &str) -> String {
    let mut text = Rewriting { out: String::with_capacity(query.len()), rest: query, offset: None };
    while let Some(next) = text.rest.chars().next() {
        match next {
            '#' => text.copy(text.rest.find('\n').unwrap_or(text.rest.len())),
            '"' | '\'' | '`' => text.string(next),
            '.' | '0'..='9' => text.number(),
            ':' | '_' | 'a'..='z' | 'A'..='Z' => text.word(),
            _ => {
                let is_between = next.is_ascii_whitespace() || "+-".contains(next);
                text.offset = text.offset.filter(|_| is_between);
                text.copy(next.len_utf8());
            }
        }
    }
    text.out
}

struct Rewriting<'a> {
    out: String,
    rest: &'a str,
    /// The position of the word `offset` in `out`, if nothing followed it yet.
    offset: Option<usize>,
}

impl Rewriting<'_> {
    fn take(&mut self, length: usize) -> &str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn copy(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at(length);
        self.out.push_str(taken);
        self.rest = rest;
    }

    /// A string, in double quotes if it was raw. An unterminated one is left to the parser.
    fn string(&mut self, quote: char) {
        self.offset = None;
        let Some(length) = end_of_string(self.rest, quote) else { return self.copy(self.rest.len()) };
        let before = self.out.trim_end();
        let is_pattern = before.ends_with("=~") || before.ends_with("!~");
        if quote != '`' && !is_pattern {
            return self.copy(length);
        }
        let Ok(value) = unquote_string(&self.rest[..length]) else { return self.copy(length) };
        let value = if is_pattern { in_common_notation(&value) } else { value };
        self.take(length);
        self.out.push_str(&format!("\"{}\"", escape_string(&value)));
    }

    fn number(&mut self) {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "._".contains(c);
        let length = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let offset = self.offset.take();
        let digits = self.take(length);
        let is_nothing = digits.contains('0') && digits.chars().all(|c| "0ywdhms.".contains(c));
        let plain = without_separators(digits);
        match offset.filter(|_| is_nothing) {
            Some(start) => self.out.truncate(start),
            None => self.out.push_str(&plain),
        }
    }

    fn word(&mut self) {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_:".contains(c);
        let length = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        self.offset = self.rest[..length].eq_ignore_ascii_case("offset").then_some(self.out.len());
        self.copy(length);
    }
}

/// The length of the string at the start of the text.
fn end_of_string(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            c if c == quote => return Some(index + 1),
            _ => {}
        }
    }
    None
}

/// A number without the `_` between its digits.
fn without_separators(number: &str) -> String {
    let bytes = number.as_bytes();
    let is_digit = |index: Option<usize>| {
        index.and_then(|index| bytes.get(index)).is_some_and(|c| c.is_ascii_hexdigit() || b"xX".contains(c))
    };
    let is_separator =
        |index: usize| is_digit(index.checked_sub(1)) && is_digit(Some(index + 1)) && bytes[index] == b'_';
    number.char_indices().filter(|(index, _)| !is_separator(*index)).map(|(_, c)| c).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(r"a{b=~`a-\w+`}", r#"a{b=~"a-\\w+"}"#)]
    #[case(r#"a{b=`x"\y`}"#, r#"a{b="x\"\\y"}"#)]
    #[case(r#"a{b=~"[\\w-.]"}"#, r#"a{b=~"[\\w\\-.]"}"#)]
    #[case(r"a{b !~ '[[]x'}", r#"a{b !~ "[\\[]x"}"#)]
    #[case(r"a{b=~`\Qa.b\E.+`}", r#"a{b=~"a\\.b.+"}"#)]
    #[case("a > 1_000", "a > 1000")]
    #[case("a > 0x1_0 + 1e1_0", "a > 0x10 + 1e10")]
    #[case("a offset 0s + b", "a  + b")]
    #[case("rate(a[5m] OFFSET -0h0m)", "rate(a[5m] )")]
    fn what_only_prometheus_reads_is_written_as_both_do(#[case] query: &str, #[case] readable_: &str) {
        assert_eq!(readable(query), readable_);
        assert!(promql_parser::parser::parse(readable_).is_ok());
    }

    #[rstest]
    fn the_rest_stays_as_it_is(
        #[values(
            "sum by (job) (rate(a_1_000:b{c=\"1_000 offset 0s\",d='`'}[5m] offset 10m))",
            "a # `\\w` 1_000 offset 0s\n + b",
            "a{offset=\"0s\"} offset 1m",
            "a{b=\"unended",
            "a{b=`unended",
            "a{b=\"\\\"`\"}",
            "1__0",
            "_1_0",
            "a @ 0"
        )]
        query: &str,
    ) {
        assert_eq!(readable(query), query);
    }
}
