//! The arguments of the process, from the command line or environment variables. Pure.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use scalableapp_crds::GoDuration;

/// The ScalableApp operator: scales whole stacks from Prometheus metrics.
///
/// Durations are written as in Go: 300ms, 30s, 1h30m.
#[derive(Clone, Debug, Parser)]
#[command(name = "scalableapp-operator", version)]
pub struct Args {
    /// The connection and the queries to Prometheus.
    #[command(flatten)]
    pub prometheus: PrometheusArgs,

    /// Watched namespaces, separated by commas; all if it is not set. A Role in each of them is then sufficient.
    #[arg(long, env = "SCALABLEAPP_NAMESPACES", value_name = "NAMESPACES", value_delimiter = ',', value_parser = namespace)]
    pub namespaces: Vec<String>,

    /// Namespaces of another operator, separated by commas. All others are watched.
    #[arg(long, env = "SCALABLEAPP_EXCLUDE_NAMESPACES", value_name = "NAMESPACES", value_delimiter = ',', value_parser = namespace)]
    pub exclude_namespaces: Vec<String>,

    /// Whether Clusters of CloudNativePG are read, and scaled where an app says so.
    #[arg(long, env = "SCALABLEAPP_CNPG")]
    pub cnpg: bool,

    /// Time between two ticks, in which all apps are measured and decided, at least 1s.
    #[arg(long, env = "SCALABLEAPP_TICK", default_value = "5s", value_parser = at_least_a_second)]
    pub tick: Duration,

    /// Namespace of the Lease that elects the leader; in a pod its own.
    #[arg(long, env = "POD_NAMESPACE")]
    pub lease_namespace: String,

    /// Name of the Lease.
    #[arg(long, env = "SCALABLEAPP_LEASE_NAME", default_value = "scalableapp-operator")]
    pub lease_name: String,

    /// Name of this process in the Lease; in a pod the pod's name. A random part is added, so that a restarted
    /// container is not taken for the one before it.
    #[arg(long, env = "POD_NAME", default_value = "scalableapp-operator")]
    pub identity: String,

    /// Port of /livez and /readyz, which have their own thread.
    #[arg(long, env = "SCALABLEAPP_HTTP_PORT", default_value_t = 8080)]
    pub http_port: u16,

    /// Port of /livez and /readyz, which a thread of its own answers.
    #[arg(long, env = "SCALABLEAPP_PROBE_PORT", default_value_t = 8081)]
    pub probe_port: u16,

    /// Port of the aggregated API of the live measurements.
    #[arg(long, env = "SCALABLEAPP_LIVE_PORT", default_value_t = 8443)]
    pub live_port: u16,

    /// Folder with tls.crt and tls.key of the aggregated API. Without it live measurements are not served.
    #[arg(long, env = "SCALABLEAPP_LIVE_CERTIFICATE", value_name = "FOLDER")]
    pub live_certificate: Option<PathBuf>,

    /// File to which each decision that changes something is appended as a line of JSON, with its whole input; `-` is
    /// standard output. `kubectl scalableapp replay` repeats such decisions.
    #[arg(long, env = "SCALABLEAPP_DECISION_RECORDS", value_name = "FILE")]
    pub decision_records: Option<PathBuf>,

    /// Format of log lines. RUST_LOG filters them, for example `info,scalableapp_operator=debug`.
    #[arg(long, env = "SCALABLEAPP_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
}

impl Args {
    /// Checks that concern several arguments.
    ///
    /// # Errors
    /// As a sentence, when a query may take as long as a tick, by which a slow Prometheus would make every tick late,
    /// and when namespaces are both named and excluded.
    pub fn validate(&self) -> Result<(), String> {
        let (timeout, tick) = (self.prometheus.timeout, self.tick);
        if timeout >= tick {
            return Err(format!("--prometheus-timeout ({timeout:?}) must be shorter than --tick ({tick:?})"));
        }
        let names_any = |namespaces: &[String]| namespaces.iter().any(|one| !one.is_empty());
        if names_any(&self.namespaces) && names_any(&self.exclude_namespaces) {
            return Err("set --namespaces or --exclude-namespaces, not both".to_owned());
        }
        Ok(())
    }
}

/// The connection and the queries to Prometheus.
#[derive(Clone, Debug, clap::Args)]
pub struct PrometheusArgs {
    /// Base URL of Prometheus or of a server with its query API, for example http://prometheus:9090.
    #[arg(long = "prometheus-url", env = "PROMETHEUS_URL")]
    pub url: String,

