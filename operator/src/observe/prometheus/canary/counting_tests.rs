use super::super::scrapes::{ScrapedPod, nanoseconds};
use super::*;
use CircuitState::{Closed, HalfOpen, Open};

fn totals(requests: u64, errors: u64) -> PodTotals {
    PodTotals { requests: Some(requests), errors, ..PodTotals::default() }
}

/// A scrape of these pods. Those of the canary begin with `c`.
fn scrape<'a>(pods: impl IntoIterator<Item = (&'a str, PodTotals)>) -> Scrape {
    let pod = |(name, totals): (&str, PodTotals)| {
        (name.to_owned(), ScrapedPod { is_canary: name.starts_with('c'), totals })
    };
    Scrape { pods: pods.into_iter().map(pod).collect(), ..Scrape::default() }
}

fn counters() -> SliceCounters {
    SliceCounters::new(None, 15)
}

fn requests(counts: &RevisionCounts) -> Vec<(&str, u64)> {
    counts.pods.iter().map(|(pod, counts)| (pod.as_str(), counts.requests)).collect()
}

#[test]
fn counts_are_the_differences_of_counters() {
    let mut counters = counters();
    let first = scrape([("c1", totals(100, 7)), ("s1", totals(1000, 0))]);
    assert_eq!(counters.count(1, &first), Err(Uncounted::Stable), "one scrape is no difference");
    let counts = counters.count(2, &scrape([("c1", totals(130, 9)), ("s1", totals(1400, 1))])).unwrap();
    let of = |requests, errors| PodCounts { requests, errors, ..PodCounts::default() };
    assert_eq!((counts.canary.pods["c1"], counts.stable.pods["s1"]), (of(30, 2), of(400, 1)));
}

#[test]
fn a_process_that_began_anew_counts_from_zero() {
    let mut counters = counters();
    for (slice, requests) in [(1, 1000), (2, 1010)] {
        let _ = counters.count(slice, &scrape([("c1", totals(requests, 5)), ("s1", totals(requests, 0))]));
    }
    let counts = counters.count(3, &scrape([("c1", totals(20, 4)), ("s1", totals(1030, 0))])).unwrap();
    assert_eq!(counts.canary.pods["c1"].errors, 4);
    assert_eq!((requests(&counts.canary), requests(&counts.stable)), (vec![("c1", 20)], vec![("s1", 20)]));
}

#[test]
fn a_lost_copy_of_a_series_does_not_count_all_requests_again() {
    let mut counters = counters();
    let _ = counters.count(1, &scrape([("c1", totals(1000, 0)), ("s1", totals(1000, 0))]));
    let counts = counters.count(2, &scrape([("c1", totals(990, 0)), ("s1", totals(1010, 0))])).unwrap();
    assert_eq!(requests(&counts.canary), [("c1", 0)]);
    let counts = counters.count(3, &scrape([("c1", totals(1000, 0)), ("s1", totals(1020, 0))])).unwrap();
    assert_eq!(requests(&counts.canary), [("c1", 10)]);
}

#[test]
fn a_missing_scrape_is_no_zero_and_its_requests_come_with_the_next() {
    let mut counters = counters();
    let _ = counters.count(1, &scrape([("c1", totals(0, 0)), ("c2", totals(0, 0)), ("s1", totals(0, 0))]));
    let counts = counters.count(2, &scrape([("c1", totals(10, 0)), ("s1", totals(10, 0))])).unwrap();
    assert_eq!(requests(&counts.canary), [("c1", 10)]);
    let third = scrape([("c1", totals(20, 0)), ("c2", totals(21, 0)), ("s1", totals(20, 0))]);
    assert_eq!(requests(&counters.count(3, &third).unwrap().canary), [("c1", 10), ("c2", 21)]);
}

#[test]
fn a_slice_without_a_pod_of_a_revision_is_not_measured_and_costs_nothing() {
    let mut counters = counters();
    let both = |requests| scrape([("c1", totals(requests, 0)), ("s1", totals(requests, 0))]);
    let _ = counters.count(1, &both(0));
    assert_eq!(counters.count(2, &scrape([("s1", totals(10, 0))])), Err(Uncounted::Canary));
    assert_eq!(counters.count(3, &scrape([("c1", totals(20, 0))])), Err(Uncounted::Stable));
    assert_eq!(counters.count(4, &Scrape::default()), Err(Uncounted::Stable));
    let counts = counters.count(5, &both(40)).unwrap();
    assert_eq!((requests(&counts.canary), requests(&counts.stable)), (vec![("c1", 40)], vec![("s1", 40)]));
}

#[test]
fn after_a_gap_of_more_than_a_minute_a_pod_is_counted_anew() {
    let mut counters = counters();
    let both = |requests| scrape([("c1", totals(requests, 0)), ("s1", totals(requests, 0))]);
    let _ = counters.count(1, &both(0));
    assert_eq!(counters.count(6, &both(100)), Err(Uncounted::Stable));
    assert_eq!(requests(&counters.count(7, &both(110)).unwrap().canary), [("c1", 10)]);
}

