//! The cost of a fleet at rest.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use scalableapp_cluster::chart::OPERATOR_NAMESPACE;
use scalableapp_cluster::status::component_process;
use tokio::time::sleep;

use super::Fleet;
use crate::operator::OPERATOR;
use crate::process::{cpu_seconds, resident_mib};

/// The duration of a measurement of the API server's CPU. Go collects its garbage every two minutes, and the number of
/// collections in a few minutes is random.
const WINDOW: Duration = Duration::from_secs(20);

/// Usage at rest, per second.
#[derive(Debug, Clone, PartialEq)]
pub struct Rest {
    /// CPU of the operator, in cores.
    pub operator_cores: f64,
    /// Memory of the operator in MiB: at the end, and at its peak since the start.
    pub operator_mib: (f64, f64),
    /// Queries to Prometheus.
    pub queries: f64,
    /// Requests to the API server from all clients.
    pub requests: f64,
    /// The operator's requests by verb.
    pub operator_requests: BTreeMap<String, f64>,
    /// The operator's writes of its Lease, over the whole time.
    pub lease_writes: usize,
    /// The operator's other writes, over the whole time.
    pub other_writes: usize,
    /// CPU of the API server, in cores, as [`Fleet::api_server_cores`] measures it.
    pub api_server_cores: f64,
}

/// The operator's user name at the API server.
pub(super) fn operator_user() -> String {
    format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR}")
}

impl Fleet {
    /// Watches the fleet for `duration`.
    ///
    /// # Errors
    /// When the operator or the API server has ended.
    pub async fn rest(&self, duration: Duration) -> Result<Rest> {
        let operator = self.running_operator()?.id();
        let (begin, mark) = (Instant::now(), self.audit.mark()?);
        let before = cpu_seconds(operator)?;
        let api_server_cores = self.api_server_cores(duration).await?;
        let seconds = begin.elapsed().as_secs_f64();
        let operator_cores = (cpu_seconds(operator)? - before) / seconds;
        let user = operator_user();
        let requests = self.audit.requests_since(mark)?;
        let of_operator = requests.iter().filter(|((name, _), _)| *name == user);
        let writes = self.audit.mutations_since(mark)?;
        let (lease, others): (Vec<_>, Vec<_>) =
            writes.iter().filter(|one| one.user == user).partition(|one| one.resource == "leases");
        Ok(Rest {
            operator_cores,
            operator_mib: resident_mib(operator)?,
            queries: self.prometheus.asked_since(begin).count as f64 / seconds,
            requests: requests.values().sum::<u64>() as f64 / seconds,
            operator_requests: of_operator
                .map(|((_, verb), count)| (verb.clone(), *count as f64 / seconds))
                .collect(),
            lease_writes: lease.len(),
            other_writes: others.len(),
            api_server_cores,
        })
    }

    /// CPU of the API server over the next `duration`, in cores: the median of windows of 20 s, few of which contain a
    /// garbage collection.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn api_server_cores(&self, duration: Duration) -> Result<f64> {
        let process = component_process(&self.cluster, "kube-apiserver");
        let process = process.context("the cluster's API server does not run")?;
        let begin = Instant::now();
        let mut windows = Vec::new();
        while windows.is_empty() || begin.elapsed() < duration {
            let (since, before) = (Instant::now(), cpu_seconds(process)?);
            sleep(WINDOW.min(duration)).await;
            windows.push((cpu_seconds(process)? - before) / since.elapsed().as_secs_f64());
        }
        windows.sort_unstable_by(f64::total_cmp);
        Ok(windows[windows.len() / 2])
    }

    /// Lateness of ticks since the operator's earlier metrics: the quantile `share`, from 0 to 1, as the upper bound in
    /// seconds of its bucket.
    ///
    /// # Errors
    /// When the metrics lack the histogram.
    pub fn tick_lateness(earlier: &str, later: &str, share: f64) -> Result<String> {
        let (earlier, later) = (lateness(earlier), lateness(later));
        let ticks: Vec<(String, f64)> = later
            .into_iter()
            .enumerate()
            .map(|(index, (bound, count))| {
                (bound, count - earlier.get(index).map_or(0.0, |(_, count)| *count))
            })
            .collect();
        let all = ticks.last().context("the operator shows no tick lateness")?.1;
        let bound = ticks.iter().find(|(_, count)| *count >= all * share);
        Ok(bound.map(|(bound, _)| bound.clone()).unwrap_or_default())
    }
}

/// The buckets of the tick lateness, from the smallest bound to infinity, each with the ticks up to it.
fn lateness(metrics: &str) -> Vec<(String, f64)> {
    let buckets = metrics.lines().filter_map(|line| {
        let (bound, count) =
            line.strip_prefix("scalableapp_tick_lateness_seconds_bucket{le=\"")?.split_once("\"} ")?;
        Some((bound.to_owned(), count.parse().ok()?))
    });
    buckets.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(counts: [u32; 3]) -> String {
        let line = |(bound, count): (&str, u32)| {
            format!("scalableapp_tick_lateness_seconds_bucket{{le=\"{bound}\"}} {count}\n")
        };
        ["0.005", "0.025", "+Inf"].into_iter().zip(counts).map(line).collect()
    }

    #[test]
    fn lateness_is_that_of_the_ticks_between_two_looks() {
        let (earlier, later) = (metrics([0, 5, 9]), metrics([90, 99, 109]));
        assert_eq!(Fleet::tick_lateness(&earlier, &later, 0.5).unwrap(), "0.005");
        assert_eq!(Fleet::tick_lateness(&earlier, &later, 0.94).unwrap(), "0.025");
        assert_eq!(Fleet::tick_lateness(&earlier, &later, 1.0).unwrap(), "+Inf");
        assert!(Fleet::tick_lateness("", "", 1.0).is_err());
    }
}