    /// File with a bearer token for Prometheus. Read again for each request, because such tokens rotate.
    #[arg(long = "prometheus-token-file", env = "PROMETHEUS_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,

    /// File with the PEM certificates that may sign Prometheus' certificate, instead of the system's.
    #[arg(long = "prometheus-ca-file", env = "PROMETHEUS_CA_FILE")]
    pub ca_file: Option<PathBuf>,

    /// Header of every query, for example `X-Scope-OrgID: team-a` for Mimir or Thanos with tenants. May be given
    /// several times.
    #[arg(long = "prometheus-header", value_name = "NAME: VALUE", value_parser = header)]
    pub headers: Vec<(HeaderName, HeaderValue)>,

    /// Matchers that are added to every selector, for example `cluster="a"` where Thanos or Mimir hold many clusters.
    #[arg(long = "prometheus-matchers", env = "PROMETHEUS_MATCHERS", default_value = "")]
    pub matchers: String,

    /// Time-out of one query. It must be shorter than the tick.
    #[arg(long = "prometheus-timeout", env = "PROMETHEUS_TIMEOUT", default_value = "3s", value_parser = positive)]
    pub timeout: Duration,

    /// Time between two runs of a custom query of a ScalableApp.
    #[arg(long = "prometheus-query-interval", env = "PROMETHEUS_QUERY_INTERVAL", default_value = "15s", value_parser = at_least_a_second)]
    pub query_interval: Duration,

    /// Custom queries at the same time. A thousand queries every 10s that take 200ms each need 20.
    #[arg(long = "prometheus-queries-in-flight", env = "PROMETHEUS_QUERIES_IN_FLIGHT", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub queries_in_flight: u16,

    /// Window of request rate and latency: at least four scrape intervals.
    #[arg(long = "request-window", env = "SCALABLEAPP_REQUEST_WINDOW", default_value = "1m", value_parser = at_least_a_second)]
    pub request_window: Duration,

    /// Short window of the request rate, which only asks for more replicas: at least four scrape intervals. It is not
    /// used where it is not shorter than the other, and 0s turns it off.
    #[arg(long = "short-request-window", env = "SCALABLEAPP_SHORT_REQUEST_WINDOW", default_value = "20s", value_parser = zero_or_a_second)]
    pub short_request_window: Duration,

    /// Window of CPU usage. The kubelet measures every 15 to 18 seconds, so less than 2m reads too low.
    #[arg(long = "cpu-window", env = "SCALABLEAPP_CPU_WINDOW", default_value = "2m", value_parser = at_least_a_second)]
    pub cpu_window: Duration,

    /// Window that a diagnosis judges. It takes eight samples in it, and needs three windows of normal operation before.
    #[arg(long = "diagnosis-window", env = "SCALABLEAPP_DIAGNOSIS_WINDOW", default_value = "2m", value_parser = at_least_a_second)]
    pub diagnosis_window: Duration,

    /// Length of a slice of time in which canaries are counted, 1s to 5m in whole seconds: at least two scrape intervals.
    #[arg(long = "canary-slice", env = "SCALABLEAPP_CANARY_SLICE", default_value = "15s", value_parser = slice)]
    pub canary_slice: Duration,

    /// Age from which a sample counts as stale: several scrape intervals, so that one missed scrape changes nothing.
    #[arg(long = "staleness", env = "SCALABLEAPP_STALENESS", default_value = "90s", value_parser = at_least_a_second)]
    pub staleness: Duration,
}

impl PrometheusArgs {
    /// The length of a slice of time in which canaries are counted.
    #[must_use]
    pub fn canary_slice_seconds(&self) -> u32 {
        u32::try_from(self.canary_slice.as_secs()).unwrap_or(u32::MAX)
    }

    /// The short window of the request rate; zero where none is used.
    #[must_use]
    pub fn recent_request_window(&self) -> Duration {
        let is_shorter = self.short_request_window < self.request_window;
        if is_shorter { self.short_request_window } else { Duration::ZERO }
    }
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// One line of text.
    Text,
}

