//! Beginning to use a database. I/O: in the background.

use super::args::DatabaseArgs;
use super::error::OpenError;
use super::read_host::ReadHost;
use super::servers::Database;
use super::steps::Step;
use super::{connections, follow, migrations, sizes, statements, watch};
use crate::settings::Settings;

/// Prepares the pools and begins to watch the servers; connects in the background only. The schema is to have `steps`.
///
/// `is_signed` says whether what clients have written is signed, without which no replicas of the settings are read from.
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
    is_signed: bool,
) -> Result<Database, OpenError> {
    let mut at_start = args.clone();
    at_start.pool = sizes::at_start(&settings, args);
    let database = Database::new(&at_start, url, steps)?;
    tokio::spawn(migrations::keep_trying(database.clone(), url.to_owned()));
    tokio::spawn(watch::run(database.clone()));
    let read_host = ReadHost::new(url.to_owned(), is_signed);
    tokio::spawn(follow::run(database.clone(), settings, args.clone(), read_host));
    tokio::spawn(connections::run(database.clone()));
    tokio::spawn(statements::run(database.clone()));
    Ok(database)
}
