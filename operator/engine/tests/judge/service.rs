//! A service whose revisions have errors at a share, from a seed.

use fastrand::Rng;
use scalableapp_engine::rollout::judge::Judge;
use scalableapp_engine::rollout::judge::calibration::Calibration;
use scalableapp_engine::rollout::judge::counts::{PodCounts, RevisionCounts, TimeSlice};
use scalableapp_engine::rollout::judge::policy::CanaryPolicy;

/// A revision of some pods with these counts each.
pub fn revision(name: &str, pods: usize, counts: PodCounts) -> RevisionCounts {
    let pods = (0..pods).map(|pod| (format!("{name}-{pod}"), counts)).collect();
    RevisionCounts { pods, ..RevisionCounts::default() }
}

/// Counts of a pod that is past its warm-up.
pub fn counts(requests: u64, errors: u64) -> PodCounts {
    PodCounts { requests, errors, ready_seconds: 3600, ..PodCounts::default() }
}

/// The same with errors at a share.
pub fn random(rng: &mut Rng, name: &str, pods: usize, requests: u64, share: f64) -> RevisionCounts {
    let mut revision = revision(name, pods, counts(requests, 0));
    for counts in revision.pods.values_mut() {
        counts.errors = (0..requests).filter(|_| rng.f64() < share).count() as u64;
    }
    revision
}

/// A judge that has seen an hour of ten stable pods with one error in 200 requests.
pub fn judge(policy: CanaryPolicy) -> Judge {
    let mut rng = Rng::with_seed(1);
    let past: Vec<RevisionCounts> = (0..240).map(|_| random(&mut rng, "stable", 10, 100, 0.005)).collect();
    let past = Calibration::of(&policy, &past);
    Judge::new(policy, past).unwrap()
}

/// A slice of three canary pods and ten stable ones.
pub fn slice(canary: PodCounts, stable: PodCounts) -> TimeSlice {
    TimeSlice { canary: revision("canary", 3, canary), stable: revision("stable", 10, stable) }
}
