//! Waits for a condition, with a deadline and a sentence about what is missing. Does no I/O of its own.

use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};
use tokio::time::{Instant, sleep, timeout_at};

/// Interval of the attempts.
const INTERVAL: Duration = Duration::from_millis(250);

/// Retries until `attempt` succeeds, and returns its result. Its error names what is still missing.
///
/// # Errors
/// At the deadline: the awaited condition, and the last attempt's error.
pub async fn wait_until<T>(
    what: &str,
    deadline: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    let mut missing: Error = anyhow!("no attempt has ended");
    loop {
        match timeout_at(end, attempt()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => missing = error,
            Err(_) => break,
        }
        if Instant::now() + INTERVAL >= end {
            break;
        }
        sleep(INTERVAL).await;
    }
    Err(missing).with_context(|| format!("failed to see within {} s that {what}", deadline.as_secs()))
}

/// Checks that `condition` holds continuously.
///
/// # Errors
/// At the first failure: the condition, the time of its failure, and its error.
pub async fn holds_for(
    what: &str,
    duration: Duration,
    mut condition: impl AsyncFnMut() -> Result<()>,
) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < duration {
        let held = condition().await;
        held.with_context(|| format!("failed to see for {} s that {what}", duration.as_secs()))?;
        sleep(INTERVAL).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_tells_what_was_waited_for_and_what_was_missing() {
        let error = wait_until::<()>("three pods are ready", Duration::from_secs(2), async || {
            Err(anyhow!("one pod is ready"))
        })
        .await
        .unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "failed to see within 2 s that three pods are ready: one pod is ready"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_never_ends_is_bounded_too() {
        let stuck =
            wait_until::<()>("it ends", Duration::from_secs(2), async || std::future::pending().await);
        assert!(stuck.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_condition_is_tried_until_it_holds() {
        let mut tries = 0;
        let value = wait_until("it holds", Duration::from_secs(60), async || {
            tries += 1;
            if tries < 5 { Err(anyhow!("not yet")) } else { Ok(tries) }
        });
        assert_eq!(value.await.unwrap(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn one_lapse_breaks_what_should_hold_all_the_time() {
        let mut tries = 0;
        let held = holds_for("it holds", Duration::from_secs(10), async || {
            tries += 1;
            if tries == 7 { Err(anyhow!("it lapsed")) } else { Ok(()) }
        });
        assert!(format!("{:#}", held.await.unwrap_err()).ends_with("it lapsed"));
    }
}
