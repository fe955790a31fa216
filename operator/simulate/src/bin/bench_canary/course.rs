//! One rollout under each contender, in virtual time. Pure.

use crate::thresholds::{RULES, Watch};
use crate::traffic::{CANARY_PODS, Clustering, ERRORS, Health, Pods, SLICE, SLOW, STABLE_PODS};
use fastrand::Rng;
use scalableapp_engine::evidence::circuit::CircuitState;
use scalableapp_engine::rollout::judge::Judge;
use scalableapp_engine::rollout::judge::calibration::Calibration;
use scalableapp_engine::rollout::judge::counts::{RevisionCounts, TimeSlice};
use scalableapp_engine::rollout::judge::policy::{CanaryPolicy, PolicyError};
use scalableapp_engine::rollout::judge::verdict::CanaryVerdict;

/// Slices of the stable revision before the rollout: two hours.
const PAST: usize = 480;

/// How the rollout goes on.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Weights of the steps.
    pub(crate) weights: Vec<f64>,
    /// Seconds that a step takes at least.
    pub(crate) step_seconds: u32,
    /// Seconds after which the rollout is left as it is.
    pub(crate) end: u32,
}

/// What is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) requests_per_second: f64,
    pub(crate) clustering: Clustering,
    /// Errors of the stable revision.
    pub(crate) errors: f64,
    /// Slow requests of both.
    pub(crate) slow: f64,
    /// Factor of the errors of the canary.
    pub(crate) ratio: f64,
    /// Second from which on the factor holds.
    pub(crate) from: u32,
    /// Masked failures of the canary.
    pub(crate) masked: f64,
    /// Whether a dependency fails for both revisions from minute 5 to 10.
    pub(crate) brownout: Brownout,
}

/// A dependency that fails 2.5 % of the requests of both revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brownout {
    None,
    /// As errors.
    Errors,
    /// Behind breakers with a fallback, which open a minute apart, the canary's last.
    Breakers,
}

/// Errors, or masked failures, in a brownout.
const BROWNOUT: f64 = 0.025;

impl Scenario {
    pub(crate) fn healthy(requests_per_second: f64, clustering: Clustering) -> Self {
        Self {
            requests_per_second,
            clustering,
            errors: ERRORS,
            slow: SLOW,
            ratio: 1.0,
            from: 0,
            masked: 0.0,
            brownout: Brownout::None,
        }
    }

    fn stable(&self) -> Health {
        Health { slow: self.slow, ..Health::of(self.errors, 1.0) }
    }

    fn slice(&self, rng: &mut Rng, pods: &mut [Pods; 2], weight: f64, second: u32) -> TimeSlice {
        let [canary, stable] = pods;
        let ratio = if second >= self.from { self.ratio } else { 1.0 };
        let masked = if second >= self.from { self.masked } else { 0.0 };
        let mut healths =
            [Health { masked, slow: self.slow, ..Health::of(self.errors, ratio) }, self.stable()];
        // The canary's breaker opens and closes a minute later.
        let begins = [360, 300];
        let is_in = |at: usize| (begins[at]..begins[at] + 300).contains(&second);
        for (at, health) in healths.iter_mut().enumerate() {
            match self.brownout {
                Brownout::Errors if is_in(1) => health.more_errors = BROWNOUT,
                // Until its breaker opens a revision fails; from then on a fallback answers.
                Brownout::Breakers if is_in(at) => health.masked = 0.5,
                Brownout::Breakers if is_in(1) => health.more_errors = 0.5,
                _ => {}
            }
        }
        let load = self.requests_per_second;
        let mut slice = TimeSlice {
            canary: canary.slice(rng, load * weight, self.clustering, healths[0]),
            stable: stable.slice(rng, load * (1.0 - weight), self.clustering, healths[1]),
        };
        if self.brownout == Brownout::Breakers {
            for (at, revision) in [&mut slice.canary, &mut slice.stable].into_iter().enumerate() {
                let state = if is_in(at) { CircuitState::Open } else { CircuitState::Closed };
                revision.breakers.insert("payments".to_owned(), state);
            }
        }
        slice
    }
}