#[test]
fn pods_come_and_go() {
    let mut counters = counters();
    let _ = counters.count(1, &scrape([("c1", totals(5, 0)), ("s1", totals(5, 0))]));
    let second = scrape([("c1", totals(9, 0)), ("c2", totals(700, 0)), ("s1", totals(9, 0))]);
    assert_eq!(requests(&counters.count(2, &second).unwrap().canary), [("c1", 4)], "c2 is new");
    let third = scrape([("c2", totals(703, 0)), ("s1", totals(10, 0))]);
    assert_eq!(requests(&counters.count(3, &third).unwrap().canary), [("c2", 3)], "c1 has ended");
}

#[test]
fn a_pod_is_ready_from_its_first_requests_on_even_if_its_process_begins_anew() {
    let mut counters = counters();
    let ready = |counters: &mut SliceCounters, slice, requests: u64| {
        let counts = counters.count(slice, &scrape([("c1", totals(requests, 0)), ("s1", totals(9, 0))]));
        counts.ok().map(|counts| counts.canary.pods["c1"].ready_seconds)
    };
    let seconds: Vec<_> = [(1, 0), (2, 0), (3, 5), (4, 9), (5, 3), (6, 12)]
        .map(|(slice, requests)| ready(&mut counters, slice, requests))
        .into();
    assert_eq!(seconds, [None, Some(0), Some(0), Some(15), Some(30), Some(45)]);
}

#[test]
fn before_the_rollout_the_stable_revision_is_enough() {
    let mut counters = counters();
    let _ = counters.count(-1, &scrape([("s1", totals(1, 0))]));
    assert_eq!(requests(&counters.count(0, &scrape([("s1", totals(3, 0))])).unwrap().stable), [("s1", 2)]);
}

#[test]
fn requests_that_are_no_longer_exported_are_no_zero() {
    let mut counters = counters();
    let both = |canary| scrape([("c1", canary), ("s1", totals(1, 0))]);
    let _ = counters.count(1, &both(PodTotals::default()));
    let counts = counters.count(2, &both(totals(3, 0))).unwrap();
    assert_eq!(requests(&counts.canary), [("c1", 3)], "none were exported before the first");
    assert_eq!(counters.count(3, &both(PodTotals::default())), Err(Uncounted::Canary));
    assert_eq!(requests(&counters.count(4, &both(totals(5, 0))).unwrap().canary), [("c1", 2)]);
}

fn with_buckets(requests: u64, buckets: &[(f64, u64)]) -> PodTotals {
    let buckets = buckets.iter().map(|(bound, count)| (nanoseconds(*bound), *count)).collect();
    PodTotals { buckets, ..totals(requests, 0) }
}

/// The slow requests of the canary and of the stable revision above 300 ms.
fn slow(canary: &[(f64, u64)], stable: &[(f64, u64)]) -> Result<(u64, u64), Uncounted> {
    let mut counters = SliceCounters::new(Some(nanoseconds(0.3)), 15);
    let _ = counters.count(1, &scrape([("c1", totals(0, 0)), ("s1", totals(0, 0))]));
    let second = scrape([("c1", with_buckets(100, canary)), ("s1", with_buckets(100, stable))]);
    let counts = counters.count(2, &second)?;
    Ok((counts.canary.pods["c1"].slow, counts.stable.pods["s1"].slow))
}

#[test]
fn requests_are_slow_above_the_next_bound_that_both_revisions_have() {
    let all = [(0.1, 10), (0.3, 70), (0.5, 90), (1.0, 99)];
    assert_eq!(slow(&all, &all), Ok((30, 30)));
    assert_eq!(slow(&[(0.1, 10), (0.5, 80)], &all), Ok((20, 10)));
    assert_eq!(slow(&[(0.1, 10)], &all), Ok((90, 90)), "the largest of them where none is above");
    assert_eq!(slow(&[(0.2, 10)], &all), Err(Uncounted::Buckets));
    assert_eq!(slow(&[], &all), Err(Uncounted::Buckets));
}

#[test]
fn a_masked_failure_counts_once() {
    let masked = |errors, fallback, rejected| {
        let calls = |calls| BTreeMap::from([("payments".to_owned(), calls)]);
        let now =
            PodTotals { fallbacks: calls(fallback), rejections: calls(rejected), ..totals(100, errors) };
        difference(&totals(0, 0), &now).unwrap().0.masked
    };
    assert_eq!(masked(0, 30, 0), 30, "failed calls with a fallback");
    assert_eq!(masked(0, 30, 20), 30, "of which the breaker cut 20 short");
    assert_eq!(masked(20, 0, 20), 0, "they are errors already");
    assert_eq!(masked(0, 0, 20), 20, "answered in a way that is not counted");
}

#[test]
fn a_breaker_is_open_where_half_of_the_pods_say_so() {
    assert_eq!(most([].into_iter()), None);
    assert_eq!(most([Closed, HalfOpen].into_iter()), Some(Open));
    assert_eq!(most([Closed, Open, Closed].into_iter()), Some(Closed));
}

#[test]
fn breakers_are_those_of_the_own_revision() {
    let mut counters = counters();
    let both = || scrape([("c1", totals(1, 0)), ("s1", totals(1, 0))]);
    let _ = counters.count(1, &both());
    let states = BTreeMap::from([("c1".to_owned(), Open), ("s1".to_owned(), Closed), ("x".to_owned(), Open)]);
    let second = Scrape { breakers: BTreeMap::from([("payments".to_owned(), states)]), ..both() };
    let counts = counters.count(2, &second).unwrap();
    assert_eq!((counts.canary.breakers["payments"], counts.stable.breakers["payments"]), (Open, Closed));
}
