//! A model of an app: pods with a start time, each with a queue before its workers. Pure.

use fastrand::Rng;

use crate::replay::Outcome;
use crate::workload::Request;

/// Requests that a pod serves at once; it has as many cores.
pub const WORKERS: usize = 2;
/// Largest deviation of a pod's start time from the mean, as a share of it.
pub const START_VARIATION: f64 = 0.15;
/// Longest time that a request waits before it fails, in seconds.
pub const PATIENCE: f64 = 2.0;
/// Latency objective in seconds for 99 percent of the requests of each minute.
pub const OBJECTIVE: f64 = 0.5;

/// The pods and the measurements.
pub(crate) struct App {
    pods: Vec<Pod>,
    /// Mean time from the creation of a pod until it is ready, in seconds.
    start: f64,
    rng: Rng,
    /// Answered requests, by the second of the answer.
    answered: Vec<u32>,
    /// Requests of each minute, and those that took too long or failed.
    minutes: Vec<Minute>,
    /// Existing pods, in each second.
    pod_seconds: Vec<u32>,
    /// Pods that were created after the first second.
    started: u32,
}

/// The requests that arrived in one minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Minute {
    /// All of them.
    pub requests: u32,
    /// Those that took longer than [`OBJECTIVE`] or failed.
    pub slow: u32,
}

/// One pod.
pub(crate) struct Pod {
    pub(crate) created: f64,
    pub(crate) ready_at: f64,
    /// When each worker is free.
    free: [f64; WORKERS],
    /// Core-seconds used in each second since the pod was created.
    used: Vec<f32>,
}

impl Minute {
    /// Whether the 99th percentile of the latency is above the objective.
    #[must_use]
    pub fn violates(self) -> bool {
        f64::from(self.slow) > 0.01 * f64::from(self.requests)
    }
}

impl App {
    /// An app that has run with this many ready pods for a long time.
    pub(crate) fn new(replicas: i32, seconds: usize, start: f64) -> Self {
        let mut app = Self {
            pods: Vec::new(),
            start,
            rng: Rng::with_seed(7),
            answered: vec![0; seconds + 60],
            minutes: vec![Minute::default(); seconds.div_ceil(60)],
            pod_seconds: vec![0; seconds],
            started: 0,
        };
        app.scale(replicas, -3600.0);
        app.started = 0;
        app
    }

    /// Creates pods, or deletes pods: those that are not ready first, then the youngest. A deleted pod gets no new
    /// requests and completes those it has.
    pub(crate) fn scale(&mut self, replicas: i32, now: f64) {
        let wanted = usize::try_from(replicas).unwrap_or(0);
        while self.pods.len() < wanted {
            let ready_at = now + self.start * (1.0 + START_VARIATION * (2.0 * self.rng.f64() - 1.0));
            self.pods.push(Pod { created: now, ready_at, free: [now; WORKERS], used: Vec::new() });
            self.started += 1;
        }
        if self.pods.len() > wanted {
            let is_starting = |pod: &Pod| pod.ready_at > now;
            self.pods.sort_by(|one, other| {
                is_starting(one).cmp(&is_starting(other)).then(one.created.total_cmp(&other.created))
            });
            self.pods.truncate(wanted);
        }
    }

    /// Serves the requests of one second.
    pub(crate) fn serve(&mut self, second: usize, requests: &[Request]) {
        let now = second as f64;
        let ready: Vec<usize> =
            (0..self.pods.len()).filter(|index| self.pods[*index].ready_at <= now).collect();
        self.pod_seconds[second] = u32::try_from(self.pods.len()).unwrap_or(u32::MAX);
        let minute = &mut self.minutes[second / 60];
        for request in requests {
            minute.requests += 1;
            let at = now + f64::from(request.offset);
            let index = ((u64::from(request.route) * ready.len() as u64) >> 32) as usize;
            let answer =
                ready.get(index).and_then(|pod| self.pods[*pod].take(at, f64::from(request.service)));
            match answer {
                Some(answer) => {
                    minute.slow += u32::from(answer - at > OBJECTIVE);
                    if let Some(count) = self.answered.get_mut(answer as usize) {
                        *count += 1;
                    }
                }
                None => minute.slow += 1,
            }
        }
    }

