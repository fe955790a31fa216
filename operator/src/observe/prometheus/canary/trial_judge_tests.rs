use super::super::scrapes::{PodTotals, Scrape, ScrapedPod};
use super::*;
use jiff::ToSpan;
use scalableapp_engine::rollout::judge::policy::CanaryPolicy;
use std::collections::BTreeMap;

/// Requests per second of a pod.
const RATE: i64 = 20;

fn begun() -> Timestamp {
    Timestamp::from_second(1_800_000_007).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    begun() + seconds.seconds()
}

fn trial() -> CanaryTrial {
    CanaryTrial {
        canary: "new".to_owned(),
        stable: "old".to_owned(),
        begun: begun(),
        step: 0,
        step_begun: Some(at(60)),
        policy: CanaryPolicy::default(),
        slow_above: None,
        breakers: BTreeMap::new(),
    }
}

/// A service whose canary, from the begin of the rollout on, has this many errors in a thousand requests; the stable
/// revision has two. Each pod misses some scrapes, and one begins anew.
#[derive(Clone, Copy)]
struct Service {
    canary_errors: i64,
    /// Seconds from which on nothing is scraped.
    gone: i64,
}

impl Service {
    fn pod(self, index: i64, is_canary: bool, second: i64) -> Option<PodTotals> {
        let born = if is_canary { 20 + index } else { -4000 };
        let restarts = 400 + 30 * index;
        let age = if second >= restarts && index == 1 { second - restarts } else { second - born };
        let is_missed = (second / 15 * 7 + index * 3) % 19 == 0;
        let requests = age * RATE;
        let errors = requests * if is_canary { self.canary_errors } else { 2 } / 1000;
        let count = |number: i64| u64::try_from(number).unwrap();
        (age >= 0 && !is_missed && second < self.gone).then(|| PodTotals {
            requests: Some(count(requests)),
            errors: count(errors),
            ..PodTotals::default()
        })
    }

    fn scrapes(self, grid: SliceGrid, slices: impl Iterator<Item = i64>) -> Scrapes {
        let scrape = |slice: i64| {
            let second = grid.end_of(slice) - begun().as_second();
            let pods = [(true, 3), (false, 6)].into_iter().flat_map(|(is_canary, pods)| {
                (0..pods).filter_map(move |index| {
                    let totals = self.pod(index, is_canary, second)?;
                    let name = format!("{}-{index}", if is_canary { "new" } else { "old" });
                    Some((name, ScrapedPod { is_canary, totals }))
                })
            });
            (slice, Scrape { pods: pods.collect(), ..Scrape::default() })
        };
        slices.map(scrape).filter(|(_, scrape)| !scrape.pods.is_empty()).collect()
    }

    /// Reads everything that is due, at most this many slices at once.
    fn read(self, judge: &mut TrialJudge, now: Timestamp, most: u32) {
        loop {
            let (from, due) = judge.due(now);
            let count = due.min(most);
            if count == 0 {
                return;
            }
            let until = from + i64::from(count) - 1;
            let scrapes = self.scrapes(judge.grid(), from..=until);
            judge.feed(&scrapes, until, count == due).unwrap();
            if count == due {
                return;
            }
        }
    }
}

/// The judgement of a process that began before the rollout, and looked at these seconds.
fn followed(service: Service, trials: &[(i64, CanaryTrial)], until: i64) -> JudgedStep {
    let mut judge = TrialJudge::new(&trials[0].1, begun());
    for second in (0..=until).step_by(5) {
        let trial = trials.iter().rev().find(|(from, _)| *from <= second).unwrap();
        judge = judge.follow(&trial.1, at(second));
        service.read(&mut judge, at(second), 120);
    }
    judge.judged().unwrap()
}

/// The judgement of a process that begins then.
fn restarted(service: Service, trial: &CanaryTrial, until: i64, most: u32) -> JudgedStep {
    let mut judge = TrialJudge::new(trial, at(until));
    service.read(&mut judge, at(until), most);
    judge.judged().unwrap()
}

const GOOD: Service = Service { canary_errors: 2, gone: i64::MAX };
const BAD: Service = Service { canary_errors: 20, gone: i64::MAX };

#[test]
fn a_bad_canary_is_aborted_and_a_good_one_promoted() {
    let bad = restarted(BAD, &trial(), 300, 120);
    assert_eq!(bad.judgement.verdict, CanaryVerdict::Abort, "{}", bad.judgement.sentence);
    assert!(bad.judgement.sentence.starts_with("The canary is worse in errors: canary 2."));
    let good = restarted(GOOD, &trial(), 900, 120);
    assert_eq!(good.judgement.verdict, CanaryVerdict::Promote, "{}", good.judgement.sentence);
}

