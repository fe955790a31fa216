//! Following the settings while the process runs. I/O: reads the settings.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::args::DatabaseArgs;
use super::read_host::ReadHost;
use super::servers::Database;
use super::sizes::Sizes;
use crate::settings::Settings;

const EVERY: Duration = Duration::from_secs(1);

/// Follows them for as long as the process lives.
pub(super) async fn run(database: Database, settings: Settings, args: DatabaseArgs, mut read_host: ReadHost) {
    let mut sizes = Sizes::default();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        sizes.apply(&database, &settings, &args).await;
        read_host.apply(&database, &settings, &args).await;
    }
}
