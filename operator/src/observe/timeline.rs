//! The recent series of one app for its diagnosis, in bounded memory. Pure.
//!
//! Each series has a value or a gap at each of the same times. An app has at most [`SERIES`] of them, whatever others
//! have. A process begins without any, so it is silent for the first windows.

use super::measure::Measure;
use jiff::{SignedDuration, Timestamp};
use scalableapp_engine::diagnose::observation::{Observation, Span, TimeSeries};
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Samples in a window that is judged: half of them make a median.
const IN_WINDOW: i32 = 8;
/// Samples of a series: the judged window and fourteen of normal operation.
const SAMPLES: usize = 120;
/// Series of an app: about thirteen for each of twenty components.
const SERIES: usize = 256;

/// A measure of a node: a component, a database or a dependency.
pub type SeriesKey = (Box<str>, Measure);

/// The recent series of one app.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Seconds since 1970.
    times: VecDeque<f64>,
    /// A gap is not a number.
    series: BTreeMap<SeriesKey, VecDeque<f32>>,
    /// When the next sample is due.
    next: Option<Timestamp>,
    window: SignedDuration,
}

impl Timeline {
    /// Whether it is time for a sample. The apps, by their `uid`, begin at different times, so that they are not diagnosed at
    /// once. Another window begins without samples.
    pub fn is_due(&mut self, uid: &str, now: Timestamp, window: SignedDuration) -> bool {
        let interval = window / IN_WINDOW;
        if interval.as_millis() <= 0 {
            return false;
        }
        if self.window != window {
            *self = Self { window, ..Self::default() };
        }
        let first = || {
            let mut hasher = DefaultHasher::new();
            uid.hash(&mut hasher);
            let late = hasher.finish() % interval.as_millis().unsigned_abs().max(1) as u64;
            now + SignedDuration::from_millis(late as i64)
        };
        let next = *self.next.get_or_insert_with(first);
        // Unless the clock was set back.
        if now < next && next.duration_since(now) <= interval {
            return false;
        }
        // After a pause the interval begins anew.
        let following = next + interval;
        self.next = Some(if following <= now { now + interval } else { following });
        true
    }

    /// Adds a sample of each series. The oldest sample is dropped, or during an incident the oldest after its beginning: what
    /// is normal was before.
    pub fn push(
        &mut self,
        now: Timestamp,
        samples: impl IntoIterator<Item = (SeriesKey, f64)>,
        incident: Option<Timestamp>,
    ) {
        let at = now.as_duration().as_secs_f64();
        // The clock was set back.
        if self.times.back().is_some_and(|last| at <= *last) {
            *self = Self { window: self.window, next: self.next, ..Self::default() };
        }
        let known = self.times.len();
        self.times.push_back(at);
        for (key, value) in samples.into_iter().filter(|(_, value)| value.is_finite()) {
            if !self.series.contains_key(&key) && self.series.len() >= SERIES {
                continue;
            }
            let series = self.series.entry(key).or_default();
            series.resize(known, f32::NAN);
            series.push_back(value as f32);
        }
        for series in self.series.values_mut() {
            series.resize(self.times.len(), f32::NAN);
        }
        if self.times.len() > SAMPLES {
            let kept = incident.map_or(0.0, |incident| incident.as_duration().as_secs_f64());
            let dropped = self.times.iter().position(|at| *at >= kept).filter(|_| incident.is_some());
            let dropped = dropped.filter(|index| *index < known).unwrap_or(0);
            self.times.remove(dropped);
            for series in self.series.values_mut() {
                series.remove(dropped);
            }
        }
        self.series.retain(|_, series| series.iter().any(|value| !value.is_nan()));
    }

    /// Whether there is a sample later than `after`.
    #[must_use]
    pub fn has_news(&self, after: Option<Timestamp>) -> bool {
        let after = after.map(|after| after.as_duration().as_secs_f64());
        self.times.back().is_some_and(|last| after.is_none_or(|after| *last > after))
    }

