//! The ScalableApp operator: starts the loops, and stops them in an order that leaves no write after the end of the
//! Lease.

use anyhow::Context as _;
use clap::Parser;
use futures::future::{join, join3};
use kube::{Client, Config};
use scalableapp_operator::{
    apply::{events::Events, writer::Writer},
    controller::{self, Context, Watches, memory::Memories},
    observe::{
        cluster::{
            bounded,
            caches::{Cluster, Scope},
            reachable::reachable,
        },
        prometheus::client::Prometheus,
        store::SampleStore,
    },
    runtime::{
        args::Args, decision_log::DecisionLog, front_proxy, health::Health, lease::Candidate,
        listener::listen, live::LiveSource, metrics, server, shutdown, telemetry::Telemetry,
    },
};
use std::{
    future::{Future, pending},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinError, JoinHandle},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// Apps that wait for a reconcile; a longer queue delays the tick.
const TRIGGERS: usize = 256;
/// Interval of the checks of namespaces without a Role.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // The clients of Prometheus and of the trace exporter need one.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider is installed already");
    }
    let telemetry = Telemetry::start(args.log_format)?;
    // A panic is logged like any other error.
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    let result = run(args).await;
    if let Err(error) = &result {
        tracing::error!("{error:#}");
    }
    telemetry.stop();
    result
}

async fn run(args: Args) -> anyhow::Result<()> {
    args.validate().map_err(anyhow::Error::msg)?;
    let handle = metrics::install().context("failed to install the metrics recorder")?;
    let stopping = shutdown::on_signal().context("failed to listen for signals")?;
    let (reader, writer) = clients().await?;
    let (candidate, leadership) =
        Candidate::new(writer.clone(), &args.lease_namespace, &args.lease_name, &args.identity);
    let health = Health::default();
    let listeners = listeners(&args, reader.clone())?;

    let prometheus = Prometheus::new(&args.prometheus).context("failed to set up the Prometheus client")?;
    let samples = SampleStore::new(prometheus, &args.prometheus).context("--prometheus-matchers")?;
    let decisions = DecisionLog::open(args.decision_records.as_deref())
        .context("failed to open the file of --decision-records")?;
    let scope = scope(&reader, &args, &stopping).await?;
    let watches = Watches::new(&scope);
    let watches = if args.cnpg { watches.with_clusters(&scope) } else { watches };
    let writer = Writer::new(writer, leadership.clone());
    let context = Arc::new(Context {
        cluster: watches.cluster.clone(),
        samples,
        events: Events::new(writer.clone(), &args.identity),
        writer,
        memories: Memories::default(),
        decisions,
    });
    let shown = server::ServerState {
        metrics: handle,
        health: health.clone(),
        leadership: leadership.clone(),
        live: Arc::clone(&context) as Arc<dyn LiveSource>,
    };
    let serving =
        server::Serving::start(listeners, &shown, &stopping).context("failed to start the HTTP servers")?;
    let (triggers, triggered) = mpsc::channel(TRIGGERS);
    let (stopped, writers_stopped) = oneshot::channel::<()>();
    let synced = synced(context.cluster.clone(), health.clone());
    let election = tokio::spawn(compete(candidate, synced, said(writers_stopped)));
    let stop = || stopping.clone().cancelled_owned();
    let ticking = tokio::spawn(join3(
        controller::tick::run(Arc::clone(&context), triggers.clone(), health, args.tick, stop()),
        controller::overrides::run(Arc::clone(&context), args.tick, stop()),
        controller::refusals::run(Arc::clone(&context), triggers, stop()),
    ));
    let following = controller::run(context, watches, triggered, leadership, stop());
    let (ticked, ()) = join(ends_the_process(ticking, &stopping), following).await;
    let _ = stopped.send(());
    election.await.context("the election failed")?;
    serving.ended().await.context("an HTTP server failed")?;
    ticked.context("the loops that follow time failed")?;
    Ok(())
}

/// The watched namespaces: the named ones, or all but the excluded ones.
async fn scope(client: &Client, args: &Args, stopping: &CancellationToken) -> anyhow::Result<Scope> {
    let named = namespaces(client, &args.namespaces, stopping).await?;
    if named.is_empty() {
        return Ok(Scope::all_but(client.clone(), &args.exclude_namespaces));
    }
    Ok(Scope::new(client.clone(), &named))
}

