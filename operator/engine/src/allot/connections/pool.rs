//! The size of a component's pools: the one that is set, and the one that counts. Pure.
//!
//! Pods read a size that is set while they run, and report the one that they use. Until every pod reports, an earlier size
//! counts, too. Of an app that never reports, the declared size counts.

use crate::evidence::connections::PoolReading;
use crate::stack::Pool;
use serde::{Deserialize, Serialize};

/// The size of a component's pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PoolMemory {
    /// The size that counts for each pod.
    pub(super) counted: i32,
    /// The size that pods are told; `None` while it is not known which one an earlier process set.
    pub(super) set: Option<i32>,
}

impl PoolMemory {
    /// The next memory, with the newest reports of this number of pods.
    pub(super) fn of(earlier: Option<Self>, pool: &Pool, reading: Option<PoolReading>, pods: i32) -> Self {
        let answered = reading.is_some();
        let PoolReading { reporting, largest, .. } = reading.unwrap_or_default();
        let used = if largest.is_finite() { largest.clamp(0.0, f64::from(i32::MAX)) as i32 } else { 0 };
        let all_report = pods > 0 && i64::from(reporting) >= i64::from(pods);
        let within = |size: i32| size.max(pool.min_size).min(pool.size);
        let set = match earlier.and_then(|earlier| earlier.set) {
            // A raise waits until it fits.
            Some(set) => Some(set.min(pool.size)),
            None if pods == 0 => Some(pool.size),
            None if all_report => Some(within(used)),
            // The app does not report, so it may not follow either.
            None if answered && reporting == 0 => Some(pool.min_size),
            None => None,
        };
        let told = set.unwrap_or(pool.size);
        let counted = match earlier {
            _ if all_report => used.max(told),
            _ if pods == 0 => told,
            Some(earlier) => earlier.counted.max(used).max(told),
            None => pool.size.max(used),
        };
        Self { counted, set }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(min_size: i32, size: i32) -> Pool {
        Pool { database: "main".to_owned(), size, min_size, hidden_per_pod: 0 }
    }

    fn reads(reporting: u32, largest: f64) -> Option<PoolReading> {
        Some(PoolReading { at: None, reporting, largest })
    }

    #[test]
    fn an_old_size_counts_until_every_pod_reports_the_new_one() {
        let set = Some(PoolMemory { counted: 20, set: Some(5) });
        let counted = |reading| PoolMemory::of(set, &pool(5, 20), reading, 3).counted;
        assert_eq!(counted(reads(3, 20.0)), 20, "the pods have not read it");
        assert_eq!(counted(reads(2, 5.0)), 20, "one does not report");
        assert_eq!(counted(None), 20, "nothing is known");
        assert_eq!(counted(reads(3, 5.0)), 5);
        let set = Some(PoolMemory { counted: 5, set: Some(20) });
        assert_eq!(PoolMemory::of(set, &pool(5, 20), reads(3, 5.0), 3).counted, 20, "they are about to grow");
    }

    #[test]
    fn a_new_process_sets_the_size_that_the_pods_use_and_none_before_it_is_known() {
        let set = |reading, pods| PoolMemory::of(None, &pool(5, 20), reading, pods).set;
        assert_eq!(set(None, 3), None);
        assert_eq!(set(reads(2, 8.0), 3), None);
        assert_eq!(set(reads(3, 8.0), 3), Some(8));
        assert_eq!(set(reads(0, 0.0), 3), Some(5), "the smallest is safe");
        assert_eq!(set(None, 0), Some(20), "nothing runs yet");
    }

    #[test]
    fn pods_that_never_report_count_with_the_declared_size() {
        let first = PoolMemory::of(None, &pool(5, 20), reads(0, f64::NAN), 3);
        assert_eq!(first.counted, 20);
        assert_eq!(PoolMemory::of(Some(first), &pool(5, 20), reads(0, 0.0), 3).counted, 20);
    }
}
