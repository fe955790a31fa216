//! The jobs that each pod of a worker runs. Pure.
//!
//! They decide which pods leave first, and nothing else. A pod that does not export them is not known to be idle.

use hashbrown::HashMap;
use jiff::Timestamp;

use super::family::{Family, Measurements, Sampling, renew_pods};
use super::selection::{Selection, once};
use super::template::{Misread, Template, TemplateAnswers};
use crate::observe::namespaced::NamespacedName;
use crate::observe::prometheus::parts::Part;

/// Jobs that run, by pod.
pub const RUNNING: Template = Template { name: "running_jobs", query: running };

/// Running jobs.
pub const FAMILY: Family =
    Family { templates: &[RUNNING], read, forget: |evidence| evidence.running_jobs = <_>::default() };

/// The gauge of running jobs of a pod, by `queue`.
const IN_FLIGHT: &str = "jobs_in_flight";

/// The jobs that one pod runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunningJobs {
    /// Their number.
    pub jobs: u32,
    /// Time of the query. Its answer has fresh samples only.
    pub at: Timestamp,
}

/// Running jobs by pod.
pub type ByPod = HashMap<NamespacedName, RunningJobs>;

fn running(selection: &Selection, part: &Part<'_>) -> String {
    let selector = selection.of_apps(IN_FLIGHT, part);
    let fresh = format!("{selector} and {}", selection.fresh(&selector));
    format!("sum by (namespace, pod) ({})", once(&fresh))
}

fn read(
    evidence: &mut Measurements,
    sampling: &Sampling<'_>,
    answers: &mut TemplateAnswers<'_>,
) -> Result<(), Misread> {
    let outcome = answers.take(RUNNING)?;
    let measured = outcome.data.series().filter_map(|(labels, value)| {
        let (namespace, pod) = labels.pod_name().filter(|_| value.is_finite() && value >= 0.0)?;
        // The conversion saturates.
        let running = RunningJobs { jobs: value.ceil() as u32, at: sampling.now };
        Some((NamespacedName::new(namespace, pod), running))
    });
    let measured = measured.collect();
    renew_pods(&mut evidence.running_jobs, sampling.part, measured, |pod| (pod.namespace(), pod.name()));
    Ok(())
}
