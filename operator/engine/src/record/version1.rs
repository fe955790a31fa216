//! Records of version 1, which had no version: the input of one component, flat. Pure.

use super::{RecordedInput, VERSION};
use crate::bounds::fallback::Fallback;
use crate::bounds::overrides::Overrides;
use crate::bounds::schedule::Schedule;
use crate::evidence::recorded::RecordedEvidence;
use crate::evidence::sample::Reading;
use crate::forecast::Forecast;
use crate::forecast::season::Seasonal;
use crate::hpa::behavior::Behavior;
use crate::hpa::pod::Pod;
use crate::limits::Limits;
use crate::memory::{AppMemory, ComponentMemory, Memory};
use crate::propose::metric::Metric;
use crate::rollout::memory::RolloutMemory;
use crate::rollout::rolling::{Revision, Rolling};
use crate::stack::{Component, Service, Stack, Workload};
use crate::state::{Observed, State};
use jiff::{SignedDuration, Timestamp};
use scalableapp_crds::DecisionRecord;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Name of the only revision: version 1 had the sum over all.
const REVISION: &str = "recorded";

/// A decision on one component.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecordV1 {
    namespace: String,
    app: String,
    component: String,
    input: InputV1,
    decision: DecisionRecord,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InputV1 {
    now: Timestamp,
    min_replicas: i32,
    schedules: Vec<Schedule>,
    max_replicas: i32,
    metrics: Vec<Metric>,
    behavior: Behavior,
    current_replicas: i32,
    /// Missing in records of version 0.1.0.
    #[serde(default)]
    decided_replicas: Option<i32>,
    status_replicas: i32,
    pods: Vec<Pod>,
    readings: BTreeMap<String, Reading>,
    max_sample_age: SignedDuration,
    forecast: Option<Forecast>,
    seasons: BTreeMap<String, Seasonal>,
    fallback: Option<Fallback>,
    overrides: Overrides,
    memory: Memory,
}

impl From<RecordV1> for super::Record {
    fn from(record: RecordV1) -> Self {
        let RecordV1 { namespace, app, component, input, decision } = record;
        let input = input.into_current(&component);
        Self { version: VERSION, namespace, app, input, decisions: BTreeMap::from([(component, decision)]) }
    }
}

impl InputV1 {
    fn into_current(self, name: &str) -> RecordedInput {
        fn only<T>(name: &str, value: T) -> BTreeMap<String, T> {
            BTreeMap::from([(name.to_owned(), value)])
        }
        let usage = self.pods.iter().map(|pod| (pod.name.to_string(), pod.usage)).collect();
        let component = Component {
            workload: Workload::Service(Service { metrics: self.metrics, forecast: self.forecast }),
            min_replicas: self.min_replicas,
            max_replicas: self.max_replicas,
            schedules: self.schedules,
            fallback: self.fallback,
            behavior: self.behavior,
            revision: REVISION.to_owned(),
            rolling: Rolling::default(),
            canary: None,
            blue_green: None,
            calls: Vec::new(),
            pool: None,
        };
        let revision = Revision {
            hash: REVISION.to_owned(),
            replicas: self.current_replicas,
            available: self.current_replicas,
            is_target: true,
        };
        let observed = Observed {
            revisions: vec![revision],
            existing_replicas: self.status_replicas,
            pods: self.pods,
            ..Observed::default()
        };
        let memory = ComponentMemory {
            scaling: Box::new(self.memory),
            decided: self.decided_replicas,
            is_written: true,
            begins: false,
            rollout: RolloutMemory::default(),
        };
        RecordedInput {
            now: self.now,
            stack: Stack { components: only(name, Arc::new(component)), ..Stack::default() },
            state: State { components: only(name, observed) },
            evidence: RecordedEvidence {
                max_age: self.max_sample_age,
                readings: only(name, self.readings),
                usage,
                seasons: only(name, self.seasons),
                ..RecordedEvidence::default()
            },
            limits: Limits { overrides: only(name, self.overrides), ..Limits::default() },
            memory: AppMemory { components: only(name, memory), ..AppMemory::default() },
        }
    }
}
