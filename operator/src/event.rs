//! A Kubernetes event. No I/O.

/// An event of an app, for `kubectl describe` and `kubectl events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether it is a warning.
    pub warning: bool,
    /// Reason, as one word from the list in `docs/reasons.md`.
    pub reason: &'static str,
    /// Action, as one word.
    pub action: &'static str,
    /// Message, as a sentence.
    pub note: String,
}
