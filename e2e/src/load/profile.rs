//! The schedule of requests: a sequence of segments with a rate each. Pure.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The longest profile, so that no load continues long after its test.
const LONGEST: Duration = Duration::from_secs(3600);
/// The highest rate that one generator can send on time.
const FASTEST: f64 = 5_000.0;

/// A sequence of segments, written `20s@10,30s@10..200`: a duration, then requests per second, or a linear ramp.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    stretches: Vec<Stretch>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Stretch {
    seconds: f64,
    from: f64,
    to: f64,
}

impl Stretch {
    /// The area below the rate: the number of requests of the segment.
    fn requests(self) -> f64 {
        self.seconds * f64::midpoint(self.from, self.to)
    }

    /// The time at which this number of requests was sent, in seconds from the start of the segment.
    ///
    /// Solves `from * t + slope * t² / 2 = requests` in the form that stays exact for a slope of zero.
    fn time_of(self, requests: f64) -> f64 {
        let slope = (self.to - self.from) / self.seconds;
        let root = (self.from * self.from + 2.0 * slope * requests).max(0.0).sqrt();
        if requests == 0.0 { 0.0 } else { 2.0 * requests / (self.from + root) }
    }
}

impl Profile {
    /// Duration of the profile.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.stretches.iter().map(|stretch| stretch.seconds).sum())
    }

    /// Time of each request, from the start.
    pub fn arrivals(&self) -> impl Iterator<Item = Duration> + '_ {
        let (mut starts_at, mut sent_before, mut next) = (0.0, 0.0, 0_u32);
        self.stretches.iter().flat_map(move |stretch| {
            let (start, before) = (starts_at, sent_before);
            starts_at += stretch.seconds;
            sent_before += stretch.requests();
            let first = next;
            // A request that is due within a rounding error of the end belongs to this segment.
            while f64::from(next) < sent_before - 1e-9 {
                next += 1;
            }
            (first..next).map(move |number| {
                let time = stretch.time_of((f64::from(number) - before).max(0.0));
                Duration::from_secs_f64(start + time.min(stretch.seconds))
            })
        })
    }
}

impl FromStr for Profile {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let stretches = text.split(',').map(parse_stretch).collect::<Result<Vec<_>>>()?;
        let profile = Self { stretches };
        if profile.duration() > LONGEST {
            bail!("the profile '{text}' runs longer than {} s: make it shorter", LONGEST.as_secs());
        }
        Ok(profile)
    }
}

fn parse_stretch(text: &str) -> Result<Stretch> {
    let explain = || format!("'{text}' is no stretch of a profile: write 20s@10, or 30s@10..200 for a ramp");
    let (duration, rates) = text.trim().split_once('@').with_context(explain)?;
    let duration: jiff::SignedDuration = duration.parse().with_context(explain)?;
    let (from, to) = rates.split_once("..").unwrap_or((rates, rates));
    let rate = |number: &str| number.parse::<f64>().ok().filter(|rate| (0.0..=FASTEST).contains(rate));
    let (Some(from), Some(to)) = (rate(from), rate(to)) else {
        bail!("{}; rates are requests per second from 0 to {FASTEST}", explain());
    };
    if !duration.is_positive() {
        bail!("{}; a duration is above 0", explain());
    }
    Ok(Stretch { seconds: duration.as_secs_f64(), from, to })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(text: &str) -> Vec<f64> {
        text.parse::<Profile>().unwrap().arrivals().map(|at| at.as_secs_f64()).collect()
    }

    #[test]
    fn a_constant_rate_is_evenly_spaced() {
        assert_eq!(arrivals("2s@2"), [0.0, 0.5, 1.0, 1.5]);
    }

    #[test]
    fn a_ramp_sends_the_area_below_it_and_ever_faster() {
        let times = arrivals("10s@0..20");
        assert_eq!(times.len(), 100);
        assert!(times.windows(2).all(|pair| pair[0] <= pair[1]));
        let in_first_half = times.iter().filter(|time| **time < 5.0).count();
        assert_eq!(in_first_half, 25);
        assert_eq!(arrivals("10s@20..0").len(), 100);
    }

    #[test]
    fn stretches_follow_each_other_without_losing_a_request() {
        let times = arrivals("1s@0.5,1s@0,1s@0.5,2s@3");
        assert_eq!(times.len(), 7);
        assert!(times.iter().skip(1).all(|time| *time >= 3.0), "{times:?}");
        assert!(times.iter().all(|time| *time <= 5.0), "{times:?}");
    }

    #[test]
    fn a_bad_profile_is_told_how_to_write_it() {
        for bad in ["", "20s", "20@10", "20s@", "20s@-1", "0s@10", "20s@10..", "20s@6000", "20s@NaN", "x@1"] {
            let error = bad.parse::<Profile>().unwrap_err().to_string();
            assert!(error.contains("20s@10"), "{bad}: {error}");
        }
        assert!("3601s@1".parse::<Profile>().unwrap_err().to_string().contains("shorter"));
    }
}
