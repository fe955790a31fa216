//! What is diagnosed: nodes, their calls, their series over a window, and windows of normal operation. Pure.
//!
//! The form is neutral: the operator fills it from Prometheus, a benchmark from files.

use super::quantity::{Meaning, Quantity, Statistic};
use std::collections::BTreeMap;

/// A time span in seconds, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Span {
    /// Its first moment.
    pub from: f64,
    /// Its last moment.
    pub until: f64,
}

impl Span {
    pub(crate) fn contains(&self, at: f64) -> bool {
        self.from <= at && at <= self.until
    }
}

/// A window to judge, and windows of normal operation of about its length.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    pub(crate) window: Span,
    pub(crate) normal: Vec<Span>,
}

impl Frame {
    /// A window of normal operation in place of the judged one, against the others.
    pub(crate) fn left_out(&self, index: usize) -> Self {
        let mut normal = self.normal.clone();
        let window = normal.remove(index);
        Self { window, normal }
    }
}

/// A call between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The node that calls.
    pub caller: String,
    /// The node that is called.
    pub callee: String,
    /// Whether the caller does not wait for the answer.
    pub is_async: bool,
}

/// What users feel, where it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symptom {
    /// The node at which they feel it.
    pub node: String,
    /// The series that shows it; empty where only the node is known.
    pub series: String,
}

/// A series of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeSeries {
    /// Its name at the source.
    pub name: String,
    /// What it measures.
    pub quantity: Quantity,
    /// How its values come from single requests.
    pub statistic: Statistic,
    /// Time in seconds and value.
    pub samples: Vec<(f64, f64)>,
}

/// Everything that a diagnosis looks at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// Series by node. A node may be a service, a pod, a database or a machine.
    pub nodes: BTreeMap<String, Vec<TimeSeries>>,
    /// Calls between nodes; empty where they are not known.
    pub calls: Vec<Call>,
    /// The window to judge.
    pub window: Span,
    /// Windows of normal operation.
    pub normal: Vec<Span>,
    /// What users feel, where it is known.
    pub symptom: Option<Symptom>,
    /// Whether it is known that there is an incident.
    pub told: bool,
    /// The node that users call, where it is known.
    pub entry: Option<String>,
}

impl Observation {
    /// Adds a series by its name at the source. Values that are no numbers are left out, and a share that falls when
    /// things get worse is kept as its complement.
    pub fn insert(&mut self, node: &str, name: &str, mut samples: Vec<(f64, f64)>) {
        samples.retain(|(at, value)| at.is_finite() && value.is_finite());
        samples.sort_by(|a, b| a.0.total_cmp(&b.0));
        let Meaning { mut quantity, statistic, mut factor, is_complement } = Meaning::of(name);
        let largest = samples.iter().map(|(_, value)| value.abs()).fold(0.0, f64::max);
        if is_complement {
            if largest > 100.5 {
                // Numbers of successes are no share: fewer of them may be less load.
                quantity = Quantity::Other;
            } else if largest > 1.005 {
                factor = 1e-2;
            }
        }
        let is_share = is_complement && quantity != Quantity::Other;
        for (_, value) in &mut samples {
            *value *= factor;
            if is_share {
                *value = 1.0 - *value;
            }
        }
        let series = TimeSeries { name: name.to_owned(), quantity, statistic, samples };
        self.nodes.entry(node.to_owned()).or_default().push(series);
    }

    /// What is compared: the window to judge, and the windows of normal operation.
    #[must_use]
    pub fn frame(&self) -> Frame {
        Frame { window: self.window, normal: self.blocks() }
    }

    /// The windows of normal operation, cut to the length of the judged one where they are longer, and shorter where
    /// they are too few to say what is ordinary.
    fn blocks(&self) -> Vec<Span> {
        let length = (self.window.until - self.window.from).max(f64::MIN_POSITIVE);
        let whole =
            |span: &Span| ((span.until - span.from) / length).floor().clamp(1.0, MOST_BLOCKS) as usize;
        let is_few = self.normal.iter().map(whole).sum::<usize>() < FEWEST_BLOCKS;
        let fewest = if is_few { FEWEST_BLOCKS.div_ceil(self.normal.len().max(1)) } else { 1 };
        let mut blocks = Vec::new();
        for span in &self.normal {
            let count = whole(span).max(fewest);
            let step = (span.until - span.from) / count as f64;
            for index in 0..count {
                let from = span.from + step * index as f64;
                // A sample on a border belongs to the later block.
                let until = if index + 1 == count { span.until } else { (from + step).next_down() };
                blocks.push(Span { from, until });
            }
        }
        blocks
    }
}

/// Fewer blocks than these do not say what is ordinary.
const FEWEST_BLOCKS: usize = 6;
/// More blocks than these say nothing more about what is ordinary.
const MOST_BLOCKS: f64 = 200.0;

/// The service of a pod: its name before the last two parts.
#[must_use]
pub fn service_of(pod: &str) -> Option<&str> {
    let (rest, _) = pod.rsplit_once('-')?;
    let (service, _) = rest.rsplit_once('-')?;
    (!service.is_empty()).then_some(service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_successes_becomes_one_of_failures() {
        let mut observation = Observation::default();
        observation.insert("web", "success_percent", vec![(0.0, 99.0), (1.0, f64::NAN)]);
        observation.insert("web", "availability", vec![(0.0, 0.98)]);
        let values: Vec<f64> = observation.nodes["web"].iter().map(|series| series.samples[0].1).collect();
        assert!((values[0] - 0.01).abs() < 1e-9 && (values[1] - 0.02).abs() < 1e-9, "{values:?}");
        assert_eq!(observation.nodes["web"][0].samples.len(), 1);
    }

    #[test]
    fn long_normal_windows_are_cut() {
        let observation = Observation {
            window: Span { from: 100.0, until: 110.0 },
            normal: vec![Span { from: 0.0, until: 65.0 }, Span { from: 70.0, until: 75.0 }],
            ..Observation::default()
        };
        assert_eq!(observation.blocks().len(), 7);
        let few = Observation { normal: vec![Span { from: 0.0, until: 10.0 }], ..observation };
        assert_eq!(few.blocks().len(), 6);
    }

    #[test]
    fn the_service_is_the_name_before_the_last_two_parts() {
        assert_eq!(service_of("ts-order-service-7d8f6b9c5-x2x9p"), Some("ts-order-service"));
        assert_eq!(service_of("web-1"), None);
    }
}
