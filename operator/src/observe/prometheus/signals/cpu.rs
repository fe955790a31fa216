//! CPU of each container, as measured by the kubelets. Pure.

use promql_parser::util::display_duration;

use super::family::{Family, Measurements, Sampling};
use super::selection::{CONTAINER, Selection};
use super::template::{Misread, Template, TemplateAnswers};
use super::usage::{age_of, renew, usages};
use crate::observe::prometheus::parts::Part;

/// CPU in cores by pod and container.
pub const USAGE: Template = Template { name: "cpu_usage", query: usage };
/// Age in seconds of the oldest CPU sample, by pod and container.
pub const AGE: Template = Template { name: "cpu_age", query: age };

/// CPU.
pub const FAMILY: Family =
    Family { templates: &[USAGE, AGE], read, forget: |evidence| evidence.cpu = <_>::default() };

const CPU: &str = "container_cpu_usage_seconds_total";

/// A container whose samples begin in the later half of the window has no usage yet: `rate` divides by the whole window
/// and would be too low.
fn usage(selection: &Selection, part: &Part<'_>) -> String {
    let [window, half] =
        [selection.cpu_window, selection.cpu_window / 2].map(|window| display_duration(&window));
    let cpu = selection.of_pods(CPU, part);
    format!("max by ({CONTAINER}) (rate({cpu}[{window}]) and present_over_time({cpu}[{half}] offset {half}))")
}

fn age(selection: &Selection, part: &Part<'_>) -> String {
    age_of(&selection.of_pods(CPU, part))
}

fn read(
    evidence: &mut Measurements,
    sampling: &Sampling<'_>,
    answers: &mut TemplateAnswers<'_>,
) -> Result<(), Misread> {
    let usages = usages(answers.take(USAGE)?, answers.take(AGE)?, sampling.now);
    renew(&mut evidence.cpu, sampling.part, usages);
    Ok(())
}
