//! Failed writes: how each is reported, and when it is retried. No I/O of its own.
//!
//! An error is lasting by its repetition, not by its code: the API server answers 500 to an object that it will never
//! accept, and 403 to one that it accepts in a minute.

use super::writer::WriteError;
use crate::{
    decide::component_state::Failure,
    kinds::Kind,
    observe::{cluster::cached::fingerprint, prometheus::backoff},
};
use jiff::{SignedDuration, Timestamp};
use scalableapp_crds::limits::{self, clip};
use scalableapp_engine::reason;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// Consecutive failures after which any error is lasting.
const LASTING: u32 = 3;
/// Longest wait after a refusal.
pub const REFUSED_CAP: Duration = Duration::from_secs(300);
/// Longest wait without an answer, for a name that is taken (which is found without a write), and for replicas.
pub const CAP: Duration = Duration::from_secs(30);
/// Unanswered writes of one app in one reconcile, after which the rest waits for the next. A write that was unanswered
/// earlier is sent only while none was in this reconcile, so it delays no new write.
pub const UNANSWERED: u32 = 2;

/// The operation of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Applies it.
    Apply,
    /// Sets the leader's epoch on it.
    Fence,
    /// Deletes it.
    Delete,
}

/// A write: its operation, and the kind and name of its object.
pub type Write = (Operation, Kind, String);

/// Writes whose last attempt failed.
#[derive(Clone, Default)]
pub struct Attempts(BTreeMap<Write, Attempt>);

/// A failed write.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Hash of its content. A write with new content is tried at once.
    wanted: u64,
    /// Consecutive failures; 0 if it was not sent.
    failures: u32,
    until: Timestamp,
    is_lasting: bool,
    failure: Failure,
}

impl Attempt {
    /// The state after one more failure. The wait doubles each time, up to `cap`.
    #[must_use]
    pub fn failed(
        earlier: Option<&Self>,
        wanted: u64,
        error: &WriteError,
        cap: Duration,
        now: Timestamp,
    ) -> Self {
        let failures = earlier.filter(|earlier| earlier.wanted == wanted).map_or(0, |one| one.failures) + 1;
        let wait = backoff::wait(failures - 1, cap);
        let until = now + SignedDuration::try_from(wait).unwrap_or(SignedDuration::ZERO);
        let is_lasting = error.is_refusal() || failures >= LASTING;
        let reason = match error {
            WriteError::NameTaken { .. } => reason::NAME_TAKEN,
            _ if is_lasting && error.is_answer() => reason::CHILD_REFUSED,
            _ => reason::CHILD_NOT_WRITTEN,
        };
        let message = clip(&error.words(), limits::CONDITION_MESSAGE).into_owned();
        Self { wanted, failures, until, is_lasting, failure: Failure { reason, message } }
    }

    /// Whether it had this content.
    #[must_use]
    pub fn is_of(&self, wanted: u64) -> bool {
        self.wanted == wanted
    }

    /// When it is retried.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// The failure to report, if it is lasting.
    #[must_use]
    pub fn lasting(&self) -> Option<&Failure> {
        self.is_lasting.then_some(&self.failure)
    }

    /// A write that was postponed because others were unanswered.
    fn put_off(wanted: u64, now: Timestamp) -> Self {
        let message =
            "not tried yet: the API server did not answer other writes of this app in time".to_owned();
        let failure = Failure { reason: reason::CHILD_NOT_WRITTEN, message };
        Self { wanted, failures: 0, until: now, is_lasting: false, failure }
    }

    /// Whether it may be retried. A taken name may be free at any time, and is checked without a write.
    fn may_be_made(&self, now: Timestamp) -> bool {
        self.failure.reason == reason::NAME_TAKEN || self.is_due(now)
    }

    /// Whether its retry is due. A clock that was set back does not delay it.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        now >= self.until || self.until.duration_since(now).unsigned_abs() > REFUSED_CAP
    }
}

impl Attempts {
    /// The time of the earliest retry.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.0.values().map(|attempt| attempt.until).min()
    }

    /// The failure to report: the first, with the number of the others. For an applied generation, temporary failures
    /// are not reported.
    #[must_use]
    pub fn said(&self, was_applied: bool) -> Option<Failure> {
        let lasting = said(self.0.iter().filter(|(_, attempt)| attempt.is_lasting));
        lasting.or_else(|| said(self.0.iter().filter(|_| !was_applied)))
    }
}

