//! The proposal of one metric: the replica arithmetic of HorizontalPodAutoscaler v2. Pure.
//!
//! The definition is Kubernetes' own replica calculator (1.35); `tests/hpa-vectors` holds its answers. Integers wrap
//! and floats are computed in the order in which it computes them, because the vectors reach those edges.

use crate::hpa::convert::{to_i32, to_i64};
use crate::hpa::pod::{Phase, Pod, PodSample, ReadyStatus, Resource};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Relative distance from the target within which nothing changes (KEP-4951), for each direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Below the target, 0.1 for 10 percent.
    pub down: f64,
    /// Above the target, 0.1 for 10 percent.
    pub up: f64,
}

impl Tolerance {
    /// Whether a ratio of usage to target is close enough to 1 to change nothing. Both ends count as inside.
    pub fn admits(self, ratio: f64) -> bool {
        (1.0 - self.down) <= ratio && ratio <= (1.0 + self.up)
    }
}

/// How long CPU samples of a young pod are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PodTiming {
    /// Time after the start in which only samples that were taken wholly while ready count. HPA's default: 5 minutes.
    pub cpu_initialization: SignedDuration,
    /// Time after the start in which a change to unready means that the pod was never ready. HPA's default: 30 s.
    pub readiness_delay: SignedDuration,
}

impl Default for PodTiming {
    fn default() -> Self {
        Self {
            cpu_initialization: SignedDuration::from_mins(5),
            readiness_delay: SignedDuration::from_secs(30),
        }
    }
}

/// The proposal of one metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proposal {
    /// Proposed replicas.
    pub replicas: i32,
    /// Usage as a fraction of the target, before missing and unready pods are filled in.
    pub ratio: f64,
    /// Usage in thousandths: of one pod on average, or the total for [`total_value`].
    pub usage: i64,
    /// Usage in percent of the requests, for a utilization target.
    pub utilization: Option<i32>,
    /// Pods whose usage is missing or ignored, where that changed the proposal.
    pub assumed: Option<Assumed>,
}

/// Pods whose usage was assumed, as in HPA, so that the proposal changes less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumed {
    /// How many.
    pub pods: usize,
    /// Whether they count as idle, because the others propose more. If not, they count as at their target.
    pub idle: bool,
}

/// Why a metric has no proposal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// The source of the metric answered with an error, or returned nothing.
    #[error("absent: no sample of any pod")]
    MetricsUnavailable,
    /// The component has no pods.
    #[error("absent: the component has no pods")]
    NoPods,
    /// No pod that counts has a sample.
    #[error("absent: no sample of a pod that is ready")]
    NoReadyMetrics,
    /// Utilization is a share of the request, and a container has none.
    #[error("container {container} of pod {pod} has no {resource} request")]
    MissingRequest {
        /// The resource.
        resource: &'static str,
        /// The container.
        container: String,
        /// The pod.
        pod: String,
    },
    /// The pod has no container of that name.
    #[error("no container {container} in pod {pod}")]
    ContainerNotFound {
        /// The container.
        container: String,
        /// The pod.
        pod: String,
    },
    /// Samples and requests belong to different pods.
    #[error("absent: no sample of a pod with a request")]
    NoMatchingRequests,
}

/// Target of a metric that is measured on pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PodTarget {
    /// Percent of the pods' requests.
    Utilization(i32),
    /// Usage of one pod, in thousandths.
    AverageValue(i64),
}

/// A metric that is measured on pods, at one instant.
#[derive(Clone, Copy, Debug)]
pub struct PodMetric<'a> {
    /// The instant of the evaluation.
    pub now: Timestamp,
    /// The component's pods. A per-pod metric other than CPU follows the rules of memory.
    pub pods: &'a [Pod],
    /// Samples in thousandths of pods that are not in `pods`, for example of one that was just deleted.
    pub unlisted: &'a [i64],
    /// Whether the source of the samples answered.
    pub available: bool,
    /// What is measured.
    pub resource: Resource,
    /// The one container that is measured; nothing for the whole pod.
    pub container: Option<&'a str>,
    /// The target.
    pub target: PodTarget,
    /// The last desired replicas.
    pub current_replicas: i32,
    /// Distance from the target that changes nothing.
    pub tolerance: Tolerance,
    /// How long samples of young pods are ignored.
    pub timing: PodTiming,
}

/// How a pod counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Ignored,
    Unready,
    Missing,
    Ready,
}

/// A value that counts, and the request it is compared with for utilization.
#[derive(Clone, Copy)]
struct Measured {
    value: i64,
    request: Option<i64>,
}

/// Usage of a set of samples, set against the target.
struct Average {
    ratio: f64,
    usage: i64,
    utilization: Option<i32>,
}