fn namespace(text: &str) -> Result<String, String> {
    // An empty variable is an unset one.
    if text.is_empty() {
        return Ok(String::new());
    }
    let is_inner = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-';
    let is_name = (1..=63).contains(&text.len())
        && text.chars().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if is_name { Ok(text.to_owned()) } else { Err("name namespaces, for example shop,blog".to_owned()) }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = text.split_once(':').and_then(|(name, value)| {
        Some((name.trim().parse::<HeaderName>().ok()?, value.trim().parse::<HeaderValue>().ok()?))
    });
    match parsed {
        Some((name, _)) if name == AUTHORIZATION => {
            Err("give the token by --prometheus-token-file, where others cannot read it".to_owned())
        }
        Some(header) => Ok(header),
        None => Err("write it as `X-Scope-OrgID: team-a`".to_owned()),
    }
}

fn positive(text: &str) -> Result<Duration, String> {
    let duration = GoDuration(text.to_owned()).parse().map_err(|error| error.to_string())?;
    if duration.is_zero() { Err("must be longer than 0s".to_owned()) } else { Ok(duration) }
}

fn at_least_a_second(text: &str) -> Result<Duration, String> {
    let duration = positive(text)?;
    if duration < Duration::from_secs(1) { Err("must be at least 1s".to_owned()) } else { Ok(duration) }
}

fn slice(text: &str) -> Result<Duration, String> {
    let duration = at_least_a_second(text)?;
    let is_allowed = duration.subsec_nanos() == 0 && duration <= Duration::from_secs(300);
    if is_allowed { Ok(duration) } else { Err("must be 1s to 5m in whole seconds".to_owned()) }
}

fn zero_or_a_second(text: &str) -> Result<Duration, String> {
    let duration = GoDuration(text.to_owned()).parse().map_err(|error| error.to_string())?;
    let is_allowed = duration.is_zero() || duration >= Duration::from_secs(1);
    if is_allowed { Ok(duration) } else { Err("must be 0s or at least 1s".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIRED: [&str; 5] = [
        "scalableapp-operator",
        "--prometheus-url",
        "http://prometheus:9090",
        "--lease-namespace",
        "operator",
    ];

    fn parse(more: &[&str]) -> Result<Args, String> {
        Args::try_parse_from(REQUIRED.iter().chain(more)).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.tick, Duration::from_secs(5));
        assert_eq!(args.prometheus.staleness, Duration::from_secs(90));
        assert_eq!(args.prometheus.cpu_window, Duration::from_secs(120));
    }

    #[test]
    fn durations_are_read_in_go_notation_and_refused_in_words() {
        assert_eq!(parse(&["--tick", "1m30s"]).unwrap().tick, Duration::from_secs(90));
        assert!(parse(&["--tick", "5"]).unwrap_err().contains("is not a duration such as 300ms"));
        assert!(parse(&["--tick", "300ms"]).unwrap_err().contains("must be at least 1s"));
    }

    #[test]
    fn a_query_may_not_take_as_long_as_a_tick() {
        assert_eq!(parse(&[]).unwrap().validate(), Ok(()));
        let late = parse(&["--tick", "3s"]).unwrap().validate().unwrap_err();
        assert_eq!(late, "--prometheus-timeout (3s) must be shorter than --tick (3s)");
    }

    #[test]
    fn namespaces_are_named_or_excluded() {
        let validated = |more: &[&str]| parse(more).unwrap().validate();
        assert_eq!(validated(&["--namespaces", "shop,blog"]), Ok(()));
        assert_eq!(validated(&["--exclude-namespaces", "shop,blog", "--namespaces", ""]), Ok(()));
        let both = validated(&["--namespaces", "shop", "--exclude-namespaces", "blog"]).unwrap_err();
        assert_eq!(both, "set --namespaces or --exclude-namespaces, not both");
        assert!(parse(&["--exclude-namespaces", "Shop"]).is_err());
    }

    #[test]
    fn a_header_has_a_name_and_a_value_and_carries_no_token() {
        let args = parse(&["--prometheus-header", "X-Scope-OrgID: team-a"]).unwrap();
        assert_eq!(args.prometheus.headers[0].1, "team-a");
        assert!(parse(&["--prometheus-header", "team-a"]).unwrap_err().contains("X-Scope-OrgID: team-a"));
        let token = parse(&["--prometheus-header", "Authorization: Bearer x"]).unwrap_err();
        assert!(token.contains("--prometheus-token-file"), "{token}");
    }

    #[test]
    fn a_missing_prometheus_is_named() {
        let error = Args::try_parse_from(["scalableapp-operator", "--lease-namespace", "operator"]);
        assert!(error.is_err_and(|error| error.to_string().contains("--prometheus-url")));
    }
}
