//! The circuit breakers of each pod. Pure.
//!
//! Each way of exporting them is a signal of its own, so that a library that no app uses is not queried. A tenant chooses
//! the labels of its series. So labels are renamed only after an aggregation by the ones that are needed: two series with
//! the same labels would fail the query of all apps.

pub mod adapters;

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use promql_parser::util::display_duration;
use scalableapp_crds::CircuitSource;
use scalableapp_engine::evidence::circuit::{CircuitReading, PodCircuit};

use self::adapters::{Adapter, Fact, FactSeries, LATCHED_AFTER, Value};
use super::family::{Family, Measurements, Sampling, renew};
use super::scraped::{ByComponent, Measured};
use super::selection::{POD, Selection, once};
use super::template::{Misread, Template, TemplateAnswers};
use crate::observe::prometheus::answer::{Labels, Named, Outcome, taken};
use crate::observe::prometheus::parts::Part;
use crate::resolve::app;

/// The breakers of the pods of a component, by the name of the dependency.
pub type Circuits = BTreeMap<String, CircuitReading>;

macro_rules! families {
    ($($source:ident: $row:ident, $facts:literal, $age:literal;)*) => {
        /// The family of a source.
        #[must_use]
        pub const fn family(source: CircuitSource) -> Family {
            match source {
                $(CircuitSource::$source => {
                    const FACTS: Template = Template { name: $facts, query: |selection, part| facts(&adapters::$row, selection, part) };
                    const AGE: Template = Template { name: $age, query: |selection, part| age(&adapters::$row, selection, part) };
                    Family {
                        templates: &[FACTS, AGE],
                        read: |evidence, sampling, answers| read(&adapters::$row, [FACTS, AGE], evidence, sampling, answers),
                        forget: |evidence| drop(evidence.circuits.remove(&CircuitSource::$source)),
                    }
                })*
            }
        }
    };
}

families! {
    App: APP, "circuits_app", "circuits_app_age";
    Resilience4j: RESILIENCE4J, "circuits_resilience4j", "circuits_resilience4j_age";
    Opossum: OPOSSUM, "circuits_opossum", "circuits_opossum_age";
    Hystrix: HYSTRIX, "circuits_hystrix", "circuits_hystrix_age";
    Polly: POLLY, "circuits_polly", "circuits_polly_age";
    Sentinel: SENTINEL, "circuits_sentinel", "circuits_sentinel_age";
    Dapr: DAPR, "circuits_dapr", "circuits_dapr_age";
    Linkerd: LINKERD, "circuits_linkerd", "circuits_linkerd_age";
    Envoy: ENVOY, "circuits_envoy", "circuits_envoy_age";
}

/// Label of the name of a fact, and of that of a breaker.
const FACT: &str = "state";
const BREAKER: &str = "name";

/// The facts that are not 0, by pod and breaker.
pub(crate) fn facts(adapter: &Adapter, selection: &Selection, part: &Part<'_>) -> String {
    let each = adapter.series.iter().map(|series| {
        format!("{} != 0", fact(series, &selector(adapter, series, selection, part), selection))
    });
    each.collect::<Vec<_>>().join(" or ")
}

/// Age in seconds of the oldest fresh sample of a breaker, by pod.
fn age(adapter: &Adapter, selection: &Selection, part: &Part<'_>) -> String {
    let each = adapter.series.iter().take(adapter.reporting).map(|series| {
        let fresh = selection.fresh(&selector(adapter, series, selection, part));
        let labels = series.breaker.join(", ");
        breaker(series, format!("time() - min by ({POD}, {labels}) ({fresh})"))
    });
    each.collect::<Vec<_>>().join(" or ")
}

fn selector(adapter: &Adapter, series: &FactSeries, selection: &Selection, part: &Part<'_>) -> String {
    let selector = selection.of_apps(series.name, part);
    if adapter.has_namespace { selector.replacen("exported_namespace=\"\",", "", 1) } else { selector }
}

