//! How apps and libraries export their circuit breakers: one row each. Pure.
//!
//! A row reads *facts* of a breaker, numbers with a name, from one or several series. A fact of 0 is not read, so it is the
//! same as a missing one. The first series tell which breakers are reported at all, and how old that is.

use std::collections::BTreeMap;

use scalableapp_crds::CircuitSource;
use scalableapp_engine::evidence::circuit::CircuitState;

/// One way of exporting circuit breakers.
#[derive(Debug)]
pub struct Adapter {
    /// Its name in the API.
    pub source: CircuitSource,
    /// The series with the facts.
    pub series: &'static [FactSeries],
    /// How many of them, from the first on, tell that a breaker is reported. Only one of these is usually exported.
    pub reporting: usize,
    /// Whether its series have a label `namespace` of their own, which Prometheus renames to `exported_namespace`.
    pub has_namespace: bool,
    /// The state that the facts say; `None` where they say nothing of the present.
    pub judge: fn(&Facts<'_>) -> Option<CircuitState>,
}

/// A series with facts of breakers.
#[derive(Debug)]
pub struct FactSeries {
    /// Its name.
    pub name: &'static str,
    /// The labels with the name of the breaker: the first one that is set.
    pub breaker: &'static [&'static str],
    /// The name of the fact.
    pub fact: Fact,
    /// Its value.
    pub value: Value,
}

