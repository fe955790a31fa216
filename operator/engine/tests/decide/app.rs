//! Decisions on an app of several components.

use crate::fixture::{Component, rate, together};
use jiff::SignedDuration;
use scalableapp_engine::decide;
use scalableapp_engine::state::Undecided;

fn grows_and_shrinks() -> (Component, Component) {
    let (mut web, mut api) = (Component::new(2, &[rate(50)]), Component::new(8, &[rate(50)]));
    web.reads("rps", 400.0);
    api.behavior.scale_down.stabilization_window_seconds = 0;
    api.reads("rps", 100.0);
    (web, api)
}

#[test]
fn components_that_share_nothing_are_decided_as_if_each_were_alone() {
    let (web, api) = grows_and_shrinks();
    let decision = decide(&together(&[("api", &api), ("web", &web)]).as_input());
    assert_eq!((&decision.components["web"], &decision.components["api"]), (&web.decide(), &api.decide()));
}

#[test]
fn what_grows_is_written_before_what_shrinks() {
    let (web, api) = grows_and_shrinks();
    let plan = decide(&together(&[("api", &api), ("web", &web)]).as_input()).plan;
    let live = [("api", "7c9f8d", 8), ("web", "7c9f8d", 2)];
    let steps: Vec<_> = plan.steps(live).iter().map(|step| (step.component, step.from, step.to)).collect();
    assert_eq!(steps, [("web", 2, 6), ("api", 8, 2)]);
}

#[test]
fn of_a_component_that_is_not_decided_no_replica_is_planned_and_nothing_is_forgotten() {
    let (mut web, api) = grows_and_shrinks();
    web.act();
    for (why, is_kept) in [
        (Undecided::WriteNotShown, true),
        (Undecided::NotMeasured, true),
        (Undecided::WriteFailed, true),
        (Undecided::Paused, false),
        (Undecided::InvalidSpec, false),
        (Undecided::NotScalable, false),
    ] {
        let mut app = together(&[("api", &api), ("web", &web)]);
        app.state.components.get_mut("web").expect("the component").undecided = Some(why);
        let decision = decide(&app.as_input());
        assert!(!decision.components.contains_key("web") && !decision.plan.replicas.contains_key("web"));
        assert_eq!(decision.components["api"], api.decide(), "{why:?}");
        let (before, after) = (&app.memory.components["web"], &decision.memory.components["web"]);
        assert_eq!(before == after, is_kept, "{why:?}");
        // Whatever is lost, the next change starts from the written replicas.
        let persisted = |memory: &scalableapp_engine::memory::ComponentMemory| {
            memory.persist(app.now + SignedDuration::from_secs(1), &web.behavior)
        };
        assert_eq!(persisted(before), persisted(after), "{why:?}");
    }
}
