//! A service that takes payments through the simulated payment provider.

use anyhow::Result;
use scalableapp_e2e::world::{LoadPod, World};
use serde_json::{Value, json};

/// `web` of two replicas and more, which calls the payment provider, and scales on its latency, too.
pub(super) fn shop(world: &World) -> Result<Value> {
    let mut app = world.shop(2, 6, "100")?;
    app["spec"]["dependencies"] = json!([{"name": "payments", "circuit": {"source": "app"}}]);
    let web = &mut app["spec"]["services"][0];
    web["args"] = json!(["--modules", "payments"]);
    web["env"] = json!([{"name": "PAYMENTS_URL", "value": "http://payments"}]);
    web["calls"] = json!(["payments"]);
    web["scaling"]["metrics"] = json!([
        {"name": "rps", "requestRate": {"perReplica": "100"}},
        {"name": "p90", "latency": {"quantile": "0.9", "target": "300ms"}},
    ]);
    Ok(app)
}

/// Payments by this profile.
pub(super) async fn pay<'a>(world: &'a World, name: &str, profile: &str) -> Result<LoadPod<'a>> {
    let url = format!("http://shop-web.{}.svc:8080/payments", world.namespace());
    let payment = json!({"amount": 1250, "currency": "EUR"});
    world.start_posts(name, &url, &payment, profile).await
}
