//! A service with a canary in a test. Talks to the API server.

use anyhow::{Result, ensure};
use scalableapp_crds::{RolloutPhase, RolloutStatus};
use serde_json::{Value, json};

use super::World;

impl World {
    /// `web` with six replicas that takes payments, calls the provider at this Service, and has a canary of two steps.
    ///
    /// # Errors
    /// When the example cannot be read.
    pub fn shop_with_canary(&self, provider: &str) -> Result<Value> {
        let mut app = self.shop(6, 6, "1000")?;
        let web = &mut app["spec"]["services"][0];
        web["args"] = json!(["--modules", "payments,load"]);
        web["env"] = json!([{"name": "PAYMENTS_URL", "value": format!("http://{provider}")}]);
        web["rollout"] = json!({"canary": {
            "steps": [{"weight": 33, "hold": "10s"}, {"weight": 50, "hold": "10s"}],
            "analysis": {"latency": {"threshold": "500ms"}},
        }});
        Ok(app)
    }

    /// Where the canary of `web` is.
    ///
    /// # Errors
    /// When the status does not say it yet.
    pub async fn rollout(&self) -> Result<RolloutStatus> {
        let web = self.web().await?;
        ensure!(web.rollout.is_some(), "there is no rollout in the status: {web:?}");
        Ok(web.rollout.unwrap_or_default())
    }

    /// The rollout once it is in this phase, and at this step where it is a canary.
    ///
    /// # Errors
    /// While it is not.
    pub async fn rollout_is(&self, phase: RolloutPhase, step: i32) -> Result<RolloutStatus> {
        let rollout = self.rollout().await?;
        ensure!((rollout.phase, rollout.step) == (phase, step), "{rollout:?}");
        Ok(rollout)
    }

    /// Replicas that the revisions of `web` have, by their hashes.
    ///
    /// # Errors
    /// When there is no status yet.
    pub async fn replicas_of_revision(&self, hash: &str) -> Result<i32> {
        let web = self.web().await?;
        Ok(web.revisions.iter().find(|one| one.hash == hash).map_or(0, |one| one.replicas))
    }
}
