//! What can be set from outside, and its limits. No I/O.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::database::DatabaseArgs;
use crate::jobs::{Receiver, WorkerArgs};
use crate::modules;
use crate::parse::{duration, whole_number};
use crate::secret::Secret;

const HOUR: Duration = Duration::from_secs(3600);

/// The reference service of ScalableApp.
///
/// Logs are JSON on stdout, filtered by RUST_LOG (default info). Traces are sent when
/// OTEL_EXPORTER_OTLP_ENDPOINT, or the same of traces, is set.
#[derive(Debug, Clone, Parser)]
#[command(version, mut_args(|arg| arg.hide_env_values(true)))]
pub struct Args {
    /// Address to listen on; `::` for IPv6.
    #[arg(long, env = "ADDRESS", global = true, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub address: IpAddr,

    /// Port of the service and its health routes, by default 8080; 0 takes any free port. A worker has it only if it is
    /// given.
    #[arg(long, env = "PORT", global = true, value_parser = port)]
    port: Option<u16>,

    /// Port of /metrics; 0 takes any free port.
    #[arg(long, env = "METRICS_PORT", global = true, default_value_t = 9090, value_parser = port)]
    pub metrics_port: u16,

    /// How long after SIGTERM new connections are still served, for example 5s.
    ///
    /// Not needed where the pod's preStop sleep holds SIGTERM back until the endpoints are gone.
    #[arg(long, env = "LAME_DUCK", global = true, default_value = "0s", value_parser = lame_duck)]
    pub lame_duck: Duration,

    /// How long the requests in flight may take to finish once no new connection is taken.
    ///
    /// preStop sleep, lame duck and drain together must end before terminationGracePeriodSeconds.
    #[arg(long, env = "DRAIN", global = true, default_value = "10s", value_parser = drain)]
    pub drain: Duration,

    /// How many requests are answered at the same time, at least 1; one more is refused with 503.
    #[arg(long, env = "MAX_REQUESTS", default_value_t = 1024, value_parser = max_requests)]
    pub max_requests: usize,

    /// How long a connection may wait for the head of its next request, for example 75s: longer than a load balancer
    /// in front keeps idle connections.
    #[arg(long, env = "IDLE_TIMEOUT", global = true, default_value = "75s", value_parser = client_time)]
    pub idle_timeout: Duration,

    /// How long a client may take to send a body, and to take the next part of an answer, for example 30s; four times
    /// that for the whole answer.
    #[arg(long, env = "BODY_TIMEOUT", global = true, default_value = "30s", value_parser = client_time)]
    pub body_timeout: Duration,

    /// How many requests compute at the same time; by default the CPU limit, rounded down to at least 1.
    #[arg(long, env = "CPU_WORKERS")]
    cpu_workers: Option<NonZeroUsize>,

    /// How many requests may wait for a CPU worker; one more is refused with 503. 0 refuses at once.
    #[arg(long, env = "CPU_QUEUE", default_value_t = 64, value_parser = queue_length)]
    pub cpu_queue: usize,

    /// The modules to serve, separated by commas; by default all, without a database those that need none.
    #[arg(long, env = "MODULES", value_delimiter = ',', value_parser = modules::name)]
    pub modules: Vec<String>,

    /// Where the database is and how much of it this process may take.
    #[command(flatten)]
    pub database: DatabaseArgs,

    /// A folder with a file for each value that may change while the process runs: DATABASE_MAIN_POOL,
    /// DATABASE_MAIN_READ_POOL, DATABASE_MAIN_READ_HOST, CACHE_SESSIONS_ENDPOINTS and CACHE_SESSIONS_PASSWORD.
    #[arg(long, env = "SCALABLEAPP_SETTINGS", global = true)]
    pub settings: Option<PathBuf>,

    /// A random text of at least 32 characters without a comma, the same for every pod, that signs what clients bring
    /// back. Of several, separated by commas, the first signs and all verify.
    #[arg(long, env = "SIGNING_KEY", global = true)]
    pub signing_key: Option<Secret>,

