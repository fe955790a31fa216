//! Answers the operator's queries from a table, counts them, and can be slow, wrong or stopped.
//! I/O: one TCP port of 127.0.0.1, in a thread of its own, so that whoever measures does not delay it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The latency buckets that OpenTelemetry recommends for HTTP, in seconds, and the one above all.
const BUCKETS: [&str; 15] = [
    "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1", "2.5", "5", "7.5", "10",
    "+Inf",
];
/// The series of an answer that is too large.
const FLOOD: usize = 100_000;

/// An app, by namespace and name.
pub type AppKey = (String, String);

/// A fault of the answers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Trouble {
    /// Each answer takes this long.
    pub delay: Duration,
    /// Share of the queries that are answered with HTTP 500, from 0 to 1.
    pub failing: f64,
}

/// The queries of a time span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Their number.
    pub count: usize,
    /// Their number in the busiest second.
    pub busiest_second: usize,
}

/// A server that knows the request rate of the component `web` of each app.
pub struct PrometheusStub {
    table: Arc<Table>,
    address: SocketAddr,
    server: Option<Server>,
}

#[derive(Default)]
struct Table(Mutex<Content>);

#[derive(Default)]
struct Content {
    rates: BTreeMap<AppKey, Load>,
    floods: BTreeSet<AppKey>,
    trouble: Trouble,
    asked: Vec<Instant>,
}

/// Requests per second of an app: as `rate` returns them over any window, or since a step in the load.
#[derive(Clone, Copy)]
struct Load {
    rate: f64,
    /// The rate before, and the time of the step.
    before: Option<(f64, Instant)>,
}

impl Load {
    /// The average over the window of a query, which a step fills gradually.
    fn over(self, query: &str) -> f64 {
        let (Some((before, since)), Some(window)) = (self.before, window(query)) else { return self.rate };
        before + (self.rate - before) * (since.elapsed().as_secs_f64() / window).min(1.0)
    }
}

struct Server {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl PrometheusStub {
    /// Starts with an empty table, on any free port.
    ///
    /// # Errors
    /// When no port is available.
    pub fn start() -> Result<Self> {
        let table = Arc::<Table>::default();
        let (server, address) = serve((Ipv4Addr::LOCALHOST, 0).into(), Arc::clone(&table))?;
        Ok(Self { table, address, server: Some(server) })
    }

    /// Base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the request rate of an app, in requests per second.
    pub fn set(&self, app: &AppKey, rate: f64) {
        self.table.lock().rates.insert(app.clone(), Load { rate, before: None });
    }

    /// Changes the load of an app to this rate now. The rate over a window follows as the window passes.
    pub fn step(&self, app: &AppKey, rate: f64) {
        let mut content = self.table.lock();
        let before = content.rates.get(app).map(|load| (load.rate, Instant::now()));
        content.rates.insert(app.clone(), Load { rate, before });
    }

    /// From now on the app's custom query returns 100,000 series.
    pub fn flood(&self, app: &AppKey) {
        self.table.lock().floods.insert(app.clone());
    }

    /// Makes the answers late or wrong, or normal again.
    pub fn set_trouble(&self, trouble: Trouble) {
        self.table.lock().trouble = trouble;
    }

    /// Closes every connection and accepts no more.
    ///
    /// # Errors
    /// When the server has stopped by itself.
    pub fn go(&mut self) -> Result<()> {
        let Some(server) = self.server.take() else { return Ok(()) };
        // A stopped server does not receive it.
        let _ = server.stop.send(());
        server.thread.join().map_err(|_| anyhow!("the Prometheus stub has panicked"))
    }

    /// Serves again, on the same port.
    ///
    /// # Errors
    /// When another program uses the port.
    pub fn come_back(&mut self) -> Result<()> {
        let (server, _) = serve(self.address, Arc::clone(&self.table))?;
        self.server = Some(server);
        Ok(())
    }

