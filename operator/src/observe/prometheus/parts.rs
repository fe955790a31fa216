//! The parts into which the apps are split where their series exceed one answer. Pure.
//!
//! Normally all apps are one part with one query. A part whose answer is too large is split by namespace, and then by
//! app, until the app with too many series is alone. Neighbors with small answers join again. So one such app costs two
//! more queries for each template, and none once it is fixed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::{self, Backoff};
use super::client::TEMPLATE_LIMIT;
use crate::observe::query_plan::AppKey;

/// Pieces of a split.
const PIECES: usize = 8;
/// The most parts of a signal. With more apps that each have too many series, some other apps share their part.
const PARTS: usize = 64;
/// Longest time without joins, after repeated splits.
const APART: Duration = Duration::from_secs(600);

/// The problem of the last attempt at each part, as a sentence, by the first name in the part.
pub type PartProblems = BTreeMap<AppKey, Option<String>>;

/// The parts of one signal.
#[derive(Clone, Debug)]
pub struct Parts {
    /// By the first name in the part; a part ends where the next begins.
    states: BTreeMap<AppKey, State>,
    joining: Backoff,
}

#[derive(Clone, Debug, Default)]
struct State {
    backoff: Backoff,
    /// Size of its largest answer, if the last attempt had one.
    bytes: Option<usize>,
    problem: Option<String>,
}

/// The apps of one query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The first name in the part.
    pub start: AppKey,
    /// The apps.
    pub apps: Vec<&'a AppKey>,
    /// Whether these are all apps.
    pub is_whole: bool,
    /// Whether other apps of one of its namespaces are in another part.
    pub cuts_a_namespace: bool,
}

impl Default for Parts {
    fn default() -> Self {
        Self { states: BTreeMap::from([(AppKey::default(), State::default())]), joining: Backoff::default() }
    }
}

impl Parts {
    /// The parts of these apps, without empty ones.
    pub fn of<'a>(&self, apps: &'a BTreeSet<AppKey>) -> Vec<Part<'a>> {
        let starts: Vec<&AppKey> = self.states.keys().collect();
        let part = |(index, start): (usize, &&AppKey)| {
            let until = starts.get(index + 1);
            let own: Vec<&AppKey> = apps
                .range((*start).clone()..)
                .take_while(|app| until.is_none_or(|until| app < until))
                .collect();
            let cuts_a_namespace = !start.1.is_empty() || until.is_some_and(|until| !until.1.is_empty());
            Part { start: (*start).clone(), is_whole: own.len() == apps.len(), apps: own, cuts_a_namespace }
        };
        starts.iter().enumerate().map(part).filter(|part| !part.apps.is_empty()).collect()
    }

    /// Whether the part may be queried.
    #[must_use]
    pub fn admits(&self, part: &Part<'_>, now: Instant) -> bool {
        self.states.get(&part.start).is_none_or(|state| state.backoff.admits(now))
    }

    /// Whether the last attempt at the part succeeded.
    #[must_use]
    pub fn is_at_rest(&self, part: &Part<'_>) -> bool {
        self.states.get(&part.start).is_none_or(|state| state.backoff.is_at_rest())
    }

    /// The part was answered, with at most this many bytes for a query.
    pub fn answered(&mut self, part: &Part<'_>, bytes: usize) {
        self.states.insert(part.start.clone(), State { bytes: Some(bytes), ..State::default() });
    }

    /// The part was not answered. If it was too large, it is split; otherwise it backs off.
    pub fn failed(&mut self, part: &Part<'_>, problem: String, is_too_large: bool, now: Instant) {
        let pieces = if is_too_large { self.pieces(part) } else { Vec::new() };
        let state = self.states.entry(part.start.clone()).or_default();
        (state.bytes, state.problem) = (None, Some(problem));
        if pieces.is_empty() {
            state.backoff.failed(now, backoff::CAP);
            return;
        }
        let state = state.clone();
        self.states.extend(pieces.into_iter().map(|start| (start, state.clone())));
        self.joining.failed(now, APART);
    }

    /// The first names of the pieces, without the first piece; none where the part cannot be split.
    fn pieces(&self, part: &Part<'_>) -> Vec<AppKey> {
        let namespaces: BTreeSet<&str> = part.apps.iter().map(|app| app.0.as_str()).collect();
        let starts: Vec<AppKey> = if namespaces.len() > 1 {
            namespaces.into_iter().map(|namespace| (namespace.to_owned(), String::new())).collect()
        } else {
            part.apps.iter().map(|app| (*app).clone()).collect()
        };
        let pieces = PIECES.min(PARTS.saturating_sub(self.states.len()) + 1);
        let size = starts.len().div_ceil(pieces);
        starts.into_iter().step_by(size).skip(1).collect()
    }

    /// Joins neighbors whose answers together are small.
    pub fn join(&mut self, apps: &BTreeSet<AppKey>, now: Instant) {
        if self.states.len() == 1 {
            if self.is_at_rest_for(now) {
                self.joining.succeeded();
            }
            return;
        }
        let with_apps: BTreeSet<AppKey> = self.of(apps).into_iter().map(|part| part.start).collect();
        for (start, state) in &mut self.states {
            if !with_apps.contains(start) {
                *state = State { bytes: Some(0), ..State::default() };
            }
        }
        if !self.joining.admits(now) {
            return;
        }
        let mut joined: BTreeMap<AppKey, State> = BTreeMap::new();
        for (start, state) in std::mem::take(&mut self.states) {
            let together = joined.last_entry().and_then(|last| Some(last.get().bytes? + state.bytes?));
            match (together.filter(|bytes| *bytes <= TEMPLATE_LIMIT / 2), joined.last_entry()) {
                (Some(bytes), Some(mut last)) => last.get_mut().bytes = Some(bytes),
                _ => {
                    joined.insert(start, state);
                }
            }
        }
        self.states = joined;
    }

    fn is_at_rest_for(&self, now: Instant) -> bool {
        self.joining.admits(now) && self.states.values().all(|state| state.bytes.is_some())
    }

    /// The problem of the last attempt at each part.
    #[must_use]
    pub fn problems(&self) -> PartProblems {
        self.states.iter().map(|(start, state)| (start.clone(), state.problem.clone())).collect()
    }
}

