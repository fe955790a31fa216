//! Health probes with the defaults that the API documents. Pure.

use super::container;
use super::invalid::Problems;
use super::path::Path;
use scalableapp_crds as api;

/// Port of a refused probe.
const PLACEHOLDER: i32 = 1;

/// The probes of a component's container; `None` for those that it does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// Whether a pod may get traffic.
    pub readiness: Option<Probe>,
    /// Whether the container must be restarted.
    pub liveness: Option<Probe>,
    /// Whether the container has started.
    pub startup: Option<Probe>,
}

/// One probe. Times are whole seconds, as Kubernetes counts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The action.
    pub action: Action,
    /// From the start of the container to the first attempt.
    pub initial_delay_seconds: u32,
    /// Between attempts.
    pub period_seconds: u32,
    /// After this an attempt has failed.
    pub timeout_seconds: u32,
    /// Consecutive failures that count.
    pub failure_threshold: i32,
}

/// The action of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// An HTTP GET.
    HttpGet {
        /// Path of the request.
        path: String,
        /// Port of the request.
        port: i32,
    },
    /// A TCP connection.
    TcpSocket {
        /// Port of the connection.
        port: i32,
    },
    /// A gRPC health check.
    Grpc {
        /// Port of the check.
        port: i32,
        /// The service to check; `None` for the server as a whole.
        service: Option<String>,
    },
    /// A command in the container.
    Exec {
        /// The command and its arguments.
        command: Vec<String>,
    },
}

impl Probe {
    fn get(path: &str, port: i32, period_seconds: u32, failure_threshold: i32) -> Self {
        Self {
            action: Action::HttpGet { path: path.to_owned(), port },
            initial_delay_seconds: 0,
            period_seconds,
            timeout_seconds: 1,
            failure_threshold,
        }
    }
}

/// The probes with their defaults, which are on `port`; without a port there are no defaults.
pub(super) fn resolve(
    written: Option<&api::Probes>,
    port: Option<i32>,
    path: Path<'_>,
    problems: &mut Problems,
) -> Probes {
    let mut given = |name: &str, probe: Option<&api::Probe>| {
        probe.map(|probe| resolve_one(probe, port, Path::Field(&path, name), problems))
    };
    let readiness = given("readiness", written.and_then(|probes| probes.readiness.as_ref()))
        .or_else(|| Some(Probe::get("/readyz", port?, 5, 2)));
    let liveness = given("liveness", written.and_then(|probes| probes.liveness.as_ref()))
        .or_else(|| Some(Probe::get("/livez", port?, 10, 3)));
    let startup = given("startup", written.and_then(|probes| probes.startup.as_ref())).or_else(|| {
        let readiness = readiness.clone()?;
        Some(Probe { initial_delay_seconds: 0, period_seconds: 1, failure_threshold: 60, ..readiness })
    });
    Probes { readiness, liveness, startup }
}

fn resolve_one(written: &api::Probe, port: Option<i32>, path: Path<'_>, problems: &mut Problems) -> Probe {
    let mut seconds = |name: &str, written: &Option<api::GoDuration>, least: u32, default: u32| {
        written
            .as_ref()
            .map_or(default, |written| whole_seconds(written, least, Path::Field(&path, name), problems))
    };
    let initial_delay_seconds = seconds("initialDelay", &written.initial_delay, 0, 0);
    let period_seconds = seconds("period", &written.period, 1, 10);
    let timeout_seconds = seconds("timeout", &written.timeout, 1, 1);
    let failure_threshold = written.failure_threshold.unwrap_or(3);
    if !(1..=1000).contains(&failure_threshold) {
        problems.refuse(Path::Field(&path, "failureThreshold"), "use 1 to 1000 failures");
    }
    let action = action(written, port, path, problems);
    Probe { action, initial_delay_seconds, period_seconds, timeout_seconds, failure_threshold }
}

/// The action of the probe, by default on the component's port.
fn action(written: &api::Probe, default: Option<i32>, path: Path<'_>, problems: &mut Problems) -> Action {
    let mut port = |field: &str, written: Option<i32>| {
        let (of_field, given) = (Path::Field(&path, field), written.or(default));
        let at = Path::Field(&of_field, "port");
        match given {
            Some(port) if written.is_some() => container::port(port, at, problems),
            Some(port) => port,
            None => {
                problems.refuse(at, "set a port, or the component's metricsPort");
                PLACEHOLDER
            }
        }
    };
    match (&written.http_get, &written.tcp_socket, &written.grpc, &written.exec) {
        (Some(get), None, None, None) => {
            Action::HttpGet { path: get.path.clone(), port: port("httpGet", get.port) }
        }
        (None, Some(tcp), None, None) => Action::TcpSocket { port: port("tcpSocket", tcp.port) },
        (None, None, Some(grpc), None) => {
            Action::Grpc { port: port("grpc", grpc.port), service: grpc.service.clone() }
        }
        (None, None, None, Some(exec)) => Action::Exec { command: exec.command.clone() },
        _ => {
            problems.refuse(path, "set exactly one of httpGet, tcpSocket, grpc, exec");
            Action::TcpSocket { port: PLACEHOLDER }
        }
    }
}

fn whole_seconds(written: &api::GoDuration, least: u32, path: Path<'_>, problems: &mut Problems) -> u32 {
    match written.parse() {
        Ok(duration)
            if duration.subsec_nanos() == 0 && (u64::from(least)..=3600).contains(&duration.as_secs()) =>
        {
            u32::try_from(duration.as_secs()).unwrap_or(3600)
        }
        Ok(_) => {
            problems.refuse(path, format!("use whole seconds, from {least}s to 1h"));
            least
        }
        Err(invalid) => {
            problems.refuse(path, invalid.to_string());
            least
        }
    }
}