/// The name of a fact.
#[derive(Clone, Copy, Debug)]
pub enum Fact {
    /// The same for the whole series.
    Named(&'static str),
    /// The value of a label.
    Label(&'static str),
    /// The value of a label after this start, because another series has the same ones.
    Prefixed(&'static str, &'static str),
    /// The values of two labels, with `>` between.
    Pair(&'static str, &'static str),
}

/// The value of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A gauge; the highest of several.
    Gauge,
    /// The highest value of a gauge in the averaging window.
    Highest,
    /// The lowest value of a gauge in the averaging window.
    Lowest,
    /// The lowest value of a gauge in [`LATCHED_AFTER`]: not 0 if it never was.
    Latched,
    /// A counter since the start of the pod; the sum of several.
    Count,
    /// The increase of a counter in the averaging window; the sum of several. A series that is new counts from 0.
    Increase,
}

/// The facts of a breaker that are not 0, by name.
pub type Facts<'a> = BTreeMap<&'a str, f64>;

/// Time after which a half-open state without any other in between is not believed.
pub const LATCHED_AFTER: &str = "10m";

/// All rows.
pub const ADAPTERS: [&Adapter; 9] =
    [&APP, &RESILIENCE4J, &OPOSSUM, &HYSTRIX, &POLLY, &SENTINEL, &DAPR, &LINKERD, &ENVOY];

/// The contract of this project.
pub const APP: Adapter = Adapter {
    source: CircuitSource::App,
    series: &[FactSeries {
        name: "circuit_breaker_state",
        breaker: &["name"],
        fact: Fact::Label("state"),
        value: Value::Gauge,
    }],
    reporting: 1,
    has_namespace: false,
    judge: |facts| {
        one_of(
            facts,
            &[
                ("closed", CircuitState::Closed),
                ("half_open", CircuitState::HalfOpen),
                ("open", CircuitState::Open),
            ],
        )
    },
};

/// resilience4j, by Micrometer. An opening between two scrapes is seen by the refused calls.
pub const RESILIENCE4J: Adapter = Adapter {
    source: CircuitSource::Resilience4j,
    series: &[
        FactSeries {
            name: "resilience4j_circuitbreaker_state",
            breaker: &["name"],
            fact: Fact::Label("state"),
            value: Value::Gauge,
        },
        FactSeries {
            name: "resilience4j_circuitbreaker_not_permitted_calls_total",
            breaker: &["name"],
            fact: Fact::Named("refused"),
            value: Value::Increase,
        },
    ],
    reporting: 1,
    has_namespace: false,
    judge: |facts| {
        let mut states = facts.clone();
        let is_refusing = states.remove("refused").is_some();
        let state = one_of(
            &states,
            &[
                ("closed", CircuitState::Closed),
                // These two let every call through.
                ("disabled", CircuitState::Closed),
                ("metrics_only", CircuitState::Closed),
                ("half_open", CircuitState::HalfOpen),
                ("open", CircuitState::Open),
                ("forced_open", CircuitState::Open),
            ],
        );
        if is_refusing && state == Some(CircuitState::Closed) { Some(CircuitState::Open) } else { state }
    },
};

/// opossum, by opossum-prometheus. It exports no state and no half-open, and counts an opening after each failed probe, so
/// what happens to calls tells the state.
pub const OPOSSUM: Adapter = Adapter {
    source: CircuitSource::Opossum,
    series: &[
        FactSeries { name: "circuit", breaker: &["name"], fact: Fact::Label("event"), value: Value::Count },
        FactSeries {
            name: "circuit",
            breaker: &["name"],
            fact: Fact::Prefixed("recent ", "event"),
            value: Value::Increase,
        },
    ],
    reporting: 1,
    has_namespace: false,
    judge: |facts| {
        let is_recent = |event: &str| facts.contains_key(event);
        let (opened, closed) = (count(facts, "open"), count(facts, "close"));
        if opened < closed {
            Some(CircuitState::Implausible)
        } else if opened == 0.0 {
            Some(CircuitState::Closed)
        } else if is_recent("recent reject") {
            Some(CircuitState::Open)
        } else if is_recent("recent success") {
            Some(CircuitState::Closed)
        } else if is_recent("recent fire") {
            Some(CircuitState::HalfOpen)
        } else if closed == 0.0 {
            Some(CircuitState::Open)
        } else if opened == closed {
            Some(CircuitState::Closed)
        } else {
            None
        }
    },
};

/// Hystrix, by Micrometer or by the Prometheus bridge of the same name. Half-open reads as open.
pub const HYSTRIX: Adapter = Adapter {
    source: CircuitSource::Hystrix,
    series: &[
        FactSeries {
            name: "hystrix_circuit_breaker_open",
            breaker: &["key"],
            fact: Fact::Named("open"),
            value: Value::Gauge,
        },
        FactSeries {
            name: "hystrix_command_is_circuit_breaker_open",
            breaker: &["command_name"],
            fact: Fact::Named("open"),
            value: Value::Gauge,
        },
    ],
    reporting: 2,
    has_namespace: false,
    judge: |facts| one_of_or(facts, &[("open", CircuitState::Open)], CircuitState::Closed),
};

/// Polly 8, by its meter. It counts events: each probing follows an opening, so an opening without one is open now.
pub const POLLY: Adapter = Adapter {
    source: CircuitSource::Polly,
    series: &[
        FactSeries {
            name: "resilience_polly_strategy_events_total",
            breaker: &["pipeline_name"],
            fact: Fact::Label("event_name"),
            value: Value::Count,
        },
        FactSeries {
            name: "resilience_polly_strategy_events_total",
            breaker: &["pipeline_name"],
            fact: Fact::Prefixed("recent ", "event_name"),
            value: Value::Increase,
        },
    ],
    reporting: 1,
    has_namespace: false,
    judge: |facts| {
        let (opened, probed) = (count(facts, "OnCircuitOpened"), count(facts, "OnCircuitHalfOpened"));
        let recent = |event| count(facts, event);
        if opened < probed {
            Some(CircuitState::Implausible)
        } else if opened > probed {
            Some(CircuitState::Open)
        } else if recent("recent OnCircuitHalfOpened") > recent("recent OnCircuitClosed")
            || (probed > 0.0 && count(facts, "OnCircuitClosed") == 0.0)
        {
            Some(CircuitState::HalfOpen)
        } else {
            Some(CircuitState::Closed)
        }
    },
};

/// sentinel-golang. It counts transitions: a state that was entered once more than it was left is the present one.
pub const SENTINEL: Adapter = Adapter {
    source: CircuitSource::Sentinel,
    series: &[FactSeries {
        name: "sentinel_go_circuit_breaker_state_changed_total",
        breaker: &["resource"],
        fact: Fact::Pair("from_state", "to_state"),
        value: Value::Count,
    }],
    reporting: 1,
    has_namespace: false,
    judge: |facts| {
        let balance = |state: &str| {
            let sign = |transition: &str| match transition.split_once('>') {
                Some((from, to)) => f64::from(u8::from(to == state)) - f64::from(u8::from(from == state)),
                None => 0.0,
            };
            facts.iter().map(|(transition, count)| sign(transition) * count).sum::<f64>()
        };
        let (half_open, open) = (balance("HalfOpen"), balance("Open"));
        if half_open < 0.0 || open < 0.0 || !(half_open + open).is_finite() {
            Some(CircuitState::Implausible)
        } else if open > 0.0 {
            Some(CircuitState::Open)
        } else if half_open > 0.0 {
            Some(CircuitState::HalfOpen)
        } else {
            Some(CircuitState::Closed)
        }
    },
};

/// The sidecar of dapr. Releases before 1.17 may show half-open for ever (dapr#10113).
pub const DAPR: Adapter = Adapter {
    source: CircuitSource::Dapr,
    series: &[
        FactSeries {
            name: "dapr_resiliency_cb_state",
            breaker: &["target"],
            fact: Fact::Label("status"),
            value: Value::Gauge,
        },
        FactSeries {
            name: "dapr_resiliency_cb_state",
            breaker: &["target"],
            fact: Fact::Prefixed("always ", "status"),
            value: Value::Latched,
        },
    ],
    reporting: 1,
    has_namespace: true,
    judge: |facts| {
        if facts.contains_key("always half-open") {
            return Some(CircuitState::Implausible);
        }
        let states = facts.iter().filter(|(fact, _)| !fact.starts_with("always "));
        let states: Facts<'_> = states.map(|(fact, value)| (*fact, *value)).collect();
        one_of(
            &states,
            &[
                ("closed", CircuitState::Closed),
                ("half-open", CircuitState::HalfOpen),
                ("open", CircuitState::Open),
            ],
        )
    },
};

/// The proxy of linkerd, whose breakers are those of single endpoints. It is open where no endpoint was ready throughout
/// the window and some were pending: a shorter time may be that of a connection. Without any endpoint there is no breaker.
pub const LINKERD: Adapter = Adapter {
    source: CircuitSource::Linkerd,
    series: &[
        FactSeries {
            name: "outbound_http_balancer_endpoints",
            breaker: &["backend_name"],
            fact: Fact::Prefixed("most ", "endpoint_state"),
            value: Value::Highest,
        },
        FactSeries {
            name: "outbound_http_balancer_endpoints",
            breaker: &["backend_name"],
            fact: Fact::Prefixed("least ", "endpoint_state"),
            value: Value::Lowest,
        },
    ],
    reporting: 1,
    has_namespace: false,
    judge: |facts| {
        if facts.values().any(|endpoints| is_impossible(*endpoints)) {
            Some(CircuitState::Implausible)
        } else if facts.contains_key("most ready") {
            Some(CircuitState::Closed)
        } else if facts.contains_key("least pending") {
            Some(CircuitState::Open)
        } else {
            None
        }
    },
};

/// Envoy, and Istio's proxies. What Envoy calls an open circuit breaker is a limit of concurrency that is full: the callee
/// may be well and too small. Only ejected endpoints are like an open breaker, where they are half of all.
pub const ENVOY: Adapter = Adapter {
    source: CircuitSource::Envoy,
    series: &[
        FactSeries {
            name: "envoy_cluster_outlier_detection_ejections_active",
            breaker: &["envoy_cluster_name", "cluster_name"],
            fact: Fact::Named("ejected"),
            value: Value::Gauge,
        },
        FactSeries {
            name: "envoy_cluster_membership_total",
            breaker: &["envoy_cluster_name", "cluster_name"],
            fact: Fact::Named("members"),
            value: Value::Gauge,
        },
        FactSeries {
            name: "envoy_cluster_circuit_breakers_default_cx_open",
            breaker: &["envoy_cluster_name", "cluster_name"],
            fact: Fact::Named("full"),
            value: Value::Gauge,
        },
        FactSeries {
            name: "envoy_cluster_circuit_breakers_default_rq_pending_open",
            breaker: &["envoy_cluster_name", "cluster_name"],
            fact: Fact::Named("full"),
            value: Value::Gauge,
        },
        FactSeries {
            name: "envoy_cluster_circuit_breakers_default_rq_open",
            breaker: &["envoy_cluster_name", "cluster_name"],
            fact: Fact::Named("full"),
            value: Value::Gauge,
        },
    ],
    reporting: 1,
    has_namespace: false,
    judge: |facts| {
        let (ejected, members) = (count(facts, "ejected"), count(facts, "members"));
        if is_impossible(ejected) || is_impossible(members) || ejected > members {
            Some(CircuitState::Implausible)
        } else if ejected > 0.0 && 2.0 * ejected >= members {
            Some(CircuitState::Open)
        } else if facts.contains_key("full") {
            Some(CircuitState::Saturated)
        } else {
            Some(CircuitState::Closed)
        }
    },
};

/// The row of a source.
#[must_use]
pub const fn adapter(source: CircuitSource) -> &'static Adapter {
    match source {
        CircuitSource::App => &APP,
        CircuitSource::Resilience4j => &RESILIENCE4J,
        CircuitSource::Opossum => &OPOSSUM,
        CircuitSource::Hystrix => &HYSTRIX,
        CircuitSource::Polly => &POLLY,
        CircuitSource::Sentinel => &SENTINEL,
        CircuitSource::Dapr => &DAPR,
        CircuitSource::Linkerd => &LINKERD,
        CircuitSource::Envoy => &ENVOY,
    }
}

/// The state whose fact is the only one, and 1. Two of them, none, or another number cannot be true: a library that never
/// resets a gauge reports open for ever.
fn one_of(facts: &Facts<'_>, states: &[(&str, CircuitState)]) -> Option<CircuitState> {
    one_of_or(facts, states, CircuitState::Implausible)
}

/// As [`one_of`], with the state where there is no fact.
fn one_of_or(facts: &Facts<'_>, states: &[(&str, CircuitState)], none: CircuitState) -> Option<CircuitState> {
    let mut facts = facts.iter();
    let state = match (facts.next(), facts.next()) {
        (None, _) => none,
        (Some((fact, value)), None) if *value == 1.0 => {
            let known = states.iter().find(|(name, _)| name == fact);
            known.map_or(CircuitState::Implausible, |(_, state)| *state)
        }
        _ => CircuitState::Implausible,
    };
    Some(state)
}

fn count(facts: &Facts<'_>, fact: &str) -> f64 {
    facts.get(fact).copied().unwrap_or(0.0)
}

/// Whether it is no number of things.
fn is_impossible(count: f64) -> bool {
    count.is_nan() || count < 0.0
}