fn fact(series: &FactSeries, selector: &str, selection: &Selection) -> String {
    let window = display_duration(&selection.request_window);
    let now = format!("({selector} and {})", selection.fresh(selector));
    let of_fact = match series.fact {
        Fact::Named(_) => String::new(),
        Fact::Label(label) | Fact::Prefixed(_, label) => format!(", {label}"),
        Fact::Pair(from, to) => format!(", {from}, {to}"),
    };
    let labels = format!("{POD}, {}{of_fact}", series.breaker.join(", "));
    let value = match series.value {
        Value::Gauge => format!("max by ({labels}) ({now})"),
        Value::Highest => format!("max by ({labels}) (max_over_time({selector}[{window}]))"),
        Value::Lowest => format!("max by ({labels}) (min_over_time({selector}[{window}]))"),
        Value::Latched => format!("max by ({labels}) (min_over_time({selector}[{LATCHED_AFTER}]))"),
        Value::Count => format!("sum by ({labels}) ({})", once(&now)),
        Value::Increase => {
            let before = format!("({selector} offset {window} or 0 * {selector})");
            format!("sum by ({labels}) ({})", once(&format!("({now} - {before} >= 0 or {now})")))
        }
    };
    let named = breaker(series, value);
    match series.fact {
        Fact::Named(name) => format!("label_replace({named}, \"{FACT}\", \"{name}\", \"\", \"\")"),
        Fact::Label(FACT) => named,
        Fact::Label(label) => format!("label_replace({named}, \"{FACT}\", \"$1\", \"{label}\", \"(.*)\")"),
        Fact::Prefixed(start, label) => {
            format!("label_replace({named}, \"{FACT}\", \"{start}$1\", \"{label}\", \"(.*)\")")
        }
        Fact::Pair(from, to) => format!("label_join({named}, \"{FACT}\", \">\", \"{from}\", \"{to}\")"),
    }
}

/// The series with the name of the breaker as one label.
fn breaker(series: &FactSeries, value: String) -> String {
    let labels = series.breaker.iter().rev().filter(|label| **label != BREAKER);
    labels.fold(value, |value, label| {
        format!("label_replace({value}, \"{BREAKER}\", \"$1\", \"{label}\", \"(.+)\")")
    })
}

fn read(
    adapter: &Adapter,
    [facts, age]: [Template; 2],
    evidence: &mut Measurements,
    sampling: &Sampling<'_>,
    answers: &mut TemplateAnswers<'_>,
) -> Result<(), Misread> {
    let (facts, ages) = (answers.take(facts)?, answers.take(age)?);
    let measured = circuits(adapter, facts, ages, sampling);
    let all: &mut Arc<ByComponent<Circuits>> = evidence.circuits.entry(adapter.source).or_default();
    renew(all, sampling.part, measured);
    Ok(())
}

/// A breaker of a pod.
type PodBreaker<'a> = (Named<'a>, &'a str, &'a str);

fn of<'a>(labels: &'a Labels<'_>) -> Option<PodBreaker<'a>> {
    Some((labels.component()?, labels.pod.as_deref()?, labels.name.as_deref()?))
}

/// The breakers of the needed components. One with an age and without facts has whatever state that means.
fn circuits(
    adapter: &Adapter,
    facts: &Outcome<'_>,
    ages: &Outcome<'_>,
    sampling: &Sampling<'_>,
) -> ByComponent<Circuits> {
    let mut known: HashMap<PodBreaker<'_>, adapters::Facts<'_>> = HashMap::new();
    for (labels, value) in facts.data.series() {
        let (Some(breaker), Some(fact)) = (of(labels), labels.state.as_deref()) else { continue };
        let highest = known.entry(breaker).or_default().entry(fact).or_insert(value);
        *highest = highest.max(value);
    }
    let is_partial = facts.is_partial || ages.is_partial;
    let mut measured: ByComponent<Circuits> = HashMap::new();
    for (labels, age) in ages.data.series() {
        let Some(breaker) = of(labels) else { continue };
        let (component, pod, name) = breaker;
        let Some((key, _)) = sampling.wanted.components().get_key_value(&component) else { continue };
        let Some(breakers) = sampling.wanted.breakers().get(key) else { continue };
        let Some(state) = (adapter.judge)(known.get(&breaker).unwrap_or(&BTreeMap::new())) else { continue };
        let circuit = PodCircuit { state, at: taken(sampling.now, age) };
        let is_this = |asked: &app::Breaker| match asked {
            app::Breaker::Exported { source, name: asked } => *source == adapter.source && asked == name,
            app::Breaker::Query(_) => false,
        };
        for (dependency, _) in breakers.iter().filter(|(_, asked)| is_this(asked)) {
            let of = measured.entry(key.clone()).or_insert_with(|| Measured {
                value: Circuits::new(),
                at: None,
                scraped: None,
                is_partial,
            });
            of.value.entry(dependency.clone()).or_default().pods.insert(pod.to_owned(), circuit);
        }
    }
    measured
}

#[cfg(test)]
mod tests;
