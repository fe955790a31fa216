//! HTTP requests per second of each component over a short window. Pure.
//!
//! Counter resets are those of the family of the long window, which contains the short one.

use hashbrown::HashMap;
use promql_parser::util::display_duration;
use scalableapp_engine::evidence::recent::SCRAPES;

use super::family::{Family, Measurements, Sampling, renew};
use super::requests::REQUESTS;
use super::scraped::{AGE, Measured};
use super::selection::{COMPONENT, COPIES, Selection};
use super::template::{Misread, Template, TemplateAnswers};
use crate::observe::prometheus::answer::taken;
use crate::observe::prometheus::parts::Part;

/// HTTP requests per second over the short window, their number, and the pods that were scraped often enough in it, by component.
pub const REQUESTS_AND_PODS: Template = Template { name: "recent_requests", query };

/// Requests of the last seconds.
pub const FAMILY: Family = Family {
    templates: &[REQUESTS_AND_PODS, AGE],
    read,
    forget: |evidence| evidence.recent = <_>::default(),
};

/// The HTTP requests of a component over the short window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RecentTraffic {
    /// Completed requests per second.
    pub rate: f64,
    /// Completed requests between the first and the last sample of each series.
    pub requests: f64,
    /// Pods that were scraped at least [`SCRAPES`] times.
    pub pods: u32,
}

/// Of copies of a series the smallest rate counts: the largest would be above the load by the difference of their
/// scrapes.
fn query(selection: &Selection, part: &Part<'_>) -> String {
    let window = display_duration(&selection.recent_window);
    let (requests, up) =
        (selection.of_apps(&format!("{REQUESTS}_count"), part), selection.of_apps("up", part));
    let sum = |of: &str| format!("sum by ({COMPONENT}) (min without ({COPIES}) ({of}))");
    let rate = sum(&format!("rate({requests}[{window}])"));
    // `rate` extrapolates. The number itself is the difference of a counter without resets.
    let number = sum(&format!("max_over_time({requests}[{window}]) - min_over_time({requests}[{window}])"));
    let pods = format!("max by ({COMPONENT}, pod) (sum_over_time({up}[{window}])) >= {SCRAPES}");
    let labelled = |value: &str, at: &str| format!("label_replace({value}, \"at\", \"{at}\", \"\", \"\")");
    let pods = format!("count by ({COMPONENT}) ({pods})");
    [(rate, "rate"), (number, "number"), (pods, "pods")].map(|(value, at)| labelled(&value, at)).join(" or ")
}

fn read(
    evidence: &mut Measurements,
    sampling: &Sampling<'_>,
    answers: &mut TemplateAnswers<'_>,
) -> Result<(), Misread> {
    let (requests, ages) = (answers.take(REQUESTS_AND_PODS)?, answers.take(AGE)?);
    let (ages, is_partial) = (ages.data.by_component(), requests.is_partial || ages.is_partial);
    let mut measured: HashMap<_, Measured<RecentTraffic>> = HashMap::new();
    for (labels, number) in requests.data.series() {
        let Some(named) = labels.component() else { continue };
        let Some((key, _)) = sampling.wanted.components().get_key_value(&named) else { continue };
        let at = ages.get(&named).and_then(|age| taken(sampling.now, *age));
        let none = Measured { value: RecentTraffic::default(), at, scraped: None, is_partial };
        let RecentTraffic { rate, requests, pods } = &mut measured.entry(key.clone()).or_insert(none).value;
        match labels.at.as_deref() {
            Some("rate") => *rate = number,
            Some("number") => *requests = number,
            Some("pods") => *pods = number as u32,
            _ => {}
        }
    }
    renew(&mut evidence.recent, sampling.part, measured);
    Ok(())
}
