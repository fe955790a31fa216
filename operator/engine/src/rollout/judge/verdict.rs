//! What the judge says, in numbers and in words. Pure.

use super::attribution::{Attribution, FEWEST_PODS};
use super::counts::BadKind;
use serde::{Deserialize, Serialize};

/// The three verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CanaryVerdict {
    /// This step is passed.
    Promote,
    /// The canary is worse.
    Abort,
    /// Neither is proven.
    Hold,
}

/// Why a verdict is what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Because {
    /// The canary is proven to be worse, in this kind of bad requests above all.
    Worse(BadKind),
    /// The canary is proven to be good enough in every kind.
    GoodEnough,
    /// This kind is not decided, and others may not be either.
    TooLittleEvidence(BadKind),
    /// It looks worse, but that is not proven.
    Contested(BadKind),
    /// It is worse because of one pod, which is to be evicted.
    OnePod(String),
    /// A breaker for this dependency is open in both revisions. The clock stands still.
    DependencyDegraded(String),
    /// A breaker for this dependency is open in the stable revision alone. The clock stands still.
    StableDegraded(String),
    /// A breaker for this dependency is open in the canary alone.
    BreakerOpen(String),
    /// The last slice was not measured.
    NotMeasured,
    /// The canary had no requests in the last minute.
    NoRequests,
}

/// Bad requests and all requests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BadOf {
    /// Bad requests.
    pub bad: f64,
    /// All requests.
    pub requests: f64,
}

/// The evidence of one kind of bad requests.
#[derive(Clone, Debug, PartialEq)]
pub struct KindEvidence {
    /// The kind.
    pub kind: BadKind,
    /// The canary since the step began.
    pub canary: BadOf,
    /// The stable revision since the step began.
    pub stable: BadOf,
    /// The factor that evidence is divided by, at least 1.
    pub phi: f64,
    /// Length of the batches that it comes from, in slices.
    pub phi_slices: u32,
    /// Logarithm of the evidence that the canary is worse, over the whole rollout.
    pub ln_worse: f64,
    /// Logarithm of the evidence that it is not as bad as what is excluded, in this step.
    pub ln_better: f64,
    /// Logarithm of the evidence that its own share is small enough, in this step.
    pub ln_share: f64,
    /// Whether the step is passed in this kind.
    pub is_good: bool,
}

/// A verdict with its evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: CanaryVerdict,
    /// Why.
    pub because: Because,
    /// One sentence or two.
    pub sentence: String,
    /// By kind.
    pub kinds: Vec<KindEvidence>,
    /// Logarithm of the evidence for an abort, over all kinds; an abort needs ln(1/α).
    pub ln_worse: f64,
    /// What that evidence rests on; only where it is enough.
    pub attribution: Option<Attribution>,
    /// Slices that counted in this step. A clock for deadlines, which stands still in a brownout.
    pub slices: usize,
    /// Seconds until the step is expected to be passed if the canary is as good as the stable revision; none if never, or
    /// if nothing is known of the load.
    pub expected_seconds: Option<f64>,
}

impl BadOf {
    fn words(self) -> String {
        let Self { bad, requests } = self;
        if requests <= 0.0 {
            return "no requests".to_owned();
        }
        format!("{:.2}% ({bad:.0} of {requests:.0})", 100.0 * bad / requests)
    }
}

impl KindEvidence {
    fn words(&self) -> String {
        let (noun, canary, stable) = (self.kind.noun(), self.canary.words(), self.stable.words());
        format!("{noun}: canary {canary}, stable {stable}")
    }
}

/// That one sick pod cannot be told from a bad version.
pub(super) fn too_few_pods(pods: usize) -> String {
    format!(
        "The pods of the canary are too few ({pods}) to tell a bad version from a sick pod: run at least {FEWEST_PODS}."
    )
}

/// The sentence of a verdict.
pub(super) fn sentence(
    because: &Because,
    kinds: &[KindEvidence],
    attribution: Option<&Attribution>,
    expected_seconds: Option<f64>,
) -> String {
    let of = |kind: BadKind| {
        kinds.iter().find(|one| one.kind == kind).map(KindEvidence::words).unwrap_or_default()
    };
    let expected = || match expected_seconds {
        Some(seconds) => format!("expected in {:.0} s if it is as good", seconds.ceil()),
        None => "at this load it is never expected".to_owned(),
    };
    match because {
        Because::Worse(kind) => {
            let weak = match attribution {
                Some(Attribution::Weak(pods)) => {
                    format!(" {}", too_few_pods(*pods))
                }
                _ => String::new(),
            };
            format!("The canary is worse in {}.{weak}", of(*kind))
        }
        Because::GoodEnough => "The canary is good enough in this step.".to_owned(),
        Because::TooLittleEvidence(kind) => {
            format!("Not decided yet in {}; {}.", of(*kind), expected())
        }
        Because::Contested(kind) => {
            format!("The canary looks worse, but that is not proven yet, in {}.", of(*kind))
        }
        Because::OnePod(pod) => {
            format!("The canary is worse because of the pod {pod} alone: evict it. The others are not worse.")
        }
        Because::DependencyDegraded(name) => {
            format!(
                "The circuit breakers for {name} are open in both revisions: that is no fault of the canary."
            )
        }
        Because::StableDegraded(name) => {
            format!(
                "The circuit breakers for {name} are open in the stable revision: nothing can be compared."
            )
        }
        Because::BreakerOpen(name) => {
            format!(
                "The circuit breakers for {name} are open in the canary alone. If they stay open, that counts."
            )
        }
        Because::NotMeasured => "The last slice of time was not measured: nothing is decided.".to_owned(),
        Because::NoRequests => "The canary has no requests: check its weight and its readiness.".to_owned(),
    }
}
