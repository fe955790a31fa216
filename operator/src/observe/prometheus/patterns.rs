//! Bounds the memory for the regular expressions of a query, before the PromQL parser compiles them. Pure.
//!
//! The parser allows each of them 10 MiB, and a query has room for hundreds. Here they share one limit in equal parts,
//! so it bounds all of them together.

use lrpar::{Lexeme, Lexer, NonStreamingLexer};
use promql_parser::parser::lexer;
use promql_parser::parser::token::{T_EQL_REGEX, T_NEQ_REGEX, T_STRING};
use promql_parser::util::unquote_string;
use regex::{Error, RegexBuilder};

/// The limit for the regular expressions of a query together, in bytes of compiled program.
const LIMIT: usize = 2 << 20;

/// The first regular expression of a query that exceeds its share.
///
/// # Errors
/// When the text contains an invalid PromQL token.
pub fn too_large(query: &str) -> Result<Option<String>, String> {
    let lexer = lexer(query)?;
    let tokens: Vec<_> = lexer.iter().flatten().collect();
    let is_pattern =
        |operator: u16, operand: u16| [T_EQL_REGEX, T_NEQ_REGEX].contains(&operator) && operand == T_STRING;
    let patterns = tokens
        .windows(2)
        .filter(|pair| is_pattern(pair[0].tok_id(), pair[1].tok_id()))
        .filter_map(|pair| unquote_string(lexer.span_str(pair[1].span())).ok());
    Ok(first_too_large(patterns.collect()))
}

/// The first of these regular expressions that exceeds its share.
#[must_use]
pub fn first_too_large(patterns: Vec<String>) -> Option<String> {
    let share = LIMIT / patterns.len().max(1);
    patterns.into_iter().find(|pattern| is_larger(pattern, share))
}

/// The regular expression in a notation that Go and Rust read alike: without `\Q`, and with a backslash before
/// characters that only one of them treats as an operator inside brackets. A text that is invalid in Go stays as it is.
#[must_use]
pub fn in_common_notation(pattern: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(pattern.len()), pattern);
    while let Some(next) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix("\\Q") {
            let (literal, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            out.push_str(&regex::escape(literal));
            rest = after;
        } else if let Some((class, after)) = rest.strip_prefix('[').and_then(class) {
            out.push_str(&class);
            rest = after;
        } else {
            let escaped = rest.chars().nth(1).filter(|_| next == '\\').map_or(0, char::len_utf8);
            let (copied, after) = rest.split_at(next.len_utf8() + escaped);
            out.push_str(copied);
            rest = after;
        }
    }
    out
}

