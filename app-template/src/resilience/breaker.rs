//! A circuit breaker: when calls to a dependency are let through. Pure: the time is passed in.
//!
//! ```text
//!            share of failures reached                    time served
//!  closed ───────────────────────────────► open ───────────────────────────────► half-open
//!    ▲                                      ▲            one probe failed            │  │
//!    │                                      └────────────────────────────────────────┘  │
//!    └─────────────── enough probes succeeded, or nobody called for `UNCALLED` ─────────┘
//! ```

use std::time::Duration;

use tokio::time::Instant;

/// When a breaker opens, and what it takes to close it again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BreakerSettings {
    /// Only calls that ended within this time count; it moves in steps of a tenth.
    pub(crate) window: Duration,
    /// With fewer calls in the window a share says nothing, and the breaker stays closed.
    pub(crate) minimum_calls: u32,
    /// The share of failures from which on it opens, above 0 and up to 1.
    pub(crate) failure_share: f64,
    /// How long it stays open before probes are let through.
    pub(crate) open_for: Duration,
    /// How many probes are under way at most, and how many have to succeed.
    pub(crate) probes: u32,
}

/// A half-open breaker closes when nobody has called for this long. One that stayed half-open until the next call would
/// keep an operator from scaling in a service that nobody calls. A short pause of the calls must not look like a recovery.
const UNCALLED: Duration = Duration::from_secs(60);

impl BreakerSettings {
    /// Of a server that is called within requests.
    pub(crate) const USUAL: Self = Self {
        window: Duration::from_secs(10),
        minimum_calls: 10,
        failure_share: 0.5,
        open_for: Duration::from_secs(5),
        probes: 3,
    };
}

/// What a breaker does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BreakerState {
    /// Lets every call through.
    Closed,
    /// Lets a few through, to see.
    HalfOpen,
    /// Lets none through.
    Open,
}

impl BreakerState {
    pub(crate) const ALL: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];

    /// The word in metrics and JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// The right to one call; it is to be settled exactly once.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// Which stretch between two transitions it was issued in.
    stretch: u64,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failure,
    /// The caller gave up: nothing was learned.
    Abandoned,
}

#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    stance: Stance,
    /// Counts transitions. Whoever was admitted in an earlier stretch has no say in this one: the time-outs
    /// of calls that began before the breaker opened would otherwise pass for failed probes.
    stretch: u64,
}

#[derive(Debug)]
enum Stance {
    Closed(Window),
    Open { until: Instant },
    HalfOpen { since: Instant, under_way: u32, succeeded: u32 },
}

impl Breaker {
    /// A closed breaker.
    pub(crate) fn new(settings: BreakerSettings, now: Instant) -> Self {
        Self { settings, stance: Stance::Closed(Window::new(now)), stretch: 0 }
    }

    /// The state at `now`. Time alone ends an opening, so that the state is true without traffic too.
    pub(crate) fn state(&mut self, now: Instant) -> BreakerState {
        match self.stance {
            Stance::Open { until } if now >= until => {
                self.turn(Stance::HalfOpen { since: until, under_way: 0, succeeded: 0 });
                // Long ago, perhaps: then the half-open stretch may have ended as well.
                self.state(now)
            }
            Stance::HalfOpen { since, under_way: 0, .. } if now >= since + UNCALLED => {
                self.turn(Stance::Closed(Window::new(now)));
                BreakerState::Closed
            }
            Stance::Closed(_) => BreakerState::Closed,
            Stance::Open { .. } => BreakerState::Open,
            Stance::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Lets a call through, or not.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<Ticket> {
        self.state(now);
        match &mut self.stance {
            Stance::Closed(_) => {}
            Stance::Open { .. } => return None,
            Stance::HalfOpen { under_way, succeeded, .. } => {
                if *under_way + *succeeded >= self.settings.probes {
                    return None;
                }
                *under_way += 1;
            }
        }
        Some(Ticket { stretch: self.stretch })
    }

    /// Takes note of how an admitted call ended.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is used up")]
    pub(crate) fn settle(&mut self, ticket: Ticket, outcome: Outcome, now: Instant) {
        if ticket.stretch != self.stretch {
            return;
        }
        let settings = self.settings;
        match &mut self.stance {
            Stance::Closed(window) => {
                let (calls, failures) = window.count(outcome, now, settings.window);
                let share = f64::from(failures) / f64::from(calls.max(1));
                let too_many = calls >= settings.minimum_calls && share >= settings.failure_share;
                // A success is no reason to open, even if it is the call that makes the share count.
                if too_many && outcome == Outcome::Failure {
                    self.turn(Stance::Open { until: now + settings.open_for });
                }
            }
            Stance::HalfOpen { since, under_way, succeeded } => {
                *since = now;
                *under_way -= 1;
                match outcome {
                    Outcome::Abandoned => {}
                    Outcome::Failure => self.turn(Stance::Open { until: now + settings.open_for }),
                    Outcome::Success => {
                        *succeeded += 1;
                        if *succeeded >= settings.probes {
                            self.turn(Stance::Closed(Window::new(now)));
                        }
                    }
                }
            }
            // Nothing is admitted here.
            Stance::Open { .. } => {}
        }
    }

    fn turn(&mut self, stance: Stance) {
        self.stance = stance;
        self.stretch += 1;
    }
}

const SLOTS: u32 = 10;

/// Calls and failures of the last while, in slots, so that counting costs the same at any rate of calls.
#[derive(Debug)]
struct Window {
    slots: [(u32, u32); SLOTS as usize],
    begun: Instant,
    /// The number of the newest slot since `begun`.
    newest: u32,
}

impl Window {
    fn new(now: Instant) -> Self {
        Self { slots: [(0, 0); SLOTS as usize], begun: now, newest: 0 }
    }

    /// Adds a call and returns how many calls and failures the window holds.
    fn count(&mut self, outcome: Outcome, now: Instant, length: Duration) -> (u32, u32) {
        self.forget(now, length);
        if outcome != Outcome::Abandoned {
            let (calls, failures) = &mut self.slots[(self.newest % SLOTS) as usize];
            *calls += 1;
            *failures += u32::from(outcome == Outcome::Failure);
        }
        self.slots.iter().fold((0, 0), |(calls, failures), slot| (calls + slot.0, failures + slot.1))
    }

    /// Empties the slots that have left the window.
    fn forget(&mut self, now: Instant, length: Duration) {
        let slot = (length / SLOTS).as_micros().max(1);
        let passed = now.saturating_duration_since(self.begun).as_micros() / slot;
        let current = u32::try_from(passed).unwrap_or(u32::MAX);
        let left = current.saturating_sub(self.newest).min(SLOTS);
        for gone in 1..=left {
            self.slots[(self.newest.wrapping_add(gone) % SLOTS) as usize] = (0, 0);
        }
        self.newest = self.newest.max(current);
    }
}

#[cfg(test)]
mod tests;
