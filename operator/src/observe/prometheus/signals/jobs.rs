//! The jobs of the queues of each pool of workers. Pure.
//!
//! Any component of the app may export the depth and the age of a queue, so that they are known while no worker runs.
//! Where several pods export the same queue, the largest value counts.

use std::collections::BTreeMap;
use std::fmt;

use hashbrown::HashMap;
use jiff::Timestamp;
use promql_parser::util::display_duration;
use scalableapp_engine::evidence::backlog::BacklogReading;

use super::family::{Family, Measurements, Sampling, renew};
use super::scraped::{ByComponent, Measured};
use super::selection::{Selection, once};
use super::template::{Misread, Template, TemplateAnswers};
use crate::observe::prometheus::answer::{Data, taken};
use crate::observe::prometheus::parts::Part;
use crate::observe::query_plan::{QueryPlan, Source};

/// Jobs by queue and state, as the freshest pods export them.
pub const DEPTH: Template = Template { name: "queue_depth", query: depth };
/// Age in seconds of the oldest due job, by queue.
pub const OLDEST: Template = Template { name: "oldest_job", query: oldest };
/// Jobs that were enqueued, per second, by queue.
pub const ENQUEUED: Template = Template { name: "enqueued_jobs", query: enqueued };
/// Jobs that ended, per second, by queue.
pub const FINISHED: Template = Template { name: "finished_jobs", query: finished };
/// Mean duration of a job in seconds, by queue.
pub const DURATION: Template = Template { name: "job_duration", query: duration };
/// Age in seconds of the newest sample of the depth, by queue.
pub const DEPTH_AGE: Template = Template { name: "queue_depth_age", query: depth_age };

/// Jobs.
pub const FAMILY: Family = Family {
    templates: &[DEPTH, OLDEST, ENQUEUED, FINISHED, DURATION, DEPTH_AGE],
    read,
    forget: |evidence| evidence.backlogs = <_>::default(),
};

/// The gauge of jobs by `queue` and `state`.
const QUEUE_DEPTH: &str = "jobs_queue_depth";
/// The gauge of the age of the oldest due job, by `queue`.
const OLDEST_AGE: &str = "jobs_oldest_age_seconds";
/// The counter of new jobs, by `queue`.
const ENQUEUED_TOTAL: &str = "jobs_enqueued_total";
/// Labels of a queue.
const QUEUE: &str = "namespace, scalableapp, queue";
/// Windows of a request rate in which the duration of jobs is averaged: few may end in one.
const DURATION_WINDOWS: u32 = 5;

/// The backlog of a pool.
#[derive(Clone, Debug, PartialEq)]
pub enum PoolBacklog {
    /// The sum over its queues.
    Known(BacklogReading),
    /// No pod of the app exports these series.
    Unknown(MissingSeries),
}

/// The queues that lack a series, by that series. Of a queue the first one is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MissingSeries(BTreeMap<&'static str, Vec<String>>);

/// The most queues that are named for a series: the sentence is part of a condition.
const NAMED: usize = 4;

impl fmt::Display for MissingSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (series, queues)) in self.0.iter().enumerate() {
            let (start, word) =
                (if index > 0 { ", " } else { "" }, if queues.len() > 1 { "queues" } else { "queue" });
            write!(f, "{start}{series} of {word} {}", queues[..queues.len().min(NAMED)].join(", "))?;
            if queues.len() > NAMED {
                write!(f, " and {} more", queues.len() - NAMED)?;
            }
        }
        Ok(())
    }
}

fn depth(selection: &Selection, part: &Part<'_>) -> String {
    let selector = selection.of_apps(QUEUE_DEPTH, part);
    format!("max by ({QUEUE}, state) ({selector} and {})", selection.fresh(&selector))
}

fn oldest(selection: &Selection, part: &Part<'_>) -> String {
    let selector = selection.of_apps(OLDEST_AGE, part);
    format!("max by ({QUEUE}) ({selector} and {})", selection.fresh(&selector))
}

fn depth_age(selection: &Selection, part: &Part<'_>) -> String {
    format!("time() - max by ({QUEUE}) (timestamp({}))", selection.of_apps(QUEUE_DEPTH, part))
}

fn enqueued(selection: &Selection, part: &Part<'_>) -> String {
    rate(selection, &selection.of_apps(ENQUEUED_TOTAL, part), 1)
}

/// Runs that are retried or were returned untried are no throughput.
fn finished(selection: &Selection, part: &Part<'_>) -> String {
    let selector = selection.of_apps("jobs_finished_total", part);
    let ended = selector.replacen('{', "{outcome=~\"done|dead\",", 1);
    rate(selection, &ended, 1)
}

fn duration(selection: &Selection, part: &Part<'_>) -> String {
    let of = |suffix: &str| {
        let selector = selection.of_apps(&format!("job_duration_seconds_{suffix}"), part);
        rate(selection, &selector, DURATION_WINDOWS)
    };
    format!("{} / {}", of("sum"), of("count"))
}