    /// The queries since this time.
    #[must_use]
    pub fn asked_since(&self, moment: Instant) -> Asked {
        let content = self.table.lock();
        let first = content.asked.partition_point(|asked| *asked < moment);
        let asked = &content.asked[first..];
        let in_second = |from: usize| {
            asked[from..].partition_point(|other| *other < asked[from] + Duration::from_secs(1))
        };
        Asked { count: asked.len(), busiest_second: (0..asked.len()).map(in_second).max().unwrap_or(0) }
    }
}

impl Drop for PrometheusStub {
    fn drop(&mut self) {
        // It ends with the process at the latest.
        let _ = self.go();
    }
}

/// Listens, and serves in a thread until it is stopped; requests in flight are dropped.
fn serve(address: SocketAddr, table: Arc<Table>) -> Result<(Server, SocketAddr)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener =
        std::net::TcpListener::bind(address).with_context(|| format!("failed to listen on {address}"))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel();
    let router = Router::new().route("/api/v1/query", post(answer)).with_state(table);
    let thread = thread::spawn(move || {
        let serving = async {
            let listener = TcpListener::from_std(listener)?;
            axum::serve(listener, router).await
        };
        runtime.block_on(async {
            tokio::select! {
                served = serving => eprintln!("the Prometheus stub ended: {served:?}"),
                _ = stopped => {}
            }
        });
    });
    Ok((Server { stop, thread }, address))
}

async fn answer(State(table): State<Arc<Table>>, body: String) -> Response {
    let query = form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "query");
    let query = query.map(|(_, query)| query.into_owned()).unwrap_or_default();
    let trouble = table.note();
    tokio::time::sleep(trouble.delay).await;
    if fastrand::f64() < trouble.failing {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    ([(header::CONTENT_TYPE, "application/json")], table.lock().answer(&query)).into_response()
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a query, and returns the current fault.
    fn note(&self) -> Trouble {
        let mut content = self.lock();
        content.asked.push(Instant::now());
        content.trouble
    }
}

impl Content {
    /// Answers an app's query by its matcher `app`, otherwise the operator's templates: samples are new, every pod
    /// reports, and no counter is reset.
    fn answer(&self, query: &str) -> String {
        let mut answer = Vector::default();
        if let Some(app) = matcher(query, "app") {
            let key = (matcher(query, "namespace").unwrap_or_default().to_owned(), app.to_owned());
            if self.floods.contains(&key) {
                (0..FLOOD).for_each(|index| answer.push(&[("series", &index.to_string())], 1.0));
            } else if let Some(rate) = self.rates.get(&key) {
                answer.push(&[], rate.over(query));
            }
            return answer.finish();
        }
        for ((namespace, app), rate) in &self.rates {
            let labels = [("namespace", namespace.as_str()), ("scalableapp", app), ("component", "web")];
            match query {
                query if query.starts_with("time()") => answer.push(&labels, 1.0),
                query if query.starts_with("label_replace(sum") => {
                    answer.push(&[&labels[..], &[("at", "rate")]].concat(), rate.over(query));
                    let requests = rate.over(query) * window(query).unwrap_or_default() * 0.75;
                    answer.push(&[&labels[..], &[("at", "number")]].concat(), requests);
                    answer.push(&[&labels[..], &[("at", "pods")]].concat(), 99.0);
                }
                query if query.starts_with("count") => {
                    for end in ["start", "end"] {
                        answer.push(&[&labels[..], &[("at", end)]].concat(), 99.0);
                    }
                }
                query if query.contains("resets(") || query.contains("_active_requests{") => {}
                query if query.contains("_count{") => answer.push(&labels, rate.over(query)),
                query if query.contains("_bucket{") => {
                    for (index, bound) in BUCKETS.iter().enumerate() {
                        let share = (index + 1) as f64 / BUCKETS.len() as f64;
                        answer.push(&[&labels[..], &[("le", bound)]].concat(), rate.over(query) * share);
                    }
                }
                _ => {}
            }
        }
        answer.finish()
    }
}

/// The first window in a query, in seconds.
fn window(query: &str) -> Option<f64> {
    let (text, _) = query.split_once('[')?.1.split_once(']')?;
    let minutes = text.strip_suffix('m').and_then(|minutes| Some(minutes.parse::<f64>().ok()? * 60.0));
    minutes.or_else(|| text.strip_suffix('s')?.parse().ok())
}

