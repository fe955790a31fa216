//! The backlog of a pool from the answers to its own queries. Pure.

use super::prometheus::custom::{Answers, QueryAnswer};
use super::query_plan::{BacklogQueries, CustomQuery};
use jiff::Timestamp;
use scalableapp_engine::evidence::backlog::BacklogReading;

/// The backlog; `None` while a query has no answer with one value. Absent is not zero.
pub(super) fn reading(queries: &BacklogQueries, answers: &Answers) -> Option<BacklogReading> {
    let value = |query: &CustomQuery| -> Option<(f64, Timestamp)> {
        let answer = answers.get(query).filter(|answer| !answer.is_partial)?;
        let [value] = answer.values[..] else { return None };
        Some((value, answer.at?))
    };
    // The outer `None` is a query without an answer, the inner one is no query.
    let optional = |query: &Option<CustomQuery>| match query {
        None => Some(None),
        Some(query) => value(query).map(Some),
    };
    let needed = [value(&queries.arrivals)?, value(&queries.waiting)?, value(&queries.oldest)?];
    let others = [optional(&queries.running)?, optional(&queries.finished)?];
    let [(arrivals_per_second, _), (waiting, _), (oldest_seconds, _)] = needed;
    let [running, finished_per_second] = others.map(|known| known.map(|(value, _)| value));
    let seconds_per_job = match &queries.seconds {
        None => None,
        Some(query) => duration(answers.get(query)?)?,
    };
    let at = needed.into_iter().chain(others.into_iter().flatten()).map(|(_, at)| at).min();
    Some(BacklogReading {
        at,
        arrivals_per_second,
        finished_per_second,
        waiting,
        running,
        oldest_seconds,
        seconds_per_job,
    })
}

/// The duration of a job. Without a result, or with NaN, no job has ended; the outer `None` is no answer.
fn duration(answer: &QueryAnswer) -> Option<Option<f64>> {
    answer.at?;
    match answer.values[..] {
        [] => Some(None),
        [value] => Some(Some(value).filter(|value| !value.is_nan() && !answer.is_partial)),
        [..] => None,
    }
}

/// The problem of the first query that has one, as a sentence.
pub(super) fn problem(queries: &BacklogQueries, answers: &Answers) -> Option<String> {
    let problem = |(name, query): (&str, &CustomQuery)| {
        let answer = answers.get(query)?;
        let is_of_duration = queries.seconds.as_ref() == Some(query);
        let problem = answer.problem().filter(|_| !is_of_duration || duration(answer).is_none())?;
        Some(format!("{name}: {problem}"))
    };
    queries.named().find_map(problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;
    use scalableapp_crds as api;
    use std::sync::Arc;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn queries() -> BacklogQueries {
        let written = api::BacklogQueries {
            arrivals_per_second: "arrivals".to_owned(),
            waiting: "waiting".to_owned(),
            oldest_seconds: "oldest".to_owned(),
            running: Some("running".to_owned()),
            finished_per_second: Some("finished".to_owned()),
            seconds_per_job: Some("seconds".to_owned()),
        };
        BacklogQueries::of(&written, "shop")
    }

    fn answer(values: &[f64], age: i64) -> Arc<QueryAnswer> {
        let at = Some(NOW - age.seconds());
        Arc::new(QueryAnswer { values: values.to_vec(), at, ..QueryAnswer::default() })
    }

    /// The answers, but another one to one query; nothing removes it.
    fn answers(query: &str, other: Option<&Arc<QueryAnswer>>) -> Answers {
        let texts = ["arrivals", "waiting", "oldest", "running", "finished", "seconds"];
        let named = |text: &str| CustomQuery { namespace: "shop".to_owned(), text: text.to_owned() };
        let all = texts.iter().zip(1_i32..).map(|(text, value)| {
            let answer = answer(&[f64::from(value)], i64::from(value));
            (named(text), if *text == query { other.cloned() } else { Some(answer) })
        });
        all.filter_map(|(query, answer)| Some((query, answer?))).collect()
    }

    #[test]
    fn each_query_gives_its_figure_and_the_oldest_answer_the_age() {
        let expected = BacklogReading {
            at: Some(NOW - 5.seconds()),
            arrivals_per_second: 1.0,
            waiting: 2.0,
            oldest_seconds: 3.0,
            running: Some(4.0),
            finished_per_second: Some(5.0),
            seconds_per_job: Some(6.0),
        };
        assert_eq!(reading(&queries(), &answers("", None)), Some(expected));
        assert_eq!(problem(&queries(), &answers("", None)), None);
    }

    #[test]
    fn a_query_without_one_value_makes_the_backlog_unknown_and_is_named() {
        for (query, name) in [
            ("arrivals", "arrivalsPerSecond"),
            ("waiting", "waiting"),
            ("oldest", "oldestSeconds"),
            ("running", "running"),
            ("finished", "finishedPerSecond"),
        ] {
            assert_eq!(reading(&queries(), &answers(query, None)), None, "{query}");
            let answers = answers(query, Some(&answer(&[], 0)));
            assert_eq!(reading(&queries(), &answers), None, "{query}");
            let expected = format!("{name}: the query returned no series");
            assert_eq!(problem(&queries(), &answers), Some(expected));
        }
    }

    #[test]
    fn a_duration_is_unknown_while_no_job_has_ended_and_the_backlog_is_known() {
        for values in [&[][..], &[f64::NAN]] {
            let answers = answers("seconds", Some(&answer(values, 0)));
            let reading = reading(&queries(), &answers).expect("a backlog");
            assert_eq!((reading.seconds_per_job, reading.waiting), (None, 2.0));
            assert_eq!(problem(&queries(), &answers), None);
        }
        let refused = QueryAnswer { failure: Some("no PromQL".to_owned()), ..QueryAnswer::default() };
        let answers = answers("seconds", Some(&Arc::new(refused)));
        assert_eq!(reading(&queries(), &answers), None);
        assert_eq!(problem(&queries(), &answers).as_deref(), Some("secondsPerJob: no PromQL"));
    }

    #[test]
    fn what_nobody_counts_is_not_known() {
        let queries = BacklogQueries { running: None, finished: None, seconds: None, ..queries() };
        let reading = reading(&queries, &answers("", None)).expect("a backlog");
        assert_eq!(
            (reading.running, reading.finished_per_second, reading.seconds_per_job),
            (None, None, None)
        );
    }
}