fn rate(selection: &Selection, selector: &str, windows: u32) -> String {
    let window = display_duration(&(selection.request_window * windows));
    format!("sum by ({QUEUE}) ({})", once(&format!("rate({selector}[{window}])")))
}

/// A queue in the labels of a series: namespace, app and name.
type QueueName<'a> = (&'a str, &'a str, &'a str);

/// Sets the value of a template, read at this time.
type SetValue = fn(&mut Queue, f64, Timestamp);

/// The measurements of one queue.
#[derive(Clone, Copy, Debug, Default)]
struct Queue {
    waiting: f64,
    running: f64,
    oldest: Option<f64>,
    enqueued: Option<f64>,
    finished: f64,
    seconds: Option<f64>,
    at: Option<Timestamp>,
    has_depth: bool,
}

impl Queue {
    /// The first missing series of those that must be known while no worker runs. Absent is not zero.
    fn missing(&self) -> Option<&'static str> {
        let known = [
            (QUEUE_DEPTH, self.has_depth),
            (OLDEST_AGE, self.oldest.is_some()),
            (ENQUEUED_TOTAL, self.enqueued.is_some()),
        ];
        known.into_iter().find(|(_, is_known)| !is_known).map(|(series, _)| series)
    }
}

fn read(
    evidence: &mut Measurements,
    sampling: &Sampling<'_>,
    answers: &mut TemplateAnswers<'_>,
) -> Result<(), Misread> {
    let (queues, is_partial) = queues(answers, sampling.now)?;
    let backlogs = pools(&queues, sampling.wanted, sampling.part, is_partial);
    renew(&mut evidence.backlogs, sampling.part, backlogs);
    Ok(())
}

/// The queues in the answers, and whether one of these is partial.
fn queues<'a>(
    answers: &mut TemplateAnswers<'a>,
    now: Timestamp,
) -> Result<(HashMap<QueueName<'a>, Queue>, bool), Misread> {
    let mut queues: HashMap<QueueName<'a>, Queue> = HashMap::new();
    let depth = answers.take(DEPTH)?;
    let mut is_partial = depth.is_partial;
    if let Data::Vector(series) = &depth.data {
        for one in series {
            let labels = &one.labels;
            let (Some(name), Some(state)) = (labels.queue_name(), labels.state.as_deref()) else { continue };
            let queue = queues.entry(name).or_default();
            queue.has_depth = true;
            match state {
                "available" => queue.waiting = one.sample.1,
                "running" => queue.running = one.sample.1,
                _ => {}
            }
        }
    }
    let sets: [(Template, SetValue); 5] = [
        (OLDEST, |queue, value, _| queue.oldest = Some(value)),
        (ENQUEUED, |queue, value, _| queue.enqueued = Some(value)),
        (FINISHED, |queue, value, _| queue.finished = value),
        // Without a job in the window it is not a number.
        (DURATION, |queue, value, _| queue.seconds = Some(value).filter(|value| value.is_finite())),
        (DEPTH_AGE, |queue, value, now| queue.at = taken(now, value)),
    ];
    for (template, set) in sets {
        let outcome = answers.take(template)?;
        is_partial |= outcome.is_partial;
        if let Data::Vector(series) = &outcome.data {
            for one in series {
                if let Some(name) = one.labels.queue_name() {
                    set(queues.entry(name).or_default(), one.sample.1, now);
                }
            }
        }
    }
    Ok((queues, is_partial))
}

/// The backlog of each needed pool of a part.
fn pools(
    queues: &HashMap<QueueName<'_>, Queue>,
    wanted: &QueryPlan,
    part: &Part<'_>,
    is_partial: bool,
) -> ByComponent<PoolBacklog> {
    let mut pools = HashMap::new();
    for (key, sources) in wanted.components() {
        let names = sources.values().find_map(|source| match source {
            Source::Backlog(names) => Some(names),
            _ => None,
        });
        let Some(names) = names.filter(|_| part.has_app(&key.namespace, &key.app)) else { continue };
        let (mut found, mut missing) = (Vec::with_capacity(names.len()), MissingSeries::default());
        for name in names {
            let queue = queues.get(&(key.namespace.as_str(), key.app.as_str(), name.as_str()));
            let queue = queue.copied().unwrap_or_default();
            match queue.missing() {
                None => found.push(queue),
                Some(series) => missing.0.entry(series).or_default().push(name.clone()),
            }
        }
        let value = if missing.0.is_empty() {
            PoolBacklog::Known(sum(&found))
        } else {
            PoolBacklog::Unknown(missing)
        };
        let at = match &value {
            PoolBacklog::Known(reading) => reading.at,
            PoolBacklog::Unknown(_) => None,
        };
        pools.insert(key.clone(), Measured { value, at, scraped: None, is_partial });
    }
    pools
}