    /// Where the payment provider is, for example http://payments; without it orders are taken unpaid, and the module
    /// payments is off.
    #[arg(long, env = "PAYMENTS_URL", global = true)]
    pub payments_url: Option<Secret>,

    /// Whether the payment provider is called without a circuit breaker and without a budget for retries, to show what
    /// that does to a provider with too many calls.
    #[arg(long, env = "PAYMENTS_CARELESS", global = true)]
    pub payments_careless: bool,

    /// The Redis that all pods share, for example redis://127.0.0.1:6379; without it each process caches for
    /// itself, and the module visits is off.
    #[arg(long, env = "REDIS_URL")]
    pub redis_url: Option<Secret>,

    /// The shards of Redis in place of one server: 1 to 64, as host:port, separated by commas. The file of the same name
    /// in the settings overrides it.
    #[arg(long, env = "CACHE_SESSIONS_ENDPOINTS")]
    pub cache_sessions_endpoints: Option<String>,

    /// The password of all shards. The file of the same name in the settings overrides it.
    #[arg(long, env = "CACHE_SESSIONS_PASSWORD")]
    pub cache_sessions_password: Option<Secret>,

    /// A file with the certificates of the authorities of the shards, which are then called through TLS. A change of the
    /// file is followed.
    #[arg(long, env = "CACHE_SESSIONS_CA")]
    pub cache_sessions_ca: Option<PathBuf>,

    /// How long a call to Redis may take; then the answer is made without it.
    #[arg(long, env = "REDIS_TIMEOUT", default_value = "50ms", value_parser = redis_timeout)]
    pub redis_timeout: Duration,

    /// Where pictures are: file:///folder for development, or s3://bucket with the AWS_ variables; without it the
    /// module media is off.
    #[arg(long, env = "MEDIA_URL")]
    pub media_url: Option<Secret>,

    /// The hosts to which webhooks may be sent, each with its port unless that is 80, separated by commas; by default
    /// none.
    #[arg(long, env = "WEBHOOK_HOSTS", value_delimiter = ',', global = true, requires = "webhook_key")]
    pub webhook_hosts: Vec<Receiver>,

    /// A random text of at least 32 characters that signs webhooks; their receivers need it to verify them.
    #[arg(long, env = "WEBHOOK_KEY", global = true)]
    pub webhook_key: Option<Secret>,

    /// Serves without metrics and traces: the benchmark measures what they cost. Nothing outside the
    /// program can set it.
    #[arg(skip)]
    pub unobserved: bool,

    /// What to do in place of serving requests.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the process does in place of serving requests.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Runs jobs. Health and metrics are served all the same.
    Worker(WorkerArgs),
}

impl Args {
    /// The port of the service, which a worker need not have.
    pub fn port(&self) -> Option<u16> {
        let usual = if self.command.is_some() { None } else { Some(8080) };
        self.port.or(usual)
    }

    /// How many connections are open at the same time: all that are answered, as many that wait for their clients, and
    /// some for probes.
    pub fn connections(&self) -> usize {
        2 * self.max_requests + 64
    }

    /// How many requests compute at the same time.
    ///
    /// The default comes from the CPU affinity and the cgroup's quota, which is what a container's CPU limit
    /// becomes.
    pub fn cpu_workers(&self) -> usize {
        self.cpu_workers.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get)
    }
}

fn port(text: &str) -> Result<u16, String> {
    // What Kubernetes writes into METRICS_PORT of pods beside a Service called `metrics`.
    if text.starts_with("tcp://") {
        return Err("this is the address of a Service; set enableServiceLinks: false in the pod".to_owned());
    }
    text.parse().map_err(|_| "give a port from 0 to 65535".to_owned())
}

fn lame_duck(text: &str) -> Result<Duration, String> {
    duration(text, Duration::ZERO..=HOUR, "from 0s to 1h, for example 5s")
}

