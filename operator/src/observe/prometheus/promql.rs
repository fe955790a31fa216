//! Confines a custom query to its namespace: parsed, every selector matched, printed again. Pure.
//!
//! Text is never concatenated. The query is parsed into a tree, each selector gets the matchers, and the tree is
//! printed. The printed text is parsed again and must give the same tree, so neither a quoted name nor a comment can
//! bypass the matchers. `info` is refused, because it reads series without a selector.

use std::panic::catch_unwind;
use std::time::Duration;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, ParenExpr, SubqueryExpr, UnaryExpr, VectorSelector, parse,
};

use super::cost::{TooCostly, check};
use super::patterns::too_large;
use super::spelling::readable;

/// Why a query is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The query is not PromQL, or not the supported part of it.
    #[error("the operator cannot read the query as PromQL: {0}")]
    Syntax(String),
    /// The result is neither a number nor series of numbers.
    #[error("the query returns a {0}, make it return one series or a scalar")]
    ResultType(&'static str),
    /// A selector of the query can match nothing with the matchers.
    #[error("the selector {selector} is outside {matcher}, which the operator adds to every selector")]
    Outside {
        /// The user's selector.
        selector: String,
        /// The operator's matcher.
        matcher: String,
    },
    /// A function that reads series without a selector.
    #[error("the function {0} is not allowed, because it reads series that no selector names")]
    Function(&'static str),
    /// A notation that the operator cannot confine.
    #[error("the operator cannot confine {0} to the namespace, write the query without it")]
    Notation(&'static str),
    /// The sent query would have another meaning.
    #[error(
        "the query would be sent as {0}, which means something else; write it without empty `by ()` and `@ -5`"
    )]
    Rewritten(String),
    /// The query would cost the server too much.
    #[error(transparent)]
    Cost(#[from] TooCostly),
    /// A regular expression takes too much memory.
    #[error(
        "the regular expression {0} is too large among those of the query: use fewer, repeat less, and write [a-z] for \\w"
    )]
    Pattern(String),
    /// The operator's own matchers are invalid.
    #[error("{0} is no list of matchers: write for example cluster=\"a\",env!=\"dev\", and none of __name__")]
    Matchers(String),
}

/// The query with the namespace's matcher and the operator's own on every selector, as it is sent to Prometheus.
///
/// # Errors
/// When the query cannot be parsed, has no numeric result, costs too much, or cannot be confined.
pub fn confine(query: &str, namespace: &str, matchers: &[Matcher]) -> Result<String, Refusal> {
    confine_over(Duration::ZERO, query, namespace, matchers)
}

/// The same for a query that is evaluated over this time.
///
/// # Errors
/// As [`confine`].
pub fn confine_over(
    time: Duration,
    query: &str,
    namespace: &str,
    matchers: &[Matcher],
) -> Result<String, Refusal> {
    let mut confined = read(&readable(query))?;
    match confined.value_type() {
        ValueType::Scalar | ValueType::Vector => {}
        ValueType::Matrix => return Err(Refusal::ResultType("range of samples")),
        ValueType::String => return Err(Refusal::ResultType("string")),
    }
    check(&confined, time)?;
    let mut added = vec![Matcher::new(MatchOp::Equal, "namespace", namespace)];
    added.extend_from_slice(matchers);
    confine_expr(&mut confined, &added)?;
    let printed = confined.to_string();
    match read(&printed) {
        Ok(sent) if sent == confined => Ok(printed),
        // With the operator's matchers it may have many more.
        Err(refusal @ Refusal::Pattern(_)) => Err(refusal),
        _ => Err(Refusal::Rewritten(printed)),
    }
}

/// Reads the matchers that the operator adds to every selector, such as `cluster="a"`.
///
/// # Errors
/// When the text is not a list of matchers.
pub fn read_matchers(text: &str) -> Result<Vec<Matcher>, Refusal> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    // With a name, because matchers such as `env!="dev"` select nothing by themselves. It allows no second one.
    match read(&format!("x{{{text}}}")) {
        Ok(Expr::VectorSelector(VectorSelector { name: Some(_), matchers, offset: None, at: None }))
            if matchers.or_matchers.is_empty() =>
        {
            Ok(matchers.matchers)
        }
        _ => Err(Refusal::Matchers(text.to_owned())),
    }
}

