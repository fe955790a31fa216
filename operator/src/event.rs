//! What is told in an event of Kubernetes. No I/O.

/// Something that happened to an app, for `kubectl describe` and `kubectl events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether somebody should look at it.
    pub warning: bool,
    /// Why, as one word from the list in `docs/reasons.md`.
    pub reason: &'static str,
    /// What was done, as one word.
    pub action: &'static str,
    /// What happened, as a sentence.
    pub note: String,
}
