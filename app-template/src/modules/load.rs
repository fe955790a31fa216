//! `GET /work` costs CPU time, `GET /wait` only waits: the two kinds of load that scaling has to tell apart.
//! No I/O.

use std::hint::black_box;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use nix::time::ClockId;
use serde::Deserialize;

use crate::cpu_pool::CpuPool;
use crate::module::Module;
use crate::problem::Problem;

const DEFAULT_WORK: u64 = 20;
const DEFAULT_WAIT: u64 = 50;
const LONGEST_WORK: u64 = 5000;
/// Longer than the usual windows of a metric, so that a dependency that does not answer can be imitated.
const LONGEST_WAIT: u64 = 300_000;

pub(super) fn routes(module: Module<CpuPool>) -> Module<CpuPool> {
    module.get("/work", work).get("/wait", wait)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Amount {
    ms: Option<u64>,
}

async fn work(
    State(cpu): State<CpuPool>,
    amount: Result<Query<Amount>, QueryRejection>,
) -> Result<String, Problem> {
    let ms = milliseconds(amount, DEFAULT_WORK, LONGEST_WORK)?;
    cpu.run(move || burn(Duration::from_millis(ms))).await?;
    Ok(format!("used {ms} ms of CPU time\n"))
}

async fn wait(amount: Result<Query<Amount>, QueryRejection>) -> Result<String, Problem> {
    let ms = milliseconds(amount, DEFAULT_WAIT, LONGEST_WAIT)?;
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Ok(format!("waited {ms} ms\n"))
}

fn milliseconds(
    amount: Result<Query<Amount>, QueryRejection>,
    default: u64,
    longest: u64,
) -> Result<u64, Problem> {
    amount
        .ok()
        .map(|Query(amount)| amount.ms.unwrap_or(default))
        .filter(|ms| (1..=longest).contains(ms))
        .ok_or_else(|| {
            Problem::bad_request(format!(
                "The only parameter is ms, once, a whole number of milliseconds from 1 to {longest}: for example ?ms={default}."
            ))
        })
}

/// Computes until the thread has used `amount` of CPU time, however long it has to wait for the CPU.
///
/// A loop over wall-clock time would cost less the busier the machine is: the load would shrink just when
/// there is too much of it.
fn burn(amount: Duration) {
    let mut x = 1_u64;
    let used = || ClockId::CLOCK_THREAD_CPUTIME_ID.now().map(Duration::from);
    let Ok(end) = used().map(|start| start + amount) else { return };
    while used().is_ok_and(|now| now < end) {
        for _ in 0..10_000 {
            x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burn_costs_as_much_cpu_as_asked() {
        let used = || Duration::from(ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap());
        let start = used();
        burn(Duration::from_millis(30));
        assert!(used() - start >= Duration::from_millis(30));
    }
}
