//! What the last tick found of each app, put into words when the plugin asks: it seldom does. Pure.

use super::{decide::ComponentPass, memory::Resolved};
use crate::{
    observe::{samples::Samples, wanted::ComponentKey},
    resolve::app::App,
    runtime::live::{LiveApp, LiveComponent, LiveMetric},
};
use jiff::Timestamp;
use scalableapp_engine::Decision;
use std::sync::Arc;

/// The passes of one tick.
pub struct LastTick {
    /// What was measured.
    pub samples: Arc<Samples>,
    /// The apps that were decided.
    pub passed: Vec<PassedApp>,
}

/// The pass over one app.
pub struct PassedApp {
    app: Resolved,
    at: Timestamp,
    components: Vec<PassedComponent>,
}

struct PassedComponent {
    name: String,
    desired: i32,
    ready: i32,
    current: i32,
    decision: Option<Decision>,
}

impl LastTick {
    /// What the plugin is shown of an app; nothing if the tick did not decide it.
    #[must_use]
    pub fn of(&self, namespace: &str, name: &str) -> Option<LiveApp> {
        self.passed.iter().find_map(|passed| {
            let app = passed.app.as_ref().as_ref().ok()?;
            (app.namespace == namespace && app.name.as_str() == name).then(|| passed.show(app, &self.samples))
        })
    }
}

impl PassedApp {
    /// Keeps what is shown of the passes, which were made at that time.
    #[must_use]
    pub fn new(app: Resolved, at: Timestamp, passes: Vec<ComponentPass>) -> Self {
        Self { app, at, components: passes.into_iter().map(PassedComponent::new).collect() }
    }

    fn show(&self, app: &App, samples: &Samples) -> LiveApp {
        LiveApp {
            app: app.name.to_string(),
            namespace: app.namespace.clone(),
            observed_at: self.at,
            components: self.components.iter().map(|component| component.show(app, samples)).collect(),
        }
    }
}

impl PassedComponent {
    fn new(pass: ComponentPass) -> Self {
        let ComponentPass { standing, decision, .. } = pass;
        Self {
            desired: standing.desired,
            ready: standing.ready(),
            current: standing.revisions.iter().map(|revision| revision.replicas).sum(),
            name: standing.name,
            // The stages are not shown, and would be kept for all apps.
            decision: decision.map(|decision| Decision { stages: Vec::new(), ..decision }),
        }
    }

    fn show(&self, app: &App, samples: &Samples) -> LiveComponent {
        let key = ComponentKey::new(&app.namespace, app.name.as_str(), &self.name);
        let decision = self.decision.as_ref();
        LiveComponent {
            name: self.name.clone(),
            desired: self.desired,
            ready: self.ready,
            current: self.current,
            request_rate: samples.request_rate(&key),
            latency: samples.latency(&key),
            metrics: decision.into_iter().flat_map(metrics).collect(),
            reason: decision.map(|decision| decision.reason.name.to_owned()).unwrap_or_default(),
            message: decision.map(Decision::message).unwrap_or_default(),
        }
    }
}

fn metrics(decision: &Decision) -> impl Iterator<Item = LiveMetric> {
    decision.proposals.iter().map(|proposal| LiveMetric {
        name: proposal.metric.clone(),
        value: proposal.value.clone(),
        target: proposal.target.clone(),
        quality: decision
            .invalid
            .get(&proposal.metric)
            .map_or("Fresh", |invalid| invalid.reason.name)
            .to_owned(),
        proposal: proposal.replicas,
    })
}
