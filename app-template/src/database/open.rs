//! Beginning to use a database. I/O: in the background.

use super::args::DatabaseArgs;
use super::error::OpenError;
use super::servers::Database;
use super::steps::Step;
use super::{migrations, sizes, statements, watch};
use crate::settings::Settings;

/// Prepares the pools and begins to watch the servers; connects in the background only. The schema is to have `steps`.
///
/// To be called on the runtime.
///
/// # Errors
/// A URL that cannot be read, or trust anchors that cannot be loaded.
pub(crate) fn open(
    args: &DatabaseArgs,
    url: &str,
    settings: Settings,
    steps: &'static [Step],
) -> Result<Database, OpenError> {
    let database = Database::new(args, url, steps)?;
    tokio::spawn(migrations::keep_trying(database.clone(), url.to_owned()));
    tokio::spawn(watch::run(database.clone()));
    tokio::spawn(sizes::follow(database.clone(), settings));
    tokio::spawn(statements::run(database.clone()));
    Ok(database)
}
