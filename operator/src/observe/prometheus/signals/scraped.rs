//! The companions of every value of a component: the age of its samples, and the number of scraped pods. Pure.
//!
//! The timestamp of a result is the time of the evaluation and does not depend on the samples. Prometheus itself
//! computes the age, so its clock need not agree with ours.

use hashbrown::HashMap;
use jiff::Timestamp;
use promql_parser::util::display_duration;

use super::family::Sampling;
use super::requests::REQUESTS;
use super::selection::{COMPONENT, Selection};
use super::template::{Misread, Template, TemplateAnswers};
use crate::observe::prometheus::answer::{Data, Named, Outcome, taken};
use crate::observe::prometheus::parts::Part;
use crate::observe::query_plan::QueryPlan;
use crate::resolve::app::ComponentKey;

/// Age in seconds of the oldest fresh sample of the HTTP series, by component; of the oldest where none is fresh.
pub const AGE: Template = Template { name: "request_age", query: age };
/// Successfully scraped pods, by component, now and at the start of the window.
pub const PODS: Template = Template { name: "scraped_pods", query: pods };

/// A value of a component, with its age and coverage.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured<T> {
    /// The value.
    pub value: T,
    /// Time of the oldest sample behind it; `None` if no sample is newer than Prometheus' look-back.
    pub at: Option<Timestamp>,
    /// Scraped pods; `None` if none of the component's pods is a target of Prometheus.
    pub scraped: Option<Scraped>,
    /// Whether the answer may lack series.
    pub is_partial: bool,
}

/// The values of all components.
pub type ByComponent<T> = HashMap<ComponentKey, Measured<T>>;

/// The number of scraped pods of a component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scraped {
    /// At the start of the value's window.
    pub at_start: u32,
    /// Now.
    pub at_end: u32,
}

/// The answers to both templates.
#[derive(Clone, Copy)]
pub struct Companions<'a> {
    ages: &'a Outcome<'a>,
    pods: &'a Outcome<'a>,
}

/// The last samples of a pod that was deleted while Prometheus was away are returned for five more minutes, because
/// they have no staleness marker. They do not make newer samples of other pods old.
fn age(selection: &Selection, part: &Part<'_>) -> String {
    let selector = selection.of_apps(&format!("{REQUESTS}_count"), part);
    let fresh = selection.fresh(&selector);
    format!("time() - (min by ({COMPONENT}) ({fresh}) or min by ({COMPONENT}) (timestamp({selector})))")
}

/// A window holds at least four samples. If it is complete, there is one in its first quarter, and one in the quarter
/// before it. Otherwise there was a gap, which `rate` does not show: it divides by the whole window.
fn pods(selection: &Selection, part: &Part<'_>) -> String {
    let (up, window) = (selection.of_apps("up", part), selection.request_window);
    let [quarter, rest, window] = [window / 4, window - window / 4, window].map(|one| display_duration(&one));
    let pods = |at: &str, up: &str| {
        format!("label_replace(max by ({COMPONENT}, pod) ({up}) == 1, \"at\", \"{at}\", \"\", \"\")")
    };
    let end = pods("end", &format!("{up} and {}", selection.fresh(&up)));
    let scraped = |offset: &str| format!("max_over_time({up}[{quarter}] offset {offset})");
    let start = pods("start", &format!("{} * {}", scraped(&rest), scraped(&window)));
    format!("count by ({COMPONENT}, at) ({end} or {start})")
}

impl<'a> Companions<'a> {
    /// Takes the answers to both templates.
    ///
    /// # Errors
    /// When the family has no such query.
    pub fn take(answers: &mut TemplateAnswers<'a>) -> Result<Self, Misread> {
        Ok(Self { ages: answers.take(AGE)?, pods: answers.take(PODS)? })
    }

    /// The values with their ages and pods, of the needed components.
    pub fn join<'b, T>(
        self,
        values: impl Iterator<Item = (Named<'b>, T)>,
        is_partial: bool,
        wanted: &QueryPlan,
        now: Timestamp,
    ) -> ByComponent<T> {
        let Self { ages, pods } = self;
        let is_partial = is_partial || ages.is_partial || pods.is_partial;
        let (ages, pods) = (ages.data.by_component(), scraped(&pods.data));
        let measured = |(key, value): (Named<'b>, T)| {
            let (known, _) = wanted.components().get_key_value(&key)?;
            let at = ages.get(&key).and_then(|age| taken(now, *age));
            let scraped = pods.get(&key).copied();
            Some((known.clone(), Measured { value, at, scraped, is_partial }))
        };
        values.filter_map(measured).collect()
    }
}

/// The values of a template of which each counts fresh samples only, of the needed components.
pub(super) fn numbers(outcome: &Outcome<'_>, sampling: &Sampling<'_>) -> ByComponent<f64> {
    let is_partial = outcome.is_partial;
    let finite = outcome.data.series().filter(|(_, value)| value.is_finite());
    let measured = finite.filter_map(|(labels, value)| {
        let (known, _) = sampling.wanted.components().get_key_value(&labels.component()?)?;
        Some((known.clone(), Measured { value, at: Some(sampling.now), scraped: None, is_partial }))
    });
    measured.collect()
}

fn scraped<'a>(pods: &'a Data<'_>) -> HashMap<Named<'a>, Scraped> {
    let mut all: HashMap<Named<'a>, Scraped> = HashMap::new();
    for (labels, count) in pods.series() {
        let Some(key) = labels.component() else { continue };
        let scraped = all.entry(key).or_default();
        match labels.at.as_deref() {
            Some("start") => scraped.at_start = count as u32,
            _ => scraped.at_end = count as u32,
        }
    }
    all
}
