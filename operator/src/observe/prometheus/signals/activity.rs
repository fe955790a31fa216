//! The running queries of the read replicas of each database, as the exporter beside each of them counts them. Pure.
//!
//! The query of the exporter itself is not counted. Without a running query there is no series of sessions, so another
//! one says which replicas reported: whether the exporter reached its server.

use hashbrown::HashMap;
use jiff::Timestamp;

use super::family::{Family, Measurements, Sampling, renew};
use super::scraped::{ByComponent, Measured, Scraped};
use super::selection::{COMPONENT, Selection, once};
use super::template::{Misread, Template, TemplateAnswers};
use crate::observe::prometheus::answer::taken;
use crate::observe::prometheus::parts::Part;
use crate::observe::query_plan::QueryPlan;
use crate::resolve::database::EXPORTER_SESSION;

/// Running queries of clients, by component, where there are some.
pub const QUERIES: Template = Template { name: "active_queries", query: queries };
/// Replicas whose server reported, by component.
pub const REPORTING: Template = Template { name: "reporting_replicas", query: reporting };
/// Age in seconds of the oldest fresh report, by component.
pub const AGE: Template = Template { name: "active_queries_age", query: age };

/// Running queries.
pub const FAMILY: Family = Family {
    templates: &[QUERIES, REPORTING, AGE],
    read,
    forget: |evidence| evidence.activity = <_>::default(),
};

/// Sessions by state, as postgres-exporter counts them.
const SESSIONS: &str = "pg_stat_activity_count";
/// Whether postgres-exporter reached its server, 1 or 0.
const UP: &str = "pg_up";

fn queries(selection: &Selection, part: &Part<'_>) -> String {
    let active = "state=\"active\",backend_type=\"client backend\"";
    let matchers = format!("{active},application_name!=\"{EXPORTER_SESSION}\"");
    let selector = selection.of_apps_where(SESSIONS, &matchers, part);
    format!("sum by ({COMPONENT}) ({})", once(&format!("{selector} and {}", selection.fresh(&selector))))
}

fn reporting(selection: &Selection, part: &Part<'_>) -> String {
    let up = selection.of_apps(UP, part);
    let fresh = format!("{up} and {}", selection.fresh(&up));
    format!("count by ({COMPONENT}) (max by ({COMPONENT}, pod) ({fresh}) == 1)")
}

fn age(selection: &Selection, part: &Part<'_>) -> String {
    format!("time() - min by ({COMPONENT}) ({})", selection.fresh(&selection.of_apps(UP, part)))
}

fn read(
    evidence: &mut Measurements,
    sampling: &Sampling<'_>,
    answers: &mut TemplateAnswers<'_>,
) -> Result<(), Misread> {
    renew(&mut evidence.activity, sampling.part, activity(answers, sampling.wanted, sampling.now)?);
    Ok(())
}

/// Running queries of each needed database with a replica that reported.
fn activity(
    answers: &mut TemplateAnswers<'_>,
    wanted: &QueryPlan,
    now: Timestamp,
) -> Result<ByComponent<f64>, Misread> {
    let (queries, reporting, ages) = (answers.take(QUERIES)?, answers.take(REPORTING)?, answers.take(AGE)?);
    let is_partial = [queries, reporting, ages].iter().any(|outcome| outcome.is_partial);
    let (queries, ages) = (queries.data.by_component(), ages.data.by_component());
    let measured = |(key, replicas): (_, f64)| {
        let (known, _) = wanted.components().get_key_value(&key)?;
        let value = queries.get(&key).copied().unwrap_or(0.0);
        let at = ages.get(&key).and_then(|age| taken(now, *age));
        let scraped = Some(Scraped { at_start: 0, at_end: replicas as u32 });
        Some((known.clone(), Measured { value, at, scraped, is_partial }))
    };
    let reporting: HashMap<_, _> = reporting.data.by_component();
    Ok(reporting.into_iter().filter_map(measured).collect())
}
