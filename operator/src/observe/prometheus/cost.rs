//! The cost of a custom query for the server. Pure.
//!
//! Prometheus allocates memory for each instant of a subquery before it counts the first sample, for a label of any
//! length that a function creates, and for any repetition in a regular expression. It limits none of them, and each can
//! crash the server for everybody.

use std::time::Duration;

use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, Offset, ParenExpr, SubqueryExpr, UnaryExpr, VectorSelector,
};
use promql_parser::util::display_duration;

use super::patterns::first_too_large;

/// Most instants of a subquery: as many as Prometheus allows for a range query.
const INSTANTS: u128 = 11_000;
/// Assumed resolution of a subquery without one: the server's evaluation interval is not known here, and none is
/// shorter.
const RESOLUTION: Duration = Duration::from_secs(1);
/// Longest time from the instant of a query into the past, all ranges around a selector together.
const RANGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Longest offset.
const OFFSET: Duration = Duration::from_secs(366 * 24 * 3600);
/// Most selectors of a query.
const SELECTORS: usize = 20;
/// The largest factor by which `label_join` and `label_replace` may lengthen a label.
const GROWTH: usize = 64;

/// Why a query costs too much.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooCostly {
    /// A subquery is evaluated at too many instants.
    #[error(
        "a subquery is evaluated at {0} instants, at most {INSTANTS} are allowed: shorten its range or write a larger resolution, such as [1h:1m] (without one, 1s is assumed)"
    )]
    Instants(u128),
    /// The ranges are too long.
    #[error("the query's ranges are {} together, at most {} are allowed: shorten them", display_duration(.0), display_duration(&RANGE))]
    Range(Duration),
    /// An offset is too large.
    #[error("an offset is {}, at most {} are allowed: make it smaller", display_duration(.0), display_duration(&OFFSET))]
    Offset(Duration),
    /// Too many selectors.
    #[error(
        "the query has {0} selectors, at most {SELECTORS} are allowed: join some as in {{__name__=~\"a|b\"}}, or let a recording rule compute a part"
    )]
    Selectors(usize),
    /// Labels could grow without bounds.
    #[error(
        "the query can make a label more than {GROWTH} times as long: nest fewer label_join and label_replace"
    )]
    Labels,
    /// A regular expression of `label_replace` takes too much memory.
    #[error("the regular expression {0} of label_replace is too large: use fewer, and repeat less")]
    Pattern(String),
}

/// The position of an expression in a query.
#[derive(Clone, Copy)]
struct Place {
    /// Time over which it is evaluated.
    time: Duration,
    /// Ranges around it.
    range: Duration,
    /// Instants of its evaluation for each one of the query.
    instants: u128,
    /// The factor by which a label of its can grow.
    growth: usize,
}

/// The totals of a query.
#[derive(Default)]
struct Count {
    selectors: usize,
    patterns: Vec<String>,
}

/// Refuses a query that costs too much when it is evaluated over `time`, which is zero for a single instant.
///
/// # Errors
/// When it costs too much.
pub fn check(query: &Expr, time: Duration) -> Result<(), TooCostly> {
    let mut count = Count::default();
    count.visit(query, Place { time, range: Duration::ZERO, instants: 1, growth: 1 })?;
    if count.selectors > SELECTORS {
        return Err(TooCostly::Selectors(count.selectors));
    }
    first_too_large(count.patterns).map_or(Ok(()), |pattern| Err(TooCostly::Pattern(pattern)))
}

impl Count {
    fn visit(&mut self, expr: &Expr, place: Place) -> Result<(), TooCostly> {
        match expr {
            Expr::Aggregate(AggregateExpr { expr, param, .. }) => {
                param.as_deref().map_or(Ok(()), |param| self.visit(param, place))?;
                self.visit(expr, place)
            }
            Expr::Unary(UnaryExpr { expr }) | Expr::Paren(ParenExpr { expr }) => self.visit(expr, place),
            Expr::Binary(BinaryExpr { lhs, rhs, .. }) => {
                self.visit(lhs, place)?;
                self.visit(rhs, place)
            }
            Expr::Call(call) => {
                let place = self.called(call, place)?;
                call.args.args.iter().try_for_each(|arg| self.visit(arg, place))
            }
            Expr::Subquery(subquery) => self.visit(&subquery.expr, place.inside(subquery)?),
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(selector) => {
                place.reads(selector.range)?;
                self.selector(&selector.vs)
            }
            // An extension is refused when the query is confined.
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Ok(()),
        }
    }

