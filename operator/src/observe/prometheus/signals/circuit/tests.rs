//! Each row on a scrape in its library's own format. Two scrapes in a file are a window apart.

use super::adapters::{ADAPTERS, Adapter, Fact, FactSeries, Facts, Value, adapter};
use rstest::rstest;
use scalableapp_crds::CircuitSource::{
    self, App, Dapr, Envoy, Hystrix, Linkerd, Opossum, Polly, Resilience4j, Sentinel,
};
use scalableapp_engine::evidence::circuit::CircuitState::{
    self, Closed, HalfOpen, Implausible, Open, Saturated,
};
use std::collections::BTreeMap;

type TextSample = (String, BTreeMap<String, String>, f64);

/// The samples of a scrape in Prometheus' text format, without its escapes.
fn samples(scrape: &str) -> Vec<TextSample> {
    let sample = |line: &str| {
        let (name, rest) = line.split_once('{').expect("labels");
        let (labels, value) = rest.rsplit_once('}').expect("a value");
        let label = |one: &str| {
            let (label, value) = one.split_once("=\"").expect("a label");
            (label.trim().to_owned(), value.trim_end_matches('"').to_owned())
        };
        let labels = labels.split(',').filter(|one| !one.is_empty()).map(label).collect();
        (name.to_owned(), labels, value.trim().parse().expect("a number"))
    };
    scrape.lines().filter(|line| line.contains('{')).map(sample).collect()
}

/// The first and the last scrape of a file.
fn scrapes(fixture: &str) -> [Vec<TextSample>; 2] {
    let (first, last) = fixture.split_once("# a window later").unwrap_or((fixture, fixture));
    [samples(first), samples(last)]
}

fn fact_of(series: &FactSeries, labels: &BTreeMap<String, String>) -> String {
    let of = |label: &str| labels.get(label).cloned().unwrap_or_default();
    match series.fact {
        Fact::Named(name) => name.to_owned(),
        Fact::Label(label) => of(label),
        Fact::Prefixed(start, label) => format!("{start}{}", of(label)),
        Fact::Pair(from, to) => format!("{}>{}", of(from), of(to)),
    }
}

/// The values of a series by fact, as its query aggregates them.
fn values(series: &FactSeries, breaker: &str, scrape: &[TextSample]) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    for (name, labels, value) in scrape {
        let named = series.breaker.iter().find_map(|label| labels.get(*label));
        if name == series.name && named.is_some_and(|named| named == breaker) {
            let known = values.entry(fact_of(series, labels)).or_insert(0.0);
            *known = match series.value {
                Value::Count | Value::Increase => *known + *value,
                _ if value.is_nan() => *value,
                _ => f64::max(*known, *value),
            };
        }
    }
    values
}

/// The state of a breaker in a file; `None` where it is not reported, or nothing is said of the present.
fn state(adapter: &Adapter, fixture: &str, breaker: &str) -> Option<CircuitState> {
    let [first, last] = scrapes(fixture);
    let is_reported = |series: &FactSeries| !values(series, breaker, &last).is_empty();
    adapter.series[..adapter.reporting].iter().any(is_reported).then_some(())?;
    let mut facts: BTreeMap<String, f64> = BTreeMap::new();
    for series in adapter.series {
        let [before, now] = [&first, &last].map(|scrape| values(series, breaker, scrape));
        for (fact, value) in now {
            let earlier = before.get(&fact).copied().unwrap_or(0.0);
            let value = match series.value {
                Value::Gauge | Value::Count => value,
                Value::Highest => value.max(earlier),
                Value::Lowest | Value::Latched => value.min(earlier),
                Value::Increase => value - earlier,
            };
            if value != 0.0 {
                facts.insert(fact, value);
            }
        }
    }
    let facts: Facts<'_> = facts.iter().map(|(fact, value)| (fact.as_str(), *value)).collect();
    (adapter.judge)(&facts)
}

const APP_SCRAPE: &str = include_str!("fixtures/app.txt");
const RESILIENCE4J_SCRAPE: &str = include_str!("fixtures/resilience4j.txt");
const OPOSSUM_SCRAPE: &str = include_str!("fixtures/opossum.txt");
const MICROMETER_SCRAPE: &str = include_str!("fixtures/hystrix_micrometer.txt");
const BRIDGE_SCRAPE: &str = include_str!("fixtures/hystrix_bridge.txt");
const POLLY_SCRAPE: &str = include_str!("fixtures/polly.txt");
const SENTINEL_SCRAPE: &str = include_str!("fixtures/sentinel.txt");
const DAPR_SCRAPE: &str = include_str!("fixtures/dapr.txt");
const LINKERD_SCRAPE: &str = include_str!("fixtures/linkerd.txt");
const ENVOY_SCRAPE: &str = include_str!("fixtures/envoy.txt");
const ISTIO_SCRAPE: &str = include_str!("fixtures/istio.txt");

