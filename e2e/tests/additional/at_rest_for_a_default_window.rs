//! At rest the operator writes its Lease and nothing else, for as long as any recommendation is kept.

use anyhow::Result;

use super::DEFAULT_WINDOW;
use crate::each::at_rest_only_the_lease_is_written::{idle, noisy};

#[tokio::test]
async fn idle_for_a_default_window_only_the_lease_is_written() -> Result<()> {
    idle("at_rest_idle_for_long", DEFAULT_WINDOW).await
}

#[tokio::test]
async fn under_noisy_load_for_a_default_window_only_the_lease_is_written() -> Result<()> {
    noisy("at_rest_noisy_for_long", DEFAULT_WINDOW).await
}