impl PodMetric<'_> {
    /// Replicas that would bring the average of the pods to the target.
    ///
    /// # Errors
    /// When samples or requests are missing so that there is no average.
    pub fn propose(&self) -> Result<Proposal, SignalError> {
        let groups = self.group()?;
        let requests = self.requests()?;
        let pods = || self.pods.iter().zip(&groups).zip(&requests);
        let mut measured: Vec<Measured> = pods()
            .filter(|((_, group), _)| **group == Group::Ready)
            .filter_map(|((pod, _), request)| {
                Some(Measured { value: self.sample(pod)?.milli, request: *request })
            })
            .collect();
        let ready = measured.len();
        measured.extend(self.unlisted.iter().map(|value| Measured { value: *value, request: None }));
        let count = |wanted| groups.iter().filter(|group| **group == wanted).count();

        let first = self.average(&measured)?;
        let proposal = |replicas| Proposal {
            replicas,
            ratio: first.ratio,
            usage: first.usage,
            utilization: first.utilization,
            assumed: None,
        };
        let unready_hold_back = count(Group::Unready) > 0 && first.ratio > 1.0;
        if !unready_hold_back && count(Group::Missing) == 0 {
            return Ok(proposal(if self.tolerance.admits(first.ratio) {
                self.current_replicas
            } else {
                to_i32((first.ratio * ready as f64).ceil())
            }));
        }
        let known = measured.len();
        for ((_, group), request) in pods() {
            let assumed = match group {
                Group::Missing if first.ratio < 1.0 => Some(self.assumed_at_target(*request)),
                Group::Missing if first.ratio > 1.0 => Some(0),
                Group::Unready if unready_hold_back => Some(0),
                _ => None,
            };
            measured.extend(assumed.map(|value| Measured { value, request: *request }));
        }
        let second = self.average(&measured)?;
        let assumed = Assumed { pods: measured.len() - known, idle: first.ratio > 1.0 };
        Ok(Proposal {
            assumed: Some(assumed).filter(|assumed| assumed.pods > 0),
            ..proposal(self.damped(first.ratio, second.ratio, measured.len()))
        })
    }

    /// The proposal after missing and unready pods were filled in: never against the direction of the first ratio.
    fn damped(&self, first: f64, second: f64, samples: usize) -> i32 {
        let turned = (first < 1.0 && second > 1.0) || (first > 1.0 && second < 1.0);
        if turned || self.tolerance.admits(second) {
            return self.current_replicas;
        }
        let replicas = to_i32((second * samples as f64).ceil());
        let backwards = (second < 1.0 && replicas > self.current_replicas)
            || (second > 1.0 && replicas < self.current_replicas);
        if backwards { self.current_replicas } else { replicas }
    }

    fn sample(&self, pod: &Pod) -> Option<PodSample> {
        pod.usage.get(self.resource)
    }

    fn group(&self) -> Result<Vec<Group>, SignalError> {
        if !self.available {
            return Err(SignalError::MetricsUnavailable);
        }
        if self.pods.is_empty() {
            return Err(SignalError::NoPods);
        }
        let groups: Vec<Group> = self.pods.iter().map(|pod| self.group_of(pod)).collect();
        if self.unlisted.is_empty() && !groups.contains(&Group::Ready) {
            return Err(SignalError::NoReadyMetrics);
        }
        Ok(groups)
    }

    fn group_of(&self, pod: &Pod) -> Group {
        if pod.deleting || pod.phase == Phase::Failed {
            return Group::Ignored;
        }
        if pod.phase == Phase::Pending {
            return Group::Unready;
        }
        match self.sample(pod) {
            None => Group::Missing,
            Some(sample) if self.resource == Resource::Cpu && self.is_starting(pod, sample) => Group::Unready,
            Some(_) => Group::Ready,
        }
    }

    /// Whether a CPU sample still shows the pod's start rather than its work.
    fn is_starting(&self, pod: &Pod, sample: PodSample) -> bool {
        let (Some(ready), Some(start)) = (pod.ready, pod.start) else {
            return true;
        };
        let unready = ready.status == ReadyStatus::False;
        if self.now.duration_since(start) < self.timing.cpu_initialization {
            unready || sample.at.duration_since(ready.since) < sample.window
        } else {
            unready && ready.since.duration_since(start) < self.timing.readiness_delay
        }
    }

    /// The request of each pod, in their order; nothing where the target does not look at requests.
    fn requests(&self) -> Result<Vec<Option<i64>>, SignalError> {
        match self.target {
            PodTarget::AverageValue(_) => Ok(vec![None; self.pods.len()]),
            PodTarget::Utilization(_) => {
                self.pods.iter().map(|pod| pod.request(self.resource, self.container).map(Some)).collect()
            }
        }
    }

    /// Assumed usage of a pod without a sample, where the others are below the target.
    fn assumed_at_target(&self, request: Option<i64>) -> i64 {
        match self.target {
            PodTarget::Utilization(percent) => {
                request.unwrap_or(0).wrapping_mul(i64::from(percent.max(100))) / 100
            }
            PodTarget::AverageValue(target) => target,
        }
    }

    fn average(&self, measured: &[Measured]) -> Result<Average, SignalError> {
        match self.target {
            PodTarget::Utilization(percent) => {
                let (mut used, mut requested, mut pods) = (0_i64, 0_i64, 0_i64);
                for (value, request) in measured.iter().filter_map(|one| Some((one.value, one.request?))) {
                    used = used.wrapping_add(value);
                    requested = requested.wrapping_add(request);
                    pods += 1;
                }
                if requested == 0 {
                    return Err(SignalError::NoMatchingRequests);
                }
                // The percentage is cut to 32 bits and to a whole number before the ratio, as HPA does.
                let utilization = used.wrapping_mul(100).wrapping_div(requested) as i32;
                let ratio = f64::from(utilization) / f64::from(percent);
                Ok(Average { ratio, usage: used / pods, utilization: Some(utilization) })
            }
            PodTarget::AverageValue(target) => {
                let sum = measured.iter().fold(0_i64, |sum, one| sum.wrapping_add(one.value));
                let usage = sum / measured.len() as i64;
                Ok(Average { ratio: usage as f64 / target as f64, usage, utilization: None })
            }
        }
    }
}

