//! The memory of the shards of a cache, which changes while they run. Pure.
//!
//! The template of the StatefulSet has the memory that each shard is to have, so it survives a restart of the operator, and
//! new shards start with it. It restarts no shard: the pods are resized in place. A shard gets more at once, because its
//! script never uses more than its limit. It gets less once the exporter shows that its data fits.

use super::component_state::ComponentState;
use super::memory::DecideMemory;
use super::pass::{ComponentPass, View};
use crate::observe::{
    cluster::pods::{CachedPod, PodMemory},
    snapshot::Samples,
};
use crate::resolve::app::{App, Cache, Component};
use scalableapp_engine::state::ShardMemory;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most of a limit that the data may have before the limit shrinks to it, in percent. It is a little more than the
/// share of the data, because the server counts its own memory among it.
const FITS_PERCENT: i64 = 80;

/// Bytes by which a limit may differ because it is rounded.
const ROUNDED: u64 = 1 << 16;

/// The memory of the shards after a pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheMemory {
    /// Bytes that each shard is to have.
    pub bytes: i64,
    /// Whether the template of the StatefulSet has other ones.
    pub is_new: bool,
    /// The pods to resize now.
    pub resizes: Vec<String>,
    /// Whether pods that differ from the template are replaced: they cannot be resized, or have another revision.
    pub replaces: bool,
    /// Why the cluster refuses it, in its words.
    pub refused: Option<String>,
}

/// A refusal of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResizeRefusal {
    /// The bytes that it refused.
    pub bytes: i64,
    /// Its words.
    pub words: String,
}

/// The shards of a cache, as far as their memory is concerned.
#[derive(Clone, Copy)]
struct Shards<'a> {
    cache: &'a Cache,
    pods: &'a [Arc<CachedPod>],
    refusal: Option<&'a ResizeRefusal>,
}

impl Shards<'_> {
    /// Bytes that each shard is to have before the decision. `known` is what it had.
    fn bytes(self, known: Option<i64>) -> i64 {
        let Self { cache, .. } = self;
        let max = cache.max_memory.max(cache.memory);
        let bytes = known.unwrap_or(cache.memory).clamp(cache.memory, max);
        let is_refused = self.pods().any(|memory| memory.refused.is_some()) || self.api_refuses(bytes);
        if bytes == cache.memory || !is_refused {
            return bytes;
        }
        // A growth that is refused is taken back to what all shards have.
        let given = self.pods().filter_map(|memory| memory.given).min().unwrap_or(cache.memory);
        given.clamp(cache.memory, bytes)
    }

    /// As the engine's input.
    fn observed(self, bytes: i64) -> ShardMemory {
        // The kernel gives whole pages.
        let is_about = |given: i64| given.abs_diff(bytes) < ROUNDED;
        let has = |memory: &PodMemory| memory.asked == bytes && memory.given.is_none_or(is_about);
        let is_refused = self.refused().is_some();
        ShardMemory { bytes, is_given: !is_refused && self.pods().all(has), is_refused }
    }

    /// The next step towards these bytes.
    fn step(self, bytes: i64, template: Option<i64>, samples: &Samples) -> CacheMemory {
        let replaces = self.api_refuses(bytes);
        let may_have = |pod: &CachedPod| {
            let Some(memory) = pod.memory.as_deref().filter(|memory| memory.asked != bytes) else {
                return false;
            };
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            bytes > memory.asked
                || memory.given.is_some_and(|given| given <= bytes)
                || samples.data_fits(namespace, &pod.pod.name, bytes / 100 * FITS_PERCENT)
        };
        let resized = self.pods.iter().filter(|pod| !replaces && !pod.pod.deleting && may_have(pod));
        CacheMemory {
            bytes,
            is_new: template.is_some_and(|template| template != bytes),
            resizes: resized.map(|pod| pod.pod.name.to_string()).collect(),
            replaces,
            refused: self.refused(),
        }
    }

    fn pods(&self) -> impl Iterator<Item = &PodMemory> {
        self.pods.iter().filter(|pod| !pod.pod.deleting).filter_map(|pod| pod.memory.as_deref())
    }

    fn api_refuses(self, bytes: i64) -> bool {
        self.refusal.is_some_and(|refusal| refusal.bytes == bytes)
    }

    fn refused(self) -> Option<String> {
        let of_pod = |pod: &&Arc<CachedPod>| {
            let words = pod.memory.as_deref()?.refused.as_deref()?;
            Some(format!("pod {}: {words}", pod.pod.name))
        };
        let kubelet = self.pods.iter().filter(|pod| !pod.pod.deleting).find_map(|pod| of_pod(&pod));
        kubelet.or_else(|| self.refusal.map(|refusal| refusal.words.clone()))
    }
}