fn drain(text: &str) -> Result<Duration, String> {
    duration(text, Duration::from_secs(1)..=HOUR, "from 1s to 1h, for example 10s or 1m30s")
}

fn client_time(text: &str) -> Result<Duration, String> {
    duration(text, Duration::from_millis(100)..=HOUR, "from 100ms to 1h, for example 30s")
}

fn redis_timeout(text: &str) -> Result<Duration, String> {
    let range = Duration::from_millis(1)..=Duration::from_secs(60);
    duration(text, range, "from 1ms to 60s, for example 50ms")
}

fn max_requests(text: &str) -> Result<usize, String> {
    whole_number(text, 1..=100_000)
}

fn queue_length(text: &str) -> Result<usize, String> {
    whole_number(text, 0..=100_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Of numbers, units and anything else.
        #[test]
        fn any_text_is_a_value_within_its_bounds_or_refused_in_words(
            text in "[-+]?[0-9]{1,25}(\\.[0-9]{1,12})?(ns|us|ms|s|m|h|d| )?([0-9]{1,20}(ms|s|m|h))?|tcp://.*|(http|redis)://\\PC*|.*",
        ) {
            let times = [
                (lame_duck(&text), Duration::ZERO, HOUR),
                (drain(&text), Duration::from_secs(1), HOUR),
                (client_time(&text), Duration::from_millis(100), HOUR),
                (redis_timeout(&text), Duration::from_millis(1), Duration::from_secs(60)),
            ];
            for (time, shortest, longest) in times {
                match time {
                    Ok(time) => prop_assert!((shortest..=longest).contains(&time)),
                    Err(reason) => prop_assert!(reason.contains("for example")),
                }
            }
            let numbers = [
                port(&text).map(usize::from),
                max_requests(&text),
                queue_length(&text),
                modules::name(&text).map(|name| name.len()),
            ];
            for number in numbers {
                match number {
                    Ok(number) => prop_assert!(number <= 100_000),
                    Err(reason) => prop_assert!(reason.len() > 10, "{reason}"),
                }
            }
        }
    }

    #[test]
    fn durations_read_like_kubernetes() {
        assert_eq!(lame_duck("0s"), Ok(Duration::ZERO));
        assert_eq!(lame_duck("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(drain("1m30s"), Ok(Duration::from_secs(90)));
    }

    #[test]
    fn a_bad_duration_says_what_to_write() {
        for bad in ["", "10", "-5s", "soon", "2h"] {
            assert!(lame_duck(bad).unwrap_err().contains("for example 5s"), "{bad}");
            assert!(drain(bad).unwrap_err().contains("for example 10s"), "{bad}");
        }
        assert!(drain("999ms").unwrap_err().contains("from 1s"));
        assert!(redis_timeout("0s").unwrap_err().contains("for example 50ms"));
    }

    #[test]
    fn a_service_link_in_place_of_a_port_says_how_to_switch_it_off() {
        assert_eq!(port("8080"), Ok(8080));
        assert!(port("tcp://10.0.0.1:9090").unwrap_err().contains("enableServiceLinks: false"));
        assert!(port("65536").unwrap_err().contains("from 0 to 65535"));
    }

    #[test]
    fn debug_output_shows_no_credential() {
        let arguments = [
            "--signing-key",
            "--webhook-key",
            "--payments-url",
            "--redis-url",
            "--cache-sessions-password",
            "--media-url",
            "--database-url",
            "--database-read-url",
        ];
        let given = arguments.iter().flat_map(|argument| [*argument, "http://shop:hunter2@host"]);
        let args = Args::parse_from(std::iter::once("app-template").chain(given));
        assert!(!format!("{args:?}").contains("hunter2"), "{args:?}");
    }

    #[test]
    fn there_is_always_a_cpu_worker() {
        let args = Args::parse_from(["app-template"]);
        assert!(args.cpu_workers() >= 1);
        assert!(Args::try_parse_from(["app-template", "--cpu-workers", "0"]).is_err());
    }
}
