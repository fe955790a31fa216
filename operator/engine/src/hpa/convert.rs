//! Float to integer conversion as HPA's own machine code does it on amd64. Pure.
//!
//! Rust saturates where amd64 yields the type's minimum. The HPA vectors were computed on amd64, and the minimum is
//! also the safer answer here: an overflowing ratio never becomes two billion replicas.

/// Truncates towards zero; the minimum of the type for NaN, infinity and what does not fit.
pub(crate) fn to_i32(value: f64) -> i32 {
    let whole = value.trunc();
    if whole >= f64::from(i32::MIN) && whole <= f64::from(i32::MAX) { whole as i32 } else { i32::MIN }
}

/// Truncates towards zero; the minimum of the type for NaN, infinity and what does not fit.
pub(crate) fn to_i64(value: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let whole = value.trunc();
    if (-LIMIT..LIMIT).contains(&whole) { whole as i64 } else { i64::MIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_becomes_the_minimum() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300] {
            assert_eq!((to_i32(value), to_i64(value)), (i32::MIN, i64::MIN), "{value}");
        }
        assert_eq!(to_i32(2_147_483_647.9), i32::MAX);
        assert_eq!(to_i32(2_147_483_648.0), i32::MIN);
        assert_eq!(to_i64(9_223_372_036_854_775_808.0), i64::MIN);
    }

    #[test]
    fn fractions_are_cut_towards_zero() {
        assert_eq!((to_i32(2.9), to_i32(-2.9), to_i64(2.9), to_i64(-2.9)), (2, -2, 2, -2));
    }
}
