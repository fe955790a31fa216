//! Sends requests according to the profile and counts the results. Talks to the target.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, anyhow};
use hyper::Uri;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

use super::connection::Pool;
use super::profile::Profile;
use super::report::{Outcome, Report, Tally};

/// Interval of progress lines.
const PROGRESS: Duration = Duration::from_secs(5);
/// Interval of requests for a first answer.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// The requests and their limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// A Service's URL, from `target::parse`.
    pub target: Uri,
    /// A JSON text for POSTs; without it requests are GETs. Every two consecutive requests have the same
    /// `Idempotency-Key`.
    pub post: Option<String>,
    /// Longest wait for a first successful answer before the profile starts: kube-proxy follows a newly ready Service a
    /// moment later. After it the profile starts in any case. These requests do not count; a POST has the key of the
    /// first that does.
    pub patience: Duration,
    /// When requests are sent.
    pub profile: Profile,
    /// Time-out of one request, with its connection.
    pub timeout: Duration,
    /// Maximum requests in flight.
    pub connections: usize,
    /// A connection is closed after this many requests, so that new pods get their share. At least 1.
    pub requests_per_connection: u32,
}

/// Runs the profile to its end, or until `stop` ends, and waits for outstanding answers.
///
/// # Errors
/// When a request could not be counted. A request that fails is a count, not an error.
pub async fn generate(options: &Options, stop: impl Future<Output = ()>) -> Result<Report> {
    let pool =
        Arc::new(Pool::new(options.target.clone(), options.post.clone(), options.requests_per_connection));
    let tally = Arc::new(Mutex::new(Tally::new()?));
    let mut requests = JoinSet::new();
    tokio::select! {
        () = async {
            first_answer(&pool, options.patience).await;
            send_all(options, &pool, &tally, &mut requests).await;
        } => {}
        () = tell_progress(&tally) => {}
        () = stop => {}
    }
    // Each of them ends within its time-out.
    while requests.join_next().await.is_some() {}
    Ok(tally.lock().map_err(|_| anyhow!("a request was not counted"))?.report())
}

async fn first_answer(pool: &Pool, patience: Duration) {
    if patience.is_zero() {
        return;
    }
    let answer = async {
        while pool.send(0).await != Outcome::Ok {
            sleep(ASK_AGAIN).await;
        }
    };
    if timeout(patience, answer).await.is_err() {
        eprintln!("no good answer within {} s, beginning all the same", patience.as_secs());
    }
}

async fn send_all(
    options: &Options,
    pool: &Arc<Pool>,
    tally: &Arc<Mutex<Tally>>,
    requests: &mut JoinSet<()>,
) {
    let started = Instant::now();
    let permits = Arc::new(Semaphore::new(options.connections));
    for (number, arrival) in (0..).zip(options.profile.arrivals()) {
        let due = started + arrival;
        sleep_until(due).await;
        while requests.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            count(tally, Outcome::Saturated, due);
            continue;
        };
        let (pool, tally, limit) = (Arc::clone(pool), Arc::clone(tally), options.timeout);
        requests.spawn(async move {
            let outcome = timeout(limit, pool.send(number)).await.unwrap_or(Outcome::Timeout);
            drop(permit);
            count(&tally, outcome, due);
        });
    }
    sleep_until(started + options.profile.duration()).await;
}

fn count(tally: &Mutex<Tally>, outcome: Outcome, due: Instant) {
    if let Ok(mut tally) = tally.lock() {
        tally.add(outcome, due.elapsed());
    }
}