/// The value of an equality matcher in a query.
fn matcher<'a>(query: &'a str, label: &str) -> Option<&'a str> {
    let from = [format!("{{{label}=\""), format!(",{label}=\"")];
    let start = from.iter().find_map(|from| Some(query.find(from)? + from.len()))?;
    query[start..].split_once('"').map(|(value, _)| value)
}

/// A vector under construction. Labels and values here need no escape.
#[derive(Default)]
struct Vector(String);

impl Vector {
    fn push(&mut self, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        let separator = if self.0.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(
            self.0,
            r#"{separator}{{"metric":{{{}}},"value":[1700000000.123,"{value}"]}}"#,
            labels.join(",")
        );
    }

    fn finish(self) -> String {
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#, self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn app(name: &str) -> AppKey {
        ("fleet-0".to_owned(), name.to_owned())
    }

    fn steady(rate: f64) -> Load {
        Load { rate, before: None }
    }

    #[test]
    fn a_step_fills_the_windows_as_they_pass() {
        let since = Instant::now().checked_sub(Duration::from_secs(15)).unwrap();
        let load = Load { rate: 200.0, before: Some((100.0, since)) };
        let over = |window: &str| load.over(&format!("rate(requests_count{{}}[{window}])")).round() as i64;
        assert_eq!([over("10s"), over("20s"), over("1m")], [200, 175, 125]);
    }

    fn series(content: &Content, query: &str) -> Vec<Value> {
        let answer: Value = serde_json::from_str(&content.answer(query)).unwrap();
        answer["data"]["result"].as_array().unwrap().clone()
    }

    #[test]
    fn templates_are_answered_for_every_app_and_custom_queries_for_one() {
        let content = Content {
            rates: BTreeMap::from([(app("a"), steady(10.0)), (app("b"), steady(20.0))]),
            floods: BTreeSet::from([app("c")]),
            ..Content::default()
        };
        let requests = "http_server_request_duration_seconds";
        let rates =
            series(&content, &format!("sum by (x) (rate({requests}_count{{scalableapp!=\"\"}}[1m]))"));
        assert_eq!(rates.len(), 2);
        assert_eq!((&rates[1]["metric"]["scalableapp"], &rates[1]["value"][1]), (&"b".into(), &"20".into()));
        let ages = series(&content, &format!("time() - min by (x) (timestamp({requests}_count{{a!=\"\"}}))"));
        assert_eq!(ages[0]["value"][1], "1");
        assert_eq!(
            series(&content, "count by (x, at) (up{a!=\"\"} == 1)").len(),
            4,
            "for the window's both ends"
        );
        assert_eq!(series(&content, &format!("sum by (le) (rate({requests}_bucket{{}}[1m]))")).len(), 30);
        assert!(series(&content, "max by (pod) (container_memory_working_set_bytes{})").is_empty());
        let custom = series(&content, r#"sum(rate(x{app="b",namespace="fleet-0"}[1m]))"#);
        assert_eq!(custom[0]["value"][1], "20");
        assert!(series(&content, r#"sum(rate(x{namespace="other",app="b"}[1m]))"#).is_empty());
        assert_eq!(series(&content, r#"x{app="c",namespace="fleet-0"}"#).len(), FLOOD);
    }

    #[test]
    fn one_that_is_gone_refuses_connections_and_comes_back_at_the_same_address() {
        let mut stub = PrometheusStub::start().unwrap();
        let address = stub.address;
        assert!(std::net::TcpStream::connect(address).is_ok());
        stub.go().unwrap();
        assert!(std::net::TcpStream::connect(address).is_err());
        stub.come_back().unwrap();
        assert!(std::net::TcpStream::connect(address).is_ok());
    }

    #[test]
    fn the_busiest_second_is_found_wherever_it_begins() {
        let stub = PrometheusStub::start().unwrap();
        let start = Instant::now();
        let at = [0, 900, 1_100, 1_800, 3_000].map(|millis| start + Duration::from_millis(millis));
        stub.table.lock().asked.extend(at);
        assert_eq!(stub.asked_since(start), Asked { count: 5, busiest_second: 3 });
        assert_eq!(stub.asked_since(at[4]), Asked { count: 1, busiest_second: 1 });
    }
}
