//! Calling what may fail without failing with it. No I/O.
//!
//! Each [`Dependency`] has a policy of its own: how many calls at a time, how long, how often again, and
//! when to leave it alone. docs/adr/0011 says which parts are crates and which are ours.

mod backoff;
mod breaker;
mod bulkhead;
mod dependency;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use serde::Serialize;

pub(crate) use backoff::Backoff;
pub(crate) use breaker::BreakerSettings;
pub(crate) use bulkhead::{Bulkhead, Full};
pub(crate) use dependency::{CallError, Dependency, Fault, Policy};

/// Everything that this process calls.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dependencies(Arc<Mutex<Called>>);

#[derive(Debug, Default)]
struct Called {
    now: Vec<Arc<Dependency>>,
    /// Names of those that are no longer called.
    no_longer: Vec<&'static str>,
}

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
    pub(crate) fn add(&self, name: &'static str, policy: Policy) -> Arc<Dependency> {
        let dependency = Arc::new(Dependency::new(name, policy));
        let mut called = self.called();
        called.no_longer.retain(|gone| *gone != name);
        called.now.push(Arc::clone(&dependency));
        dependency
    }

    /// Adds one that may be removed again.
    pub(crate) fn add_passing(&self, name: &str, policy: Policy) -> Arc<Dependency> {
        let known = self.called().no_longer.iter().copied().find(|known| *known == name);
        // Kept for the life of the process, as all names of series are: once for each name.
        self.add(known.unwrap_or_else(|| name.to_owned().leak()), policy)
    }

    /// Removes a dependency, whose series are no longer to be shown.
    pub(crate) fn remove(&self, dependency: &Arc<Dependency>) {
        let mut called = self.called();
        called.now.retain(|one| !Arc::ptr_eq(one, dependency));
        called.no_longer.push(dependency.name());
    }

    /// The names of those that were removed, which a recorder may still know.
    pub(crate) fn removed(&self) -> Vec<&'static str> {
        self.called().no_longer.clone()
    }

    /// How each of them stands now; their series are brought up to date.
    pub(crate) fn standings(&self) -> Vec<Standing> {
        let now = self.called().now.clone();
        now.iter()
            .map(|dependency| Standing {
                name: dependency.name(),
                breaker: dependency.state().word(),
                fallback: dependency.fallback(),
            })
            .collect()
    }

    fn called(&self) -> MutexGuard<'_, Called> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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

    #[test]
    fn what_was_removed_is_shown_again_once_it_is_called_again() {
        let policy = Policy {
            concurrency: 1,
            attempt_timeout: Duration::ZERO,
            deadline: Duration::ZERO,
            retries: 0,
            backoff: Backoff { base: Duration::ZERO, max: Duration::ZERO },
            retry_share: 0.0,
            breaker: BreakerSettings::USUAL,
            fallback: "none",
        };
        let dependencies = Dependencies::default();
        let passing = dependencies.add_passing("a:1", policy);
        dependencies.remove(&passing);
        assert_eq!((dependencies.standings().len(), dependencies.removed()), (0, vec!["a:1"]));
        let again = dependencies.add_passing("a:1", policy);
        assert!(std::ptr::eq(passing.name(), again.name()), "a name is kept once");
        assert_eq!((dependencies.standings().len(), dependencies.removed().len()), (1, 0));
    }
}