    pub(crate) fn pods(&self) -> &[Pod] {
        &self.pods
    }

    pub(crate) fn start(&self) -> f64 {
        self.start
    }

    pub(crate) fn replicas(&self) -> i32 {
        i32::try_from(self.pods.len()).unwrap_or(i32::MAX)
    }

    /// Answers per second, averaged over the seconds from `from` to `to`; nothing is known from before the trace.
    pub(crate) fn rate(&self, from: i64, to: i64) -> f64 {
        let (from, to) = (from.max(0) as usize, to.max(1) as usize);
        let answered: u32 = self.answered[from..to].iter().sum();
        f64::from(answered) / (to - from) as f64
    }

    pub(crate) fn minutes(&self) -> &[Minute] {
        &self.minutes
    }

    pub(crate) fn into_outcome(self) -> Outcome {
        Outcome { minutes: self.minutes, pods: self.pod_seconds, started: self.started }
    }
}

impl Pod {
    /// Accepts a request; returns the time of its answer, or `None` if it timed out before a worker was free.
    fn take(&mut self, at: f64, service: f64) -> Option<f64> {
        let earliest = self.free.iter_mut().min_by(|one, other| one.total_cmp(other))?;
        let start = earliest.max(at);
        if start - at > PATIENCE {
            return None;
        }
        *earliest = start + service;
        let second = (start - self.created.max(0.0)).max(0.0) as usize;
        if self.used.len() <= second {
            self.used.resize(second + 1, 0.0);
        }
        self.used[second] += service as f32;
        Some(start + service)
    }

    /// Used cores, averaged over the seconds from `from` to `to` of the trace.
    pub(crate) fn cores(&self, from: f64, to: f64) -> f64 {
        let begin = self.created.max(0.0);
        let index = |at: f64| (at - begin).max(0.0) as usize;
        let used = self.used.iter().take(index(to)).skip(index(from)).map(|used| f64::from(*used));
        used.sum::<f64>() / (to - from.max(begin)).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(offset: f32, service: f32) -> Request {
        Request { offset, service, route: 0 }
    }

    #[test]
    fn requests_wait_for_a_worker_and_give_up_in_the_end() {
        let mut app = App::new(1, 120, 60.0);
        app.serve(0, &[request(0.0, 0.4), request(0.0, 0.4), request(0.1, 0.4)]);
        // The third waits 0.3 s and takes 0.4 s: too long.
        assert_eq!((app.minutes[0].requests, app.minutes[0].slow), (3, 1));
        assert_eq!(&app.answered[..2], &[3, 0]);
        let many = vec![request(0.5, 1.0); 20];
        app.serve(1, &many);
        assert_eq!(
            app.answered.iter().sum::<u32>(),
            3 + 6,
            "two workers for two seconds and the one in between"
        );
    }

    #[test]
    fn a_pod_serves_when_it_is_ready() {
        let mut app = App::new(0, 120, 60.0);
        app.scale(1, 0.0);
        app.serve(50, &[request(0.0, 0.1)]);
        app.serve(70, &[request(0.0, 0.1)]);
        assert_eq!(app.answered.iter().sum::<u32>(), 1);
        assert_eq!(app.started, 1);
    }

    #[test]
    fn pods_that_are_not_ready_go_first() {
        let mut app = App::new(2, 120, 60.0);
        app.scale(3, 0.0);
        app.scale(2, 10.0);
        assert!(app.pods().iter().all(|pod| pod.created < 0.0));
    }

    #[test]
    fn cpu_is_that_of_the_asked_window() {
        let mut app = App::new(1, 120, 60.0);
        app.serve(10, &[request(0.0, 0.5)]);
        app.serve(11, &[request(0.0, 0.5)]);
        assert!((app.pods()[0].cores(10.0, 12.0) - 0.5).abs() < 1e-6);
        assert!(app.pods()[0].cores(0.0, 10.0) < 1e-6);
    }
}