/// The named namespaces that are watched; none where none is named. Once a skipped one may be watched, the process ends,
/// to be restarted with it.
async fn namespaces(
    client: &Client,
    named: &[String],
    stopping: &CancellationToken,
) -> anyhow::Result<Vec<String>> {
    let (reachable_now, refused) = reachable(client, named).await;
    if reachable_now.is_empty() && !refused.is_empty() {
        anyhow::bail!(
            "none of the namespaces {} may be watched: give the operator a Role there",
            refused.join(", ")
        );
    }
    if !refused.is_empty() {
        let (client, stopping) = (client.clone(), stopping.clone());
        tokio::spawn(async move {
            while reachable(&client, &refused).await.0.is_empty() {
                sleep(LOOK_AGAIN).await;
            }
            stopping.cancel();
        });
    }
    Ok(reachable_now)
}

/// The ports of the HTTP servers. The one of the live measurements opens once the API server's front proxy is known.
fn listeners(args: &Args, client: Client) -> anyhow::Result<server::Listeners> {
    let bind =
        |port, flag| listen(port).with_context(|| format!("failed to listen on port {port}; set {flag}"));
    let live = match args.live_certificate.clone() {
        None => None,
        Some(folder) => {
            let listener = bind(args.live_port, "--live-port")?;
            let (sender, gate) = front_proxy::Gate::new();
            tokio::spawn(async move { front_proxy::keep(&client, &folder, &sender).await });
            Some((listener, gate))
        }
    };
    Ok(server::Listeners {
        probes: bind(args.probe_port, "--probe-port")?,
        metrics: bind(args.http_port, "--http-port")?,
        live,
    })
}

/// A client that retries, for the watches, and one that does not, for writes: a repeated write could be later than the
/// Lease.
async fn clients() -> anyhow::Result<(Client, Client)> {
    let mut config =
        Config::infer().await.context("no Kubernetes API server: run in a pod or set KUBECONFIG")?;
    let reader = bounded::client(config.clone()).context("failed to set up the Kubernetes client")?;
    config.default_retry = false;
    let writer = bounded::client(config).context("failed to set up the Kubernetes client")?;
    Ok((reader, writer))
}

/// Ends when the signal is sent. It never ends if its sender is dropped, which is a panic elsewhere: the Lease then
/// expires by itself.
async fn said(word: oneshot::Receiver<()>) {
    if word.await.is_err() {
        pending::<()>().await;
    }
}

/// Whether the caches were filled before their watches ended.
async fn synced(cluster: Cluster, health: Health) -> bool {
    let is_synced = cluster.synced().await.is_ok();
    if is_synced {
        health.mark_synced();
    }
    is_synced
}

/// Competes for the Lease once the caches are filled, until the writers have stopped: a leader without all overrides
/// would scale a paused app.
async fn compete(
    candidate: Candidate,
    synced: impl Future<Output = bool>,
    writers_stopped: impl Future<Output = ()>,
) {
    let mut writers_stopped = pin!(writers_stopped);
    let may_lead = tokio::select! {
        is_synced = synced => is_synced,
        () = &mut writers_stopped => false,
    };
    if may_lead {
        candidate.run(writers_stopped).await;
    }
}

/// Stops the process when the task ends for any reason: without ticks nothing would scale.
async fn ends_the_process<T>(task: JoinHandle<T>, stopping: &CancellationToken) -> Result<T, JoinError> {
    let ended = task.await;
    stopping.cancel();
    ended
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::client::Body;
    use std::future::ready;

    #[tokio::test]
    async fn a_tick_that_panics_ends_the_process_with_an_error() {
        let stopping = CancellationToken::new();
        let task = tokio::spawn(async { assert_eq!(1, 2, "a query that no parser can hold") });
        assert!(ends_the_process(task, &stopping).await.is_err_and(|error| error.is_panic()));
        assert!(stopping.is_cancelled());
    }

    /// Number of requests for the Lease.
    async fn asked(synced: impl Future<Output = bool> + Send + 'static) -> usize {
        let (asked, mut asks) = mpsc::unbounded_channel();
        let service = tower::service_fn(move |_: Request<Body>| {
            let _ = asked.send(());
            ready(Ok::<_, tower::BoxError>(Response::new(Body::empty())))
        });
        let (candidate, _leadership) =
            Candidate::new(Client::new(service, "operator"), "operator", "election", "a");
        let (stop, stopped) = oneshot::channel::<()>();
        let competing = tokio::spawn(compete(candidate, synced, said(stopped)));
        sleep(Duration::from_secs(60)).await;
        let _ = stop.send(());
        competing.await.unwrap();
        let mut count = 0;
        while asks.recv().await.is_some() {
            count += 1;
        }
        count
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_competes_for_the_lease_before_its_caches_are_filled() {
        assert_eq!(asked(pending()).await, 0);
        assert_eq!(asked(ready(false)).await, 0, "the watches ended");
        assert!(asked(ready(true)).await > 0);
    }
}
