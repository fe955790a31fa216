//! Leader election, against an API server with one Lease, in paused time.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{Method, StatusCode};
use kube::Client;
use scalableapp_operator::runtime::lease::{
    Candidate, LEASE_DURATION, Leadership, NotLeader, RENEW_INTERVAL, RETRY_INTERVAL,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::fake::{self, Answer, failure, not_found};

/// A Lease under optimistic concurrency, as the API server keeps it.
#[derive(Default)]
struct Server {
    lease: Option<Value>,
    version: u64,
    writes: Vec<Instant>,
    /// Candidates that get no answer.
    cut_off: BTreeSet<&'static str>,
    /// Candidates whose writes arrive but whose answers are lost.
    deaf: BTreeSet<&'static str>,
}

#[derive(Clone, Default)]
struct ApiServer(Arc<Mutex<Server>>);

impl ApiServer {
    fn lock(&self) -> MutexGuard<'_, Server> {
        self.0.lock().unwrap()
    }

    fn client(&self, candidate: &'static str) -> Client {
        let server = self.clone();
        fake::client(move |head, body| {
            let server = server.clone();
            async move {
                if server.lock().cut_off.contains(candidate) {
                    pending::<()>().await;
                }
                let answer = server.lock().answer(&head.method, body);
                if server.lock().deaf.contains(candidate) {
                    pending::<()>().await;
                }
                answer
            }
        })
    }

    fn start(&self, name: &'static str) -> Running {
        let stop = CancellationToken::new();
        let (candidate, leadership) = Candidate::new(self.client(name), "operator", "election", name);
        let task = tokio::spawn(candidate.run(stop.clone().cancelled_owned()));
        Running { leadership, stop, task }
    }

    fn holder(&self) -> Option<String> {
        let server = self.lock();
        server.lease.as_ref()?["spec"]["holderIdentity"].as_str().map(str::to_owned)
    }

    /// Another holder's record; `renewed` is the time of its wall clock.
    fn hold_as(&self, holder: &str, renewed: &str) {
        let mut server = self.lock();
        server.version += 1;
        server.lease = Some(json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "election", "namespace": "operator", "resourceVersion": server.version.to_string()},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 7, "renewTime": renewed},
        }));
    }
}

impl Server {
    fn answer(&mut self, method: &Method, lease: Value) -> Answer {
        let version = self.lease.as_ref().map(|lease| lease["metadata"]["resourceVersion"].clone());
        match (method.as_str(), version) {
            ("GET", Some(_)) => (StatusCode::OK, self.lease.clone().unwrap_or_default()),
            ("GET" | "PUT", None) => not_found(),
            ("POST", None) => (StatusCode::CREATED, self.store(lease)),
            ("POST", Some(_)) => failure(StatusCode::CONFLICT, "AlreadyExists", "already exists"),
            ("PUT", Some(version)) if lease["metadata"]["resourceVersion"] == version => {
                (StatusCode::OK, self.store(lease))
            }
            ("PUT", Some(_)) => failure(StatusCode::CONFLICT, "Conflict", "the object has been modified"),
            _ => failure(StatusCode::BAD_REQUEST, "BadRequest", "not for a Lease"),
        }
    }

    fn store(&mut self, mut lease: Value) -> Value {
        self.version += 1;
        self.writes.push(Instant::now());
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(lease.clone());
        lease
    }
}

