//! A service with a canary or a blue-green rollout, whose pods and whose Service follow every decision.

use jiff::{SignedDuration, Timestamp};
use scalableapp_crds::{ComponentStatus, RolloutPhase, RolloutStatus, Tier};
use scalableapp_engine::evidence::canary::CanaryReading;
use scalableapp_engine::evidence::recorded::RecordedEvidence;
use scalableapp_engine::hpa::behavior::Behavior;
use scalableapp_engine::limits::Limits;
use scalableapp_engine::memory::{AppMemory, ComponentMemory};
use scalableapp_engine::record::RecordedInput;
use scalableapp_engine::rollout::act::{Act, RolloutAct};
use scalableapp_engine::rollout::blue_green::BlueGreen;
use scalableapp_engine::rollout::canary::{Canary, CanaryStep};
use scalableapp_engine::rollout::judge::counts::BadKind;
use scalableapp_engine::rollout::judge::policy::CanaryPolicy;
use scalableapp_engine::rollout::judge::verdict::{Because, CanaryVerdict};
use scalableapp_engine::rollout::rolling::{Revision, Rolling};
use scalableapp_engine::stack::{self, Service, Stack, Workload};
use scalableapp_engine::state::{Observed, State};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The component.
pub const WEB: &str = "web";

/// A service between two decisions.
#[derive(Clone)]
pub struct World {
    pub now: Timestamp,
    pub replicas: i32,
    /// Hash of the declared revision.
    pub declared: String,
    pub revisions: Vec<Revision>,
    /// Revisions whose pods never become available.
    pub broken: BTreeSet<String>,
    /// What the judge says of the canary in progress; nothing while Prometheus is gone.
    pub verdict: Option<CanaryVerdict>,
    /// The pod that alone makes the canary look worse.
    pub sick_pod: Option<String>,
    pub acts: Vec<Act>,
    /// Who holds the canary at its step, in words.
    pub hold: Option<String>,
    pub steps: Vec<CanaryStep>,
    pub is_routed: bool,
    /// Declared instead of a canary.
    pub blue_green: Option<BlueGreen>,
    /// The revision that the Service selects; nothing where it selects all.
    pub selected: Option<String>,
    /// Whether the Service cannot be written.
    pub is_refused: bool,
    pub memory: AppMemory,
    /// What the status says; nothing before the first decision.
    pub status: Option<RolloutStatus>,
    /// Replicas of each revision by the last decision.
    pub plan: BTreeMap<String, i32>,
    /// The pod that it replaces.
    pub replaced: Option<String>,
}

/// Two steps of a minute.
pub fn steps() -> Vec<CanaryStep> {
    [20, 50].map(|weight| CanaryStep { weight, hold: SignedDuration::from_secs(60) }).to_vec()
}

impl World {
    /// A service with one revision that serves.
    pub fn new(replicas: i32) -> Self {
        let mut world = Self::empty(replicas);
        world.settle();
        world
    }

    /// A service with one revision that serves, and blue-green rollouts.
    pub fn blue_green(replicas: i32, declared: BlueGreen) -> Self {
        let mut world = Self { blue_green: Some(declared), ..Self::empty(replicas) };
        world.settle();
        world
    }

    /// A service without pods.
    pub fn empty(replicas: i32) -> Self {
        Self {
            now: Timestamp::new(1_800_000_000, 0).expect("a valid time"),
            replicas,
            declared: "r0".to_owned(),
            revisions: Vec::new(),
            broken: BTreeSet::new(),
            verdict: None,
            sick_pod: None,
            acts: Vec::new(),
            hold: None,
            steps: steps(),
            is_routed: false,
            blue_green: None,
            selected: None,
            is_refused: false,
            memory: AppMemory::default(),
            status: None,
            plan: BTreeMap::new(),
            replaced: None,
        }
    }

    /// Whether all requests go to the new revision.
    pub fn is_switched(&self) -> bool {
        self.status.as_ref().is_some_and(|status| !status.active.is_empty() && status.active == status.canary)
    }

    /// Decides until nothing moves.
    pub fn settle(&mut self) {
        for _ in 0..60 {
            self.turn();
        }
    }

    /// One decision, five seconds later: replicas are written, and pods follow.
    pub fn turn(&mut self) {
        self.now += SignedDuration::from_secs(5);
        self.decide();
        self.write();
        self.become_available();
    }

    /// The decision alone.
    pub fn decide(&mut self) {
        let input = self.input();
        let decision = scalableapp_engine::decide(&input.as_input());
        let component = decision.components.get(WEB).expect("a decision");
        self.status = component.canary.as_ref().map(|canary| canary.status.clone());
        self.replaced = component.canary.as_ref().and_then(|canary| canary.sick_pod.clone());
        self.plan = decision.plan.replicas.get(WEB).cloned().unwrap_or_default();
        self.memory = decision.memory.clone();
        self.memory.commit(WEB, component, &Behavior::default(), true);
    }

