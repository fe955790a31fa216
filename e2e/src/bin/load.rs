//! `load`: sends HTTP load to a Service of the cluster and prints the counts as one JSON line. The command line of
//! `scalableapp_e2e::load`.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use scalableapp_e2e::load::{Options, Profile, generate, target};
use tokio::signal::unix::{SignalKind, signal};

/// Open-loop HTTP/1.1 load: requests are sent according to the profile, whether or not earlier ones were answered.
#[derive(Parser)]
struct Arguments {
    /// A Service's URL, such as http://web.shop.svc/work.
    #[arg(long, value_parser = target::parse)]
    url: hyper::Uri,
    /// Segments of duration@requests-per-second: 20s@10,30s@10..200,60s@200.
    #[arg(long)]
    profile: Profile,
    /// A JSON text that is sent by POST instead of GET; every two requests have the same Idempotency-Key.
    #[arg(long)]
    post: Option<String>,
    /// Longest wait in seconds for a first successful answer before the profile starts; 0 starts at once.
    #[arg(long, default_value_t = 30.0)]
    patience: f64,
    /// Time-out of one request in seconds.
    #[arg(long, default_value_t = 5.0)]
    timeout: f64,
    /// Maximum requests in flight.
    #[arg(long, default_value_t = 1000)]
    connections: usize,
    /// Requests per connection.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    requests_per_connection: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let options = Options {
        target: arguments.url,
        post: arguments.post,
        patience: Duration::try_from_secs_f64(arguments.patience).context("patience is not negative")?,
        profile: arguments.profile,
        timeout: Duration::try_from_secs_f64(arguments.timeout).context("a time-out is not negative")?,
        connections: arguments.connections,
        requests_per_connection: arguments.requests_per_connection,
    };
    let mut terminated = signal(SignalKind::terminate())?;
    let report = generate(&options, async {
        terminated.recv().await;
    })
    .await?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
