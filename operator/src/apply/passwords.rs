//! The password of each cache, in a Secret that is created once. The operator never reads a Secret, so it notices a missing
//! one only by pods that wait for their files, and by the answer to another creation. I/O out.

use super::writer::{WriteError, Writer};
use crate::{
    kinds::Kind,
    labels::MANAGER,
    observe::cluster::workload::Problem,
    render::cache,
    resolve::app::{App, Component},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::PostParams};
use scalableapp_engine::reason;
use std::{collections::BTreeMap, fmt::Write, io};

/// Random bytes of a password.
const BYTES: usize = 32;

/// Wait before a Secret is created again for pods that still wait for their files.
const AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// The caches whose Secret was there, by name, and when that was known.
#[derive(Default)]
pub struct Passwords(BTreeMap<String, Timestamp>);

impl Passwords {
    /// Whether the Secret of a cache is to be created: it was not yet in this tenure, or a pod waits for its files. `problem`
    /// is that of its pods.
    pub(super) fn may_be_missing(&self, cache: &str, problem: Option<&Problem>, now: Timestamp) -> bool {
        let waits = [reason::CONTAINER_CREATING, reason::CONTAINER_NOT_CREATED];
        let is_doubted = problem.is_some_and(|problem| waits.contains(&problem.reason));
        // A clock that was set back does not delay it.
        self.0.get(cache).is_none_or(|then| is_doubted && now.duration_since(*then).abs() >= AGAIN)
    }

    /// Notes that the Secret of a cache is there.
    pub(super) fn note(&mut self, cache: &str, now: Timestamp) {
        self.0.insert(cache.to_owned(), now);
    }

    /// Forgets the caches that are not kept.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| is_kept(name));
    }
}

/// Creates the Secret of a cache, and returns whether it did. One that exists is used as it is.
///
/// # Errors
/// As [`Writer::send`].
pub async fn create(writer: &Writer, app: &App, component: &Component) -> Result<bool, WriteError> {
    let api: Api<Secret> = Api::namespaced(writer.client(), &app.namespace);
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let request = async {
        let password = password().map_err(|error| kube::Error::Service(error.into()))?;
        match api.create(&params, &cache::secret(app, component, &password)).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(false),
            answer => answer.map(|_| true),
        }
    };
    writer.send(Kind::Secret.name(), request).await
}

/// A new password, in hexadecimal digits, which need no quotes anywhere.
fn password() -> io::Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    let mut password = String::with_capacity(2 * BYTES);
    for byte in bytes {
        write!(password, "{byte:02x}").map_err(io::Error::other)?;
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_created_once_and_again_only_for_pods_that_wait_for_it() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let problem = |reason| Problem { reason, message: String::new() };
        let (creating, crashes) = (problem(reason::CONTAINER_CREATING), problem(reason::CONTAINER_CRASHES));
        let mut known = Passwords::default();
        assert!(known.may_be_missing("hot", None, at(0)));
        known.note("hot", at(0));
        assert!(!known.may_be_missing("hot", None, at(9_999)), "at rest nothing is written");
        assert!(!known.may_be_missing("hot", Some(&crashes), at(9_999)));
        assert!(!known.may_be_missing("hot", Some(&creating), at(59)));
        assert!(known.may_be_missing("hot", Some(&creating), at(60)));
        known.note("hot", at(60));
        assert!(!known.may_be_missing("hot", Some(&creating), at(119)));
    }

    #[test]
    fn no_two_passwords_are_the_same_and_none_needs_quotes() {
        let [one, other] = [password(), password()].map(|password| password.expect("random bytes"));
        assert_ne!(one, other);
        assert_eq!((one.len(), one.chars().all(|c| c.is_ascii_hexdigit())), (64, true));
    }
}