async fn tell_progress(tally: &Mutex<Tally>) {
    let mut ticks = interval(PROGRESS);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        if let Ok(tally) = tally.lock() {
            let report = tally.report();
            let (failed, p99) = (report.failed.total(), report.latency_ms.p99);
            eprintln!("answered {}, ok {}, failed {failed}, p99 {p99:.0} ms", report.sent, report.ok);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A server with this answer to every request, which counts its connections. Without bytes it closes them.
    async fn server(answer: &'static str) -> (Uri, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        tokio::spawn(serve(listener, answer, Arc::clone(&connections)));
        (target, connections)
    }

    async fn serve(listener: TcpListener, answer: &'static str, connections: Arc<AtomicUsize>) {
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) && !answer.is_empty() {
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    }

    fn options(target: Uri) -> Options {
        let profile = "200ms@100".parse().unwrap();
        Options {
            target,
            post: None,
            patience: Duration::ZERO,
            profile,
            timeout: Duration::from_secs(5),
            connections: 100,
            requests_per_connection: 4,
        }
    }

    #[tokio::test]
    async fn new_connections_are_opened_all_along() {
        let (target, connections) = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
        let report = generate(&options(target), pending()).await.unwrap();
        assert_eq!((report.sent, report.ok, report.failed.total()), (20, 20, 0));
        assert!(connections.load(Ordering::Relaxed) >= 5, "20 requests at 4 for each connection");
    }

    #[tokio::test]
    async fn a_connection_that_idled_is_not_trusted_with_a_request() {
        let (target, connections) = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
        let slow = Options { profile: "1s@3".parse().unwrap(), ..options(target) };
        assert_eq!(generate(&slow, pending()).await.unwrap().ok, 3);
        assert_eq!(connections.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn what_goes_wrong_is_counted_by_its_kind() {
        let (target, _) = server("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(generate(&options(target), pending()).await.unwrap().failed.status, 20);
        let shed = "HTTP/1.1 503 Service Unavailable\r\nx-degraded: shed\r\ncontent-length: 0\r\n\r\n";
        let (target, _) = server(shed).await;
        assert_eq!(generate(&options(target), pending()).await.unwrap().failed.shed, 20);
        let (target, _) = server("").await;
        assert_eq!(generate(&options(target), pending()).await.unwrap().failed.reset, 20);
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target: Uri = format!("http://{}/", closed.local_addr().unwrap()).parse().unwrap();
        drop(closed);
        assert_eq!(generate(&options(target), pending()).await.unwrap().failed.connect, 20);
    }

    #[tokio::test]
    async fn the_profile_begins_with_the_first_good_answer() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = closed.local_addr().unwrap();
        drop(closed);
        let patient = Options {
            patience: Duration::from_secs(30),
            ..options(format!("http://{address}/").parse().unwrap())
        };
        let load = tokio::spawn(async move { generate(&patient, pending()).await });
        sleep(Duration::from_millis(500)).await;
        let listener = TcpListener::bind(address).await.unwrap();
        tokio::spawn(serve(listener, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Arc::default()));
        let report = load.await.unwrap().unwrap();
        assert_eq!((report.sent, report.ok), (20, 20));
    }

    #[tokio::test]
    async fn what_is_posted_is_posted_twice_under_the_same_key() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = format!("http://{}/orders", listener.local_addr().unwrap()).parse().unwrap();
        let heard = Arc::new(Mutex::new(String::new()));
        tokio::spawn({
            let heard = Arc::clone(&heard);
            async move {
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let mut buffer = [0; 1024];
                    let read = stream.read(&mut buffer).await.unwrap();
                    heard.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
                    stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                }
            }
        });
        let profile = "100ms@40".parse().unwrap();
        let posts =
            Options { post: Some("{}".to_owned()), profile, requests_per_connection: 1, ..options(target) };
        assert_eq!(generate(&posts, pending()).await.unwrap().ok, 4);
        let heard = heard.lock().unwrap();
        for key in 0..2 {
            assert_eq!(heard.matches(&format!("idempotency-key: {key}\r\n")).count(), 2, "{heard}");
        }
        assert_eq!(heard.matches("POST /orders").count(), 4, "{heard}");
    }

    #[tokio::test]
    async fn arrivals_do_not_wait_for_answers() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target: Uri = format!("http://{}/", silent.local_addr().unwrap()).parse().unwrap();
        let slow = Options { timeout: Duration::from_millis(1500), connections: 15, ..options(target) };
        let report = generate(&slow, pending()).await.unwrap();
        assert_eq!((report.sent, report.failed.timeout, report.failed.saturated), (20, 15, 5));
    }

    #[tokio::test]
    async fn a_run_that_is_stopped_tells_what_it_sent() {
        let (target, _) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let long = Options { profile: "1h@1".parse().unwrap(), ..options(target) };
        let stop = tokio::time::sleep(Duration::from_millis(100));
        let report = generate(&long, stop).await.unwrap();
        assert_eq!((report.sent, report.ok), (1, 1));
    }
}
