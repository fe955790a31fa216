//! Connections that send heads without end take neither the operator's memory nor its answers to probes.

use anyhow::{Context, Result, ensure};
use scalableapp_e2e::operator::LocalOperator;
use scalableapp_e2e::world::World;
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use super::arena::Arena;

/// As many connections, and as many bytes of a head on each, as once took more than the chart's memory limit.
const CONNECTIONS: usize = 400;
const HEAD: usize = 350_000;
/// What the operator may need for them.
const ROOM: usize = 24 << 20;

#[tokio::test]
async fn connections_cannot_fill_the_operator() -> Result<()> {
    World::run("connections_cannot_fill_the_operator", async |world| {
        let arena = Arena::start(world.client(), &[]).await?;
        arena.leads().await?;
        let before = resident(&arena.operator)?;
        let ports = [arena.operator.http_port(), arena.operator.probe_port()];
        let held = tokio::task::spawn_blocking(move || -> Vec<TcpStream> {
            ports.iter().flat_map(|port| (0..CONNECTIONS).filter_map(|_| endless_head(*port).ok())).collect()
        })
        .await?;
        ensure!(arena.operator.probe("/livez").await?, "the operator is not live");
        ensure!(arena.operator.probe("/readyz").await?, "the operator is not ready");
        arena.leads().await?;
        let after = resident(&arena.operator)?;
        println!(
            "{} connections were opened; the operator took {} bytes more",
            held.len(),
            after.saturating_sub(before)
        );
        ensure!(after < before + ROOM, "it took {before} bytes, and {after} with {} connections", held.len());
        drop(held);
        arena.end().await
    })
    .await
}

/// A connection with a head that does not end; what the operator does not take is not sent.
fn endless_head(port: u16) -> Result<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_write_timeout(Some(Duration::from_millis(50)))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: operator\r\nx: ")?;
    // The operator closes it earlier, or stops reading.
    let _ = stream.write_all(&vec![b'x'; HEAD]);
    Ok(stream)
}

/// Bytes of memory that the process holds.
fn resident(operator: &LocalOperator) -> Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", operator.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? << 10)
}
