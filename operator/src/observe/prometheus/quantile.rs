//! A quantile of a classic histogram, as Prometheus' `histogram_quantile` computes it. Pure.
//!
//! The source is `BucketQuantile` of Prometheus' PromQL engine: the bucket that holds the rank is searched from below
//! and the value interpolated linearly inside it; a rank in the highest bucket gives the upper bound of the one before.

/// A cumulative bucket: the rate of observations up to a bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Upper bound in seconds; infinity for the last one.
    pub le: f64,
    /// Observations per second that were at most `le`.
    pub rate: f64,
}

/// The quantile in seconds, for `quantile` between 0 and 1.
///
/// There is none without observations (no traffic, which is not the same as no samples), without a `+Inf` bucket or
/// without any other bucket. `buckets` may have any order; those with the same bound are added up.
#[must_use]
pub fn quantile(quantile: f64, buckets: &[Bucket]) -> Option<f64> {
    let buckets = monotone(buckets);
    let (highest, finite) = buckets.split_last()?;
    let last_finite = finite.last()?;
    if highest.le != f64::INFINITY || highest.rate.is_nan() || highest.rate <= 0.0 {
        return None;
    }
    let rank = quantile * highest.rate;
    let Some(index) = finite.iter().position(|bucket| bucket.rate >= rank) else {
        return Some(last_finite.le);
    };
    let bucket = finite[index];
    let below = index.checked_sub(1).map(|before| finite[before]);
    if below.is_none() && bucket.le <= 0.0 {
        return Some(bucket.le);
    }
    let Bucket { le: start, rate: before } = below.unwrap_or(Bucket { le: 0.0, rate: 0.0 });
    Some(start + (bucket.le - start) * ((rank - before) / (bucket.rate - before)))
}

/// The buckets by bound, each bound once, and cumulative: rates of buckets that were scraped at slightly different
/// moments may not be.
fn monotone(buckets: &[Bucket]) -> Vec<Bucket> {
    let mut sorted = buckets.to_vec();
    sorted.sort_by(|one, other| one.le.total_cmp(&other.le));
    let mut monotone: Vec<Bucket> = Vec::with_capacity(sorted.len());
    for bucket in sorted {
        match monotone.last_mut() {
            Some(last) if last.le == bucket.le => last.rate += bucket.rate,
            _ => monotone.push(bucket),
        }
    }
    let mut most = 0.0_f64;
    for bucket in &mut monotone {
        most = most.max(bucket.rate);
        bucket.rate = most;
    }
    monotone
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs.iter().map(|(le, rate)| Bucket { le: *le, rate: *rate }).collect()
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn values_are_interpolated_inside_the_bucket_as_prometheus_does() {
        // The example of Prometheus' own test data: 10 observations evenly in (0, 1], 10 in (1, 2].
        let histogram = buckets(&[(1.0, 10.0), (2.0, 20.0), (INF, 20.0)]);
        assert_eq!(quantile(0.5, &histogram), Some(1.0));
        assert_eq!(quantile(0.75, &histogram), Some(1.5));
        assert_eq!(quantile(0.25, &histogram), Some(0.5));
    }

    #[test]
    fn a_rank_in_the_highest_bucket_gives_the_bound_before_it() {
        assert_eq!(quantile(0.99, &buckets(&[(0.1, 1.0), (0.5, 2.0), (INF, 10.0)])), Some(0.5));
    }

    #[test]
    fn without_observations_there_is_no_value() {
        assert_eq!(quantile(0.99, &buckets(&[(0.1, 0.0), (INF, 0.0)])), None);
        assert_eq!(quantile(0.99, &[]), None);
    }

    #[test]
    fn without_an_infinite_bucket_or_any_other_there_is_no_value() {
        assert_eq!(quantile(0.5, &buckets(&[(0.1, 1.0), (0.5, 2.0)])), None);
        assert_eq!(quantile(0.5, &buckets(&[(INF, 2.0)])), None);
        assert_eq!(quantile(0.5, &buckets(&[(0.1, f64::NAN), (INF, f64::NAN)])), None);
    }

    #[test]
    fn a_first_bound_that_is_not_positive_is_returned_as_it_is() {
        assert_eq!(quantile(0.1, &buckets(&[(-1.0, 5.0), (1.0, 6.0), (INF, 6.0)])), Some(-1.0));
    }

    #[test]
    fn buckets_that_are_not_cumulative_are_made_so() {
        assert_eq!(quantile(0.5, &buckets(&[(1.0, 10.0), (2.0, 9.0), (INF, 20.0)])), Some(1.0));
    }

    proptest! {
        #[test]
        fn a_higher_quantile_is_never_lower(
            rates in proptest::collection::vec(0.0..100.0_f64, 2..12), low in 0.01..0.99_f64, high in 0.01..0.99_f64,
        ) {
            let last = rates.len() - 1;
            let histogram: Vec<Bucket> = rates
                .iter()
                .enumerate()
                .map(|(index, rate)| Bucket { le: if index == last { INF } else { 0.1 * (index + 1) as f64 }, rate: *rate })
                .collect();
            let (low, high) = (low.min(high), low.max(high));
            if let (Some(low), Some(high)) = (quantile(low, &histogram), quantile(high, &histogram)) {
                prop_assert!(low <= high + 1e-12);
                prop_assert!((0.0..=0.1 * last as f64 + 1e-12).contains(&high));
            }
        }
    }
}
