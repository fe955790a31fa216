//! The parts into which the apps are split where their series do not fit one answer. Pure.
//!
//! All apps are one part, which one query measures. A part whose answer is too large is split: by namespace, and then by
//! app, until the app stands alone whose series are too many. Parts whose answers are small join again, so that one
//! such app costs two more queries for each template, and none when it is mended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::{self, Backoff};
use super::client::TEMPLATE_LIMIT;
use crate::observe::query_plan::AppKey;

/// Parts that one is split into at a time.
const PIECES: usize = 8;
/// Parts of a signal, at most. With more apps that each have too many series, some of the others share their part.
const PARTS: usize = 64;
/// Longest time for which parts do not join, after they were split again and again.
const APART: Duration = Duration::from_secs(600);

/// What is wrong with the last attempt at each part, as a sentence, by the first name that belongs to it.
pub type PartProblems = BTreeMap<AppKey, Option<String>>;

/// The parts of one signal.
#[derive(Clone, Debug)]
pub struct Parts {
    /// By the first name that belongs to it; it ends where the next begins.
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

/// Apps that one query measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The first name that belongs to it.
    pub start: AppKey,
    /// The apps.
    pub apps: Vec<&'a AppKey>,
    /// Whether these are all.
    pub is_whole: bool,
    /// Whether other apps of one of its namespaces belong to another part.
    pub cuts_a_namespace: bool,
}

impl Default for Parts {
    fn default() -> Self {
        Self { states: BTreeMap::from([(AppKey::default(), State::default())]), joining: Backoff::default() }
    }
}

impl Parts {
    /// The parts of these apps, without those that have none.
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

    /// Whether the part may be asked for.
    #[must_use]
    pub fn admits(&self, part: &Part<'_>, now: Instant) -> bool {
        self.states.get(&part.start).is_none_or(|state| state.backoff.admits(now))
    }

    /// Whether the last attempt at the part was a good one.
    #[must_use]
    pub fn is_at_rest(&self, part: &Part<'_>) -> bool {
        self.states.get(&part.start).is_none_or(|state| state.backoff.is_at_rest())
    }

    /// The part was answered, with so many bytes at most for a query.
    pub fn answered(&mut self, part: &Part<'_>, bytes: usize) {
        self.states.insert(part.start.clone(), State { bytes: Some(bytes), ..State::default() });
    }

    /// The part was not answered. If that is for its size, it is split, and otherwise it is left alone for a while.
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

    /// Where the pieces of a part begin, but for the first; none where it cannot be split.
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

    /// Joins neighbours whose answers are small together.
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

    /// What is wrong with the last attempt at each part.
    #[must_use]
    pub fn problems(&self) -> PartProblems {
        self.states.iter().map(|(start, state)| (start.clone(), state.problem.clone())).collect()
    }
}

impl Part<'_> {
    /// Whether the app belongs to the part.
    #[must_use]
    pub fn has_app(&self, namespace: &str, app: &str) -> bool {
        let compared = |one: &&AppKey| (one.0.as_str(), one.1.as_str()).cmp(&(namespace, app));
        self.is_whole || self.apps.binary_search_by(compared).is_ok()
    }

    /// Whether the part's queries ask for the pod.
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

    /// Asks until nothing changes; an app in `floods` is too large for any answer. Returns how many parts each round had.
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