/// How a rollout ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct End {
    /// Second of the abort.
    pub(crate) aborted: Option<u32>,
    /// Second of the promotion.
    pub(crate) promoted: Option<u32>,
    /// Bad requests of the canary until then.
    pub(crate) bad: u64,
    /// Requests of the canary in each step that was passed, up to the last slice but one.
    pub(crate) requests: Vec<u64>,
}

fn sums(revision: &RevisionCounts) -> (u64, u64, u64) {
    revision.pods.values().fold((0, 0, 0), |(requests, errors, masked), pod| {
        (requests + pod.requests, errors + pod.errors, masked + pod.masked)
    })
}

fn pods() -> [Pods; 2] {
    [Pods::new("canary", CANARY_PODS), Pods::new("stable", STABLE_PODS)]
}

/// A judge that has seen two hours of the stable revision.
pub(crate) fn judge(
    policy: &CanaryPolicy,
    scenario: &Scenario,
    stable: &mut Pods,
    rng: &mut Rng,
) -> Result<Judge, PolicyError> {
    let past: Vec<RevisionCounts> = (0..PAST)
        .map(|_| stable.slice(rng, scenario.requests_per_second, scenario.clustering, scenario.stable()))
        .collect();
    Judge::new(policy.clone(), Calibration::of(policy, &past))
}

/// The rollout under the judge: a step is passed when it says so.
pub(crate) fn judged(
    policy: &CanaryPolicy,
    plan: &Plan,
    scenario: &Scenario,
    rng: &mut Rng,
) -> Result<End, PolicyError> {
    let mut pods = pods();
    let mut judge = judge(policy, scenario, &mut pods[1], rng)?;
    let mut end = End::default();
    let (mut step, mut begun, mut of_step) = (0, 0, 0);
    for second in (0..plan.end).step_by(SLICE as usize) {
        let Some(weight) = plan.weights.get(step) else { break };
        let slice = scenario.slice(rng, &mut pods, *weight, second);
        let (requests, errors, masked) = sums(&slice.canary);
        (end.bad, of_step) = (end.bad + errors + masked, of_step + requests);
        judge.observe(Some(&slice));
        let now = second + SLICE;
        match judge.judgement().verdict {
            CanaryVerdict::Abort => {
                end.aborted = Some(now);
                return Ok(end);
            }
            CanaryVerdict::Promote if now - begun >= plan.step_seconds => {
                end.requests.push(of_step - requests);
                (step, begun, of_step) = (step + 1, now, 0);
                judge.begin_step();
                if step == plan.weights.len() {
                    end.promoted = Some(now);
                }
            }
            CanaryVerdict::Promote | CanaryVerdict::Hold => {}
        }
    }
    Ok(end)
}

/// The rollout under each rule with a threshold: a step is passed when its time is over.
pub(crate) fn by_thresholds(plan: &Plan, scenario: &Scenario, rng: &mut Rng) -> [End; RULES.len()] {
    let mut pods = pods();
    let mut ends: [End; RULES.len()] = std::array::from_fn(|_| End::default());
    let mut watches: [Watch; RULES.len()] = std::array::from_fn(|_| Watch::default());
    for second in (0..plan.end).step_by(SLICE as usize) {
        let step = second / plan.step_seconds.max(SLICE);
        let Some(weight) = plan.weights.get(step as usize) else { break };
        let slice = scenario.slice(rng, &mut pods, *weight, second);
        let (requests, errors, masked) = sums(&slice.canary);
        for ((end, watch), rule) in ends.iter_mut().zip(&mut watches).zip(&RULES) {
            if end.aborted.is_none() {
                end.bad += errors + masked;
                end.aborted = watch.aborts(rule, requests, errors).then_some(second + SLICE);
            }
        }
    }
    let over = plan.step_seconds * plan.weights.len() as u32;
    for end in ends.iter_mut().filter(|end| end.aborted.is_none() && over <= plan.end) {
        end.promoted = Some(over);
    }
    ends
}