fn read(query: &str) -> Result<Expr, Refusal> {
    let read = || match too_large(query).map_err(Refusal::Syntax)? {
        Some(pattern) => Err(Refusal::Pattern(pattern)),
        None => parse(query).map_err(Refusal::Syntax),
    };
    // The parser panics on a duration that is not finite or too long.
    catch_unwind(read).unwrap_or_else(|_| {
        Err(Refusal::Syntax("it cannot be read, make each duration a finite one such as 5m".to_owned()))
    })
}

/// Visits every selector. Written out, so that a new kind of expression is not skipped silently.
fn confine_expr(expr: &mut Expr, added: &[Matcher]) -> Result<(), Refusal> {
    match expr {
        Expr::Aggregate(AggregateExpr { expr, param, .. }) => {
            if let Some(param) = param {
                confine_expr(param, added)?;
            }
            confine_expr(expr, added)
        }
        Expr::Unary(UnaryExpr { expr })
        | Expr::Paren(ParenExpr { expr })
        | Expr::Subquery(SubqueryExpr { expr, .. }) => confine_expr(expr, added),
        Expr::Binary(BinaryExpr { lhs, rhs, .. }) => {
            confine_expr(lhs, added)?;
            confine_expr(rhs, added)
        }
        Expr::Call(Call { func, .. }) if func.name == "info" => Err(Refusal::Function("info")),
        Expr::Call(Call { args, .. }) => args.args.iter_mut().try_for_each(|arg| confine_expr(arg, added)),
        Expr::VectorSelector(selector) => confine_selector(selector, added),
        Expr::MatrixSelector(selector) => confine_selector(&mut selector.vs, added),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(()),
        Expr::Extension(_) => Err(Refusal::Notation("an extension of PromQL")),
    }
}

fn confine_selector(selector: &mut VectorSelector, added: &[Matcher]) -> Result<(), Refusal> {
    if !selector.matchers.or_matchers.is_empty() {
        return Err(Refusal::Notation("or between matchers"));
    }
    for matcher in added {
        if selector.matchers.matchers.iter().any(|own| own.name == matcher.name && excludes(own, matcher)) {
            return Err(Refusal::Outside { selector: selector.to_string(), matcher: matcher.to_string() });
        }
        if !selector.matchers.matchers.contains(matcher) {
            selector.matchers.matchers.push(matcher.clone());
        }
    }
    // In print order, so that the tree can be compared with the parsed one.
    selector.matchers.matchers.sort_by_cached_key(ToString::to_string);
    Ok(())
}