    /// What a decision depends on.
    pub fn input(&self) -> RecordedInput {
        let component = stack::Component {
            workload: Workload::Service(Service::default()),
            min_replicas: self.replicas,
            max_replicas: self.replicas,
            schedules: Vec::new(),
            fallback: None,
            behavior: Behavior::default(),
            revision: self.declared.clone(),
            rolling: Rolling::default(),
            canary: self.blue_green.is_none().then(|| Canary {
                steps: self.steps.clone(),
                policy: CanaryPolicy::default(),
                slow_above: None,
                is_routed: self.is_routed,
            }),
            blue_green: self.blue_green,
            calls: Vec::new(),
            pool: None,
        };
        let revisions =
            self.revisions.iter().map(|one| Revision { is_target: one.hash == self.declared, ..one.clone() });
        let observed = Observed {
            revisions: revisions.collect(),
            selected: self.selected.clone(),
            existing_replicas: self.revisions.iter().map(|one| one.replicas).sum(),
            ..Observed::default()
        };
        let web = |value| BTreeMap::from([(WEB.to_owned(), value)]);
        RecordedInput {
            now: self.now,
            stack: Stack {
                components: BTreeMap::from([(WEB.to_owned(), Arc::new(component))]),
                ..Stack::default()
            },
            state: State { components: web(observed) },
            evidence: RecordedEvidence {
                canaries: self.reading().into_iter().collect(),
                ..RecordedEvidence::default()
            },
            limits: Limits {
                acts: BTreeMap::from([(WEB.to_owned(), self.acts.clone())]),
                rollout_holds: self.hold.iter().map(|who| (WEB.to_owned(), who.clone())).collect(),
                ..Limits::default()
            },
            memory: self.memory.clone(),
        }
    }

    /// What the judge says of the canary that the memory knows.
    fn reading(&self) -> Option<(String, CanaryReading)> {
        let trial = self.memory.components.get(WEB)?.trial()?;
        let verdict = self.verdict?;
        let (because, sentence) = match verdict {
            CanaryVerdict::Hold if self.sick_pod.is_some() => {
                (Because::OnePod(self.sick_pod.clone().unwrap_or_default()), "One pod is sick.".to_owned())
            }
            CanaryVerdict::Promote => (Because::GoodEnough, "It is good enough.".to_owned()),
            CanaryVerdict::Abort => (Because::Worse(BadKind::Errors), "It is worse.".to_owned()),
            CanaryVerdict::Hold => (Because::TooLittleEvidence(BadKind::Errors), "Not decided.".to_owned()),
        };
        let (canary, stable, step) = (trial.canary.clone(), trial.stable.clone(), trial.step);
        Some((WEB.to_owned(), CanaryReading { canary, stable, step, verdict, because, sentence }))
    }

    /// Writes the Service, and then the replicas of the plan.
    pub fn write(&mut self) {
        if !self.is_refused {
            let active = self.status.as_ref().map(|status| status.active.clone());
            self.selected = active.filter(|active| !active.is_empty());
        }
        for (hash, replicas) in &self.plan {
            match self.revisions.iter_mut().find(|one| one.hash == *hash) {
                Some(one) => one.replicas = *replicas,
                None => self.revisions.push(Revision {
                    hash: hash.clone(),
                    replicas: *replicas,
                    available: 0,
                    is_target: false,
                }),
            }
        }
        for one in &mut self.revisions {
            one.available = one.available.min(one.replicas);
        }
        let declared = self.declared.clone();
        self.revisions.retain(|one| one.replicas > 0 || one.hash == declared);
    }

    /// Pods become available.
    pub fn become_available(&mut self) {
        for one in &mut self.revisions {
            one.available = if self.broken.contains(&one.hash) { 0 } else { one.replicas };
        }
    }

    /// A new process: what the status does not say is forgotten.
    pub fn restart(&mut self) {
        let known = ComponentStatus {
            name: WEB.to_owned(),
            tier: Tier::Service,
            desired: self.replicas,
            ready: self.replicas,
            limited_by: String::new(),
            revisions: Vec::new(),
            rollout: self.status.clone(),
            memory: None,
            last_decision: None,
        };
        let memory = ComponentMemory::restore(Some(&known), self.now);
        self.memory = AppMemory { components: [(WEB.to_owned(), memory)].into(), ..AppMemory::default() };
    }

    /// Somebody asks something of the rollout.
    pub fn ask(&mut self, act: RolloutAct) {
        let uid = format!("u{}-{}", self.now.as_second(), self.acts.len());
        self.acts.push(Act { uid, act, by: "jane".to_owned(), reason: "a test".to_owned() });
    }

    /// Available pods that get requests.
    pub fn answering(&self) -> i32 {
        let gets = |one: &&Revision| self.selected.as_ref().is_none_or(|selected| *selected == one.hash);
        self.revisions.iter().filter(gets).map(|one| one.available.min(one.replicas)).sum()
    }

    pub fn status(&self) -> &RolloutStatus {
        self.status.as_ref().expect("a status")
    }

    pub fn phase(&self) -> RolloutPhase {
        self.status().phase
    }

    pub fn replicas_of(&self, hash: &str) -> i32 {
        self.revisions.iter().find(|one| one.hash == hash).map_or(0, |one| one.replicas)
    }

    /// Seconds pass, in turns.
    pub fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds / 5 {
            self.turn();
        }
    }
}
