//! A model of a system with a fault, as an observation: services that call each other, measured in different ways.

use fastrand::Rng;
use scalableapp_engine::diagnose::observation::{Call, Observation, Span, Symptom};
use std::collections::BTreeMap;

/// A service: its name, the time that it works on a request in seconds, and its calls with their number per request.
struct Service {
    name: &'static str,
    work: f64,
    calls: &'static [(&'static str, f64)],
    /// Services that it tells something without waiting.
    tells: &'static [&'static str],
}

/// A shop of nine services. Callers stand before callees.
const SHOP: [Service; 9] = [
    Service {
        name: "web",
        work: 0.004,
        calls: &[("cart", 1.0), ("catalog", 2.0), ("checkout", 0.1)],
        tells: &["audit"],
    },
    Service {
        name: "checkout",
        work: 0.010,
        calls: &[("cart", 1.0), ("payment", 1.0), ("shipping", 1.0)],
        tells: &["mailer"],
    },
    Service { name: "cart", work: 0.003, calls: &[("store", 1.5)], tells: &[] },
    Service { name: "catalog", work: 0.006, calls: &[("search", 0.5)], tells: &[] },
    Service { name: "search", work: 0.015, calls: &[], tells: &[] },
    Service { name: "payment", work: 0.030, calls: &[], tells: &[] },
    Service { name: "shipping", work: 0.008, calls: &[], tells: &[] },
    Service { name: "store", work: 0.002, calls: &[], tells: &[] },
    // Nobody waits for it; where calls are known, it is slow during every fault besides.
    Service { name: "mailer", work: 0.200, calls: &[], tells: &[] },
];

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    Nothing,
    /// More load, which the system carries.
    Load,
    /// Another program takes the CPU of a service.
    Cpu(usize),
    /// A service fills its memory.
    Memory(usize),
    /// Answers of a service are late.
    Delay(usize),
    /// A service answers with errors.
    Errors(usize),
}

/// How the system is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Style {
    /// Calls known, a sample each 5 s, quantiles, shares of limits, and the symptom named.
    Mesh,
    /// No calls, a sample a minute, means, use without limits, and it is told that something is wrong.
    Minutes,
    /// Calls known between services, series by pod; nothing told.
    Pods,
    /// Machines: no latency, no requests, no calls.
    Machines,
}

/// Services that can have a fault and are waited for.
pub const FAULTY: std::ops::Range<usize> = 0..8;

/// Name of a service, as the style names its nodes.
pub fn node(style: Style, service: usize) -> String {
    let name = SHOP[service].name;
    match style {
        Style::Machines => format!("host-{name}"),
        _ => name.to_owned(),
    }
}

/// One moment of a service.
#[derive(Clone, Copy, Default)]
struct Moment {
    requests: f64,
    latency: f64,
    errors: f64,
    cpu: f64,
    memory: f64,
}

/// An observation of the shop, the window of which has the fault.
pub fn observe(style: Style, fault: Fault, seed: u64) -> Observation {
    let mut rng = Rng::with_seed(seed);
    let (step, normal, window) = match style {
        Style::Minutes => (60.0, 30, 5),
        _ => (5.0, 180, 36),
    };
    let at = |index: usize| 1000.0 + step * index as f64;
    let mut observation = Observation {
        normal: vec![Span { from: at(0), until: at(normal - 1) }],
        window: Span { from: at(normal), until: at(normal + window - 1) },
        ..Observation::default()
    };
    let mut series: BTreeMap<(String, &str), Vec<(f64, f64)>> = BTreeMap::new();
    let is_told_apart = matches!(style, Style::Mesh | Style::Pods) && fault != Fault::Load;
    for index in 0..normal + window {
        let now = if index < normal { Fault::Nothing } else { fault };
        let mut moments = moments(now, &mut rng);
        if is_told_apart
            && now != Fault::Nothing
            && let Some(mailer) = moments.last_mut()
        {
            mailer.latency *= 10.0;
        }
        for (service, moment) in moments.iter().enumerate() {
            for (pod, name, value) in measured(style, service, *moment, &mut rng) {
                series.entry((pod, name)).or_default().push((at(index), value));
            }
        }
    }
    for ((node, name), samples) in series {
        observation.insert(&node, name, samples);
    }
    tell(style, fault, &mut observation);
    observation
}