/// Whether no value can satisfy both. Only an exact value can be tested with the other matcher.
fn excludes(own: &Matcher, added: &Matcher) -> bool {
    added.op == MatchOp::Equal && !own.is_match(&added.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn selectors<'a>(expr: &'a Expr, found: &mut Vec<&'a VectorSelector>) {
        match expr {
            Expr::Aggregate(AggregateExpr { expr, param, .. }) => {
                selectors(expr, found);
                if let Some(param) = param {
                    selectors(param, found);
                }
            }
            Expr::Unary(UnaryExpr { expr })
            | Expr::Paren(ParenExpr { expr })
            | Expr::Subquery(SubqueryExpr { expr, .. }) => selectors(expr, found),
            Expr::Binary(BinaryExpr { lhs, rhs, .. }) => {
                selectors(lhs, found);
                selectors(rhs, found);
            }
            Expr::Call(call) => call.args.args.iter().for_each(|arg| selectors(arg, found)),
            Expr::VectorSelector(selector) => found.push(selector),
            Expr::MatrixSelector(selector) => found.push(&selector.vs),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
        }
    }

    #[rstest]
    #[case::plain("carts_open", 1)]
    #[case::own_matchers("carts_open{z=\"1\",a!=\"2\"}", 1)]
    #[case::nested("sum(rate(jobs_total{queue=~\"a|b\"}[5m])) / clamp_min(sum(workers), 1)", 2)]
    #[case::aggregation_parameter("topk(scalar(secret), carts_open)", 2)]
    #[case::quantile_parameter("sum(quantile(scalar(secret) / 100, carts_open))", 2)]
    #[case::subquery("max_over_time((sum(rate(jobs_total[5m])))[1h:5m] @ end() offset 1h)", 1)]
    #[case::offset("carts_open offset 5m", 1)]
    #[case::at("carts_open @ 1609746000", 1)]
    #[case::or("carts_open or secret or vector(0)", 2)]
    #[case::unless("carts_open and ignoring (pod) secret unless other", 3)]
    #[case::group_left("carts_open * on (pod) group_left (node) kube_pod_info", 2)]
    #[case::label_replace("label_replace(carts_open, \"namespace\", \"other\", \"pod\", \"(.*)\")", 1)]
    #[case::name_matcher("{__name__=~\".+\"}", 1)]
    #[case::name_that_is_promql("{\"carts_open or secret\"}", 1)]
    #[case::value_that_is_promql("carts_open{a=\"\\\"} or secret{b=\\\"\"}", 1)]
    #[case::raw_string("carts_open{a=`\"} or secret{b=\"`}", 1)]
    #[case::quoted_label("carts_open{\"namespace\"=\"shop\"}", 1)]
    #[case::comment("carts_open # {namespace=\"shop\"}\n + secret", 2)]
    #[case::same_namespace("carts_open{namespace=\"shop\"}", 1)]
    #[case::wider_namespace("carts_open{namespace=~\".*\"}", 1)]
    #[case::absent("absent(carts_open)", 1)]
    #[case::unary("-(carts_open)", 1)]
    #[case::bool("carts_open > bool 1", 1)]
    #[case::no_selector("vector(time())", 0)]
    #[case::raw_string_with_a_backslash("carts_open{a=~`b-\\w+`,c=`\"} or secret{d=\"`}", 1)]
    #[case::class_of_go("carts_open{a=~\"[\\\\w-.]|[[]x|\\\\Qb.c\\\\E\"}", 1)]
    #[case::no_offset("carts_open offset 0s > 1_000", 1)]
    fn every_selector_of_a_query_is_confined(#[case] query: &str, #[case] expected: usize) {
        let cluster = read_matchers("cluster=\"a\"").unwrap();
        let confined = confine(query, "shop", &cluster).unwrap();
        let tree = parse(&confined).unwrap();
        let mut found = Vec::new();
        selectors(&tree, &mut found);
        assert_eq!(found.len(), expected, "{confined}");
        for selector in found {
            for (name, value) in [("namespace", "shop"), ("cluster", "a")] {
                let exact =
                    |one: &&Matcher| one.name == name && one.op == MatchOp::Equal && one.value == value;
                assert_eq!(selector.matchers.matchers.iter().filter(exact).count(), 1, "{confined}");
            }
        }
    }

    #[rstest]
    #[case(
        "carts_open{namespace=\"other\"}",
        "the selector carts_open{namespace=\"other\"} is outside namespace=\"shop\", which the operator adds to every selector"
    )]
    #[case(
        "carts_open + secret{namespace!=\"shop\"}",
        "the selector secret{namespace!=\"shop\"} is outside namespace=\"shop\", which the operator adds to every selector"
    )]
    #[case(
        "secret{namespace=~\"kube-.*\"}[5m:]",
        "the query returns a range of samples, make it return one series or a scalar"
    )]
    #[case(
        "rate(secret{namespace=~\"kube-.*\"}[5m])",
        "the selector secret{namespace=~\"kube-.*\"} is outside namespace=\"shop\", which the operator adds to every selector"
    )]
    #[case(
        "secret{namespace=\"\"}",
        "the selector secret{namespace=\"\"} is outside namespace=\"shop\", which the operator adds to every selector"
    )]
    #[case(
        "info(carts_open)",
        "the function info is not allowed, because it reads series that no selector names"
    )]
    #[case(
        "carts_open{a=\"1\" or b=\"2\"}",
        "the operator cannot confine or between matchers to the namespace, write the query without it"
    )]
    #[case(
        "max_over_time(secret[1y:1ms])",
        "a subquery is evaluated at 31536000001 instants, at most 11000 are allowed: shorten its range or write a larger resolution, such as [1h:1m] (without one, 1s is assumed)"
    )]
    #[case("carts_open[5m]", "the query returns a range of samples, make it return one series or a scalar")]
    #[case("\"carts\"", "the query returns a string, make it return one series or a scalar")]
    #[case("sum(carts_open", "the operator cannot read the query as PromQL: unclosed left parenthesis")]
    #[case(
        "carts_open} or secret{a=\"\"",
        "the operator cannot read the query as PromQL: unexpected right brace '}'"
    )]
    #[case("", "the operator cannot read the query as PromQL: no expression found in input")]
    #[case(
        "sum by () (carts_open)",
        "the query would be sent as sum(carts_open{namespace=\"shop\"}), which means something else; write it without empty `by ()` and `@ -5`"
    )]
    #[case(
        "carts_open @ -5",
        "the query would be sent as carts_open{namespace=\"shop\"} @ 0.000, which means something else; write it without empty `by ()` and `@ -5`"
    )]
    #[case(
        "carts_open{a=~'\\\\w{180}'}",
        "the regular expression \\w{180} is too large among those of the query: use fewer, repeat less, and write [a-z] for \\w"
    )]
    fn what_cannot_be_confined_is_refused_in_words(#[case] query: &str, #[case] sentence: &str) {
        assert_eq!(
            confine(query, "shop", &[]).map_err(|refusal| refusal.to_string()),
            Err(sentence.to_owned())
        );
    }

    #[rstest]
    fn a_duration_that_no_parser_can_hold_is_refused_in_words(
        #[values(
            "carts_open offset Inf",
            "carts_open offset NaN",
            "rate(carts_open[1e20])",
            "carts_open[99999999999999999999]"
        )]
        query: &str,
    ) {
        let sentence = "the operator cannot read the query as PromQL: it cannot be read, make each duration a finite one such as 5m";
        assert_eq!(confine(query, "shop", &[]).unwrap_err().to_string(), sentence);
    }

    #[test]
    fn matchers_of_the_operator_count_at_every_selector() {
        let words = read_matchers("cluster=~\"\\\\w{12}\"").unwrap();
        assert!(confine("a + b", "shop", &words).is_ok());
        let many = vec!["a"; 20].join("+");
        assert_eq!(confine(&many, "shop", &words), Err(Refusal::Pattern("\\w{12}".to_owned())));
    }

    #[test]
    fn queries_that_differ_in_spelling_only_are_the_same() {
        let one = confine("sum( carts_open{a='1'} )", "shop", &[]);
        assert_eq!(one, confine("sum(carts_open{namespace=\"shop\", a=\"1\"})", "shop", &[]));
        assert_eq!(one, Ok("sum(carts_open{a=\"1\",namespace=\"shop\"})".to_owned()));
    }

    #[test]
    fn matchers_of_the_operator_are_read_or_refused_in_words() {
        assert_eq!(read_matchers(" ").unwrap(), []);
        assert_eq!(read_matchers("cluster=\"a\", env!=\"dev\"").unwrap().len(), 2);
        for text in ["env!=\"dev\"", "cluster=~\".*\"", "cluster=\"a\","] {
            assert_eq!(read_matchers(text).unwrap().len(), 1, "{text}");
        }
        for text in [
            "cluster",
            "cluster=\"a\"} or x{a=\"\"",
            "cluster=\"a\" or b=\"c\"",
            "cluster=\"a\"} @ 5 #",
            "__name__=\"up\"",
            "__name__!=\"up\"",
            "\"up\"",
        ] {
            let sentence = format!(
                "{text} is no list of matchers: write for example cluster=\"a\",env!=\"dev\", and none of __name__"
            );
            assert_eq!(read_matchers(text).map_err(|refusal| refusal.to_string()), Err(sentence));
        }
    }
}
