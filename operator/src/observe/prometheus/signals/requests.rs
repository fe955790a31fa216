//! HTTP requests per second of each component. Pure.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use jiff::Timestamp;
use promql_parser::util::display_duration;

use super::family::{Family, Measurements, Sampling, renew};
use super::in_flight;
use super::scraped::{self, ByComponent, Companions};
use super::selection::{COMPONENT, Selection, once};
use super::template::{Misread, Template, TemplateAnswers};
use crate::observe::prometheus::answer::Named;
use crate::observe::prometheus::parts::Part;
use crate::observe::query_plan::{AppKey, QueryPlan};
use crate::resolve::app::ComponentKey;

/// The histogram of HTTP requests, in the OpenTelemetry convention.
pub(crate) const REQUESTS: &str = "http_server_request_duration_seconds";

/// HTTP requests per second by component.
pub const RATE: Template = Template { name: "request_rate", query: rate };
/// Counter resets of HTTP requests within the window, by component, where there were some.
pub const RESETS: Template = Template { name: "counter_resets", query: resets };

/// Requests, with those in flight.
pub const FAMILY: Family = Family {
    templates: &[RATE, scraped::AGE, scraped::PODS, RESETS, in_flight::ACTIVE],
    read,
    forget: |evidence| evidence.traffic = <_>::default(),
};

/// The HTTP requests of a component.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Completed requests per second over the window.
    pub rate: f64,
    /// Counter resets within the window.
    pub resets: u32,
    /// Requests in flight; `None` if there are none, or the app does not export them.
    pub in_flight: Option<u32>,
}

fn rate(selection: &Selection, part: &Part<'_>) -> String {
    rate_of(selection, &selection.of_apps(&format!("{REQUESTS}_count"), part))
}

fn rate_of(selection: &Selection, selector: &str) -> String {
    let window = display_duration(&selection.request_window);
    format!("sum by ({COMPONENT}) ({})", once(&format!("rate({selector}[{window}])")))
}

fn resets(selection: &Selection, part: &Part<'_>) -> String {
    let window = display_duration(&selection.request_window);
    let selector = selection.of_apps(&format!("{REQUESTS}_count"), part);
    format!("sum by ({COMPONENT}) ({}) > 0", once(&format!("resets({selector}[{window}])")))
}

impl Selection {
    /// Requests per second of these components, and of others in their namespaces with an app of the same name.
    #[must_use]
    pub fn request_rates_of(&self, components: &BTreeSet<&ComponentKey>) -> String {
        let apps: Vec<AppKey> =
            components.iter().map(|key| (key.namespace.clone(), key.app.clone())).collect();
        let apps: Vec<&AppKey> = apps.iter().collect();
        rate_of(self, &self.of_named_apps(&format!("{REQUESTS}_count"), &apps))
    }
}

fn read(
    evidence: &mut Measurements,
    sampling: &Sampling<'_>,
    answers: &mut TemplateAnswers<'_>,
) -> Result<(), Misread> {
    renew(&mut evidence.traffic, sampling.part, traffic(answers, sampling.wanted, sampling.now)?);
    Ok(())
}

/// Requests of each needed component.
fn traffic(
    answers: &mut TemplateAnswers<'_>,
    wanted: &QueryPlan,
    now: Timestamp,
) -> Result<ByComponent<Traffic>, Misread> {
    let companions = Companions::take(answers)?;
    let (rates, resets, active) =
        (answers.take(RATE)?, answers.take(RESETS)?, answers.take(in_flight::ACTIVE)?);
    let is_partial = [rates, resets, active].iter().any(|outcome| outcome.is_partial);
    let (resets, active) = (resets.data.by_component(), active.data.by_component());
    let count = |counts: &HashMap<Named<'_>, f64>, key| counts.get(&key).map(|count| count.ceil() as u32);
    let traffic = |(key, rate)| {
        let (resets, in_flight) = (count(&resets, key).unwrap_or(0), count(&active, key));
        (key, Traffic { rate, resets, in_flight })
    };
    let rates = rates.data.series().filter_map(|(labels, rate)| Some((labels.component()?, rate)));
    Ok(companions.join(rates.map(traffic), is_partial, wanted, now))
}