impl Part<'_> {
    /// Whether the app is in the part.
    #[must_use]
    pub fn has_app(&self, namespace: &str, app: &str) -> bool {
        let compared = |one: &&AppKey| (one.0.as_str(), one.1.as_str()).cmp(&(namespace, app));
        self.is_whole || self.apps.binary_search_by(compared).is_ok()
    }

    /// Whether the part's queries select the pod.
    #[must_use]
    pub fn has_pod(&self, namespace: &str, pod: &str) -> bool {
        let is_of = |app: &&&AppKey| {
            !self.cuts_a_namespace || pod.strip_prefix(&app.1).is_some_and(|rest| rest.starts_with('-'))
        };
        self.is_whole || self.apps.iter().filter(|app| app.0 == namespace).any(|app| is_of(&app))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps(count: usize) -> BTreeSet<AppKey> {
        (0..count).map(|index| (format!("team-{:03}", index / 4), format!("app-{}", index % 4))).collect()
    }

    /// Sends queries until nothing changes; an app in `floods` is too large for any answer. Returns the number of parts
    /// in each round.
    fn asked(parts: &mut Parts, apps: &BTreeSet<AppKey>, floods: &[AppKey], rounds: usize) -> Vec<usize> {
        let mut now = Instant::now();
        let mut counts = Vec::new();
        for _ in 0..rounds {
            let all = parts.of(apps);
            counts.push(all.len());
            for part in &all {
                match part.apps.iter().any(|app| floods.contains(app)) {
                    true => parts.failed(part, "too large".to_owned(), true, now),
                    false => parts.answered(part, 100 * part.apps.len()),
                }
            }
            parts.join(apps, now);
            now += Duration::from_secs(5);
        }
        counts
    }

    fn unanswered(parts: &Parts, apps: &BTreeSet<AppKey>) -> Vec<AppKey> {
        let problems = parts.problems();
        let has_problem = |app: &&AppKey| {
            problems.range(..=(*app).clone()).next_back().is_some_and(|(_, one)| one.is_some())
        };
        apps.iter().filter(has_problem).cloned().collect()
    }

    #[test]
    fn all_apps_are_one_part_while_nothing_is_wrong() {
        let (mut parts, apps) = (Parts::default(), apps(1000));
        assert_eq!(asked(&mut parts, &apps, &[], 5), [1; 5]);
        assert!(parts.of(&apps)[0].is_whole);
    }

    #[test]
    fn a_flood_is_its_authors_alone_and_costs_few_queries_until_it_ends() {
        let (mut parts, apps) = (Parts::default(), apps(1000));
        let author = ("team-100".to_owned(), "app-2".to_owned());
        let counts = asked(&mut parts, &apps, std::slice::from_ref(&author), 40);
        assert_eq!(unanswered(&parts, &apps), [author]);
        assert!(counts.iter().take(6).max().is_some_and(|most| *most <= 30), "{counts:?}");
        assert_eq!(counts.last(), Some(&3), "{counts:?}");
        let counts = asked(&mut parts, &apps, &[], 10);
        assert_eq!((counts.last(), unanswered(&parts, &apps)), (Some(&1), vec![]), "{counts:?}");
    }

    #[test]
    fn many_floods_leave_a_bounded_number_of_parts() {
        let (mut parts, apps) = (Parts::default(), apps(1000));
        let floods: Vec<AppKey> = apps.iter().step_by(5).cloned().collect();
        let counts = asked(&mut parts, &apps, &floods, 40);
        assert!(counts.iter().all(|count| *count <= PARTS), "{counts:?}");
    }

    #[test]
    fn parts_that_are_too_large_together_join_less_and_less() {
        let (mut parts, apps) = (Parts::default(), apps(16));
        let (mut now, mut wholes) = (Instant::now(), Vec::new());
        for round in 0..200 {
            for part in parts.of(&apps) {
                if part.is_whole {
                    wholes.push(round);
                    parts.failed(&part, "execution".to_owned(), true, now);
                } else {
                    parts.answered(&part, 1);
                }
            }
            parts.join(&apps, now);
            now += Duration::from_secs(5);
        }
        assert!(wholes.len() < 16, "{wholes:?}");
    }

    #[test]
    fn what_fails_for_another_reason_is_not_split() {
        let (mut parts, apps) = (Parts::default(), apps(8));
        let now = Instant::now();
        parts.failed(&parts.of(&apps)[0].clone(), "away".to_owned(), false, now);
        assert_eq!(parts.of(&apps).len(), 1);
        assert!(!parts.admits(&parts.of(&apps)[0], now));
    }

    #[test]
    fn pods_of_a_part_are_known_by_the_names_of_its_apps() {
        let apps = BTreeSet::from([("shop".to_owned(), "web".to_owned())]);
        let part = |cuts_a_namespace| Part {
            start: AppKey::default(),
            apps: apps.iter().collect(),
            is_whole: false,
            cuts_a_namespace,
        };
        assert!(part(true).has_pod("shop", "web-api-1") && !part(true).has_pod("shop", "website-1"));
        assert!(part(false).has_pod("shop", "website-1") && !part(false).has_pod("blog", "web-1"));
        assert!(part(true).has_app("shop", "web") && !part(true).has_app("shop", "other"));
    }
}
