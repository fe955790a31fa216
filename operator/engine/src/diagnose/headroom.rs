//! When the headroom of a component is used up. Pure.

use jiff::{SignedDuration, Timestamp};

/// Growth of the request rate over the history that is more than noise.
const GROWS: f64 = 1.1;
/// A headroom that lasts longer is not dated.
const FORESEEN: SignedDuration = SignedDuration::from_hours(24);

/// When a free share, from 0 to 1, is used up if the load grows on as from the first to the last third of its history. `None`
/// where it hardly grows, where it is not known, or after more than a day. `rates` are seconds since 1970 and requests per
/// second, in order.
#[must_use]
pub fn used_up(free_share: f64, rates: &[(f64, f64)]) -> Option<Timestamp> {
    let third = rates.len() / 3;
    let mean = |part: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| {
        part.iter().map(of).sum::<f64>() / part.len().max(1) as f64
    };
    let (first, last) = (rates.get(..third)?, rates.get(rates.len() - third..)?);
    let ((begun, before), (ended, now)) = (
        (mean(first, |one| one.0), mean(first, |one| one.1)),
        (mean(last, |one| one.0), mean(last, |one| one.1)),
    );
    let slope = (now - before) / (ended - begun);
    if third == 0 || before <= 0.0 || now < GROWS * before || free_share >= 1.0 || slope <= 0.0 {
        return None;
    }
    // The load that is carried in the end, as a multiple of the present one.
    let carried = 1.0 / (1.0 - free_share);
    let seconds = now * (carried - 1.0) / slope;
    let length = SignedDuration::try_from_secs_f64(seconds).ok().filter(|length| *length <= FORESEEN)?;
    Timestamp::from_second(rates.last()?.0 as i64).ok()?.checked_add(length).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headroom_is_dated_only_while_the_load_grows() {
        let dated = |growth: f64, free| {
            let load: Vec<_> =
                (0..90).map(|index| (f64::from(index) * 10.0, 100.0 + growth * f64::from(index))).collect();
            used_up(free, &load).map(|at| at.as_second())
        };
        assert_eq!(dated(0.0, 0.5), None);
        assert_eq!(dated(-0.5, 0.5), None);
        // From 174 requests per second twice as much is reached at a tenth of a request more in each second.
        let at = dated(1.0, 0.5).expect("a time");
        assert!((2500..=2700).contains(&at), "{at}");
        assert_eq!(dated(1.0, 0.0), Some(890), "nothing is free");
        assert_eq!(used_up(0.5, &[]), None);
    }
}
