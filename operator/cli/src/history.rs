//! The decisions during a watch: a status has only the last one of each component. Pure.

use std::collections::BTreeMap;

use crate::status::{AppStatus, Decision};

const KEPT: usize = 8;

/// The newest decisions of each app that was watched.
#[derive(Clone, Debug, Default)]
pub struct History {
    apps: BTreeMap<(String, String), Vec<Decision>>,
}

impl History {
    /// Adds the app's decisions, appends the earlier ones to them, and returns the new ones, the oldest first.
    ///
    /// The first status has no new ones: a decision before the watch is not a change.
    pub fn extend(&mut self, app: &mut AppStatus) -> Vec<Decision> {
        let key = (app.namespace.clone(), app.name.clone());
        let known = self.apps.get(&key);
        let mut new: Vec<Decision> = match known {
            Some(known) => {
                app.decisions.iter().filter(|decision| !known.contains(decision)).cloned().collect()
            }
            None => Vec::new(),
        };
        let mut all = app.decisions.clone();
        all.extend(known.into_iter().flatten().cloned());
        all.sort_by(|a, b| b.cmp(a));
        all.dedup();
        all.truncate(KEPT);
        app.decisions.clone_from(&all);
        self.apps.insert(key, all);
        new.sort();
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Health;
    use jiff::Timestamp;

    fn decision(second: i64) -> Decision {
        Decision {
            time: Timestamp::from_second(second).expect("a time"),
            component: "web".into(),
            from: 1,
            to: 2,
            reason: "R".into(),
            message: "m".into(),
            evidence: Vec::new(),
        }
    }

    fn app(second: i64) -> AppStatus {
        AppStatus {
            namespace: "n".into(),
            name: "a".into(),
            health: Health::Ready,
            up_to_date: true,
            measured_at: None,
            components: Vec::new(),
            deviations: Vec::new(),
            overrides: Vec::new(),
            decisions: vec![decision(second)],
            notes: Vec::new(),
        }
    }

    #[test]
    fn earlier_decisions_stay_behind_the_last_one() {
        let mut history = History::default();
        assert_eq!(history.extend(&mut app(1)), [], "what was decided before the watch is not new");
        let mut second = app(2);
        assert_eq!(history.extend(&mut second), [decision(2)]);
        assert_eq!(second.decisions, [decision(2), decision(1)]);
        assert_eq!(history.extend(&mut app(2)), [], "it is new only once");
    }

    #[test]
    fn only_the_newest_are_kept() {
        let mut history = History::default();
        for second in 0..20 {
            history.extend(&mut app(second));
        }
        let mut last = app(20);
        history.extend(&mut last);
        assert_eq!(last.decisions.len(), KEPT);
        assert_eq!(last.decisions[0], decision(20));
    }
}
