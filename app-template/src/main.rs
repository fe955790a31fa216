//! The process: reads the arguments, runs the service, reports why it ended.

use anyhow::Context;
use clap::Parser;

fn main() -> anyhow::Result<()> {
    let args = app_template::Args::parse();
    let telemetry = app_template::Telemetry::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the async runtime")?;
    let outcome = runtime.block_on(app_template::run(args));
    // Not a plain drop: that would wait for computations whose callers the drain has already given up.
    runtime.shutdown_background();
    telemetry.flush();
    Ok(outcome?)
}
