//! `demo`: starts a cluster with the operator, sends requests and jobs to an example, lets its payment provider fail, shows
//! its scaling, and draws a picture of it.

mod install;
mod load;
mod observe;
mod picture;
mod progress;
mod provider;
mod recording;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use kubectl_scalableapp::cluster::Cluster;
use kubectl_scalableapp::watch::Target;
use scalableapp_cluster::chart::{OPERATOR_NAMESPACE, RELEASE};
use scalableapp_cluster::paths::{Cache, check_name};
use scalableapp_cluster::tools::Tools;
use scalableapp_cluster::{Nodes, doctor};

use crate::install::{APP, NAMESPACE};
use crate::progress::Progress;

/// The cluster that `make down` takes down.
const DEFAULT_CLUSTER: &str = "scalableapp";

/// A service and its workers that scale out with their load and in again, on a real Kubernetes on this machine.
#[derive(Parser)]
struct Arguments {
    /// Path of the picture.
    #[arg(long, default_value = "demo.svg")]
    picture: PathBuf,
    /// The cluster, which is started if necessary.
    #[arg(long, default_value = DEFAULT_CLUSTER, value_parser = |name: &str| check_name(name))]
    name: String,
    /// Port of the cluster's API server on 127.0.0.1; 0 selects any free one.
    #[arg(long, default_value_t = 16443)]
    port: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let tools = match check_machine(&arguments.name) {
        Ok(tools) => tools,
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::FAILURE;
        }
    };
    match run(&arguments, &tools).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}; logs are in {}", tools.cluster.root.join("log").display());
            ExitCode::FAILURE
        }
    }
}

/// Reports what the machine lacks before anything is done.
fn check_machine(cluster: &str) -> Result<Tools> {
    let tools = Tools::new(cluster)?;
    doctor::before_up(&Cache::from_env()?, &tools.cluster, Nodes::Real)?;
    Ok(tools)
}

async fn run(arguments: &Arguments, tools: &Tools) -> Result<()> {
    let progress = Progress::start();
    install::install(tools, &progress, arguments.port)?;
    let cluster = Cluster::connect(Some(tools.cluster.kubeconfig()), None).await?;
    let target = Target { cluster, namespace: NAMESPACE.to_owned(), name: Some(APP.to_owned()) };
    progress.say("example: waiting until it is ready");
    observe::ready(&target).await.context("the example did not come up")?;
    let (jobs, began) = load::jobs();
    progress.step(
        &format!(
            "load: {} s of requests, quiet, then many, then quiet; after {began} s {jobs} jobs for workers; after {} s \
             the payment provider hangs for {} s",
            load::seconds(),
            load::OUTAGE.0,
            load::OUTAGE.1 - load::OUTAGE.0
        ),
        || load::start(tools, NAMESPACE, install::SERVICE),
    )?;
    let recording = observe::record(&target).await?;
    let report = load::report(tools, NAMESPACE)?;
    progress.say(&load::summary(&report));
    std::fs::write(&arguments.picture, picture::draw(&recording)?)
        .with_context(|| format!("failed to write {}", arguments.picture.display()))?;
    let picture = arguments.picture.canonicalize()?;
    progress.say(&format!("picture: {}", picture.display()));
    recording.check()?;
    println!("{}", hints(tools));
    Ok(())
}

/// Commands for looking around, and for the deletion.
fn hints(tools: &Tools) -> String {
    let plugin = tools.repository.join("target/release");
    let down = match tools.cluster.name.as_str() {
        DEFAULT_CLUSTER => "make down".to_owned(),
        other => format!("cargo run --release --bin cluster -- --name {other} down"),
    };
    format!(
        "
The cluster stays up. To look around:
  export KUBECONFIG={kubeconfig}
  export PATH={plugin}:{bin}:$PATH
  kubectl scalableapp status --namespace {NAMESPACE} --watch
  kubectl edit scalableapp {APP} --namespace {NAMESPACE}
  kubectl explain scalableapp.spec --recursive
To see Prometheus in a browser, at http://localhost:9090:
  kubectl port-forward --namespace {OPERATOR_NAMESPACE} service/{RELEASE}-prometheus 9090:http
To take it down:
  {down}",
        kubeconfig = tools.cluster.kubeconfig().display(),
        plugin = plugin.display(),
        bin = tools.bin.display(),
    )
}
