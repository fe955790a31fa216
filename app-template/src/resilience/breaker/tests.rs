use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const SETTINGS: BreakerSettings = BreakerSettings {
    window: Duration::from_secs(10),
    minimum_calls: 4,
    failure_share: 0.5,
    open_for: Duration::from_secs(5),
    probes: 2,
};

fn call(breaker: &mut Breaker, outcome: Outcome, now: Instant) {
    let ticket = breaker.admit(now).unwrap();
    breaker.settle(ticket, outcome, now);
}

fn opened(now: Instant) -> Breaker {
    let mut breaker = Breaker::new(SETTINGS, now);
    for _ in 0..SETTINGS.minimum_calls {
        call(&mut breaker, Outcome::Failure, now);
    }
    assert_eq!(breaker.state(now), BreakerState::Open);
    breaker
}

#[test]
fn few_calls_never_open_it() {
    let now = Instant::now();
    let mut breaker = Breaker::new(SETTINGS, now);
    for _ in 1..SETTINGS.minimum_calls {
        call(&mut breaker, Outcome::Failure, now);
    }
    assert_eq!(breaker.state(now), BreakerState::Closed);
}

#[test]
fn failures_older_than_the_window_do_not_count() {
    let start = Instant::now();
    let mut breaker = Breaker::new(SETTINGS, start);
    for second in [0, 0, 0, 11] {
        call(&mut breaker, Outcome::Failure, start + Duration::from_secs(second));
    }
    assert_eq!(breaker.state(start + Duration::from_secs(11)), BreakerState::Closed);
}

#[test]
fn failures_within_the_window_count_whatever_lies_between() {
    let start = Instant::now();
    let mut breaker = Breaker::new(SETTINGS, start);
    for second in [0, 3, 6, 8] {
        call(&mut breaker, Outcome::Failure, start + Duration::from_secs(second));
    }
    assert_eq!(breaker.state(start + Duration::from_secs(8)), BreakerState::Open);
}

#[test]
fn enough_probes_close_it_and_one_failed_probe_opens_it_again() {
    let start = Instant::now();
    let later = start + SETTINGS.open_for;
    let mut breaker = opened(start);
    assert!(breaker.admit(later - Duration::from_millis(1)).is_none());

    call(&mut breaker, Outcome::Success, later);
    assert_eq!(breaker.state(later), BreakerState::HalfOpen);
    call(&mut breaker, Outcome::Success, later);
    assert_eq!(breaker.state(later), BreakerState::Closed);

    let mut breaker = opened(start);
    call(&mut breaker, Outcome::Success, later);
    call(&mut breaker, Outcome::Failure, later);
    assert_eq!(breaker.state(later), BreakerState::Open);
    assert!(breaker.admit(later + SETTINGS.open_for - Duration::from_millis(1)).is_none());
}

#[test]
fn a_call_from_before_the_opening_is_no_probe() {
    let start = Instant::now();
    let later = start + SETTINGS.open_for;
    let mut breaker = Breaker::new(SETTINGS, start);
    let hanging = breaker.admit(start).unwrap();
    for _ in 0..SETTINGS.minimum_calls {
        call(&mut breaker, Outcome::Failure, start);
    }
    assert_eq!(breaker.state(later), BreakerState::HalfOpen);

    breaker.settle(hanging, Outcome::Failure, later);

    assert_eq!(breaker.state(later), BreakerState::HalfOpen);
}

#[test]
fn an_abandoned_probe_makes_room_for_another() {
    let start = Instant::now();
    let later = start + SETTINGS.open_for;
    let mut breaker = opened(start);
    let probes = [breaker.admit(later).unwrap(), breaker.admit(later).unwrap()];
    assert!(breaker.admit(later).is_none());
    for probe in probes {
        breaker.settle(probe, Outcome::Abandoned, later);
    }
    assert!(breaker.admit(later).is_some());
}

#[test]
fn without_calls_it_half_opens_and_closes_by_time() {
    let start = Instant::now();
    let mut breaker = opened(start);
    let half_open = start + SETTINGS.open_for;
    assert_eq!(breaker.state(half_open), BreakerState::HalfOpen);
    assert_eq!(breaker.state(half_open + UNCALLED), BreakerState::Closed);
    // Also if nobody looked in between.
    assert_eq!(opened(start).state(half_open + UNCALLED), BreakerState::Closed);
}

/// One thing that may happen to a breaker.
#[derive(Debug, Clone)]
enum Step {
    Wait(Duration),
    Call,
    /// Settles one of the calls that are under way.
    End(prop::sample::Index, Outcome),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![Just(Outcome::Success), Just(Outcome::Failure), Just(Outcome::Abandoned)];
    let step = prop_oneof![
        4 => (0..3_000_u64).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        1 => (0..90_000_u64).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        8 => Just(Step::Call),
        8 => (any::<prop::sample::Index>(), outcome).prop_map(|(which, outcome)| Step::End(which, outcome)),
    ];
    prop::collection::vec(step, 0..300)
}

