//! `cluster`: starts and deletes a real single-node Kubernetes on this machine. The command line of the library.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use scalableapp_cluster::paths::{Cache, check_name};
use scalableapp_cluster::tools::Tools;
use scalableapp_cluster::{self as cluster, BuildRequest, Nodes, UpOptions, chart, doctor, status};

/// A real single-node Kubernetes on this machine, from package registries alone.
#[derive(Parser)]
struct Arguments {
    /// Clusters of different names run side by side.
    #[arg(long, global = true, default_value = "scalableapp", value_parser = |name: &str| check_name(name))]
    name: String,
    /// A cluster whose pods become Ready and run nothing, for thousands of apps. Needs another --name.
    #[arg(long, global = true)]
    hollow: bool,
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Check what `up` would lack on this machine, and change nothing.
    Check,
    /// Build the cluster's programs into the cache, and nothing else.
    Parts,
    /// Start the cluster and wait until it is ready.
    Up {
        /// Port of the API server on 127.0.0.1; 0 selects any free one.
        #[arg(long, default_value_t = 16443)]
        port: u16,
        /// Lifetime of the cluster.
        #[arg(long, default_value = "6h", value_parser = duration)]
        max_run: Duration,
    },
    /// Delete the cluster without a trace.
    Down,
    /// Show whether the cluster and each of its programs is running.
    Status,
    /// Print the path of the administrator's kubeconfig.
    Kubeconfig,
    /// Build the images of this repository's programs from target/release, and load them.
    Images,
    /// Build images of PostgreSQL and Redis from the machine's Debian packages, and of their exporters, and load them.
    ServerImages,
    /// Build CloudNativePG's operator from the Go proxy, and load its image.
    CloudNativePg,
    /// Build Traefik, a gateway of Gateway API, from the Go proxy, and load its image.
    Gateway {
        /// Only build it; no cluster is needed.
        #[arg(long)]
        build: bool,
    },
    /// Install the chart with the images of `images` and the bundled Prometheus.
    Install,
    /// Load an OCI archive into the cluster.
    LoadImage {
        /// Its tags must be full names, such as localhost/name:tag.
        archive: PathBuf,
    },
    /// Build an image from a Containerfile, whose ARG BASE is set to the base image, and load it.
    BuildImage {
        containerfile: PathBuf,
        /// The context of COPY.
        context: PathBuf,
        /// A full name, such as localhost/name:tag.
        tag: String,
    },
    /// Print the log of a component; `init` is the cluster's process 1.
    Logs { component: String },
    /// Start process 1 in new namespaces. `up` does this.
    #[command(hide = true)]
    Launch {
        #[arg(long, value_parser = duration)]
        max_run: Duration,
    },
    /// Run as process 1. `launch` does this.
    #[command(hide = true)]
    Init {
        #[arg(long, value_parser = duration)]
        max_run: Duration,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let cache = Cache::from_env()?;
    let dir = cache.cluster(&arguments.name);
    let nodes = if arguments.hollow { Nodes::Hollow } else { Nodes::Real };
    match arguments.command {
        Action::Check => doctor::before_up(&cache, &dir, nodes),
        Action::Parts => {
            doctor::before_parts(&cache, nodes)?;
            cluster::build_parts(&cache, nodes)
        }
        Action::Up { port, max_run } => cluster::up(&cache, &dir, UpOptions { port, max_run, nodes }),
        Action::Down => cluster::down(&cache, &dir),
        Action::Status => {
            println!("{}", status::describe(&dir)?);
            if status::running_init(&dir).is_none() {
                bail!("bring it up with 'cluster up'");
            }
            Ok(())
        }
        Action::Kubeconfig => {
            println!("{}", dir.kubeconfig().display());
            Ok(())
        }
        Action::Images => {
            doctor::before_root_command("cluster images")?;
            cluster::load_project_images(&cache, &dir)
        }
        Action::ServerImages => {
            doctor::before_root_command("cluster server-images")?;
            cluster::load_server_images(&cache, &dir)
        }
        Action::CloudNativePg => {
            doctor::before_root_command("cluster cloud-native-pg")?;
            cluster::cloud_native_pg::load_image(&cache, &dir)
        }
        Action::Gateway { build: true } => cluster::gateway::build(&cache),
        Action::Gateway { build: false } => {
            doctor::before_root_command("cluster gateway")?;
            cluster::gateway::load_image(&cache, &dir)
        }
        Action::Install => chart::install(&Tools::new(&arguments.name)?, nodes),
        Action::LoadImage { archive } => {
            doctor::before_root_command("cluster load-image")?;
            cluster::load_archive(&dir, &archive)
        }
        Action::BuildImage { containerfile, context, tag } => {
            doctor::before_root_command("cluster build-image")?;
            cluster::build_and_load(&cache, &dir, &BuildRequest { containerfile, context, tag })
        }
        Action::Logs { component } => {
            let path = dir.log(&component);
            let log = std::fs::read_to_string(&path)
                .with_context(|| format!("failed to read {}", path.display()))?;
            print!("{log}");
            Ok(())
        }
        Action::Launch { max_run } => cluster::launch(&dir, nodes, max_run),
        Action::Init { max_run } => cluster::init(&cache, &dir, nodes, max_run),
    }
}

/// Reads `90s`, `30m` or `6h`.
fn duration(text: &str) -> Result<Duration> {
    let duration: jiff::SignedDuration = text.parse().context("write it as 90s, 30m or 6h")?;
    Duration::try_from(duration).context("a duration is not negative")
}
