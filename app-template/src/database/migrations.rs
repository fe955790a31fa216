//! The schema, brought up to date by whichever pod comes first. I/O: PostgreSQL.
//!
//! All steps that are missing run in one transaction, under a lock that the other pods wait for. A step is only ever
//! added, and each must leave a schema with which the version before it still works: pods of both run side by side
//! during a rollout, and a step back must not need one.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::sleep;
use tokio_postgres::{Client, NoTls};

use super::error::{DatabaseError, OpenError};
use super::servers::Database;
use super::session;
use super::steps::Step;

/// Any number, as long as nothing else in the database locks the same one.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7260571)";

const LEDGER: &str = "CREATE TABLE IF NOT EXISTS public.migrations (
    name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())";

const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
];

/// A step may take longer than a request's statement may, but not hold up the pods for ever.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
enum MigrationError {
    #[error("failed to migrate the database: {0}")]
    Database(#[from] DatabaseError),
    #[error(
        "failed to migrate the database: step {0} is not the one that was applied to it; add a step instead of changing one"
    )]
    Changed(String),
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<tokio_postgres::Error> for MigrationError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Migrates as soon as the primary can be reached, and until then accepts a replica that has the schema already.
pub(super) async fn keep_trying(database: Database, url: String) {
    for attempt in 0.. {
        match migrate(&url, database.0.steps).await {
            Ok(applied) => {
                tracing::info!(applied, "the database has the schema");
                break;
            }
            Err(error) if attempt == 0 => tracing::error!(%error, "will try again"),
            Err(error) => tracing::debug!(%error, "will try again"),
        }
        if replica_has_schema(&database).await {
            database.0.migrated.send_replace(true);
        }
        let pause = PAUSES.get(attempt).or(PAUSES.last()).copied().unwrap_or_default();
        // Spread, so that pods that wait for the same server do not come back at once.
        sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
    }
    database.0.migrated.send_replace(true);
}

/// Applies what is missing and returns how many steps that were.
async fn migrate(url: &str, steps: &[Step]) -> Result<usize, MigrationError> {
    let config = session::config(url, session::WRITE_URL, STEP_TIMEOUT)?;
    // A connection of its own: the pool's stop a statement much sooner.
    let client = match config.get_ssl_mode() {
        tokio_postgres::config::SslMode::Require => {
            let (client, connection) = config
                .connect(session::tls()?)
                .await
                .map_err(|error| DatabaseError::of_connecting(&error))?;
            tokio::spawn(connection);
            client
        }
        _ => {
            let (client, connection) =
                config.connect(NoTls).await.map_err(|error| DatabaseError::of_connecting(&error))?;
            tokio::spawn(connection);
            client
        }
    };
    apply(client, steps).await
}

async fn apply(mut client: Client, steps: &[Step]) -> Result<usize, MigrationError> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(LOCK).await?;
    transaction.batch_execute(LEDGER).await?;
    let mut applied = 0;
    for Step { name, sql } in steps {
        let sum = hex::encode(Sha256::digest(sql));
        let known = transaction
            .query_opt("SELECT sha256 FROM public.migrations WHERE name = $1", &[name])
            .await?
            .map(|row| row.try_get::<_, String>(0))
            .transpose()?;
        match known {
            Some(known) if known == sum => continue,
            Some(_) => return Err(MigrationError::Changed((*name).to_owned())),
            None => {}
        }
        transaction.batch_execute(sql).await?;
        transaction
            .execute("INSERT INTO public.migrations (name, sha256) VALUES ($1, $2)", &[name, &sum])
            .await?;
        applied += 1;
    }
    transaction.commit().await?;
    Ok(applied)
}

async fn replica_has_schema(database: &Database) -> bool {
    let Some(replicas) = database.replicas() else { return false };
    replicas.answer().await
}