struct Running {
    leadership: Leadership,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn leads(&self) -> bool {
        self.leadership.writable_for(Duration::ZERO).is_ok()
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test(start_paused = true)]
async fn at_most_one_leads_at_any_instant() {
    let api = ApiServer::default();
    let (one, two) = (api.start("one"), api.start("two"));
    let mut tenures = 0;
    let mut before = (false, false);
    for step in 0..3_000_u64 {
        // Every 40 s the other one of the two is cut off from the API server for 25 s.
        let round = step / 400;
        let victim = if round % 2 == 0 { "one" } else { "two" };
        api.lock().cut_off = if step % 400 >= 150 { BTreeSet::from([victim]) } else { BTreeSet::new() };
        sleep(Duration::from_millis(100)).await;
        let now = (one.leads(), two.leads());
        assert_ne!(now, (true, true), "both lead at step {step}");
        tenures += usize::from(now.0 && !before.0) + usize::from(now.1 && !before.1);
        before = now;
    }
    assert!(tenures >= 3, "the lease passed on {tenures} times only");
}

#[tokio::test(start_paused = true)]
async fn at_rest_one_put_every_five_seconds_is_all() {
    let api = ApiServer::default();
    let (leader, _standby) = (api.start("one"), api.start("two"));
    leader.leadership.gained().await;
    api.lock().writes.clear();
    sleep(seconds(300)).await;
    let server = api.lock();
    assert!((59..=60).contains(&server.writes.len()), "{} writes in 300 s", server.writes.len());
    assert!(server.writes.windows(2).all(|pair| pair[1] - pair[0] == RENEW_INTERVAL));
}

#[tokio::test(start_paused = true)]
async fn without_the_api_server_writing_stops_before_the_lease_can_pass_on() {
    let api = ApiServer::default();
    let leader = api.start("one");
    leader.leadership.gained().await;
    sleep(seconds(7)).await;
    let last_renewal = *api.lock().writes.last().unwrap();
    api.lock().cut_off = BTreeSet::from(["one"]);
    let need = seconds(3);
    while last_renewal.elapsed() < LEASE_DURATION + seconds(10) {
        if let Ok(fence) = leader.leadership.writable_for(need) {
            assert!(last_renewal.elapsed() + need < LEASE_DURATION);
            assert_eq!(leader.leadership.epoch(), Some(fence.epoch));
        }
        sleep(Duration::from_millis(50)).await;
    }
    assert!(matches!(leader.leadership.writable_for(Duration::ZERO), Err(NotLeader::Standby(_))));
    api.lock().cut_off.clear();
    leader.leadership.gained().await;
}

#[tokio::test(start_paused = true)]
async fn the_wall_clock_of_the_holder_does_not_matter() {
    for skew in ["2001-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z"] {
        let api = ApiServer::default();
        api.hold_as("other", skew);
        let candidate = api.start("one");
        // The other holder renews: each time its record changes, although its clock hardly moves.
        for renewal in 1..=20 {
            sleep(RENEW_INTERVAL).await;
            api.hold_as("other", &skew.replace("00.000000Z", &format!("{renewal:02}.000000Z")));
            assert!(!candidate.leads());
        }
        // It dies: its Lease lasts as long as any other.
        let died = Instant::now();
        candidate.leadership.gained().await;
        assert!(died.elapsed() >= LEASE_DURATION, "taken {:?} after the last renewal", died.elapsed());
        assert!(died.elapsed() <= LEASE_DURATION + RETRY_INTERVAL * 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_has_a_larger_epoch() {
    let api = ApiServer::default();
    api.hold_as("other", "2026-01-01T00:00:00.000000Z");
    let one = api.start("one");
    one.leadership.gained().await;
    assert_eq!(one.leadership.epoch(), Some(8));
    sleep(seconds(60)).await;
    assert_eq!(one.leadership.epoch(), Some(8), "renewals are no transitions");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_took_is_not_fought_for() {
    let api = ApiServer::default();
    let one = api.start("one");
    one.leadership.gained().await;
    api.hold_as("usurper_0a1b2c3d", "2026-01-01T00:00:00.000000Z");
    one.leadership.lost().await;
    assert_eq!(
        one.leadership.writable_for(Duration::ZERO),
        Err(NotLeader::Standby(Some("usurper".to_owned())))
    );
    assert_eq!(api.holder().as_deref(), Some("usurper_0a1b2c3d"));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_whose_answer_was_lost_does_not_end_the_tenure() {
    let api = ApiServer::default();
    let one = api.start("one");
    one.leadership.gained().await;
    api.lock().deaf = BTreeSet::from(["one"]);
    sleep(RENEW_INTERVAL + seconds(1)).await;
    api.lock().deaf.clear();
    let lost = tokio::time::timeout(seconds(60), one.leadership.lost()).await;
    assert!(lost.is_err(), "the tenure ended");
    assert!(one.leads());
}

#[tokio::test(start_paused = true)]
async fn an_edit_by_hand_of_the_lease_does_not_end_the_tenure() {
    let api = ApiServer::default();
    let one = api.start("one");
    one.leadership.gained().await;
    {
        let mut server = api.lock();
        let mut lease = server.lease.clone().unwrap();
        lease["metadata"]["labels"] = json!({"team": "platform"});
        server.store(lease);
    }
    assert!(tokio::time::timeout(seconds(60), one.leadership.lost()).await.is_err(), "the tenure ended");
    assert_eq!(api.lock().lease.clone().unwrap()["metadata"]["labels"]["team"], "platform");
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_at_once() {
    let api = ApiServer::default();
    let one = api.start("one");
    one.leadership.gained().await;
    let two = api.start("two");
    sleep(seconds(1)).await;
    one.stop.cancel();
    one.task.await.unwrap();
    assert_eq!(api.holder(), None);
    let released = Instant::now();
    two.leadership.gained().await;
    assert!(released.elapsed() <= RETRY_INTERVAL);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_restarted_in_its_pod_waits_like_any_other() {
    let api = ApiServer::default();
    let one = api.start("one");
    one.leadership.gained().await;
    one.task.abort();
    let again = api.start("one");
    let killed = Instant::now();
    again.leadership.gained().await;
    assert!(killed.elapsed() >= LEASE_DURATION - RENEW_INTERVAL, "taken after {:?}", killed.elapsed());
}