fn tell(style: Style, fault: Fault, observation: &mut Observation) {
    let is_wrong = !matches!(fault, Fault::Nothing | Fault::Load);
    if matches!(style, Style::Mesh | Style::Pods) {
        for service in &SHOP {
            let call = |callee: &str, is_async| Call {
                caller: service.name.to_owned(),
                callee: callee.to_owned(),
                is_async,
            };
            observation.calls.extend(service.calls.iter().map(|(callee, _)| call(callee, false)));
            observation.calls.extend(service.tells.iter().map(|callee| call(callee, true)));
        }
        observation.entry = Some("web".into());
    }
    if style == Style::Mesh && is_wrong {
        let series = if matches!(fault, Fault::Errors(_)) { "error_share" } else { "latency_p90_seconds" };
        observation.symptom = Some(Symptom { node: "web".into(), series: series.into() });
    }
    observation.told = style == Style::Minutes && is_wrong;
}

/// The services at one moment. Callees are computed before their callers.
fn moments(fault: Fault, rng: &mut Rng) -> Vec<Moment> {
    let mut noise = |of: f64| 1.0 + of * (rng.f64() + rng.f64() + rng.f64() - 1.5);
    let users = 100.0 * noise(0.1) * if fault == Fault::Load { 1.3 } else { 1.0 };
    let index = |name: &str| SHOP.iter().position(|service| service.name == name);
    let mut rates = vec![0.0; SHOP.len()];
    rates[0] = users;
    for (at, service) in SHOP.iter().enumerate() {
        for (callee, count) in
            service.calls.iter().copied().chain(service.tells.iter().map(|one| (*one, 1.0)))
        {
            if let Some(callee) = index(callee) {
                rates[callee] += rates[at] * count;
            }
        }
    }
    let mut all = vec![Moment::default(); SHOP.len()];
    for (at, service) in SHOP.iter().enumerate().rev() {
        let busy = if fault == Fault::Cpu(at) { 8.0 } else { 1.0 };
        let late = if fault == Fault::Delay(at) { 0.2 } else { 0.0 };
        let of_swapping = if fault == Fault::Memory(at) { 3.0 } else { 1.0 };
        let (mut latency, mut good) = (service.work * noise(0.2) * busy * of_swapping + late, 1.0);
        for (callee, count) in service.calls {
            if let Some(callee) = index(callee) {
                latency += count * all[callee].latency;
                good *= 1.0 - all[callee].errors * count.min(1.0);
            }
        }
        if fault == Fault::Errors(at) {
            good *= 0.7;
        }
        let used = (0.15 + rates[at] / 4000.0) * noise(0.1);
        all[at] = Moment {
            requests: rates[at] * noise(0.05),
            latency,
            errors: (1.0 - good) + 0.001 * noise(1.0).max(0.0),
            cpu: if fault == Fault::Cpu(at) { 0.97 * noise(0.02) } else { used },
            memory: if fault == Fault::Memory(at) { 0.95 * noise(0.02) } else { 0.3 * noise(0.02) },
        };
    }
    all
}

/// The samples of a service: node, name and value.
fn measured(style: Style, service: usize, now: Moment, rng: &mut Rng) -> Vec<(String, &'static str, f64)> {
    let name = node(style, service);
    let Moment { requests, latency, errors, cpu, memory } = now;
    let of = |node: &str, all: &[(&'static str, f64)]| {
        all.iter().map(|(name, value)| (node.to_owned(), *name, *value)).collect::<Vec<_>>()
    };
    match style {
        Style::Mesh => of(
            &name,
            &[
                ("latency_p50_seconds", latency * 0.8),
                ("latency_p90_seconds", latency * 1.6),
                ("requests_per_second", requests),
                ("error_share", errors),
                ("cpu_utilization", cpu),
                ("memory_utilization", memory),
            ],
        ),
        Style::Minutes => of(
            &name,
            &[
                ("service_latency", latency),
                ("service_workload", requests),
                ("service_error", errors * requests),
                ("service_cpu", cpu * 750.0),
                ("service_mem", memory * 4e8),
                ("service_mystery", rng.f64() * 10.0),
            ],
        ),
        Style::Pods => {
            let pods = ["aaaaa", "bbbbb"].map(|pod| format!("{name}-7d8f6b9c5-{pod}"));
            let each = |pod: &String| {
                of(
                    pod,
                    &[
                        ("latency_mean_ms", latency * 1e3),
                        ("rps", requests / 2.0),
                        ("success_percent", 100.0 * (1.0 - errors)),
                        ("cpu_utilization", cpu),
                        ("memory_utilization", memory),
                    ],
                )
            };
            pods.iter().flat_map(each).collect()
        }
        Style::Machines => of(
            &name,
            &[
                ("cpu_percent", cpu * 100.0),
                ("mem_percent", memory * 100.0),
                ("load_average", cpu * 8.0),
                ("disk_io", 100.0 * requests.sqrt()),
                ("net_rx", requests * 1000.0),
            ],
        ),
    }
}
