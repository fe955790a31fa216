//! A place in the write-ahead log. No I/O.

/// How far a server is, on which history.
///
/// A failover begins a new timeline, on which the same number may stand for something else: only places on the
/// same timeline can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(super) timeline: u32,
    pub(super) lsn: u64,
}

impl Position {
    /// Whether a server that is here shows everything up to `wanted`; false also if that cannot be known.
    pub(super) fn shows(self, wanted: Self) -> bool {
        self.timeline == wanted.timeline && self.lsn >= wanted.lsn
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