#[rstest]
#[case::open(App, APP_SCRAPE, "payments", Some(Open))]
#[case::closed(App, APP_SCRAPE, "stock", Some(Closed))]
#[case::half_open(App, APP_SCRAPE, "mail", Some(HalfOpen))]
#[case::latched(App, APP_SCRAPE, "latched", Some(Implausible))]
#[case::no_state(App, APP_SCRAPE, "stateless", Some(Implausible))]
#[case::no_gauge_of_0_or_1(App, APP_SCRAPE, "odd", Some(Implausible))]
#[case::a_foreign_word(App, APP_SCRAPE, "foreign", Some(Implausible))]
#[case::absent(App, APP_SCRAPE, "mall", None)]
#[case::open(Resilience4j, RESILIENCE4J_SCRAPE, "payments", Some(Open))]
#[case::closed(Resilience4j, RESILIENCE4J_SCRAPE, "stock", Some(Closed))]
#[case::open_between_two_scrapes(Resilience4j, RESILIENCE4J_SCRAPE, "flapping", Some(Open))]
#[case::half_open(Resilience4j, RESILIENCE4J_SCRAPE, "probing", Some(HalfOpen))]
#[case::forced(Resilience4j, RESILIENCE4J_SCRAPE, "forced", Some(Open))]
#[case::disabled(Resilience4j, RESILIENCE4J_SCRAPE, "off", Some(Closed))]
#[case::latched(Resilience4j, RESILIENCE4J_SCRAPE, "latched", Some(Implausible))]
#[case::absent(Resilience4j, RESILIENCE4J_SCRAPE, "mall", None)]
#[case::open(Opossum, OPOSSUM_SCRAPE, "payments", Some(Open))]
#[case::open_since_its_first_scrape(Opossum, OPOSSUM_SCRAPE, "new", Some(Open))]
#[case::closed_after_failed_probes(Opossum, OPOSSUM_SCRAPE, "recovered", Some(Closed))]
#[case::without_calls_after_failed_probes(Opossum, OPOSSUM_SCRAPE, "idle", None)]
#[case::probing(Opossum, OPOSSUM_SCRAPE, "probing", Some(HalfOpen))]
#[case::closed(Opossum, OPOSSUM_SCRAPE, "stock", Some(Closed))]
#[case::impossible(Opossum, OPOSSUM_SCRAPE, "impossible", Some(Implausible))]
#[case::absent(Opossum, OPOSSUM_SCRAPE, "mall", None)]
#[case::open(Hystrix, MICROMETER_SCRAPE, "payments", Some(Open))]
#[case::closed(Hystrix, MICROMETER_SCRAPE, "stock", Some(Closed))]
#[case::not_a_number(Hystrix, MICROMETER_SCRAPE, "odd", Some(Implausible))]
#[case::open_by_the_bridge(Hystrix, BRIDGE_SCRAPE, "payments", Some(Open))]
#[case::closed_by_the_bridge(Hystrix, BRIDGE_SCRAPE, "stock", Some(Closed))]
#[case::absent(Hystrix, BRIDGE_SCRAPE, "mall", None)]
#[case::open(Polly, POLLY_SCRAPE, "payments", Some(Open))]
#[case::closed(Polly, POLLY_SCRAPE, "stock", Some(Closed))]
#[case::closed_after_failed_probes(Polly, POLLY_SCRAPE, "recovered", Some(Closed))]
#[case::half_open(Polly, POLLY_SCRAPE, "probing", Some(HalfOpen))]
#[case::impossible(Polly, POLLY_SCRAPE, "impossible", Some(Implausible))]
#[case::absent(Polly, POLLY_SCRAPE, "mall", None)]
#[case::open(Sentinel, SENTINEL_SCRAPE, "payments", Some(Open))]
#[case::half_open(Sentinel, SENTINEL_SCRAPE, "probing", Some(HalfOpen))]
#[case::closed(Sentinel, SENTINEL_SCRAPE, "stock", Some(Closed))]
#[case::impossible(Sentinel, SENTINEL_SCRAPE, "impossible", Some(Implausible))]
#[case::absent(Sentinel, SENTINEL_SCRAPE, "mall", None)]
#[case::open(Dapr, DAPR_SCRAPE, "app_payments", Some(Open))]
#[case::closed(Dapr, DAPR_SCRAPE, "app_stock", Some(Closed))]
#[case::half_open(Dapr, DAPR_SCRAPE, "app_probing", Some(HalfOpen))]
#[case::latched(Dapr, DAPR_SCRAPE, "app_latched", Some(Implausible))]
#[case::unknown(Dapr, DAPR_SCRAPE, "app_unknown", Some(Implausible))]
#[case::absent(Dapr, DAPR_SCRAPE, "app_mall", None)]
#[case::tripped(Linkerd, LINKERD_SCRAPE, "payments", Some(Open))]
#[case::one_tripped_endpoint_of_several(Linkerd, LINKERD_SCRAPE, "stock", Some(Closed))]
#[case::an_endpoint_that_connects(Linkerd, LINKERD_SCRAPE, "connecting", Some(Closed))]
#[case::endpoints_that_start(Linkerd, LINKERD_SCRAPE, "starting", None)]
#[case::no_endpoint(Linkerd, LINKERD_SCRAPE, "none", None)]
#[case::absent(Linkerd, LINKERD_SCRAPE, "mall", None)]
#[case::half_of_all_ejected(Envoy, ENVOY_SCRAPE, "payments", Some(Open))]
#[case::one_of_three_ejected(Envoy, ENVOY_SCRAPE, "stock", Some(Closed))]
#[case::a_full_limit(Envoy, ENVOY_SCRAPE, "small", Some(Saturated))]
#[case::impossible(Envoy, ENVOY_SCRAPE, "impossible", Some(Implausible))]
#[case::ejections_are_not_exported(Envoy, ENVOY_SCRAPE, "unasked", None)]
#[case::of_istio(Envoy, ISTIO_SCRAPE, "outbound|80||payments.shop.svc.cluster.local", Some(Open))]
#[case::absent(Envoy, ENVOY_SCRAPE, "mall", None)]
fn a_scrape_says_a_state(
    #[case] source: CircuitSource,
    #[case] scrape: &str,
    #[case] breaker: &str,
    #[case] expected: Option<CircuitState>,
) {
    assert_eq!(state(adapter(source), scrape, breaker), expected);
}

#[test]
fn each_row_is_that_of_its_source() {
    for row in ADAPTERS {
        assert_eq!(adapter(row.source).source, row.source);
    }
}
