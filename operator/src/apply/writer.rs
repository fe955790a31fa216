//! The gate for every write: it is sent only while the Lease lasts longer than the time-out. I/O out.

use crate::runtime::{lease::Leadership, metrics};
use kube::{Client, core::Status};
use scalableapp_crds::printable;
use std::{future::Future, time::Duration};

/// Time-out of one write. It ends within the Lease, or the write is not sent.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(4);

/// Sends writes while this process leads.
#[derive(Clone)]
pub struct Writer {
    /// A client that does not retry: a repeated write could be later than the Lease and its decision.
    client: Client,
    leadership: Leadership,
}

/// Why a write was not made, or may not have been made.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Another process is the leader, or may be before the write would end.
    #[error("did not write the {kind}: this process does not hold the lease for long enough")]
    NotLeader {
        /// Kind of the object.
        kind: &'static str,
    },
    /// No answer in time; the write may have happened.
    #[error(
        "failed to write the {kind} within {} s: the API server, or an admission webhook, does not answer in time",
        WRITE_TIMEOUT.as_secs()
    )]
    TimedOut {
        /// Kind of the object.
        kind: &'static str,
    },
    /// The object has changed since it was read.
    #[error("did not write the {kind}: it has changed since it was read")]
    Conflict {
        /// Kind of the object.
        kind: &'static str,
    },
    /// The API server refuses the object.
    #[error("{message}")]
    Refused {
        /// Kind of the object.
        kind: &'static str,
        /// The API server's own words.
        message: String,
    },
    /// The object of this name is not ours.
    #[error("{kind} {name} exists and {whose}")]
    NameTaken {
        /// Kind of the object.
        kind: &'static str,
        /// Name of the object.
        name: String,
        /// Its owner, and what to do about it.
        whose: String,
    },
    /// The request failed.
    #[error("failed to write the {kind}: {source}")]
    Api {
        /// Kind of the object.
        kind: &'static str,
        /// The cause.
        source: Box<kube::Error>,
    },
}

impl WriteError {
    /// Whether the same write cannot succeed without a change by a user.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::NameTaken { .. })
    }

    /// Whether it is the API server's answer to this write, and not a time-out or a request to retry.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Refused { .. } => true,
            Self::Api { source, .. } => {
                matches!(&**source, kube::Error::Api(status) if !is_asked_again(status))
            }
            _ => false,
        }
    }

    /// Whether the object may have been written nevertheless.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::TimedOut { .. } => true,
            // An answer below 500 means that nothing was written.
            Self::Api { source, .. } => !matches!(&**source, kube::Error::Api(status) if status.code < 500),
            _ => false,
        }
    }

    /// The error in the API server's own words, if it answered, without regular expressions.
    #[must_use]
    pub fn words(&self) -> String {
        let words = match self {
            Self::Api { source, .. } => match &**source {
                kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
                source => source.to_string(),
            },
            error => error.to_string(),
        };
        without_patterns(&printable(&words))
    }

    /// The error as a metric label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::NotLeader { .. } => "not_leader",
            Self::TimedOut { .. } => "timed_out",
            Self::Conflict { .. } => "conflict",
            Self::Refused { .. } => "refused",
            Self::NameTaken { .. } => "name_taken",
            Self::Api { .. } => "api",
        }
    }

    /// Classifies an error of the client.
    #[must_use]
    pub fn from_api(kind: &'static str, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.is_conflict() => Self::Conflict { kind },
            // The app itself is about to be deleted.
            kube::Error::Api(status) if is_of_dying_namespace(&status) => {
                Self::Api { kind, source: Box::new(kube::Error::Api(status)) }
            }
            kube::Error::Api(status) if is_refused(&status) => {
                let message = fixed_fields(kind, &status).unwrap_or_else(|| status.message.clone());
                Self::Refused { kind, message }
            }
            source => Self::Api { kind, source: Box::new(source) },
        }
    }
}

/// The start of an API server's text about a regular expression, and its replacement.
const PATTERNS: [(&str, &str); 2] = [
    ("regex used for validation is '", ""),
    ("quantities must match the regular expression '", "not a quantity such as 50, 0.5, 500m or 2Gi"),
];

/// A message without regular expressions, which do not say what to write. An example beside one is removed, too.
fn without_patterns(message: &str) -> String {
    let mut words = String::with_capacity(message.len());
    let mut rest = message;
    let next = |rest: &str| {
        let starts = PATTERNS.iter().filter_map(|pattern| Some((rest.find(pattern.0)?, pattern)));
        starts.min_by_key(|(start, _)| *start)
    };
    while let Some((start, (pattern, instead))) = next(rest) {
        let (before, after) = (&rest[..start], &rest[start + pattern.len()..]);
        let bracket = if instead.is_empty() { before.rfind(" (") } else { None };
        words.push_str(&before[..bracket.unwrap_or(start)]);
        words.push_str(instead);
        let end = if bracket.is_some() { "')" } else { "'" };
        rest = after.find(end).map_or("", |found| &after[found + end.len()..]);
    }
    words.push_str(rest);
    words
}

