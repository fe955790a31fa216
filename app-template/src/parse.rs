//! Values of arguments, read within their limits. No I/O.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::SignedDuration;

/// A time within `range`, such as `1m30s`.
///
/// # Errors
/// A sentence with `advice`, which puts the range in words.
pub(crate) fn duration(
    text: &str,
    range: RangeInclusive<Duration>,
    advice: &str,
) -> Result<Duration, String> {
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|parsed| Duration::try_from(parsed).ok())
        .filter(|parsed| range.contains(parsed))
        .ok_or_else(|| format!("give a time {advice}"))
}

/// A whole number within `range`.
///
/// # Errors
/// A sentence that names the range.
pub(crate) fn whole_number(text: &str, range: RangeInclusive<usize>) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("give a whole number from {} to {}", range.start(), range.end()))
}
