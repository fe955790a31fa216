//! A value that is, or may hold, a credential. No I/O.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// Shown by no log, error or debug output: only whoever asks for the value has it.
#[derive(Clone)]
pub struct Secret<T = String>(T);

impl<T> Secret<T> {
    /// Keeps `value`.
    pub(crate) fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the one call that needs it.
    pub(crate) fn reveal(&self) -> &T {
        &self.0
    }
}

/// Takes any text, so that the argument parser, which quotes what it refuses, refuses none.
impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
