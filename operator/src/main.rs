//! The ScalableApp operator: starts the loops, and stops them in an order that leaves no write behind the lease.

use anyhow::Context as _;
use clap::Parser;
use futures::future::join;
use kube::{Client, Config};
use scalableapp_operator::{
    apply::{events::Events, writer::Writer},
    controller::{self, Context, Watches, memory::Memories},
    observe::{cluster::Cluster, prometheus::Prometheus, samples::SampleStore},
    runtime::{
        args::Args, decision_log::DecisionLog, health::Health, lease::Candidate, live::LiveSource, metrics,
        server, shutdown, telemetry::Telemetry,
    },
};
use std::{future::pending, sync::Arc};
use tokio::sync::{mpsc, oneshot};

/// Apps that wait to be reconciled; more than this many hold back the tick.
const TRIGGERS: usize = 256;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let telemetry = Telemetry::start(args.log_format)?;
    let result = run(args).await;
    if let Err(error) = &result {
        tracing::error!("{error:#}");
    }
    telemetry.stop();
    result
}

async fn run(args: Args) -> anyhow::Result<()> {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider is installed already");
    }
    let handle = metrics::install().context("failed to install the metrics recorder")?;
    let stopping = shutdown::on_signal().context("failed to listen for signals")?;
    let (reader, writer) = clients().await?;
    let (candidate, leadership) =
        Candidate::new(writer.clone(), &args.lease_namespace, &args.lease_name, &args.identity);
    let health = Health::default();
    let listener = server::listen(args.http_port)
        .await
        .with_context(|| format!("failed to listen on port {}; set --http-port", args.http_port))?;

    let prometheus = Prometheus::new(&args.prometheus).context("failed to set up the Prometheus client")?;
    let samples = SampleStore::new(prometheus, &args.prometheus).context("--prometheus-matchers")?;
    let decisions = DecisionLog::open(args.decision_records.as_deref())
        .context("failed to open the file of --decision-records")?;
    let watches = Watches::new(&reader);
    let writer = Writer::new(writer, leadership.clone());
    let context = Arc::new(Context {
        cluster: watches.cluster.clone(),
        samples,
        events: Events::new(writer.clone(), &args.identity),
        writer,
        memories: Memories::default(),
        decisions,
    });
    let shown = server::Shown {
        metrics: handle,
        health: health.clone(),
        leadership: leadership.clone(),
        live: Arc::clone(&context) as Arc<dyn LiveSource>,
    };
    let serving = tokio::spawn(server::serve(listener, shown, stopping.clone().cancelled_owned()));
    let (triggers, triggered) = mpsc::channel(TRIGGERS);
    let (stopped, writers_stopped) = oneshot::channel::<()>();
    let election = tokio::spawn(candidate.run(said(writers_stopped)));
    let syncing = tokio::spawn(mark_synced(context.cluster.clone(), health.clone()));
    let stop = || stopping.clone().cancelled_owned();
    let ticking = tokio::spawn(join(
        controller::tick::run(Arc::clone(&context), triggers, health, args.tick, stop()),
        controller::overrides::run(Arc::clone(&context), args.tick, stop()),
    ));
    controller::run(context, watches, triggered, leadership, stopping.cancelled_owned()).await;
    ticking.await.context("the loops that follow time failed")?;
    syncing.abort();
    let _ = stopped.send(());
    election.await.context("the election failed")?;
    serving.await.context("the HTTP server failed")?.context("the HTTP server failed")?;
    Ok(())
}

/// A client that retries, for the watches, and one that does not, for writes: a repeated write could outlive the lease.
async fn clients() -> anyhow::Result<(Client, Client)> {
    let mut config =
        Config::infer().await.context("no Kubernetes API server: run in a pod or set KUBECONFIG")?;
    let reader = Client::try_from(config.clone()).context("failed to set up the Kubernetes client")?;
    config.default_retry = false;
    let writer = Client::try_from(config).context("failed to set up the Kubernetes client")?;
    Ok((reader, writer))
}

/// Ends when the word is given; never if its sender is dropped, which is a panic elsewhere: the lease then runs out by
/// itself.
async fn said(word: oneshot::Receiver<()>) {
    if word.await.is_err() {
        pending::<()>().await;
    }
}

async fn mark_synced(cluster: Cluster, health: Health) {
    if cluster.synced().await.is_ok() {
        health.mark_synced();
    }
}
