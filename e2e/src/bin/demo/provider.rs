//! The outage of the simulated payment provider. Talks to it through the API server.

use anyhow::{Context, Result};
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use kube::Client;
use serde_json::{Value, json};

use crate::install::{NAMESPACE, PROVIDER};
use crate::load::OUTAGE;

/// What the provider does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behavior {
    Answers,
    Hangs,
}

/// The provider of the example.
pub(crate) struct Provider {
    client: Client,
    behavior: Behavior,
}

impl Provider {
    /// The provider, which answers.
    pub(crate) fn new(client: Client) -> Self {
        Self { client, behavior: Behavior::Answers }
    }

    /// Begins or ends the outage when its time has come, in seconds since the start of the load.
    pub(crate) async fn follow(&mut self, elapsed: f64) -> Result<()> {
        let behavior = behavior_at(elapsed);
        if behavior != self.behavior {
            self.set(behavior).await.context("failed to change what the payment provider does")?;
            self.behavior = behavior;
        }
        Ok(())
    }

    async fn set(&self, behavior: Behavior) -> Result<()> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{PROVIDER}:8082/proxy/behavior");
        let request = Request::put(path).header(CONTENT_TYPE, "application/json");
        let body: Value = match behavior {
            Behavior::Answers => json!({}),
            Behavior::Hangs => json!({"hang": true}),
        };
        self.client.request_text(request.body(body.to_string().into_bytes())?).await.map(drop)?;
        Ok(())
    }
}

fn behavior_at(elapsed: f64) -> Behavior {
    let (begins, ends) = OUTAGE;
    if (f64::from(begins)..f64::from(ends)).contains(&elapsed) { Behavior::Hangs } else { Behavior::Answers }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outage_begins_and_ends() {
        let (begins, ends) = OUTAGE;
        let at = |second: u32| behavior_at(f64::from(second));
        assert_eq!([at(0), at(begins), at(ends)], [Behavior::Answers, Behavior::Hangs, Behavior::Answers]);
    }
}
