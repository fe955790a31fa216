//! Go durations (`30s`, `5m`, `1h30m`) as the API writes them. Pure.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, time::Duration};

/// A duration as the user wrote it, in Go's notation: `300ms`, `30s`, `5m`, `1h30m`. Never negative.
///
/// The schema has no `pattern`, because an API server would answer with the regular expression. The CEL rule of each
/// field checks the notation, with the words of [`is_duration!`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GoDuration(pub String);

/// The text is not a duration in Go's notation.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is not a duration such as 300ms, 30s or 1h30m")]
pub struct InvalidDuration(String);

impl GoDuration {
    /// The length of the duration.
    ///
    /// # Errors
    /// When the text is not in Go's notation or is negative.
    pub fn parse(&self) -> Result<Duration, InvalidDuration> {
        let invalid = || InvalidDuration(self.0.clone());
        if self.0.is_empty() {
            return Err(invalid());
        }
        let parsed: kube::core::Duration = self.0.parse().map_err(|_| invalid())?;
        if parsed.is_negative() { Err(invalid()) } else { Ok(parsed.into()) }
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for GoDuration {
    fn schema_name() -> Cow<'static, str> {
        "GoDuration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 16,
        })
    }
}

/// A CEL rule for a duration within bounds. An invalid duration breaks it, too, and is not parsed.
macro_rules! is_duration {
    ($($bounds:literal),+) => {
        concat!("self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$')", $(" && ", $bounds),+)
    };
}
pub(crate) use is_duration;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read() {
        assert_eq!(GoDuration("1h30m".into()).parse(), Ok(Duration::from_secs(5_400)));
        assert_eq!(GoDuration("300ms".into()).parse(), Ok(Duration::from_millis(300)));
    }

    #[test]
    fn negative_or_unitless_durations_are_refused_in_words() {
        for text in ["", "-5s", "5", "soon"] {
            let message = GoDuration(text.into()).parse().map_err(|error| error.to_string());
            assert_eq!(message, Err(format!("\"{text}\" is not a duration such as 300ms, 30s or 1h30m")));
        }
    }
}