/// The next step of the memory of each cache's shards.
pub(super) fn shard_memory(
    app: &App,
    components: &[ComponentPass],
    view: View<'_>,
    memory: &mut DecideMemory,
) -> BTreeMap<String, CacheMemory> {
    let step = |one: &ComponentPass| {
        let name = one.state.name.as_str();
        let cache = app.component(name).filter(|component| component.is_valid())?.pod.cache.as_ref()?;
        let pods: Vec<Arc<CachedPod>> = view.observed.pods_of(name).cloned().collect();
        let shards = Shards { cache, pods: &pods, refusal: memory.refusal(name) };
        let template = template_bytes(&one.state);
        let growth = one.decision.as_ref().and_then(|decision| decision.memory);
        let bytes =
            growth.map_or_else(|| shards.bytes(memory.shard_bytes(name, template)), |growth| growth.bytes);
        let mut step = shards.step(bytes, template, view.samples);
        if growth.is_none() {
            memory.note_shard_bytes(name, bytes);
        }
        step.replaces |= one.state.outdated > 0;
        if !memory.may_resize(name, view.now) {
            step.resizes.clear();
        }
        Some((name.to_owned(), step))
    };
    components.iter().filter_map(step).collect()
}

/// The memory of the shards of a cache as the engine's input; `None` for other components.
pub(super) fn observed_memory(
    component: &Component,
    state: &ComponentState,
    view: View<'_>,
    memory: &DecideMemory,
) -> Option<ShardMemory> {
    let (name, cache) = (component.name.as_str(), component.pod.cache.as_ref()?);
    let pods: Vec<Arc<CachedPod>> = view.observed.pods_of(name).cloned().collect();
    let shards = Shards { cache, pods: &pods, refusal: memory.refusal(name) };
    Some(shards.observed(shards.bytes(memory.shard_bytes(name, template_bytes(state)))))
}

