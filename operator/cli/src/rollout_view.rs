//! The rollouts of an app as text for people. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt;
use scalableapp_crds::{
    LiveApp, LiveBadRequests, LiveRollout, RejectedRevision, RolloutPhase, RolloutStatus, ScalableApp,
    ScalingOverride, Service, condition_type,
};
use serde::Serialize;

use crate::live::Unavailable;
use crate::printable::printable;
use crate::view::{broken, missing, table, time};

/// Images of revisions, by component and hash.
pub type Images = BTreeMap<(String, String), String>;

/// The rollout of one component.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentRollout {
    /// Namespace of the app.
    pub namespace: String,
    /// Its name.
    pub app: String,
    /// The component.
    pub component: String,
    /// Whether the status is of the object's newest generation.
    pub up_to_date: bool,
    /// What the status says; `None` before the first decision.
    pub status: Option<RolloutStatus>,
    /// The stable revision and the canary, in this order, as far as they are known.
    pub revisions: Vec<RolloutRevision>,
    /// The canary in numbers; `None` without live measurements, or without a canary.
    pub live: Option<LiveRollout>,
    /// Overrides on rollouts that have not expired.
    pub acts: Vec<RolloutOverride>,
    /// Other notes, as sentences.
    pub notes: Vec<String>,
}

/// One revision.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutRevision {
    /// `stable`, `canary`, or `new` in a blue-green rollout.
    pub role: &'static str,
    /// Its hash.
    pub hash: String,
    /// The image; `None` where its Deployment cannot be read.
    pub image: Option<String>,
    /// Pods that are ready.
    pub ready: i32,
    /// `spec.replicas` of its Deployment.
    pub replicas: i32,
    /// Share of the ready pods, 0 to 1.
    pub pod_share: Option<f64>,
    /// Share of the requests of this step, 0 to 1.
    pub request_share: Option<f64>,
}

/// An override on rollouts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutOverride {
    /// Its name.
    pub name: String,
    /// Author.
    pub by: String,
    /// End.
    pub until: Timestamp,
    /// What became of it: one word, and a sentence; empty until the operator has seen it.
    pub state: String,
    /// Reason, and what became of it.
    pub message: String,
}

impl ComponentRollout {
    /// The rollouts of the services with a canary or a blue-green rollout, or of one of them.
    #[must_use]
    pub fn all(
        app: &ScalableApp,
        component: Option<&str>,
        live: &Result<LiveApp, Unavailable>,
        images: &Images,
        overrides: &[ScalingOverride],
        now: Timestamp,
    ) -> Vec<Self> {
        let is_asked = |service: &&Service| {
            service.rolls_out_in_steps() && component.is_none_or(|component| component == service.name)
        };
        let services = app.spec.services.iter().filter(is_asked);
        let of = |service: &Service| Self::of(app, service, live, images, overrides, now);
        services.map(of).collect()
    }

    fn of(
        app: &ScalableApp,
        service: &Service,
        live: &Result<LiveApp, Unavailable>,
        images: &Images,
        overrides: &[ScalingOverride],
        now: Timestamp,
    ) -> Self {
        let component = service.name.as_str();
        let status = app.status.as_ref();
        let observed = status.map_or(-1, |status| status.observed_generation);
        let rollout = status.and_then(|status| status.component(component)?.rollout.clone());
        let measured = live.as_ref().ok();
        let measured = measured.and_then(|live| live.components.iter().find(|one| one.name == component));
        let numbers = measured.and_then(|one| one.rollout.clone());
        let (namespace, name) = (app.namespace().unwrap_or_default(), app.name_any());
        let concerns = |one: &&ScalingOverride| {
            let spec = &one.spec;
            one.namespace().as_ref() == Some(&namespace)
                && spec.app == name
                && spec.component.as_deref().is_none_or(|own| own == component)
                && spec.is_of_rollouts()
                && now < spec.expires_at.0
        };
        let acts = overrides.iter().filter(concerns).map(RolloutOverride::new).collect();
        let notes = live.as_ref().err().map(|why| format!("{why}.")).into_iter().collect();
        let revisions = revisions(app, service, rollout.as_ref(), numbers.as_ref(), images);
        Self {
            namespace,
            app: name,
            component: component.to_owned(),
            up_to_date: observed >= app.metadata.generation.unwrap_or(0),
            status: rollout,
            revisions,
            live: numbers,
            acts,
            notes,
        }
    }

    /// Whether a rollout is in progress, or is to begin.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let phase = self.status.as_ref().map(|status| status.phase);
        !self.up_to_date || phase.is_none_or(|phase| phase == RolloutPhase::Progressing)
    }

    /// Whether the declared revision was aborted.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.phase == RolloutPhase::Aborted)
    }
}

fn revisions(
    app: &ScalableApp,
    service: &Service,
    rollout: Option<&RolloutStatus>,
    live: Option<&LiveRollout>,
    images: &Images,
) -> Vec<RolloutRevision> {
    let Some(rollout) = rollout else { return Vec::new() };
    let component = service.name.as_str();
    let known = app.status.as_ref().and_then(|status| status.component(component));
    let of = |role: &'static str, hash: &String, share: fn(f64) -> f64| {
        let one = known.and_then(|known| known.revisions.iter().find(|one| one.hash == *hash));
        RolloutRevision {
            role,
            hash: hash.clone(),
            image: images.get(&(component.to_owned(), hash.clone())).cloned(),
            ready: one.map_or(0, |one| one.ready),
            replicas: one.map_or(0, |one| one.replicas),
            pod_share: live.and_then(|live| live.pod_share).map(share),
            request_share: live.and_then(|live| live.request_share).map(share),
        }
    };
    let stable = of("stable", &rollout.stable, |of_canary| 1.0 - of_canary);
    let is_canary = service.rollout.as_ref().is_some_and(|rollout| rollout.canary.is_some());
    let canary = of(if is_canary { "canary" } else { "new" }, &rollout.canary, |of_canary| of_canary);
    [stable, canary].into_iter().filter(|one| !one.hash.is_empty()).collect()
}