/// What to do about fields that a StatefulSet cannot change: of those that are rendered, the claims.
fn fixed_fields(kind: &str, status: &Status) -> Option<String> {
    if kind != "StatefulSet" || !status.message.contains("updates to statefulset spec for fields other than")
    {
        return None;
    }
    let name = status.details.as_ref().map_or("", |details| details.name.as_str());
    Some(format!(
        "Kubernetes cannot change storage and storageClass of StatefulSet {name}: restore them, or run kubectl delete statefulset \
         {name} and, with storagePolicy Retain, delete its claims, too; the operator creates it again with new claims"
    ))
}

/// Whether an answer refuses the object or the request, at any time.
fn is_refused(status: &Status) -> bool {
    let is_client_error = (400..500).contains(&status.code) || status.is_invalid() || status.is_forbidden();
    // An answer about credentials, or about a missing object, says nothing about the object's content.
    is_client_error && !is_asked_again(status) && ![401, 404, 409, 410].contains(&status.code)
}

/// Whether the API server requests a retry: it is overloaded, or a server that it depends on does not answer.
fn is_asked_again(status: &Status) -> bool {
    let has_time = status.details.as_ref().is_some_and(|details| details.retry_after_seconds > 0);
    has_time || status.reason == "ServerTimeout" || [408, 429, 502, 503, 504].contains(&status.code)
}

fn is_of_dying_namespace(status: &Status) -> bool {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice());
    causes.unwrap_or_default().iter().any(|cause| cause.reason == "NamespaceTerminating")
}

impl Writer {
    /// A writer for as long as `leadership` lasts. `client` must not retry.
    #[must_use]
    pub fn new(client: Client, leadership: Leadership) -> Self {
        Self { client, leadership }
    }

    /// The client, to build an `Api`; writes go through [`Writer::send`].
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The Lease's fencing number, larger with each change of leader.
    #[must_use]
    pub fn epoch(&self) -> Option<i32> {
        self.leadership.epoch()
    }

    /// Sends one write, if it will end within the Lease.
    ///
    /// # Errors
    /// When the Lease ends too early, no answer comes in time, or the API server refuses.
    pub async fn send<T>(
        &self,
        kind: &'static str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, WriteError> {
        let result = match self.leadership.writable_for(WRITE_TIMEOUT) {
            Err(_) => Err(WriteError::NotLeader { kind }),
            Ok(_) => match tokio::time::timeout(WRITE_TIMEOUT, request).await {
                Err(_) => Err(WriteError::TimedOut { kind }),
                Ok(answer) => answer.map_err(|error| WriteError::from_api(kind, error)),
            },
        };
        let outcome = result.as_ref().map_or_else(WriteError::label, |_| "ok");
        metrics::wrote(kind, outcome);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(message: &str) -> String {
        WriteError::Refused { kind: "Deployment", message: message.to_owned() }.words()
    }

    #[test]
    fn a_refusal_is_told_without_regular_expressions() {
        let invalid = "Deployment.apps \"shop-web\" is invalid: ";
        let label = "spec.template.labels: Invalid value: \"a b\": a valid label must be an empty string or consist of \
            alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
        let regex = " (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
            '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
        let bare = " (regex used for validation is '[a-z]')";
        assert_eq!(
            words(&format!("{invalid}[{label}{regex}, {label}{bare}]")),
            format!("{invalid}[{label}, {label}]")
        );
        assert_eq!(words(&format!("{label} (e.g. 'a', regex used for validation is '(([A-")), label);
        assert_eq!(
            words("cpu: quantities must match the regular expression '^([+-]?[0-9.]+)$'; no"),
            "cpu: not a quantity such as 50, 0.5, 500m or 2Gi; no"
        );
        assert_eq!(words("exceeded quota (of few)"), "exceeded quota (of few)");
    }

    #[test]
    fn claims_that_cannot_be_changed_are_told_with_what_to_do() {
        let text = "StatefulSet.apps \"shop-main\" is invalid: spec: Forbidden: updates to statefulset spec for fields other \
            than 'replicas', 'ordinals', 'template' are forbidden";
        let status = serde_json::json!({"status": "Failure", "message": text, "reason": "Invalid", "code": 422,
            "details": {"name": "shop-main"}});
        let status: Status = serde_json::from_value(status).expect("a status");
        let error = |kind| WriteError::from_api(kind, kube::Error::Api(Box::new(status.clone()))).words();
        let start = "Kubernetes cannot change storage and storageClass of StatefulSet shop-main:";
        assert!(error("StatefulSet").starts_with(start));
        assert_eq!(error("Deployment"), text);
    }

    #[test]
    fn a_refusal_is_told_without_control_characters() {
        assert_eq!(words("denied: \u{1b}[2J\n"), r"denied: \u{1b}[2J\u{a}");
    }
}
