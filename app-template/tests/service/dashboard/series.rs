//! What a scrape has, and whether a query asks for what is there. Pure.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{AggregateExpr, Expr, LabelModifier, VectorSelector, parse};
use regex::Regex;

/// What the scraper adds to every series.
pub(super) const TARGET: [&str; 5] = ["namespace", "pod", "scalableapp", "component", "revision"];

/// The samples of one or more scrapes: for each name the values of each label.
#[derive(Default)]
pub(crate) struct Series {
    samples: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    kinds: BTreeMap<String, String>,
}

impl Series {
    /// Reads the text of `/metrics`.
    pub(crate) fn read(&mut self, exposition: &str) {
        for line in exposition.lines().filter(|line| !line.is_empty()) {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                self.kinds.insert(name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') {
                // A sample without its value is written as a selector is.
                let (sample, _) = line.rsplit_once(' ').unwrap();
                let Ok(Expr::VectorSelector(selector)) = parse(sample) else { panic!("no sample: {line}") };
                let labels = self.samples.entry(selector.name.unwrap()).or_default();
                for Matcher { name, value, .. } in selector.matchers.matchers {
                    labels.entry(name).or_default().insert(value);
                }
            }
        }
    }

    /// The names as they are declared: of a histogram without `_bucket`, `_sum` and `_count`.
    pub(crate) fn families(&self) -> BTreeSet<&str> {
        self.kinds.keys().map(String::as_str).collect()
    }

    /// The labels of a family but the bounds of its buckets.
    pub(crate) fn labels(&self, family: &str) -> BTreeSet<&str> {
        let samples = self.samples.iter().filter(|(name, _)| self.family(name) == family);
        samples
            .flat_map(|(_, labels)| labels.keys())
            .map(String::as_str)
            .filter(|label| *label != "le")
            .collect()
    }

    /// The values that a label of a family has.
    pub(crate) fn values(&self, family: &str, label: &str) -> BTreeSet<&str> {
        let samples = self.samples.iter().filter(|(name, _)| self.family(name) == family);
        samples.filter_map(|(_, labels)| labels.get(label)).flatten().map(String::as_str).collect()
    }

    /// The family of a sample.
    pub(crate) fn family<'a>(&self, sample: &'a str) -> &'a str {
        let parts = ["_bucket", "_sum", "_count"];
        let family = parts.iter().find_map(|part| sample.strip_suffix(part));
        family
            .filter(|family| self.kinds.get(*family).is_some_and(|kind| kind == "histogram"))
            .unwrap_or(sample)
    }

    /// What is wrong with a query; nothing if it asks, as it should, for what is there.
    pub(crate) fn faults(&self, query: &str, shared: &BTreeSet<String>) -> Vec<String> {
        let mut faults = Vec::new();
        match parse(query) {
            Ok(tree) => {
                Reading { series: self, shared, faults: &mut faults }.walk(&tree, Within::default());
            }
            Err(error) => faults.push(error),
        }
        faults
    }

    /// The families that a query reads.
    pub(crate) fn read_by(&self, query: &str) -> BTreeSet<String> {
        self.families()
            .into_iter()
            .filter(|family| {
                let names = self.samples.keys().filter(|name| self.family(name) == *family);
                names.into_iter().any(|name| Regex::new(&format!(r"\b{name}\b")).unwrap().is_match(query))
            })
            .map(str::to_owned)
            .collect()
    }
}

/// What surrounds an expression.
#[derive(Clone, Copy, Default)]
struct Within<'a> {
    /// The nearest function, and whether it is a rate.
    function: Option<&'a str>,
    aggregate: Option<&'a AggregateExpr>,
    in_rate: bool,
}

struct Reading<'a> {
    series: &'a Series,
    /// Families that every pod shows alike.
    shared: &'a BTreeSet<String>,
    faults: &'a mut Vec<String>,
}

impl Reading<'_> {
    fn walk(&mut self, expression: &Expr, within: Within) {
        match expression {
            Expr::Aggregate(aggregate) => {
                self.walk(&aggregate.expr, Within { aggregate: Some(aggregate), ..within });
            }
            Expr::Unary(unary) => self.walk(&unary.expr, within),
            Expr::Binary(binary) => {
                self.walk(&binary.lhs, within);
                self.walk(&binary.rhs, within);
            }
            Expr::Paren(paren) => self.walk(&paren.expr, within),
            Expr::Subquery(subquery) => self.walk(&subquery.expr, within),
            Expr::Call(call) => {
                let function = Some(call.func.name);
                let in_rate = within.in_rate || ["rate", "increase"].contains(&call.func.name);
                for argument in &call.args.args {
                    self.walk(argument, Within { function, in_rate, ..within });
                }
            }
            Expr::VectorSelector(selector) => self.selector(selector, within),
            Expr::MatrixSelector(selector) => self.selector(&selector.vs, within),
            _ => {}
        }
    }

    fn selector(&mut self, selector: &VectorSelector, within: Within) {
        let name = selector.name.as_deref().unwrap_or_default();
        let Some(labels) = self.series.samples.get(name) else {
            self.faults.push(format!("no scrape has {name:?}"));
            return;
        };
        for matcher in &selector.matchers.matchers {
            self.matcher(name, labels, matcher);
        }
        let grouped = grouping(within.aggregate);
        for label in grouped.iter().filter(|label| !labels.contains_key(**label) && !TARGET.contains(label)) {
            self.faults.push(format!("{name} has no label {label}"));
        }
        let family = self.series.family(name);
        let counts = name != family || name.ends_with("_total");
        if counts != within.in_rate {
            let (is, asked) = if counts { ("counted", "without a rate") } else { ("measured", "as a rate") };
            self.faults.push(format!("{name} is {is}, and asked for {asked}"));
        }
        if name.ends_with("_bucket") && !grouped.contains(&"le") {
            self.faults.push(format!("{name} is added up over its bounds"));
        }
        if within.function == Some("histogram_quantile") && !name.ends_with("_bucket") {
            self.faults.push(format!("{name} has no buckets"));
        }
        let is_largest = within.aggregate.is_some_and(|aggregate| aggregate.op.to_string() == "max");
        if self.shared.contains(family) && !is_largest {
            self.faults.push(format!("{name} is the same from every pod, and not reduced by max"));
        }
    }

    fn matcher(&mut self, name: &str, labels: &BTreeMap<String, BTreeSet<String>>, matcher: &Matcher) {
        if TARGET.contains(&matcher.name.as_str()) {
            return;
        }
        let Some(values) = labels.get(&matcher.name) else {
            self.faults.push(format!("{name} has no label {}", matcher.name));
            return;
        };
        let is_there = |pattern: &str| {
            let whole = Regex::new(&format!("^(?:{pattern})$")).unwrap();
            values.iter().any(|value| whole.is_match(value))
        };
        let fits = match &matcher.op {
            MatchOp::Equal => values.contains(&matcher.value),
            MatchOp::NotEqual => values.iter().any(|value| *value != matcher.value),
            MatchOp::Re(_) => matcher.value.split('|').all(is_there),
            MatchOp::NotRe(_) => true,
        };
        if !fits {
            self.faults.push(format!("nothing matches {matcher} of {name}, there is {values:?}"));
        }
    }
}

/// The labels that an aggregation keeps.
fn grouping(aggregate: Option<&AggregateExpr>) -> Vec<&str> {
    match aggregate.and_then(|aggregate| aggregate.modifier.as_ref()) {
        Some(LabelModifier::Include(labels)) => labels.labels.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}