    fn selector(&mut self, selector: &VectorSelector) -> Result<(), TooCostly> {
        self.selectors += 1;
        offset(selector.offset.as_ref())
    }

    /// The position of a function's arguments.
    fn called(&mut self, call: &Call, place: Place) -> Result<Place, TooCostly> {
        let args = &call.args.args;
        let text = |index: usize| args.get(index).map_or("", |arg| literal(arg));
        let times = match call.func.name {
            // The vector, the new label and the separator come before the labels that are joined.
            "label_join" => args.len().saturating_sub(3),
            "label_replace" => {
                self.patterns.push(text(4).to_owned());
                text(2).matches('$').count()
            }
            _ => 1,
        };
        let growth = place.growth.saturating_mul(times.max(1));
        if growth > GROWTH { Err(TooCostly::Labels) } else { Ok(Place { growth, ..place }) }
    }
}

impl Place {
    /// Inside a subquery. Prometheus evaluates it over its own range and the time of the expressions around it, and
    /// each of those reads all of its instants.
    fn inside(self, subquery: &SubqueryExpr) -> Result<Self, TooCostly> {
        offset(subquery.offset.as_ref())?;
        let step = subquery.step.unwrap_or(RESOLUTION).as_millis().max(1);
        let time = self.time.saturating_add(subquery.range);
        let instants = self.instants.saturating_mul(subquery.range.as_millis() / step + 1);
        let most = instants.max(time.as_millis() / step + 1);
        if most > INSTANTS {
            return Err(TooCostly::Instants(most));
        }
        let range = self.reads(subquery.range)?;
        Ok(Self { time, range, instants, growth: self.growth })
    }

    /// The ranges around an expression that is read over another one.
    fn reads(self, range: Duration) -> Result<Duration, TooCostly> {
        let range = self.range.saturating_add(range);
        if range > RANGE { Err(TooCostly::Range(range)) } else { Ok(range) }
    }
}

/// The text of a string literal, in parentheses or not.
fn literal(expr: &Expr) -> &str {
    match expr {
        Expr::StringLiteral(text) => &text.val,
        Expr::Paren(paren) => literal(&paren.expr),
        _ => "",
    }
}

