//! How long a client may take to take an answer as a whole. I/O: the connection that it wraps.
//!
//! A time for each part alone lets a client hold an answer for hours.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A connection that breaks when what is written is not taken in time.
#[derive(Debug)]
pub(crate) struct Prompt<S> {
    inner: S,
    patience: Duration,
    /// From the first write that had to wait until all is written.
    end: Option<Pin<Box<Sleep>>>,
}

impl<S> Prompt<S> {
    pub(crate) fn new(inner: S, patience: Duration) -> Self {
        Self { inner, patience, end: None }
    }

    /// A write that has to wait, or has waited for too long.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let patience = self.patience;
        let end = self.end.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(end.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prompt<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prompt<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.inner).poll_write(context, bytes) {
            Poll::Pending => self.wait(context),
            written => written,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.inner).poll_write_vectored(context, slices) {
            Poll::Pending => self.wait(context),
            written => written,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        if flushed.is_ready() {
            self.end = None;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(120);

    /// Writes 100 bytes, of which a client takes one each `pause`.
    async fn written(pause: Duration) -> io::Result<()> {
        let (inner, mut client): (DuplexStream, DuplexStream) = tokio::io::duplex(1);
        let taking = tokio::spawn(async move {
            while client.read_u8().await.is_ok() {
                sleep(pause).await;
            }
        });
        let mut connection = Prompt::new(inner, PATIENCE);
        let mut outcome = connection.write_all(&[b'x'; 100]).await;
        if outcome.is_ok() {
            outcome = connection.flush().await;
        }
        taking.abort();
        outcome
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_taken_in_time_as_a_whole_or_given_up() {
        assert!(written(Duration::from_secs(1)).await.is_ok());
        let late = written(Duration::from_secs(29)).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn each_answer_has_a_time_of_its_own() {
        let (inner, mut client) = tokio::io::duplex(1);
        let mut connection = Prompt::new(inner, PATIENCE);
        let taking = tokio::spawn(async move {
            for _ in 0..8 {
                sleep(PATIENCE / 4).await;
                client.read_u8().await.unwrap();
            }
        });
        for _ in 0..4 {
            connection.write_all(b"xx").await.unwrap();
            connection.flush().await.unwrap();
        }
        taking.await.unwrap();
    }
}
