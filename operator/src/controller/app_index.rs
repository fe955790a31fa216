//! The apps of a tick. At rest they are those of the previous tick, and nothing is looked up again.

use super::memory::{Memories, Resolved, SharedMemory};
use crate::observe::{cluster::caches::GuardedApp, query_plan::QueryPlan};
use scalableapp_crds::ScalableApp;
use std::sync::{Arc, Weak};

/// The cached apps, and the measurements that they need.
#[derive(Default)]
pub struct AppIndex {
    /// Weak, so that a changed object is not kept beside its successor until the next tick.
    objects: Vec<Weak<GuardedApp>>,
    /// One for each object; `None` for unreadable or invalid ones.
    members: Vec<Option<Member>>,
    wanted: Arc<QueryPlan>,
}

/// The state of a resolved app.
struct Member {
    resolved: Resolved,
    memory: SharedMemory,
}

/// An app that can be decided.
pub struct Decidable<'a> {
    /// The declared app.
    pub app: &'a ScalableApp,
    /// The resolved app.
    pub resolved: &'a Resolved,
    /// Its memory.
    pub memory: &'a SharedMemory,
}

impl AppIndex {
    /// Follows the cache: the needed measurements, and the apps that can be decided.
    pub fn follow<'a>(
        &'a mut self,
        objects: &'a [Arc<GuardedApp>],
        memories: &Memories,
    ) -> (Arc<QueryPlan>, Vec<Decidable<'a>>) {
        if !objects.iter().map(Arc::as_ptr).eq(self.objects.iter().map(Weak::as_ptr)) {
            self.renew(objects, memories);
        }
        let decidable = |(object, member): (&'a Arc<GuardedApp>, &'a Option<Member>)| {
            let (app, Member { resolved, memory }) = (object.0.as_ref().ok()?, member.as_ref()?);
            Some(Decidable { app, resolved, memory })
        };
        let decidable = objects.iter().zip(&self.members).filter_map(decidable).collect();
        (Arc::clone(&self.wanted), decidable)
    }

    fn renew(&mut self, objects: &[Arc<GuardedApp>], memories: &Memories) {
        memories.retain(objects.iter().map(Arc::as_ref));
        let member = |object: &Arc<GuardedApp>| {
            let app = object.0.as_ref().ok().filter(|app| app.metadata.deletion_timestamp.is_none())?;
            let (resolved, memory) = (memories.resolve(app), memories.of(app));
            resolved.is_ok().then_some(Member { resolved, memory })
        };
        let members: Vec<Option<Member>> = objects.iter().map(member).collect();
        if !resolved(&members).map(Arc::as_ptr).eq(resolved(&self.members).map(Arc::as_ptr)) {
            self.wanted =
                Arc::new(QueryPlan::of(resolved(&members).filter_map(|one| one.as_ref().as_ref().ok())));
        }
        (self.objects, self.members) = (objects.iter().map(Arc::downgrade).collect(), members);
    }
}

fn resolved(members: &[Option<Member>]) -> impl Iterator<Item = &Resolved> {
    members.iter().flatten().map(|member| &member.resolved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use scalableapp_crds::Guarded;
    use serde_json::json;

    fn app(uid: &str, generation: i64, per_replica: &str) -> Arc<GuardedApp> {
        let app = serde_json::from_value(json!({
            "metadata": {"name": uid, "namespace": "shop", "uid": uid, "generation": generation},
            "spec": {"image": "shop:1", "services": [{
                "name": "web", "port": 8080, "metricsPort": 9090,
                "scaling": {
                    "minReplicas": 1, "maxReplicas": 9,
                    "metrics": [{"name": "rps", "requestRate": {"perReplica": per_replica}}],
                },
            }]},
        }));
        Arc::new(Guarded(Ok(app.expect("an app"))))
    }

    #[test]
    fn what_is_wanted_is_gathered_anew_only_when_an_app_is_another_one() {
        let (mut index, memories) = (AppIndex::default(), Memories::default());
        let (one, two) = (app("one", 1, "10"), app("two", 1, "10"));
        let mut follow = |objects: &[&Arc<GuardedApp>]| {
            let objects: Vec<_> = objects.iter().copied().map(Arc::clone).collect();
            let (wanted, apps) = index.follow(&objects, &memories);
            (apps.len(), wanted)
        };
        let (members, first) = follow(&[&one, &two]);
        assert_eq!((members, first.components().len()), (2, 2));
        // A new status is a new object with the same generation.
        let (_, touched) = follow(&[&one, &app("two", 1, "10")]);
        assert!(Arc::ptr_eq(&first, &touched));
        let (members, changed) = follow(&[&one, &app("two", 2, "none")]);
        assert_eq!((members, changed.components().len()), (2, 1), "what cannot be done is not measured");
        let (members, invalid) = follow(&[&one, &app("Two", 1, "10")]);
        assert_eq!((members, invalid.components().len()), (1, 1), "its name is no name");
        let (_, gone) = follow(&[&one]);
        assert!(Arc::ptr_eq(&invalid, &gone));
        assert_eq!(follow(&[]).0, 0);
    }
}
