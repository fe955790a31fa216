//! The failed HTTP requests of each component. Pure.

use promql_parser::util::display_duration;

use super::family::{Family, Measurements, Sampling, renew};
use super::requests::REQUESTS;
use super::scraped::numbers;
use super::selection::{COMPONENT, Selection, once};
use super::template::{Misread, Template, TemplateAnswers};
use crate::observe::prometheus::parts::Part;

/// Failed HTTP requests per second by component; 0 where there are requests and none failed.
pub const FAILURES: Template = Template { name: "request_failures", query: failures };

/// Failures.
pub const FAMILY: Family =
    Family { templates: &[FAILURES], read, forget: |evidence| evidence.failures = <_>::default() };

/// The matcher of failed requests.
pub(crate) const FAILED: &str = "http_response_status_code=~\"5..\"";

fn failures(selection: &Selection, part: &Part<'_>) -> String {
    let window = display_duration(&selection.request_window);
    let series = format!("{REQUESTS}_count");
    let rate =
        |selector: &str| format!("sum by ({COMPONENT}) ({})", once(&format!("rate({selector}[{window}])")));
    let (failed, all) = (selection.of_apps_where(&series, FAILED, part), selection.of_apps(&series, part));
    format!("{} or 0 * {}", rate(&failed), rate(&all))
}

fn read(
    evidence: &mut Measurements,
    sampling: &Sampling<'_>,
    answers: &mut TemplateAnswers<'_>,
) -> Result<(), Misread> {
    let failures = numbers(answers.take(FAILURES)?, sampling);
    renew(&mut evidence.failures, sampling.part, failures);
    Ok(())
}
