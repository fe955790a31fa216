//! The calls of each component to others: how long they take, and how many are repeated. Pure.

use promql_parser::util::display_duration;

use super::family::{Family, Measurements, Sampling, renew};
use super::scraped::numbers;
use super::selection::{COMPONENT, Selection, once};
use super::template::{Misread, Template, TemplateAnswers};
use crate::observe::prometheus::parts::Part;

/// Mean seconds of a call, by component.
pub const SECONDS: Template = Template { name: "call_seconds", query: seconds };
/// Repeated calls per second, by component.
pub const RETRIES: Template = Template { name: "retries", query: retries };

/// Calls.
pub const FAMILY: Family = Family {
    templates: &[SECONDS, RETRIES],
    read,
    forget: |evidence| {
        evidence.call_seconds = <_>::default();
        evidence.retries = <_>::default();
    },
};

/// The histogram of HTTP calls, in the OpenTelemetry convention.
const CALLS: &str = "http_client_request_duration_seconds";
/// The counter of repeated calls. Those that a budget denied were not sent.
const REPEATED: &str = "retry_attempts_total";

fn seconds(selection: &Selection, part: &Part<'_>) -> String {
    mean(selection, part, CALLS, "", COMPONENT)
}

fn retries(selection: &Selection, part: &Part<'_>) -> String {
    let window = display_duration(&selection.request_window);
    let selector = selection.of_apps_where(REPEATED, "outcome!=\"denied\"", part);
    format!("sum by ({COMPONENT}) ({})", once(&format!("rate({selector}[{window}])")))
}

/// The mean of a histogram's observations in the window, by labels. Without an observation it is not a number.
pub(super) fn mean(
    selection: &Selection,
    part: &Part<'_>,
    series: &str,
    matcher: &str,
    labels: &str,
) -> String {
    let window = display_duration(&selection.request_window);
    let of = |end: &str| {
        let series = format!("{series}_{end}");
        let selector = match matcher {
            "" => selection.of_apps(&series, part),
            matcher => selection.of_apps_where(&series, matcher, part),
        };
        format!("sum by ({labels}) ({})", once(&format!("rate({selector}[{window}])")))
    };
    format!("{} / {}", of("sum"), of("count"))
}

fn read(
    evidence: &mut Measurements,
    sampling: &Sampling<'_>,
    answers: &mut TemplateAnswers<'_>,
) -> Result<(), Misread> {
    let (seconds, retries) = (answers.take(SECONDS)?, answers.take(RETRIES)?);
    renew(&mut evidence.call_seconds, sampling.part, numbers(seconds, sampling));
    renew(&mut evidence.retries, sampling.part, numbers(retries, sampling));
    Ok(())
}
