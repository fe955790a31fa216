//! What is remembered of the status of one app between two passes. Pure.

use super::StatusUpdate;
use scalableapp_crds::{ScalableApp, ScalableAppStatus};

/// What is remembered of the status of one app.
#[derive(Default)]
pub struct ReportMemory {
    /// The status that was written last, for as long as the cache may still show the one before it.
    reported: Option<ScalableAppStatus>,
    /// Fingerprint of the last update that did not differ from the known status.
    silent: Option<u64>,
}

impl ReportMemory {
    /// Keeps no second copy of the status that the cache shows.
    pub fn enter(&mut self, app: &ScalableApp) {
        if self.reported == app.status {
            self.reported = None;
        }
    }

    /// Remembers the status that was written.
    pub fn note(&mut self, written: ScalableAppStatus) {
        (self.reported, self.silent) = (Some(written), None);
    }

    /// Whether an update differs from the known status. The same update once more is not compared: the status of every app
    /// would have to be read in every tick.
    pub fn is_news(&mut self, app: &ScalableApp, update: &StatusUpdate) -> bool {
        let fingerprint = update.fingerprint(app.metadata.resource_version.as_deref());
        if fingerprint.is_some() && self.silent == fingerprint {
            return false;
        }
        let is_news = update.is_news(self.known_status(app));
        self.silent = fingerprint.filter(|_| !is_news);
        is_news
    }

    /// The status that the API server has, as far as this process knows.
    #[must_use]
    pub fn known_status<'a>(&'a self, app: &'a ScalableApp) -> Option<&'a ScalableAppStatus> {
        self.reported.as_ref().or(app.status.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::component_state::ComponentState;
    use jiff::Timestamp;
    use serde_json::json;

    fn said(desired: i32, known: Option<&ScalableAppStatus>) -> StatusUpdate {
        let state =
            ComponentState { name: "web".to_owned(), decided: true, desired, ..ComponentState::default() };
        StatusUpdate::of(known, 1, &[&state], None)
    }

    fn app(version: &str, status: ScalableAppStatus) -> ScalableApp {
        let app = serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "shop", "uid": "1", "generation": 1, "resourceVersion": version},
            "spec": {"services": []},
        }));
        ScalableApp { status: Some(status), ..app.expect("an app") }
    }

    #[test]
    fn what_was_no_news_is_news_once_something_else_was_said() {
        let status = |desired| said(desired, None).status(None, Timestamp::UNIX_EPOCH);
        let mut memory = ReportMemory::default();
        let before = app("1", status(2));
        let mut is_news = |app: &ScalableApp, desired| {
            let said = said(desired, memory.known_status(app));
            memory.is_news(app, &said)
        };
        assert_eq!([is_news(&before, 2), is_news(&before, 2), is_news(&before, 3)], [false, false, true]);
        assert!(!is_news(&before, 2));
        assert!(is_news(&app("2", status(3)), 2), "somebody else wrote the status");
        assert!(!is_news(&before, 2));
        memory.note(status(3));
        let said = said(2, memory.known_status(&before));
        assert!(memory.is_news(&before, &said), "the cache does not show the written status yet");
    }
}