    /// The series, the newest window, and all before it as normal operation.
    #[must_use]
    pub fn observation(&self) -> Observation {
        let (Some(first), Some(last)) = (self.times.front(), self.times.back()) else {
            return Observation::default();
        };
        // Half of an interval, so that the sample on the border belongs to normal operation.
        let border = last - self.window.as_secs_f64() + self.window.as_secs_f64() / f64::from(2 * IN_WINDOW);
        let mut nodes: BTreeMap<String, Vec<TimeSeries>> = BTreeMap::new();
        for ((node, measure), values) in &self.series {
            let of = |(at, value): (&f64, &f32)| (!value.is_nan()).then_some((*at, f64::from(*value)));
            let series = TimeSeries {
                name: measure.name().to_owned(),
                quantity: measure.quantity(),
                statistic: measure.statistic(),
                samples: self.times.iter().zip(values).filter_map(of).collect(),
            };
            nodes.entry(node.to_string()).or_default().push(series);
        }
        Observation {
            nodes,
            window: Span { from: border, until: *last },
            normal: vec![Span { from: *first, until: border.next_down() }],
            ..Observation::default()
        }
    }

    /// Time from the first to the last sample.
    #[must_use]
    pub fn length(&self) -> SignedDuration {
        let (first, last) = (self.times.front().unwrap_or(&0.0), self.times.back().unwrap_or(&0.0));
        SignedDuration::try_from_secs_f64(last - first).unwrap_or_default()
    }

    /// The newest value of a series; `None` if the last sample has none.
    #[must_use]
    pub fn latest(&self, node: &str, measure: Measure) -> Option<f64> {
        let value = self.series.get(&(Box::from(node), measure))?.back().copied()?;
        (!value.is_nan()).then(|| f64::from(value))
    }

    /// The values of a series with their times in seconds.
    pub fn values(&self, node: &str, measure: Measure) -> impl Iterator<Item = (f64, f64)> {
        let values = self.series.get(&(Box::from(node), measure));
        let values = values.into_iter().flatten().zip(&self.times);
        values.filter(|(value, _)| !value.is_nan()).map(|(value, at)| (*at, f64::from(*value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: SignedDuration = SignedDuration::from_secs(80);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
    }

    fn key(node: &str) -> SeriesKey {
        (Box::from(node), Measure::Requests)
    }

    #[test]
    fn an_app_is_sampled_eight_times_in_a_window_from_a_moment_of_its_own_on() {
        let mut timeline = Timeline::default();
        let due: Vec<i64> = (0..60).filter(|now| timeline.is_due("uid", at(*now), WINDOW)).collect();
        assert!(due[0] <= 10 && due.windows(2).all(|two| two[1] - two[0] == 10), "{due:?}");
        let begins = |uid: &str| {
            let mut timeline = Timeline::default();
            (0..20).find(|now| timeline.is_due(uid, at(*now), WINDOW))
        };
        let begun: std::collections::BTreeSet<_> = (0..50).map(|uid| begins(&uid.to_string())).collect();
        assert!(begun.len() > 5, "{begun:?}");
    }

    #[test]
    fn a_series_has_a_gap_where_it_was_not_measured_and_goes_when_it_has_gaps_alone() {
        let mut timeline = Timeline { window: WINDOW, ..Timeline::default() };
        timeline.push(at(0), [(key("web"), 1.0)], None);
        timeline.push(at(10), [(key("api"), 2.0), (key("web"), f64::NAN)], None);
        timeline.push(at(20), [(key("web"), 3.0)], None);
        let values: Vec<f64> = timeline.values("web", Measure::Requests).map(|(_, value)| value).collect();
        assert_eq!(values, [1.0, 3.0]);
        for more in 3..200 {
            timeline.push(at(more * 10), [(key("web"), 3.0)], None);
        }
        assert_eq!((timeline.times.len(), timeline.series.len()), (SAMPLES, 1));
    }

    #[test]
    fn normal_operation_stays_while_something_is_wrong() {
        let mut timeline = Timeline { window: WINDOW, ..Timeline::default() };
        for now in 0..500 {
            let is_wrong = now >= 100;
            let value = if is_wrong { 9.0 } else { 1.0 };
            timeline.push(at(now * 10), [(key("web"), value)], is_wrong.then(|| at(1000)));
        }
        let normal = timeline.values("web", Measure::Requests).filter(|(_, value)| *value == 1.0).count();
        assert_eq!((normal, timeline.times.len()), (100, SAMPLES));
        let observation = timeline.observation();
        assert!(observation.window.until - observation.window.from < WINDOW.as_secs_f64());
        let in_window = timeline.times.iter().filter(|at| **at >= observation.window.from).count();
        assert_eq!(in_window, IN_WINDOW as usize);
    }

    #[test]
    fn the_series_of_an_app_are_bounded() {
        let mut timeline = Timeline { window: WINDOW, ..Timeline::default() };
        timeline.push(at(0), (0..1000).map(|node| (key(&node.to_string()), 1.0)), None);
        assert_eq!(timeline.series.len(), SERIES);
    }
}
