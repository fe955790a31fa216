//! A replay from start to end. Pure.

use std::ops::Range;

use crate::app::{App, Minute};
use crate::autoscaler::Autoscaler;
use crate::setting::{Contender, Setting};
use crate::workload::Workload;

/// The input of a replay.
#[derive(Clone, Copy)]
pub struct Replay<'a> {
    /// The requests.
    pub workload: &'a Workload,
    /// The autoscaler.
    pub contender: Contender,
    /// Its setting.
    pub setting: Setting,
    /// Mean time from the creation of a pod until it is ready, in seconds.
    pub start: f64,
}

/// The result. It includes the lead-in of the workload ([`crate::workload::LEAD_IN`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The requests of each minute; the last minute may be incomplete.
    pub minutes: Vec<Minute>,
    /// The pods of each second, from their creation on.
    pub pods: Vec<u32>,
    /// Pods that were created after the first second.
    pub started: u32,
}

impl Outcome {
    /// The number of these minutes that violate the objective ([`Minute::violates`]).
    #[must_use]
    pub fn violations(&self, minutes: Range<usize>) -> usize {
        self.minutes[minutes].iter().filter(|minute| minute.violates()).count()
    }

    /// The cost of the pods in these complete minutes, in replica-hours.
    #[must_use]
    pub fn replica_hours(&self, minutes: Range<usize>) -> f64 {
        let pod_seconds: u32 = self.pods[minutes.start * 60..minutes.end * 60].iter().sum();
        f64::from(pod_seconds) / 3600.0
    }
}

/// Replays a workload to its end.
///
/// The app has run for a long time with the replicas that the first rate needs.
#[must_use]
pub fn replay(replay: &Replay<'_>) -> Outcome {
    let mut run = Run::new(replay);
    while run.minute().is_some() {}
    run.outcome()
}

/// Replays a workload to its end, unless `keep_on` returns false for the index of a minute and its requests.
#[must_use]
pub fn replay_while(replay: &Replay<'_>, mut keep_on: impl FnMut(usize, Minute) -> bool) -> Option<Outcome> {
    let mut run = Run::new(replay);
    while let Some((index, minute)) = run.minute() {
        if !keep_on(index, minute) {
            return None;
        }
    }
    Some(run.outcome())
}

/// A running replay.
struct Run<'a> {
    workload: &'a Workload,
    /// Seconds between two decisions.
    period: usize,
    autoscaler: Autoscaler,
    app: App,
    /// The time of the next one.
    second: usize,
}

impl<'a> Run<'a> {
    fn new(replay: &Replay<'a>) -> Self {
        let autoscaler = Autoscaler::new(replay.contender, replay.setting);
        let workload = replay.workload;
        let app = App::new(autoscaler.settled(workload.rates[0]), workload.seconds(), replay.start);
        Self { workload, period: replay.contender.period(), autoscaler, app, second: 0 }
    }

    /// Replays the next minute, or the rest of the workload. Returns its index and its requests; `None` at the end.
    fn minute(&mut self) -> Option<(usize, Minute)> {
        let begin = self.second;
        for second in begin..(begin + 60).min(self.workload.seconds()) {
            // In the first minute the windows begin before the trace.
            if second >= 60 && second % self.period == 0 {
                let replicas = self.autoscaler.decide(second, &self.app, self.workload);
                self.app.scale(replicas, second as f64);
            }
            self.app.serve(second, self.workload.second(second));
            self.second = second + 1;
        }
        (self.second > begin).then(|| (begin / 60, self.app.minutes()[begin / 60]))
    }

    fn outcome(self) -> Outcome {
        self.app.into_outcome()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::LEAD_IN;

    const SETTING: Setting = Setting {
        target: 0.6,
        tolerance: 0.05,
        scale_down_window: 60,
        rate_window: 30,
        poll: 15,
        horizon: 60,
    };

    /// Twenty minutes of a low rate and then ten of a high one.
    fn step() -> Workload {
        let rates = [20.0; LEAD_IN].into_iter().chain([60.0; 615]);
        Workload::draw("step".to_owned(), rates.collect(), 1)
    }

    fn input(workload: &Workload, contender: Contender) -> Replay<'_> {
        Replay { workload, contender, setting: SETTING, start: 30.0 }
    }

    #[test]
    fn every_contender_follows_the_load() {
        let workload = step();
        for contender in Contender::ALL {
            let outcome = replay(&input(&workload, contender));
            let (before, after) = (outcome.pods[LEAD_IN - 60], outcome.pods[LEAD_IN + 300]);
            assert!(before < after, "{}: {before} pods and then {after}", contender.name());
        }
    }

    #[test]
    fn a_replay_comes_out_the_same_each_time() {
        let workload = step();
        let input = input(&workload, Contender::Engine);
        assert_eq!(replay(&input), replay(&input));
        assert_eq!(replay_while(&input, |_, _| true), Some(replay(&input)));
    }

    #[test]
    fn a_replay_counts_each_second_and_each_request_once() {
        let workload = step();
        let outcome = replay(&input(&workload, Contender::Keda));
        assert_eq!(outcome.pods.len(), LEAD_IN + 615);
        assert_eq!(outcome.minutes.len(), 31, "the last one has 15 seconds");
        let requests: usize = (0..workload.seconds()).map(|second| workload.second(second).len()).sum();
        let counted: u32 = outcome.minutes.iter().map(|minute| minute.requests).sum();
        assert_eq!(counted as usize, requests);
    }

    #[test]
    fn a_replay_ends_when_it_is_told_to() {
        let workload = step();
        let mut asked = Vec::new();
        let outcome = replay_while(&input(&workload, Contender::HpaRate), |minute, _| {
            asked.push(minute);
            minute < 3
        });
        assert_eq!(outcome, None);
        assert_eq!(asked, [0, 1, 2, 3]);
    }
}
