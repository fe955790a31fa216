//! What is wrong with a spec, in words. Pure.

use super::path::Path;
use std::fmt;

/// One problem of a spec: where it is, and what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    /// Path of the field, for example `services[web].podTemplate.spec.hostNetwork`.
    pub path: String,
    /// What to change, as a sentence.
    pub sentence: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.sentence)
    }
}

/// Problems that are named at once: a condition has no room for more, and a spec may have as many as it has values.
const MOST: usize = 20;

/// Characters of a path or a sentence: a name in it may be as long as an object.
const LENGTH: usize = 512;

fn clipped(text: String) -> String {
    if text.len() > LENGTH { text.chars().take(LENGTH).collect() } else { text }
}

/// The problems found so far, so that a user reads all of them at once.
///
/// What cannot be resolved is stood in for by any value: with a problem on the list the result is never used.
#[derive(Default)]
pub(super) struct Problems(Vec<Invalid>);

impl Problems {
    /// Adds a problem, unless [`MOST`] are named already.
    pub(super) fn refuse(&mut self, path: Path<'_>, sentence: impl Into<String>) {
        if self.0.len() == MOST {
            return;
        }
        self.0.push(Invalid { path: clipped(path.to_string()), sentence: clipped(sentence.into()) });
    }

    /// All of them.
    pub(super) fn into_vec(self) -> Vec<Invalid> {
        self.0
    }

    /// The value, unless there is a problem.
    pub(super) fn or<T>(self, value: T) -> Result<T, Vec<Invalid>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}