/// The backlog of several queues together.
fn sum(queues: &[Queue]) -> BacklogReading {
    let (mut reading, mut busy, mut weight) = (BacklogReading::default(), 0.0, 0.0);
    reading.running = Some(queues.iter().map(|queue| queue.running).sum());
    reading.finished_per_second = Some(queues.iter().map(|queue| queue.finished).sum());
    reading.at = queues.iter().map(|queue| queue.at).min().flatten();
    for queue in queues {
        reading.waiting += queue.waiting;
        reading.arrivals_per_second += queue.enqueued.unwrap_or_default();
        reading.oldest_seconds = reading.oldest_seconds.max(queue.oldest.unwrap_or_default());
        if let Some(seconds) = queue.seconds {
            // Weighted by throughput. A queue whose jobs ended before the last window still counts a little.
            let jobs = queue.finished.max(f64::EPSILON);
            busy += seconds * jobs;
            weight += jobs;
        }
    }
    reading.seconds_per_job = (weight > 0.0).then(|| busy / weight);
    reading
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::prometheus::answer::Outcome;
    use crate::observe::query_plan::Shown;
    use crate::resolve::app::ComponentKey;
    use jiff::ToSpan;
    use serde_json::{Value, json};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn queue(name: &str) -> Value {
        json!({"namespace": "shop", "scalableapp": "shop", "queue": name})
    }

    fn depth_of(name: &str, state: &str) -> Value {
        json!({"namespace": "shop", "scalableapp": "shop", "queue": name, "state": state})
    }

    /// The backlog of a pool with the queues `mail` and `sms`; the answer to `without` is empty.
    fn backlog(without: Option<Template>) -> PoolBacklog {
        let depth = [
            (depth_of("mail", "available"), "30"),
            (depth_of("mail", "running"), "4"),
            (depth_of("mail", "dead"), "99"),
            (depth_of("sms", "available"), "10"),
            (depth_of("other", "available"), "1000"),
        ];
        let both = |mail, sms| Outcome::vector(&[(queue("mail"), mail), (queue("sms"), sms)]);
        let answers = [
            (DEPTH, Outcome::vector(&depth)),
            (OLDEST, both("90", "5")),
            (ENQUEUED, both("2", "1")),
            (FINISHED, Outcome::vector(&[(queue("mail"), "3")])),
            (DURATION, both("0.5", "NaN")),
            (DEPTH_AGE, both("2", "4")),
        ];
        let none = Outcome::vector(&[]);
        let answer =
            |(template, outcome)| (template, if Some(template) == without { &none } else { outcome });
        let mut answers: TemplateAnswers<'_> =
            answers.iter().map(|(template, outcome)| answer((*template, outcome))).collect();
        let (queues, is_partial) = queues(&mut answers, NOW).expect("all answers");
        let key = ComponentKey::new("shop", "shop", "pool");
        let sources = [("backlog".to_owned(), Source::Backlog(vec!["mail".to_owned(), "sms".to_owned()]))];
        let components = [(key.clone(), BTreeMap::from(sources))].into();
        let wanted = QueryPlan::new(components, BTreeMap::new(), Shown::default());
        let app = ("shop".to_owned(), "shop".to_owned());
        let part = Part { start: app.clone(), apps: vec![&app], is_whole: true, cuts_a_namespace: false };
        pools(&queues, &wanted, &part, is_partial)[&key].value.clone()
    }

    #[test]
    fn the_backlog_of_a_pool_is_that_of_its_own_queues_together() {
        let expected = BacklogReading {
            at: Some(NOW - 4.seconds()),
            arrivals_per_second: 3.0,
            finished_per_second: Some(3.0),
            waiting: 40.0,
            running: Some(4.0),
            oldest_seconds: 90.0,
            seconds_per_job: Some(0.5),
        };
        assert_eq!(backlog(None), PoolBacklog::Known(expected));
    }

    #[test]
    fn all_queues_that_lack_a_series_are_named_up_to_a_limit() {
        let queues = |count: usize| (0..count).map(|index| format!("q{index}")).collect::<Vec<_>>();
        let missing = MissingSeries(BTreeMap::from([(QUEUE_DEPTH, queues(1)), (OLDEST_AGE, queues(2))]));
        let expected = "jobs_oldest_age_seconds of queues q0, q1, jobs_queue_depth of queue q0";
        assert_eq!(missing.to_string(), expected);
        let many = MissingSeries(BTreeMap::from([(QUEUE_DEPTH, queues(16))]));
        assert_eq!(many.to_string(), "jobs_queue_depth of queues q0, q1, q2, q3 and 12 more");
    }

    #[test]
    fn a_backlog_without_depth_age_or_new_jobs_is_not_known_and_without_workers_it_is() {
        for (template, series) in [(DEPTH, QUEUE_DEPTH), (OLDEST, OLDEST_AGE), (ENQUEUED, ENQUEUED_TOTAL)] {
            let both = vec!["mail".to_owned(), "sms".to_owned()];
            let missing = MissingSeries(BTreeMap::from([(series, both)]));
            assert_eq!(backlog(Some(template)), PoolBacklog::Unknown(missing));
        }
        for template in [FINISHED, DURATION] {
            assert!(matches!(backlog(Some(template)), PoolBacklog::Known(_)), "{template:?}");
        }
    }
}
