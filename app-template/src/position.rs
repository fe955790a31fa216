//! A place in the write-ahead log, and what a read has to show of it. No I/O.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How far a server is, on which history.
///
/// A failover begins a new timeline, on which the same number may stand for something else: only places on the
/// same timeline can be compared. In order of time: a later timeline begins after an earlier one.
///
/// Written as two hexadecimal numbers of fixed width, so that texts have the order of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Position {
    // Compared first.
    pub(crate) timeline: u32,
    pub(crate) lsn: u64,
}

impl Position {
    /// Whether a server that is here shows everything up to `wanted`; false also if that cannot be known.
    pub(crate) fn shows(self, wanted: Self) -> bool {
        self.timeline == wanted.timeline && self.lsn >= wanted.lsn
    }

    /// For tests of what only passes places on.
    #[cfg(test)]
    pub(crate) fn at(lsn: u64) -> Self {
        Self { timeline: 1, lsn }
    }
}

/// What a read has to show; of two, the greater shows both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ReadAfter {
    /// What a replica within its allowed lag has.
    Nothing,
    /// Everything up to this place.
    At(Position),
    /// Everything: the place is not known.
    Everything,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{:016x}", self.timeline, self.lsn)
    }
}

impl From<Position> for String {
    fn from(position: Position) -> Self {
        position.to_string()
    }
}

/// The text is no place.
#[derive(Debug, thiserror::Error)]
#[error("failed to read a place in the log")]
pub(crate) struct NoPosition;

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let (timeline, lsn) = text.split_once('-').ok_or(NoPosition)?;
        Ok(Self {
            timeline: u32::from_str_radix(timeline, 16).map_err(|_| NoPosition)?,
            lsn: u64::from_str_radix(lsn, 16).map_err(|_| NoPosition)?,
        })
    }
}

impl TryFrom<String> for Position {
    type Error = NoPosition;

    fn try_from(text: String) -> Result<Self, NoPosition> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_places_are_in_order_on_one_history_only(a: (u32, u64), b: (u32, u64)) {
            let [a, b] = [a, b].map(|(timeline, lsn)| Position { timeline, lsn });
            prop_assert!(a.shows(a));
            prop_assert_eq!(a.shows(b) || b.shows(a), a.timeline == b.timeline);
            prop_assert_eq!(a.shows(b) && b.shows(a), a == b);
        }

        #[test]
        fn any_place_survives_as_text_and_texts_have_its_order(a: (u32, u64), b: (u32, u64)) {
            let [a, b] = [a, b].map(|(timeline, lsn)| Position { timeline, lsn });
            prop_assert_eq!(a.to_string().parse::<Position>().unwrap(), a);
            prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
        }

        #[test]
        fn any_text_is_a_place_or_refused(text in "[0-9a-f]{0,9}-[0-9a-f]{0,17}|\\PC*") {
            let _ = text.parse::<Position>();
        }
    }

    #[test]
    fn a_higher_number_on_another_timeline_shows_nothing() {
        let at = |timeline, lsn| Position { timeline, lsn };
        assert!(at(1, 10).shows(at(1, 10)));
        assert!(at(1, 11).shows(at(1, 10)));
        assert!(!at(1, 9).shows(at(1, 10)));
        assert!(!at(1, 99).shows(at(2, 10)));
        assert!(!at(2, 99).shows(at(1, 10)));
    }
}