/// The class after its opening bracket, and the text after it; `None` where it is no class in Go.
fn class(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('^').unwrap_or(text);
    let (mut out, first) = (format!("[{}", &text[..text.len() - rest.len()]), rest.len());
    while !rest.starts_with(']') || rest.len() == first {
        let named = rest.strip_prefix("[:").and_then(|name| name.find(":]")).map(|end| end + 4);
        if let Some(length) = named.or_else(|| length_of_set(rest)) {
            out.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        let (low, after) = member(rest)?;
        out.push_str(&low);
        rest = after;
        if let Some(range) =
            rest.strip_prefix('-').filter(|range| !range.is_empty() && !range.starts_with(']'))
        {
            let (high, after) = member(range)?;
            out.push_str(&format!("-{high}"));
            rest = after;
        }
    }
    out.push(']');
    Some((out, &rest[1..]))
}

/// The length of the set of characters at the start of the text, such as `\w`, `\pL` or `\p{Greek}`. No range begins
/// with one.
fn length_of_set(text: &str) -> Option<usize> {
    let kind = text.strip_prefix('\\')?;
    match kind.chars().next()? {
        'd' | 'D' | 's' | 'S' | 'w' | 'W' => Some(2),
        'p' | 'P' if kind[1..].starts_with('{') => text.find('}').map(|end| end + 1),
        'p' | 'P' => Some(2 + kind.chars().nth(1)?.len_utf8()),
        _ => None,
    }
}

/// The first character of a class, with a backslash if it could have another meaning, and the text after it.
fn member(text: &str) -> Option<(String, &str)> {
    let next = text.chars().next()?;
    if next == '\\' {
        let escaped = text.chars().nth(1)?;
        let length = match escaped {
            'x' if text[2..].starts_with('{') => text.find('}')? + 1,
            'x' => 4,
            _ => 1 + escaped.len_utf8(),
        };
        let (member, rest) = text.split_at_checked(length)?;
        return Some((member.to_owned(), rest));
    }
    let is_operator = "[]&~-^".contains(next);
    Some((format!("{}{next}", if is_operator { "\\" } else { "" }), &text[next.len_utf8()..]))
}

/// Whether the parser's program for a pattern is larger. It tries the text itself, and then Go's reading of it.
fn is_larger(pattern: &str, limit: usize) -> bool {
    let compile = |text: &str| RegexBuilder::new(&format!("^(?:{text})$")).size_limit(limit).build();
    match compile(pattern).or_else(|error| match error {
        Error::CompiledTooBig(_) => Err(error),
        _ => compile(&with_literal_braces(pattern)),
    }) {
        Err(Error::CompiledTooBig(_)) => true,
        // An invalid regular expression is not compiled at all.
        Ok(_) | Err(_) => false,
    }
}

/// The pattern with a backslash before each brace that begins no repetition, as in `/carts/{id}`.
fn with_literal_braces(pattern: &str) -> String {
    let mut parts = pattern.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_count = |count: &str| {
            count.starts_with(|c: char| c.is_ascii_digit())
                && count.chars().all(|c| c == ',' || c.is_ascii_digit())
        };
        let repeats = part.split_once('}').is_some_and(|(count, _)| is_count(count));
        let is_escaped = text.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1;
        if !repeats && !is_escaped {
            text.push('\\');
        }
        text.push('{');
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn matchers(count: usize, pattern: &str) -> String {
        format!("carts_open{{{}}}", vec![format!("a=~{pattern:?}"); count].join(","))
    }

    #[rstest]
    #[case::names(matchers(40, "carts|orders|web-.+"))]
    #[case::words(matchers(20, r"\w+"))]
    #[case::dns_label(matchers(1, "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"))]
    #[case::route(matchers(4, "/carts/{id}|/carts/{id}/items"))]
    #[case::value_of_another_operator(r#"carts_open{a!="\\w{999}",le='+Inf'}"#.to_owned())]
    #[case::comment("carts_open # =~\n + 1".to_owned())]
    fn what_queries_need_is_accepted(#[case] query: String) {
        assert_eq!(too_large(&query), Ok(None));
        assert!(promql_parser::parser::parse(&query).is_ok());
    }

    #[rstest]
    #[case(r"[\w-.]", r"[\w\-.]")]
    #[case(r"[[]x", r"[\[]x")]
    #[case(r"[]a]", r"[\]a]")]
    #[case(r"[^]a-]b", r"[^\]a\-]b")]
    #[case(r"[a-c-e]", r"[a-c\-e]")]
    #[case(r"[[:alpha:]_.-]", r"[[:alpha:]_.\-]")]
    #[case(r"[a&&b]", r"[a\&\&b]")]
    #[case(r"[+--]", r"[+-\-]")]
    #[case(r"[\]\-a\x{41}\pN]", r"[\]\-a\x{41}\pN]")]
    #[case(r"[+-\x41-[:alpha:]]", r"[+-\x41\-[:alpha:]]")]
    #[case(r"[\pL-z]", r"[\pL\-z]")]
    #[case(r"[\p{Greek}--a]", r"[\p{Greek}\--a]")]
    #[case(r"a\[b[[]", r"a\[b[\[]")]
    #[case(r"\Qa.b[\E+c", r"a\.b\[+c")]
    #[case(r"\Qa.b", r"a\.b")]
    fn patterns_of_go_are_written_as_rust_reads_them(#[case] pattern: &str, #[case] common: &str) {
        assert_eq!(in_common_notation(pattern), common);
        assert!(regex::Regex::new(common).is_ok());
        assert_eq!(in_common_notation(common), common);
    }

    #[rstest]
    fn other_patterns_stay_as_they_are(
        #[values("a|b", r"a-\w+", "/carts/{id}", "web-[a-z0-9]{2,}", "[unended", r"[a\", "é[ü-ß]")]
        pattern: &str,
    ) {
        assert_eq!(in_common_notation(pattern), pattern);
    }

    #[rstest]
    #[case::alone(matchers(1, r"\w{180}"))]
    #[case::many(matchers(150, r"\w{9}"))]
    #[case::not_equal(r#"carts_open{a!~"\\w{180}"}"#.to_owned())]
    #[case::escaped(r#"carts_open{a=~"\\w\x7b180}"}"#.to_owned())]
    #[case::after_a_comment("carts_open{a=~ # b\n'\\\\w{180}'}".to_owned())]
    #[case::nested(matchers(1, "((a{100}){100}){100}"))]
    #[case::as_go_reads_it(matchers(1, r"/carts/{id}/\w{180}"))]
    #[case::behind_escaped_braces(matchers(1, r"\{{id}\\{2}\w{180}"))]
    fn what_would_take_much_memory_is_found(#[case] query: String) {
        assert!(matches!(too_large(&query), Ok(Some(_))));
    }
}
