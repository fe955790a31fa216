//! Forwards TCP from a port of the machine's loopback to the API server in the cluster's network.

use std::net::TcpListener;
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use super::addresses::API_SERVER;

/// The listening socket, which the parent created in the machine's network and passed on as standard input.
pub(super) fn listener_from_stdin() -> Result<TcpListener> {
    let stdin = std::io::stdin().as_fd().try_clone_to_owned()?;
    Ok(TcpListener::from(stdin))
}

/// Serves until the process ends, or reports why it cannot.
pub(super) fn run(listener: TcpListener) {
    if let Err(error) = serve(listener) {
        eprintln!("failed to forward to the API server: {error:#}");
    }
}

fn serve(listener: TcpListener) -> Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let listener =
            tokio::net::TcpListener::from_std(listener).context("no listening socket was passed on")?;
        loop {
            let Ok((mut outside, _)) = listener.accept().await else {
                // Out of file descriptors: the end of a connection frees some.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            };
            tokio::spawn(async move {
                // Without the API server the connection is closed, and every client retries.
                if let Ok(mut inside) = TcpStream::connect(API_SERVER).await {
                    let _ = outside.set_nodelay(true).and_then(|()| inside.set_nodelay(true));
                    let _ = copy_bidirectional(&mut outside, &mut inside).await;
                }
            });
        }
    })
}