fn offset(offset: Option<&Offset>) -> Result<(), TooCostly> {
    match offset {
        Some(Offset::Pos(by) | Offset::Neg(by)) if *by > OFFSET => Err(TooCostly::Offset(*by)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use promql_parser::parser::parse;
    use rstest::rstest;

    fn checked(query: &str, hours: u64) -> Result<(), String> {
        let expr = parse(query).unwrap();
        check(&expr, Duration::from_secs(hours * 3600)).map_err(|costly| costly.to_string())
    }

    #[rstest]
    #[case::rate("sum(rate(a[5m]))")]
    #[case::week("avg_over_time(a[1w])")]
    #[case::week_before("a offset 1w / a offset 4w")]
    #[case::year_before("a offset 1y")]
    #[case::subquery("max_over_time(sum(rate(a[5m]))[1d:1m])")]
    #[case::subquery_without_resolution("max_over_time(sum(rate(a[5m]))[3h:])")]
    #[case::nested("max_over_time(avg_over_time(a[5m:10s])[1h:1m])")]
    #[case::labels(
        "label_join(label_replace(a, \"b\", \"$1-$2\", \"c\", \"(.*)/(.*)\"), \"d\", \"-\", \"b\", \"c\")"
    )]
    fn what_queries_need_is_accepted(#[case] query: &str) {
        assert_eq!(checked(query, 0), Ok(()));
    }

    const INSTANT: &str = "instants, at most 11000 are allowed: shorten its range or write a larger resolution, such as [1h:1m] (without one, 1s is assumed)";

    #[rstest]
    #[case::year("max_over_time(vector(1)[1y:1ms])", "31536000001")]
    #[case::half_a_day("max_over_time(vector(1)[12h:1ms])", "43200001")]
    #[case::without_resolution("max_over_time(vector(1)[1d:])", "86401")]
    #[case::nested("max_over_time(max_over_time(vector(1)[1h:1s])[1h:1s])", "12967201")]
    #[case::inner_over_the_time_of_the_outer(
        "max_over_time(max_over_time(vector(1)[1s:1ms])[6d:6d])",
        "518401001"
    )]
    #[case::behind_a_function("sum(a) / clamp_min(max_over_time(vector(1)[1y:1ms]), 1)", "31536000001")]
    #[case::of_a_parameter("topk(scalar(max_over_time(vector(1)[1y:1ms])), a)", "31536000001")]
    fn instants_of_subqueries_are_bounded(#[case] query: &str, #[case] instants: &str) {
        assert_eq!(checked(query, 0), Err(format!("a subquery is evaluated at {instants} {INSTANT}")));
    }

    #[test]
    fn the_time_of_a_range_query_counts_as_that_of_a_subquery_around_it() {
        let query = "max_over_time(a[5m:10s])";
        assert_eq!(checked(query, 24), Ok(()));
        assert_eq!(checked(query, 240), Err(format!("a subquery is evaluated at 86431 {INSTANT}")));
    }

    #[rstest]
    #[case::range(
        "avg_over_time(a[8d])",
        "the query's ranges are 8d together, at most 1w are allowed: shorten them"
    )]
    #[case::ranges(
        "max_over_time(rate(a[4d])[4d:1h])",
        "the query's ranges are 8d together, at most 1w are allowed: shorten them"
    )]
    #[case::offset("a offset 2y", "an offset is 2y, at most 366d are allowed: make it smaller")]
    #[case::offset_ahead("a offset -2y", "an offset is 2y, at most 366d are allowed: make it smaller")]
    #[case::offset_of_a_subquery(
        "sum_over_time(a[5m:1m] offset 2y)",
        "an offset is 2y, at most 366d are allowed: make it smaller"
    )]
    #[case::label_that_doubles(
        "label_join(label_join(label_join(label_join(label_join(label_join(label_join(a,\"b\",\"x\",\"b\",\"b\"),\"b\",\"x\",\"b\",\"b\"),\"b\",\"x\",\"b\",\"b\"),\"b\",\"x\",\"b\",\"b\"),\"b\",\"x\",\"b\",\"b\"),\"b\",\"x\",\"b\",\"b\"),\"b\",\"x\",\"b\",\"b\")",
        "the query can make a label more than 64 times as long: nest fewer label_join and label_replace"
    )]
    #[case::label_of_repetitions(
        "label_replace(label_replace(a,\"b\",\"$1$1$1$1$1$1$1$1$1\",\"b\",\"(.*)\"),\"b\",\"$1$1$1$1$1$1$1$1\",\"b\",\"(.*)\")",
        "the query can make a label more than 64 times as long: nest fewer label_join and label_replace"
    )]
    #[case::pattern(
        "label_replace(a,\"b\",\"$1\",\"b\",\"((a{100}){100}){100}\")",
        "the regular expression ((a{100}){100}){100} of label_replace is too large: use fewer, and repeat less"
    )]
    #[case::label_of_repetitions_in_parentheses(
        "label_replace(label_replace(a,\"b\",(\"$1$1$1$1$1$1$1$1$1\"),\"b\",\"(.*)\"),\"b\",((\"$1$1$1$1$1$1$1$1\")),\"b\",\"(.*)\")",
        "the query can make a label more than 64 times as long: nest fewer label_join and label_replace"
    )]
    #[case::pattern_in_parentheses(
        "label_replace(a,\"b\",\"$1\",\"b\",(\"((a{100}){100}){100}\"))",
        "the regular expression ((a{100}){100}){100} of label_replace is too large: use fewer, and repeat less"
    )]
    fn ranges_offsets_and_labels_are_bounded(#[case] query: &str, #[case] sentence: &str) {
        assert_eq!(checked(query, 0), Err(sentence.to_owned()));
    }

    #[test]
    fn selectors_are_bounded() {
        assert_eq!(checked(&vec!["a"; 20].join("+"), 0), Ok(()));
        let sentence = "the query has 21 selectors, at most 20 are allowed: join some as in {__name__=~\"a|b\"}, or let a recording rule compute a part";
        assert_eq!(checked(&vec!["a"; 21].join("+"), 0), Err(sentence.to_owned()));
    }
}
