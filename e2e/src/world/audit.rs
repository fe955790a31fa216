//! Reads the API server's audit log for changes and their users. Reads a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use scalableapp_cluster::paths::ClusterDir;
use serde::Deserialize;

/// The audit log of the local cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLog {
    path: PathBuf,
}

/// A position in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u64);

/// A mutating request that the API server accepted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mutation {
    /// The user, for example `system:serviceaccount:NAMESPACE:NAME`.
    pub user: String,
    /// One of create, update, patch, delete, deletecollection.
    pub verb: String,
    /// Empty for a cluster-wide object.
    pub namespace: String,
    /// With the subresource, for example `deployments/scale`.
    pub resource: String,
    /// Empty when the server chose it.
    pub name: String,
    /// The HTTP status.
    pub code: u16,
}

const MUTATING: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// Queries by `create` that change nothing.
const QUESTIONS: [&str; 2] = ["authorization.k8s.io", "authentication.k8s.io"];

impl AuditLog {
    /// The log of a local cluster.
    #[must_use]
    pub fn of(cluster: &ClusterDir) -> Self {
        Self { path: cluster.audit_log() }
    }

    /// The end of the log, now.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn mark(&self) -> Result<Mark> {
        let metadata = std::fs::metadata(&self.path).context("failed to read the audit log")?;
        Ok(Mark(metadata.len()))
    }

    /// The mutating requests since a mark, accepted or refused. Dry runs and queries are excluded.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn mutations_since(&self, mark: Mark) -> Result<Vec<Mutation>> {
        Ok(self.events_since(mark)?.into_iter().filter_map(mutation).collect())
    }

    /// The requests since a mark, by user and verb. A watch counts at its start.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn requests_since(&self, mark: Mark) -> Result<BTreeMap<(String, String), u64>> {
        let mut requests = BTreeMap::new();
        for event in self.events_since(mark)?.into_iter().filter(Event::is_counted) {
            *requests.entry((event.user.username, event.verb)).or_default() += 1;
        }
        Ok(requests)
    }

    /// The mutations of a user in the busiest second.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn busiest_second_since(&self, mark: Mark, user: &str) -> Result<u64> {
        let mut seconds: BTreeMap<String, u64> = BTreeMap::new();
        for event in self.events_since(mark)? {
            // 2026-11-24T20:00:00.123456Z without its fraction.
            let second = event.request_received_timestamp.split('.').next().unwrap_or_default().to_owned();
            if event.user.username == user && mutation(event).is_some() {
                *seconds.entry(second).or_default() += 1;
            }
        }
        Ok(seconds.into_values().max().unwrap_or(0))
    }

    fn events_since(&self, mark: Mark) -> Result<Vec<Event>> {
        let mut file = File::open(&self.path).context("failed to read the audit log")?;
        file.seek(SeekFrom::Start(mark.0))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        parse(&text)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    #[serde(default)]
    request_received_timestamp: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    verb: String,
    user: User,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: Status,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
}

/// Lines are complete except the last, which may be partially written. A mark is always after a complete line.
fn parse(text: &str) -> Result<Vec<Event>> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).context("failed to read the audit log")).collect()
}

impl Event {
    /// Each request once: a watch has a stage at its start and one at its end, the others only the latter.
    fn is_counted(&self) -> bool {
        self.stage == if self.verb == "watch" { "ResponseStarted" } else { "ResponseComplete" }
    }
}

fn mutation(event: Event) -> Option<Mutation> {
    let object = event.object_ref;
    let mutates = event.stage == "ResponseComplete"
        && MUTATING.contains(&event.verb.as_str())
        && !QUESTIONS.contains(&object.api_group.as_str())
        && !event.request_uri.contains("dryRun=");
    let subresource =
        if object.subresource.is_empty() { String::new() } else { format!("/{}", object.subresource) };
    mutates.then(|| Mutation {
        user: event.user.username,
        verb: event.verb,
        namespace: object.namespace,
        resource: object.resource + &subresource,
        name: object.name,
        code: event.response_status.code,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(verb: &str, uri: &str, object: &str) -> String {
        format!(
            r#"{{"kind":"Event","stage":"ResponseComplete","requestURI":"{uri}","verb":"{verb}","user":{{"username":"operator"}},"objectRef":{object},"responseStatus":{{"metadata":{{}},"code":200}}}}"#
        ) + "\n"
    }

    #[test]
    fn what_changes_something_is_counted_and_what_asks_is_not() {
        let scale = r#"{"resource":"deployments","subresource":"scale","namespace":"shop","name":"web","apiGroup":"apps"}"#;
        let review = r#"{"resource":"subjectaccessreviews","apiGroup":"authorization.k8s.io"}"#;
        let text = [
            line("patch", "/apis/apps/v1/x?fieldManager=a", scale),
            line("patch", "/apis/apps/v1/x?dryRun=All", scale),
            line("get", "/x", scale),
            line("create", "/y", review),
            line("delete", "/z", scale)[..40].to_owned(),
        ]
        .concat();
        let mutations: Vec<Mutation> = parse(&text).unwrap().into_iter().filter_map(mutation).collect();
        assert_eq!(mutations.len(), 1, "{mutations:?}");
        assert_eq!((mutations[0].resource.as_str(), mutations[0].code), ("deployments/scale", 200));
        assert_eq!((mutations[0].user.as_str(), mutations[0].namespace.as_str()), ("operator", "shop"));
    }

    #[test]
    fn a_watch_is_one_request_though_it_has_two_lines() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let log = AuditLog { path: file.path().to_owned() };
        let ended = line("watch", "/w", "{}");
        let text = ended.replace("ResponseComplete", "ResponseStarted") + &ended + &line("get", "/g", "{}");
        std::fs::write(file.path(), text).unwrap();
        let of = |verb: &str| ("operator".to_owned(), verb.to_owned());
        assert_eq!(log.requests_since(Mark(0)).unwrap(), BTreeMap::from([(of("watch"), 1), (of("get"), 1)]));
    }

    #[test]
    fn only_what_follows_the_mark_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let log = AuditLog { path: file.path().to_owned() };
        let before = line("create", "/a", r#"{"resource":"pods"}"#);
        std::fs::write(file.path(), &before).unwrap();
        let mark = log.mark().unwrap();
        assert!(log.mutations_since(mark).unwrap().is_empty());
        std::fs::write(file.path(), before + &line("create", "/b", r#"{"resource":"jobs"}"#)).unwrap();
        assert_eq!(log.mutations_since(mark).unwrap()[0].resource, "jobs");
        assert_eq!(log.busiest_second_since(mark, "operator").unwrap(), 1);
        assert_eq!(log.busiest_second_since(mark, "nobody").unwrap(), 0);
    }
}
