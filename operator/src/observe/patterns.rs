//! Bounds what the regular expressions of a query take, before the parser of PromQL compiles them. Pure.
//!
//! The parser allows each of them 10 MiB, and a query has room for hundreds. Here they share one limit in equal parts,
//! so that it bounds all of them together.

use lrpar::{Lexeme, Lexer, NonStreamingLexer};
use promql_parser::parser::lexer;
use promql_parser::parser::token::{T_EQL_REGEX, T_NEQ_REGEX, T_STRING};
use promql_parser::util::unquote_string;
use regex::{Error, RegexBuilder};

/// What the regular expressions of a query may take together, in bytes of compiled program.
const LIMIT: usize = 2 << 20;

/// The first regular expression of a query that takes more than its share.
///
/// # Errors
/// When the text holds what is no token of PromQL.
pub fn too_large(query: &str) -> Result<Option<String>, String> {
    let lexer = lexer(query)?;
    let tokens: Vec<_> = lexer.iter().flatten().collect();
    let is_pattern =
        |operator: u16, operand: u16| [T_EQL_REGEX, T_NEQ_REGEX].contains(&operator) && operand == T_STRING;
    let patterns: Vec<String> = tokens
        .windows(2)
        .filter(|pair| is_pattern(pair[0].tok_id(), pair[1].tok_id()))
        .filter_map(|pair| unquote_string(lexer.span_str(pair[1].span())).ok())
        .collect();
    let share = LIMIT / patterns.len().max(1);
    Ok(patterns.into_iter().find(|pattern| is_larger(pattern, share)))
}

/// Whether what the parser makes of a pattern is larger. It tries the text itself, and then as Go would read it.
fn is_larger(pattern: &str, limit: usize) -> bool {
    let compile = |text: &str| RegexBuilder::new(&format!("^(?:{text})$")).size_limit(limit).build();
    match compile(pattern).or_else(|error| match error {
        Error::CompiledTooBig(_) => Err(error),
        _ => compile(&with_literal_braces(pattern)),
    }) {
        Err(Error::CompiledTooBig(_)) => true,
        // What is no regular expression is compiled by nobody.
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
