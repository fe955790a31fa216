//! What a worker can be told, and its limits. No I/O.

use std::time::Duration;

use clap::Args;

use super::queues::QUEUES;
use crate::parse::{duration, whole_number};

/// Runs jobs in place of serving requests.
#[derive(Debug, Clone, Args)]
#[command(mut_args(|arg| arg.hide_env_values(true)))]
pub struct WorkerArgs {
    /// The queues to take jobs from, separated by commas.
    #[arg(long = "queue", env = "WORKER_QUEUE", required = true, value_delimiter = ',', value_parser = queue)]
    pub queues: Vec<String>,

    /// How many jobs of each queue run at the same time.
    #[arg(long, env = "WORKER_CONCURRENCY", default_value = "8", value_parser = concurrency)]
    pub concurrency: usize,

    /// How long a job stays with a worker of which nothing is heard; renewed three times in that time.
    #[arg(long, env = "WORKER_LEASE", default_value = "30s", value_parser = time)]
    pub lease: Duration,

    /// The pause before the first retry; it doubles with each, up to 10 minutes, and is drawn from 0 to that.
    #[arg(long, env = "WORKER_BACKOFF", default_value = "1s", value_parser = time)]
    pub backoff: Duration,

    /// How long the jobs in flight may take to finish after SIGTERM, for example 1m; by default as long as requests
    /// may (--drain). The next worker takes the others at once.
    #[arg(id = "worker-drain", long = "worker-drain", env = "WORKER_DRAIN", value_parser = drain)]
    pub drain: Option<Duration>,
}

fn queue(text: &str) -> Result<String, String> {
    QUEUES
        .contains(&text)
        .then(|| text.to_owned())
        .ok_or_else(|| format!("there is no queue {text}, choose from {}", QUEUES.join(", ")))
}

fn concurrency(text: &str) -> Result<usize, String> {
    whole_number(text, 1..=1000)
}

fn time(text: &str) -> Result<Duration, String> {
    let range = Duration::from_millis(10)..=Duration::from_secs(3600);
    duration(text, range, "from 10ms to 1h, for example 30s")
}

fn drain(text: &str) -> Result<Duration, String> {
    let range = Duration::from_secs(1)..=Duration::from_secs(3600);
    duration(text, range, "from 1s to 1h, for example 1m")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_a_value_within_its_bounds_or_refused_in_words(
            text in "[-+]?[0-9]{1,25}(\\.[0-9]{1,12})?(ns|us|ms|s|m|h)?|(payments|reports)?.?|.*",
        ) {
            match time(&text) {
                Ok(time) => prop_assert!((Duration::from_millis(10)..=Duration::from_secs(3600)).contains(&time)),
                Err(reason) => prop_assert!(reason.contains("for example 30s")),
            }
            match drain(&text) {
                Ok(time) => prop_assert!((Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&time)),
                Err(reason) => prop_assert!(reason.contains("for example 1m")),
            }
            match concurrency(&text) {
                Ok(count) => prop_assert!((1..=1000).contains(&count)),
                Err(reason) => prop_assert!(reason.contains("from 1 to 1000")),
            }
            match queue(&text) {
                Ok(name) => prop_assert!(QUEUES.contains(&name.as_str())),
                Err(reason) => prop_assert!(reason.contains("choose from payments, reports")),
            }
        }
    }
}
