//! The histogram of each component's HTTP latency. Pure.

use hashbrown::HashMap;
use jiff::Timestamp;
use promql_parser::util::display_duration;

use super::family::{Family, Measurements, Sampling, renew};
use super::requests::REQUESTS;
use super::scraped::{self, ByComponent, Companions};
use super::selection::{COMPONENT, Selection, once};
use super::template::{Misread, Template, TemplateAnswers};
use crate::observe::prometheus::answer::Named;
use crate::observe::prometheus::parts::Part;
use crate::observe::prometheus::quantile::Bucket;
use crate::observe::query_plan::QueryPlan;

/// HTTP requests per second by component and upper bound of their latency.
pub const BUCKETS: Template = Template { name: "latency_buckets", query: buckets };

/// Latency.
pub const FAMILY: Family = Family {
    templates: &[BUCKETS, scraped::AGE, scraped::PODS],
    read,
    forget: |evidence| evidence.latencies = <_>::default(),
};

fn buckets(selection: &Selection, part: &Part<'_>) -> String {
    let window = display_duration(&selection.request_window);
    let selector = selection.of_apps(&format!("{REQUESTS}_bucket"), part);
    format!("sum by ({COMPONENT}, le) ({})", once(&format!("rate({selector}[{window}])")))
}

fn read(
    evidence: &mut Measurements,
    sampling: &Sampling<'_>,
    answers: &mut TemplateAnswers<'_>,
) -> Result<(), Misread> {
    renew(&mut evidence.latencies, sampling.part, latencies(answers, sampling.wanted, sampling.now)?);
    Ok(())
}

/// The histogram of each needed component.
fn latencies(
    answers: &mut TemplateAnswers<'_>,
    wanted: &QueryPlan,
    now: Timestamp,
) -> Result<ByComponent<Vec<Bucket>>, Misread> {
    let (companions, buckets) = (Companions::take(answers)?, answers.take(BUCKETS)?);
    let mut histograms: HashMap<Named<'_>, Vec<Bucket>> = HashMap::new();
    for (labels, rate) in buckets.data.series() {
        let le = labels.le.as_ref().and_then(|le| le.parse().ok());
        if let (Some(key), Some(le)) = (labels.component(), le) {
            histograms.entry(key).or_default().push(Bucket { le, rate });
        }
    }
    Ok(companions.join(histograms.into_iter(), buckets.is_partial, wanted, now))
}