/// Bytes of each shard in the template of the StatefulSet.
fn template_bytes(state: &ComponentState) -> Option<i64> {
    state.revisions.iter().find_map(|live| live.workload.part.spec.memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use rstest::rstest;
    use scalableapp_crds::{CacheEngine, Eviction};
    use serde_json::json;

    const MIB: i64 = 1 << 20;

    fn cache(memory: i64, max: i64) -> Cache {
        Cache {
            engine: CacheEngine::Valkey,
            exporter_image: String::new(),
            memory: memory * MIB,
            max_memory: max * MIB,
            eviction: Eviction::AllkeysLru,
            max_clients: None,
            tls: None,
        }
    }

    /// Shards that ask for and are given so many MiB, the first of which may be refused.
    fn pods(memory: &[(i64, i64)], refused: bool) -> Vec<Arc<CachedPod>> {
        let pod = |(ordinal, (asked, given)): (usize, &(i64, i64))| {
            let limits = |mib: &i64| json!({"limits": {"memory": format!("{mib}Mi")}});
            let pending =
                json!([{"type": "PodResizePending", "status": "True", "message": "the node is full"}]);
            let pod = serde_json::from_value(json!({
                "metadata": {"name": format!("shop-hot-{ordinal}"), "namespace": "shop", "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "shop-hot", "uid": "1", "controller": true},
                ]},
                "spec": {"containers": [{"name": "hot", "resources": limits(asked)}]},
                "status": {
                    "conditions": if refused && ordinal == 0 { pending } else { json!([]) },
                    "containerStatuses": [{"name": "hot", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                        "resources": limits(given)}],
                },
            }));
            Arc::new(pod.expect("a pod"))
        };
        memory.iter().enumerate().map(pod).collect()
    }

    #[rstest]
    #[case::a_new_cache(None, (64, 64), 64)]
    #[case::of_the_template(Some(96), (64, 200), 96)]
    #[case::the_declared_one_rises(Some(64), (128, 128), 128)]
    #[case::the_declared_one_falls(Some(128), (64, 64), 64)]
    #[case::what_has_grown_stays(Some(144), (96, 200), 144)]
    #[case::the_maximum_falls(Some(144), (64, 100), 100)]
    fn the_memory_stays_between_the_declared_one_and_its_maximum(
        #[case] known: Option<i64>,
        #[case] (memory, max): (i64, i64),
        #[case] expected: i64,
    ) {
        let cache = cache(memory, max);
        let shards = Shards { cache: &cache, pods: &[], refusal: None };
        assert_eq!(shards.bytes(known.map(|mib| mib * MIB)), expected * MIB);
    }

    #[test]
    fn shards_get_more_at_once_and_less_when_their_data_fits() {
        let now = Timestamp::UNIX_EPOCH;
        let cache = cache(100, 100);
        let data = |mib: i64| {
            Samples::of_data("shop", now, [("shop-hot-0".to_owned(), 0.0, Some((mib * MIB) as f64))])
        };
        let resizes = |pods: &[Arc<CachedPod>], samples: &Samples| {
            let step =
                Shards { cache: &cache, pods, refusal: None }.step(100 * MIB, Some(100 * MIB), samples);
            (step.resizes, step.is_new, step.replaces)
        };
        let none = Samples::of_data("shop", now, []);
        let both = vec!["shop-hot-0".to_owned(), "shop-hot-1".to_owned()];
        assert_eq!(resizes(&pods(&[(64, 64), (64, 64)], false), &none), (both, false, false));
        let larger = pods(&[(128, 128), (128, 128)], false);
        assert_eq!(resizes(&larger, &none).0, Vec::<String>::new(), "it is not known");
        assert_eq!(resizes(&larger, &data(92)).0, Vec::<String>::new());
        assert_eq!(resizes(&larger, &data(72)).0, ["shop-hot-0"]);
        assert_eq!(
            resizes(&pods(&[(100, 100), (100, 64)], false), &none).0,
            Vec::<String>::new(),
            "nothing at rest"
        );
    }

    #[test]
    fn a_growth_that_the_node_refuses_is_taken_back() {
        let cache = cache(64, 200);
        let pods = pods(&[(96, 64), (96, 96)], true);
        let shards = Shards { cache: &cache, pods: &pods, refusal: None };
        assert_eq!(shards.bytes(Some(96 * MIB)), 64 * MIB);
        let observed = shards.observed(64 * MIB);
        assert_eq!((observed.is_given, observed.is_refused), (false, true));
        let step =
            shards.step(64 * MIB, Some(96 * MIB), &Samples::of_data("shop", Timestamp::UNIX_EPOCH, []));
        assert_eq!((step.resizes, step.is_new, step.replaces), (vec!["shop-hot-0".to_owned()], true, false));
        assert_eq!(step.refused.as_deref(), Some("pod shop-hot-0: the node is full"));
    }

    #[test]
    fn where_the_api_server_cannot_resize_the_declared_memory_restarts_the_shards_and_a_growth_does_not() {
        let cache = cache(96, 200);
        let pods = pods(&[(64, 64)], false);
        let refusal = |bytes: i64| ResizeRefusal { bytes: bytes * MIB, words: "no".to_owned() };
        let none = Samples::of_data("shop", Timestamp::UNIX_EPOCH, []);
        let declared = refusal(96);
        let shards = Shards { cache: &cache, pods: &pods, refusal: Some(&declared) };
        assert_eq!(shards.bytes(Some(64 * MIB)), 96 * MIB);
        let step = shards.step(96 * MIB, Some(64 * MIB), &none);
        assert_eq!((step.resizes.len(), step.replaces), (0, true));
        let grown = refusal(144);
        let pods = self::pods(&[(96, 96)], false);
        let shards = Shards { cache: &cache, pods: &pods, refusal: Some(&grown) };
        assert_eq!(shards.bytes(Some(144 * MIB)), 96 * MIB);
        assert!(
            !shards.step(96 * MIB, Some(144 * MIB), &none).replaces && shards.observed(96 * MIB).is_refused
        );
    }
}