/// What a breaker must do, told by keeping everything instead of counting.
struct Model {
    state: BreakerState,
    since: Instant,
    stretch: u32,
    /// When the calls of this stretch ended, and whether they failed.
    ended: VecDeque<(Instant, bool)>,
    under_way: u32,
}

impl Model {
    fn turn(&mut self, state: BreakerState, since: Instant) {
        (self.state, self.since, self.under_way) = (state, since, 0);
        self.stretch += 1;
        self.ended.clear();
    }

    fn pass_time(&mut self, now: Instant) {
        if self.state == BreakerState::Open && now >= self.since + SETTINGS.open_for {
            self.turn(BreakerState::HalfOpen, self.since + SETTINGS.open_for);
        }
        if self.state == BreakerState::HalfOpen && self.under_way == 0 && now >= self.since + UNCALLED {
            self.turn(BreakerState::Closed, now);
        }
    }

    fn admits(&self) -> bool {
        match self.state {
            BreakerState::Closed => true,
            BreakerState::Open => false,
            BreakerState::HalfOpen => self.under_way + (self.ended.len() as u32) < SETTINGS.probes,
        }
    }

    fn end(&mut self, outcome: Outcome, now: Instant) {
        self.under_way -= 1;
        if outcome != Outcome::Abandoned {
            self.ended.push_back((now, outcome == Outcome::Failure));
        }
        match self.state {
            BreakerState::Closed if outcome == Outcome::Failure => self.judge(now),
            BreakerState::Closed => {}
            BreakerState::HalfOpen if outcome == Outcome::Failure => self.turn(BreakerState::Open, now),
            BreakerState::HalfOpen if self.ended.len() as u32 == SETTINGS.probes => {
                self.turn(BreakerState::Closed, now);
            }
            BreakerState::HalfOpen => self.since = now,
            BreakerState::Open => unreachable!(),
        }
    }

    /// Slots begin with the stretch; a call counts while its slot is one of the last ten.
    fn judge(&mut self, now: Instant) {
        let slot = |at: Instant| (at - self.since).as_micros() / (SETTINGS.window / SLOTS).as_micros();
        let counted: Vec<bool> = self
            .ended
            .iter()
            .filter(|(at, _)| slot(*at) + u128::from(SLOTS) > slot(now))
            .map(|(_, failed)| *failed)
            .collect();
        let failures = counted.iter().filter(|failed| **failed).count();
        if counted.len() >= SETTINGS.minimum_calls as usize && failures * 2 >= counted.len() {
            self.turn(BreakerState::Open, now);
        }
    }
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(steps in steps()) {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(SETTINGS, now);
        let mut model = Model {
            state: BreakerState::Closed, since: now, stretch: 0, ended: VecDeque::new(), under_way: 0,
        };
        let mut under_way = Vec::new();
        for step in steps {
            match step {
                Step::Wait(time) => now += time,
                Step::Call => {
                    model.pass_time(now);
                    let ticket = breaker.admit(now);
                    prop_assert_eq!(ticket.is_some(), model.admits());
                    if let Some(ticket) = ticket {
                        model.under_way += 1;
                        under_way.push((ticket, model.stretch));
                    }
                }
                Step::End(which, outcome) => {
                    if under_way.is_empty() {
                        continue;
                    }
                    let (ticket, stretch) = under_way.swap_remove(which.index(under_way.len()));
                    breaker.settle(ticket, outcome, now);
                    if stretch == model.stretch {
                        model.end(outcome, now);
                    }
                }
            }
            model.pass_time(now);
            prop_assert_eq!(breaker.state(now), model.state);
        }
    }

    #[test]
    fn whatever_happened_it_recovers_when_the_dependency_does(steps in steps()) {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(SETTINGS, now);
        let mut under_way = Vec::new();
        for step in steps {
            match step {
                Step::Wait(time) => now += time,
                Step::Call => under_way.extend(breaker.admit(now)),
                Step::End(which, outcome) => {
                    if !under_way.is_empty() {
                        let ticket = under_way.swap_remove(which.index(under_way.len()));
                        breaker.settle(ticket, outcome, now);
                    }
                }
            }
        }
        // What is under way ends, the time of an opening passes, and from now on every call succeeds.
        for ticket in under_way {
            breaker.settle(ticket, Outcome::Abandoned, now);
        }
        now += SETTINGS.open_for;
        let admitted = (0..100).filter(|_| {
            let ticket = breaker.admit(now);
            ticket.map(|ticket| breaker.settle(ticket, Outcome::Success, now)).is_some()
        });
        prop_assert_eq!(admitted.count(), 100);
        prop_assert_eq!(breaker.state(now), BreakerState::Closed);
    }
}
