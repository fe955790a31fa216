//! Memory of each container, as measured by the kubelets. Pure.

use super::family::{Family, Measurements, Sampling};
use super::selection::{CONTAINER, Selection};
use super::template::{Misread, Template, TemplateAnswers};
use super::usage::{age_of, renew, usages};
use crate::observe::prometheus::parts::Part;

/// Memory working set in bytes by pod and container.
pub const USAGE: Template = Template { name: "memory_usage", query: usage };
/// Age in seconds of the oldest memory sample, by pod and container.
pub const AGE: Template = Template { name: "memory_age", query: age };

/// Memory.
pub const FAMILY: Family =
    Family { templates: &[USAGE, AGE], read, forget: |evidence| evidence.memory = <_>::default() };

const MEMORY: &str = "container_memory_working_set_bytes";

fn usage(selection: &Selection, part: &Part<'_>) -> String {
    format!("max by ({CONTAINER}) ({})", selection.of_pods(MEMORY, part))
}

fn age(selection: &Selection, part: &Part<'_>) -> String {
    age_of(&selection.of_pods(MEMORY, part))
}

fn read(
    evidence: &mut Measurements,
    sampling: &Sampling<'_>,
    answers: &mut TemplateAnswers<'_>,
) -> Result<(), Misread> {
    let usages = usages(answers.take(USAGE)?, answers.take(AGE)?, sampling.now);
    renew(&mut evidence.memory, sampling.part, usages);
    Ok(())
}
