//! Calling what may fail without failing with it. No I/O.
//!
//! Each [`Dependency`] has a policy of its own: how many calls at a time, how long, how often again, and
//! when to leave it alone. docs/adr/0011 says which parts are crates and which are ours.

mod backoff;
mod breaker;
mod bulkhead;
mod dependency;

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

pub(crate) use backoff::Backoff;
pub(crate) use breaker::BreakerSettings;
pub(crate) use bulkhead::{Bulkhead, Full};
pub(crate) use dependency::{CallError, Dependency, Fault, Policy};

/// Everything that this process calls.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dependencies(Vec<Arc<Dependency>>);

/// Statuses of a client's error that may be another a moment later. 409 and 423 say that an earlier request with the
/// same key is still being processed.
const COME_BACK: [StatusCode; 5] = [
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::CONFLICT,
    StatusCode::LOCKED,
    StatusCode::TOO_EARLY,
    StatusCode::TOO_MANY_REQUESTS,
];

/// Whether an answer would be the same again: a client's error but those that tell it to come back.
pub(crate) fn is_refusal(status: StatusCode) -> bool {
    status.is_client_error() && !COME_BACK.contains(&status)
}

/// What `/healthz` says of a dependency.
#[derive(Debug, Serialize)]
pub(crate) struct Standing {
    name: &'static str,
    breaker: &'static str,
    fallback: &'static str,
}

impl Dependencies {
    /// Adds a dependency, whose series are shown from now on.
    pub(crate) fn add(&mut self, name: &'static str, policy: Policy) -> Arc<Dependency> {
        let dependency = Arc::new(Dependency::new(name, policy));
        self.0.push(Arc::clone(&dependency));
        dependency
    }

    /// How each of them stands now; their series are brought up to date.
    pub(crate) fn standings(&self) -> Vec<Standing> {
        self.0
            .iter()
            .map(|dependency| Standing {
                name: dependency.name(),
                breaker: dependency.state().word(),
                fallback: dependency.fallback(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_a_client_to_come_back_is_no_refusal() {
        let is_refusal = |code: u16| is_refusal(StatusCode::from_u16(code).unwrap());
        for code in [400, 401, 402, 403, 404, 410, 422] {
            assert!(is_refusal(code), "{code}");
        }
        for code in [200, 302, 408, 409, 423, 425, 429, 500, 503] {
            assert!(!is_refusal(code), "{code}");
        }
    }
}