impl RolloutOverride {
    fn new(one: &ScalingOverride) -> Self {
        let conditions = one.status.iter().flat_map(|status| &status.conditions);
        let mut said = conditions.filter(|condition| condition.type_ == condition_type::IN_FORCE);
        let (state, became) = said
            .next()
            .map_or_else(<_>::default, |said| (said.reason.clone(), format!("; {}", said.message)));
        Self {
            name: one.name_any(),
            by: one.spec.by.clone(),
            until: one.spec.expires_at.0,
            state,
            message: format!("{}{became}", one.spec.reason),
        }
    }
}

/// All rollouts, one after the other. Sentences are wrapped at `columns` characters.
#[must_use]
pub fn render(rollouts: &[ComponentRollout], columns: usize) -> String {
    rollouts.iter().map(|one| render_one(one, columns)).collect::<Vec<_>>().join("\n")
}

fn render_one(one: &ComponentRollout, columns: usize) -> String {
    let place = printable(&format!("{}/{}/{}", one.namespace, one.app, one.component));
    let mut blocks = vec![format!("{place} {}\n", headline(one))];
    let shares = [|one: &RolloutRevision| one.pod_share, |one: &RolloutRevision| one.request_share];
    let revisions = one.revisions.iter().map(|one| {
        let [pods, requests] = shares.map(|of| of(one).map_or_else(missing, percent));
        let ready = format!("{}/{}", one.ready, one.replicas);
        let image = one.image.clone().unwrap_or_else(missing);
        [one.role.to_owned(), one.hash.clone(), ready, pods, requests, image]
    });
    let header = ["ROLE", "REVISION", "READY/REPLICAS", "OF PODS", "OF REQUESTS", "IMAGE"];
    blocks.push(table(header, revisions, columns));
    let evidence = one.live.iter().flat_map(|live| &live.evidence).map(evidence_row);
    blocks.push(table(["BAD REQUESTS", "CANARY", "STABLE", "EVIDENCE"], evidence, columns));
    blocks.push(sentences(one).iter().map(|line| broken(line, columns).join("\n") + "\n").collect());
    let rejected = one.status.iter().flat_map(|status| &status.rejected);
    let rejected = rejected.map(|RejectedRevision { hash, message }| [hash.clone(), message.clone()]);
    blocks.push(table(["ABORTED", "WHY"], rejected, columns));
    let acts = one.acts.iter().map(|act| {
        let state = if act.state.is_empty() { missing() } else { act.state.clone() };
        [act.name.clone(), state, act.by.clone(), time(act.until), act.message.clone()]
    });
    blocks.push(table(["ACT", "STATE", "BY", "UNTIL", "REASON"], acts, columns));
    blocks.push(one.notes.iter().map(|note| broken(note, columns).join("\n") + "\n").collect());
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n")
}

/// What happens, in a few words.
fn headline(one: &ComponentRollout) -> String {
    let Some(status) = &one.status else { return "has no decision yet".to_owned() };
    let said = match status.phase {
        RolloutPhase::Progressing => progress(status),
        RolloutPhase::Aborted => format!("has aborted revision {}", printable(&status.canary)),
        RolloutPhase::Complete if status.stable.is_empty() => "waits for its first pod".to_owned(),
        RolloutPhase::Complete => "has no rollout in progress".to_owned(),
    };
    if one.up_to_date { said } else { format!("{said}; the last change is not seen yet") }
}

/// The step of a rollout in a few words.
fn progress(status: &RolloutStatus) -> String {
    let RolloutStatus { canary, step, steps, weight, .. } = status;
    format!("has new revision {} at step {step} of {steps}, weight {weight}%", printable(canary))
}

fn sentences(one: &ComponentRollout) -> Vec<String> {
    let Some(status) = &one.status else { return Vec::new() };
    let mut lines = vec![status.message.clone()];
    if let Some(live) = one.live.as_ref().filter(|live| !live.verdict.is_empty()) {
        lines.push(format!("{}: {}", live.verdict, live.message));
        let is_said = live.verdict != "Hold" || live.message.contains("expected in");
        lines.extend(live.expected_seconds.filter(|_| !is_said).map(expected));
    }
    let begun = [("The rollout began", &status.begun), ("This step began", &status.step_begun)];
    let begun =
        begun.into_iter().filter_map(|(what, at)| Some(format!("{what} at {}.", time(at.as_ref()?.0))));
    lines.extend(begun);
    lines.retain(|line| !line.is_empty());
    lines
}

fn expected(seconds: f64) -> String {
    let about =
        if seconds < 120.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) };
    format!("A verdict is expected in about {about} if it is as good as the stable revision.")
}

fn evidence_row(of: &LiveBadRequests) -> [String; 4] {
    let words = |bad: f64, requests: f64| {
        if requests > 0.0 {
            format!("{} ({bad:.0} of {requests:.0})", percent(bad / requests))
        } else {
            "no requests".to_owned()
        }
    };
    [
        of.kind.clone(),
        words(of.canary_bad, of.canary_requests),
        words(of.stable_bad, of.stable_requests),
        if of.is_enough { "enough" } else { "not enough" }.to_owned(),
    ]
}

fn percent(share: f64) -> String {
    format!("{:.2}%", 100.0 * share)
}