#[test]
fn after_a_restart_the_same_slices_give_the_same_judgement() {
    for service in [GOOD, BAD, Service { canary_errors: 5, gone: i64::MAX }] {
        for until in [70, 200, 445, 700, 1205] {
            let judged = followed(service, &[(0, trial())], until);
            for most in [1, 7, 120, 10_000] {
                assert_eq!(restarted(service, &trial(), until, most), judged, "at {until} s by {most}");
            }
        }
    }
}

#[test]
fn after_a_restart_in_a_later_step_the_same_slices_give_the_same_judgement() {
    let second = CanaryTrial { step: 1, step_begun: None, ..trial() };
    let begins = CanaryTrial { step_begun: Some(at(341)), ..second.clone() };
    let steps = [(0, trial()), (300, second), (341, begins.clone())];
    for until in [400, 600, 900] {
        assert_eq!(restarted(GOOD, &begins, until, 60), followed(GOOD, &steps, until), "at {until} s");
    }
}

#[test]
fn a_step_that_is_noticed_late_has_its_own_slices() {
    let second = CanaryTrial { step: 1, step_begun: Some(at(200)), ..trial() };
    let late = followed(GOOD, &[(0, trial()), (500, second.clone())], 600);
    assert_eq!(late, restarted(GOOD, &second, 600, 120));
}

#[test]
fn nothing_is_promoted_before_the_pods_of_the_step_are_available() {
    let waiting = CanaryTrial { step_begun: None, ..trial() };
    let judged = restarted(GOOD, &waiting, 1800, 120);
    assert_eq!(judged.judgement.verdict, CanaryVerdict::Hold);
    assert_eq!(restarted(BAD, &waiting, 1800, 120).judgement.verdict, CanaryVerdict::Abort);
}

#[test]
fn what_was_counted_is_fresh_for_three_slices() {
    let service = Service { gone: 600, ..GOOD };
    let mut judge = TrialJudge::new(&trial(), at(700));
    service.read(&mut judge, at(700), 120);
    let newest = begun().as_second() + 600 - 15;
    assert!((newest..newest + 15).contains(&(judge.fresh_until().as_second() - 45)));
    let judged = judge.judged().unwrap().without_news(Some("it is away"));
    assert_eq!(judged.judgement.verdict, CanaryVerdict::Hold);
    assert_eq!(judged.judgement.because, Because::NotMeasured);
}

#[test]
fn slices_that_come_late_are_read_again() {
    let mut judge = TrialJudge::new(&trial(), at(300));
    Service { gone: 200, ..GOOD }.read(&mut judge, at(300), 120);
    GOOD.read(&mut judge, at(330), 120);
    assert_eq!(judge.judged().unwrap(), restarted(GOOD, &trial(), 330, 120));
}

/// The judgement where only the canary is scraped.
fn without_stable(until: i64) -> Option<JudgedStep> {
    let mut judge = TrialJudge::new(&trial(), at(until));
    let (from, due) = judge.due(at(until));
    let newest = from + i64::from(due) - 1;
    let mut scrapes = GOOD.scrapes(judge.grid(), from..=newest);
    for scrape in scrapes.values_mut() {
        scrape.pods.retain(|_, pod| pod.is_canary);
    }
    judge.feed(&scrapes, newest, true).unwrap();
    judge.judged()
}

#[test]
fn what_is_not_measured_is_named_unless_the_step_has_just_begun() {
    assert_eq!(without_stable(100), None);
    let judged = without_stable(300).unwrap();
    let judgement = &judged.judgement;
    assert_eq!((judgement.verdict, &judgement.because), (CanaryVerdict::Hold, &Because::NotMeasured));
    assert!(judgement.sentence.contains("of any pod of the stable revision"), "{}", judgement.sentence);
    assert_eq!(judged.without_news(None), judged, "the reason stays");
}

#[test]
fn a_canary_in_its_warm_up_is_not_without_requests() {
    for second in (60..200).step_by(15) {
        let sentence = restarted(GOOD, &trial(), second, 120).judgement.sentence;
        assert!(!sentence.contains("has no requests"), "at {second} s: {sentence}");
    }
}

#[test]
fn a_judgement_is_of_one_step_of_one_rollout_also_after_a_restart() {
    let judged = restarted(GOOD, &trial(), 300, 120);
    let of = |begun: Timestamp, step, step_begun: Option<Timestamp>| {
        let (canary, stable) = ("new".to_owned(), "old".to_owned());
        judged.is_of(&Trial { canary, stable, begun, step, step_begun })
    };
    assert!(of(begun(), 0, Some(at(60))));
    // The status has whole seconds.
    assert!(of(begun() + 300.milliseconds(), 0, Some(at(60) + 999.milliseconds())));
    assert!(!of(begun(), 1, Some(at(60))), "another step");
    assert!(!of(begun(), 0, Some(at(90))), "the step begun anew");
    assert!(!of(at(5), 0, Some(at(60))), "the same revisions once more");
}