/// A value that is not measured on pods, in thousandths.
#[derive(Clone, Copy, Debug)]
pub enum Series<'a> {
    /// The one value of a Kubernetes object; nothing if it could not be read.
    Object(Option<i64>),
    /// The values of all series that a query returned; they are added up.
    External(&'a [i64]),
}

/// Replicas for a total that is compared with the target as it is, so that the ratio scales the ready pods.
///
/// # Errors
/// When there is no value, or the ratio must scale pods and there are none.
pub fn total_value(
    series: Series<'_>,
    target: i64,
    current_replicas: i32,
    pods: &[Pod],
    tolerance: Tolerance,
) -> Result<Proposal, SignalError> {
    let usage = match series {
        Series::Object(value) => value.ok_or(SignalError::MetricsUnavailable)?,
        Series::External([]) => return Err(SignalError::MetricsUnavailable),
        Series::External(values) => saturating_total(values),
    };
    let ratio = usage as f64 / target as f64;
    let replicas = if current_replicas == 0 {
        to_i32(ratio.ceil())
    } else if tolerance.admits(ratio) {
        current_replicas
    } else if pods.is_empty() {
        return Err(SignalError::NoPods);
    } else {
        capped(ratio * pods.iter().filter(|pod| pod.is_ready()).count() as f64)
    };
    Ok(Proposal { replicas, ratio, usage, utilization: None, assumed: None })
}

/// Replicas for a total of which each replica should carry `target`. Pods are not looked at.
///
/// `status_replicas` are the replicas that exist. With none, the tolerance never holds the proposal back.
///
/// # Errors
/// When there is no value.
pub fn average_value(
    series: Series<'_>,
    target: i64,
    status_replicas: i32,
    tolerance: Tolerance,
) -> Result<Proposal, SignalError> {
    let total = match series {
        Series::Object(value) => value.ok_or(SignalError::MetricsUnavailable)?,
        Series::External([]) => return Err(SignalError::MetricsUnavailable),
        Series::External(values) => non_negative_total(values),
    };
    let replicas = f64::from(status_replicas);
    let ratio = total as f64 / (target as f64 * replicas);
    let needed = total as f64 / target as f64;
    let external = matches!(series, Series::External(_));
    let replicas_wanted = match (tolerance.admits(ratio), external) {
        (true, _) => status_replicas,
        (false, true) => capped(needed),
        (false, false) => to_i32(needed.ceil()),
    };
    let usage = if external && total as f64 >= i64::MAX as f64 {
        i64::MAX
    } else {
        to_i64((total as f64 / replicas).ceil())
    };
    Ok(Proposal { replicas: replicas_wanted, ratio, usage, utilization: None, assumed: None })
}

/// Replicas for a total, of which each replica should carry `target` thousandths, as [`average_value`] has them. A total
/// whose thousandths no i64 holds is large as well: it is compared as it is.
///
/// # Errors
/// When there is no value.
pub fn average_of_total(
    total: f64,
    target: i64,
    status_replicas: i32,
    tolerance: Tolerance,
) -> Result<Proposal, SignalError> {
    let milli = total * 1000.0;
    let proposal =
        average_value(Series::External(&[milli.round() as i64]), target, status_replicas, tolerance)?;
    if milli < i64::MAX as f64 {
        return Ok(proposal);
    }
    let needed = milli / target as f64;
    let ratio = needed / f64::from(status_replicas);
    let replicas = if tolerance.admits(ratio) { status_replicas } else { capped(needed) };
    Ok(Proposal { replicas, ratio, ..proposal })
}

/// The next whole number, at most what an i32 holds.
fn capped(replicas: f64) -> i32 {
    if replicas.ceil() > f64::from(i32::MAX) { i32::MAX } else { to_i32(replicas.ceil()) }
}

fn saturating_total(values: &[i64]) -> i64 {
    let mut total = 0_i64;
    for value in values {
        if *value > 0 && total > i64::MAX.wrapping_sub(*value) {
            return i64::MAX;
        }
        total = total.wrapping_add(*value);
    }
    total
}

/// A running total that turns negative, by overflow or by a negative value, counts as the largest total.
fn non_negative_total(values: &[i64]) -> i64 {
    let mut total = 0_i64;
    for value in values {
        total = total.wrapping_add(*value);
        if total < 0 {
            return i64::MAX;
        }
    }
    total
}