fn said<'a>(mut attempts: impl Iterator<Item = (&'a Write, &'a Attempt)>) -> Option<Failure> {
    let ((_, kind, name), Attempt { failure: Failure { reason, message }, .. }) = attempts.next()?;
    // The API server's own message may or may not name the object.
    let object =
        if message.contains(name.as_str()) { String::new() } else { format!("{} {name}: ", kind.name()) };
    let others = match attempts.count() {
        0 => String::new(),
        1 => " (and one more child)".to_owned(),
        others => format!(" (and {others} more children)"),
    };
    Some(Failure { reason: *reason, message: format!("{object}{message}{others}") })
}

/// The writes of one component in one reconcile. Failures whose write is no longer needed are removed.
pub struct WriteRound<'a> {
    earlier: Attempts,
    attempts: &'a mut Attempts,
    unanswered: &'a mut u32,
    now: Timestamp,
}

impl<'a> WriteRound<'a> {
    /// Begins a round. `unanswered` counts over all components of the app.
    pub fn new(attempts: &'a mut Attempts, unanswered: &'a mut u32, now: Timestamp) -> Self {
        Self { earlier: std::mem::take(attempts), attempts, unanswered, now }
    }

    /// Sends a write, unless it has to wait; `None` if it had to, or failed.
    ///
    /// # Errors
    /// [`WriteError::NotLeader`], which every other write would return, too.
    pub async fn make<T>(
        &mut self,
        write: Write,
        wanted: &Value,
        request: impl Future<Output = Result<T, WriteError>>,
    ) -> Result<Option<T>, WriteError> {
        let (earlier, wanted) = (self.earlier.0.remove(&write), fingerprint(wanted));
        let earlier = earlier.filter(|earlier| earlier.wanted == wanted);
        let is_first = earlier.as_ref().is_none_or(|earlier| earlier.failures == 0);
        let has_to_wait = earlier.as_ref().is_some_and(|earlier| !earlier.may_be_made(self.now))
            || *self.unanswered >= if is_first { UNANSWERED } else { 1 };
        if has_to_wait {
            let waiting = earlier.unwrap_or_else(|| Attempt::put_off(wanted, self.now));
            self.attempts.0.insert(write, waiting);
            return Ok(None);
        }
        match request.await {
            Ok(written) => Ok(Some(written)),
            Err(error @ WriteError::NotLeader { .. }) => Err(error),
            Err(error) => {
                *self.unanswered += u32::from(matches!(error, WriteError::TimedOut { .. }));
                let cap = if error.is_answer() { REFUSED_CAP } else { CAP };
                let attempt = Attempt::failed(earlier.as_ref(), wanted, &error, cap, self.now);
                let (act, kind, name) = &write;
                tracing::warn!(?act, kind = kind.name(), name, failures = attempt.failures, %error, "will try again");
                self.attempts.0.insert(write, attempt);
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use kube::core::Status;
    use serde_json::json;
    use std::future::ready;

    fn unknown_field() -> WriteError {
        let message = ".spec.template.spec.tolerationz: field not declared in schema";
        WriteError::from_api(
            "Deployment",
            kube::Error::Api(Status::failure(message, "").with_code(500).boxed()),
        )
    }

    fn unavailable() -> WriteError {
        let status = Status::failure("no", "ServiceUnavailable").with_code(503);
        WriteError::from_api("Deployment", kube::Error::Api(status.boxed()))
    }

    fn silent() -> WriteError {
        WriteError::TimedOut { kind: "Deployment" }
    }

    fn write(name: &str) -> Write {
        (Operation::Apply, Kind::Deployment, name.to_owned())
    }

    /// Makes writes of these names in one round, which all end with this error. Returns how many were sent.
    fn round(
        attempts: &mut Attempts,
        names: &[&str],
        wanted: &Value,
        error: fn() -> WriteError,
        now: Timestamp,
    ) -> usize {
        let (mut unanswered, mut sent) = (0, 0);
        let mut round = WriteRound::new(attempts, &mut unanswered, now);
        for name in names {
            let request = async {
                sent += 1;
                Err::<(), _>(error())
            };
            round.make(write(name), wanted, request).now_or_never().expect("no wait").expect("we lead");
        }
        sent
    }

    /// The writes that are sent in this time with a round each second.
    fn sent_within(seconds: i64, error: fn() -> WriteError) -> usize {
        let mut attempts = Attempts::default();
        let at = |second| Timestamp::from_second(second).expect("a time");
        (0..seconds).map(|second| round(&mut attempts, &["a"], &Value::Null, error, at(second))).sum()
    }

    #[test]
    fn a_refusal_that_lasts_is_tried_less_and_less_up_to_minutes() {
        assert!((4..=9).contains(&sent_within(60, unknown_field)), "in the first minute");
        let (hour, two) = (sent_within(3600, unknown_field), sent_within(7200, unknown_field));
        assert!(two - hour <= 30 && two > hour, "in the second hour: {}", two - hour);
    }

    #[test]
    fn what_gets_no_answer_is_tried_again_within_half_a_minute() {
        assert!((100..=260).contains(&sent_within(3600, unavailable)));
    }

    #[test]
    fn something_else_is_tried_at_once_and_what_is_no_longer_wanted_is_forgotten() {
        let (mut attempts, now) = (Attempts::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(round(&mut attempts, &["a"], &json!(1), unknown_field, now), 1);
        assert_eq!(round(&mut attempts, &["a"], &json!(1), unknown_field, now), 0);
        assert_eq!(round(&mut attempts, &["a"], &json!(2), unknown_field, now), 1);
        assert_eq!(round(&mut attempts, &[], &Value::Null, unknown_field, now), 0);
        assert!(attempts.said(false).is_none() && attempts.due().is_none());
    }

    #[test]
    fn an_error_is_lasting_by_its_number_and_a_refusal_at_once() {
        let failed = |error: fn() -> WriteError, times: usize| {
            let next = |earlier: Option<Attempt>, ()| {
                Some(Attempt::failed(earlier.as_ref(), 0, &error(), CAP, Timestamp::UNIX_EPOCH))
            };
            let attempt = std::iter::repeat_n((), times).fold(None, next).expect("an attempt");
            attempt.lasting().map(|failure| failure.reason)
        };
        let refused = || WriteError::Refused { kind: "Deployment", message: String::new() };
        assert_eq!(failed(refused, 1), Some(reason::CHILD_REFUSED));
        assert_eq!([failed(unknown_field, 2), failed(unknown_field, 3)], [None, Some(reason::CHILD_REFUSED)]);
        assert_eq!([failed(unavailable, 2), failed(unavailable, 3)], [None, Some(reason::CHILD_NOT_WRITTEN)]);
        assert_eq!([failed(silent, 2), failed(silent, 3)], [None, Some(reason::CHILD_NOT_WRITTEN)]);
    }

    #[test]
    fn what_may_pass_is_said_of_a_generation_that_was_not_applied_only() {
        let (mut attempts, now) = (Attempts::default(), Timestamp::UNIX_EPOCH);
        round(&mut attempts, &["a", "b"], &Value::Null, unavailable, now);
        assert!(attempts.said(true).is_none());
        let said = attempts.said(false).expect("a failure");
        assert_eq!(said.message, "Deployment a: no (and one more child)");
    }

    #[test]
    fn writes_without_an_answer_keep_no_other_waiting() {
        let (mut attempts, now) = (Attempts::default(), Timestamp::UNIX_EPOCH);
        let names = ["a", "b", "c", "d", "e"];
        assert_eq!(round(&mut attempts, &names, &Value::Null, silent, now), 2);
        // When the first two are due again, one of them is tried, and of the others one more.
        let later = Timestamp::from_second(60).expect("a time");
        assert_eq!(round(&mut attempts, &names, &Value::Null, silent, later), 2);
        let tried = attempts.0.iter().filter(|(_, attempt)| attempt.failures > 0);
        let tried: Vec<&str> = tried.map(|((_, _, name), _)| name.as_str()).collect();
        assert_eq!(tried, ["a", "b", "c"]);
    }

    #[test]
    fn a_write_that_succeeds_is_forgotten() {
        let (mut attempts, mut unanswered) = (Attempts::default(), 0);
        round(&mut attempts, &["a"], &Value::Null, unknown_field, Timestamp::UNIX_EPOCH);
        let later = Timestamp::from_second(60).expect("a time");
        let mut round = WriteRound::new(&mut attempts, &mut unanswered, later);
        let made = round.make(write("a"), &Value::Null, ready(Ok(7))).now_or_never().expect("no wait");
        assert_eq!(made.expect("we lead"), Some(7));
        assert!(attempts.said(false).is_none());
    }
}
