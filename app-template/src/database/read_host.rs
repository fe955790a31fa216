//! Reads from the replicas that the settings name, which may appear, change and go. I/O: reads the settings, PostgreSQL.
//!
//! Replicas are read from once one of them has answered and has the schema: until then reads go where they went before.
//! A read that has begun keeps its connection.

use std::sync::Arc;

use super::args::DatabaseArgs;
use super::replicas::Replicas;
use super::servers::Database;
use super::sizes;
use crate::endpoint::Endpoint;
use crate::settings::Settings;

const READ_HOST: &str = "DATABASE_MAIN_READ_HOST";

/// Where the replicas are by the settings.
#[derive(Debug)]
pub(super) struct ReadHost {
    /// That of the primary.
    url: String,
    /// Whether what clients have written is signed: without that replicas may not be read from.
    is_signed: bool,
    used: Option<Endpoint>,
    /// Those that have not answered yet.
    next: Option<(Endpoint, Arc<Replicas>)>,
    refused: Option<String>,
}

impl ReadHost {
    pub(super) fn new(url: String, is_signed: bool) -> Self {
        Self { url, is_signed, used: None, next: None, refused: None }
    }

    /// Lets reads go where the setting says, as soon as that is possible.
    pub(super) async fn apply(&mut self, database: &Database, settings: &Settings, args: &DatabaseArgs) {
        let text = settings.read(READ_HOST).await.filter(|text| !text.is_empty());
        let wanted = match text.as_deref().map(|text| self.read(text)) {
            None => None,
            Some(Ok(endpoint)) => Some(endpoint),
            Some(Err(reason)) => {
                if self.refused != text {
                    tracing::warn!(name = READ_HOST, text, reason, "a setting cannot be used");
                    self.refused = text;
                }
                return;
            }
        };
        self.refused = None;
        match wanted {
            None => self.leave(database, args),
            Some(endpoint) if self.used.as_ref() == Some(&endpoint) => self.next = None,
            Some(endpoint) => {
                let size = sizes::of_reads(settings, args).await;
                self.go_to(endpoint, database, (size, args)).await;
            }
        }
    }

    fn read(&self, text: &str) -> Result<Endpoint, String> {
        if self.is_signed {
            text.parse()
        } else {
            Err("set SIGNING_KEY, which signs what clients have written".to_owned())
        }
    }

    /// Without a setting reads go to the URL for reads, if there is one.
    fn leave(&mut self, database: &Database, args: &DatabaseArgs) {
        self.next = None;
        let Some(host) = self.used.take() else { return };
        match Replicas::of_url(args, database.0.steps) {
            Ok(replicas) => {
                database.read_from(replicas.map(Arc::new));
                tracing::info!(%host, "reads no longer go to the replicas of the setting");
            }
            Err(error) => tracing::error!(%error, "failed to prepare the read replicas"),
        }
    }

    async fn go_to(&mut self, endpoint: Endpoint, database: &Database, (size, args): (usize, &DatabaseArgs)) {
        let prepared = self.next.take().filter(|(host, _)| *host == endpoint);
        let replicas = match prepared {
            Some((_, replicas)) => replicas,
            None => match Replicas::at(&endpoint, &self.url, size, args, database.0.steps) {
                Ok(replicas) => Arc::new(replicas),
                Err(error) => return tracing::error!(%error, "failed to prepare the read replicas"),
            },
        };
        if replicas.answer().await {
            database.read_from(Some(replicas));
            tracing::info!(host = %endpoint, "reads go to the replicas of the setting");
            self.used = Some(endpoint);
        } else {
            self.next = Some((endpoint, replicas));
        }
    }
}
