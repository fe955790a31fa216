//! Leader election on a `coordination.k8s.io/v1` Lease. I/O: the API server.
//!
//! Two rules make it safe. The holder counts from the *start* of its last successful renewal, so it stops writing
//! before anybody may take over; a candidate counts from when it *saw* the record for the first time, and only a
//! record that has not changed for the whole lease counts as expired. Both measure with their own monotonic clock, so
//! the wall clocks of the machines do not matter. Every write carries the resourceVersion that was read, so of two
//! candidates that write at once the API server lets one through.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::{clock, metrics};

/// Time without a renewal after which the lease may pass on.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);
/// Time from the start of one renewal to the start of the next.
pub const RENEW_INTERVAL: Duration = Duration::from_secs(5);
/// Interval of a candidate's checks, and of a holder's attempts after a failed renewal.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// Time that one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);
/// Margin at the end of the Lease, for two monotonic clocks that run at slightly different speeds.
const MARGIN: Duration = Duration::from_secs(1);

/// The right to write, checked at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// `leaseTransitions` of the tenure. A later leader has a larger one.
    pub epoch: i32,
}

/// Why this process may not write now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotLeader {
    /// Another process holds the lease, or nobody does.
    #[error("this process does not hold the lease; the leader is {}", .0.as_deref().unwrap_or("not known"))]
    Standby(Option<String>),
    /// The Lease is held but may expire before the write has ended.
    #[error("the lease was last renewed too long ago for a write to end inside it")]
    Expiring,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    Standby { holder: Option<String> },
    Leading { epoch: i32, renewed: Instant },
}

/// Whether this process leads, at any moment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Leadership {
    role: watch::Receiver<Role>,
}

impl Leadership {
    /// The right to write for the next `need`, the longest duration of the write.
    ///
    /// # Errors
    /// When the process does not lead, or the lease may have passed on before `need` is over.
    pub fn writable_for(&self, need: Duration) -> Result<Fence, NotLeader> {
        match &*self.role.borrow() {
            Role::Standby { holder } => Err(NotLeader::Standby(holder.clone())),
            Role::Leading { epoch, renewed } if renewed.elapsed() + need + MARGIN < LEASE_DURATION => {
                Ok(Fence { epoch: *epoch })
            }
            Role::Leading { .. } => Err(NotLeader::Expiring),
        }
    }

    /// The epoch of this process' tenure; `None` on a standby.
    pub fn epoch(&self) -> Option<i32> {
        match *self.role.borrow() {
            Role::Standby { .. } => None,
            Role::Leading { epoch, .. } => Some(epoch),
        }
    }

    /// Ends when this process leads; never if the election has ended.
    pub async fn gained(&self) {
        self.until(|role| matches!(role, Role::Leading { .. })).await;
    }

    /// Ends when this process does not lead.
    pub async fn lost(&self) {
        self.until(|role| matches!(role, Role::Standby { .. })).await;
    }

    async fn until(&self, wanted: impl FnMut(&Role) -> bool) {
        if self.role.clone().wait_for(wanted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The holder's record, by whose changes a candidate sees that the holder is alive.
#[derive(Clone, Debug, PartialEq)]
struct Record {
    holder: Option<String>,
    renewed: Option<MicroTime>,
    transitions: i32,
}

impl Record {
    fn of(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        Self {
            holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
            renewed: spec.renew_time,
            transitions: spec.lease_transitions.unwrap_or(0),
        }
    }
}

/// The Lease as it was last read or written, and since when its record has been unchanged.
#[derive(Clone, Debug)]
struct ObservedLease {
    lease: Lease,
    record: Record,
    since: Instant,
}

#[derive(Debug, thiserror::Error)]
enum LeaseError {
    #[error("failed to reach the API server for the Lease: {0}")]
    Request(#[from] Error),
    #[error("failed to get an answer about the Lease within {} s", REQUEST_TIMEOUT.as_secs())]
    TimedOut,
}

impl LeaseError {
    /// Whether the Lease differs from the last read one.
    fn is_outdated(&self) -> bool {
        matches!(self, Self::Request(Error::Api(status)) if status.is_conflict() || status.is_not_found() || status.is_already_exists())
    }
}

/// Competes for the lease and holds it.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    seen: Option<ObservedLease>,
    role: watch::Sender<Role>,
}

impl Candidate {
    /// A candidate that does not compete yet, and the handle that reports whether it leads.
    ///
    /// `identity` is the pod's name; a random part is added to it, because a container that is restarted in the same
    /// pod is another process. `client` must not retry by itself.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> (Self, Leadership) {
        let (role, receiver) = watch::channel(Role::Standby { holder: None });
        let candidate = Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: format!("{identity}_{:08x}", fastrand::u32(..)),
            seen: None,
            role,
        };
        (candidate, Leadership { role: receiver })
    }

    /// Competes until `writers_stopped` ends, then releases the Lease, so that a successor need not wait.
    ///
    /// `writers_stopped` must not end before every task that asks for [`Leadership::writable_for`] has ended.
    pub async fn run(mut self, writers_stopped: impl Future<Output = ()>) {
        let mut writers_stopped = pin!(writers_stopped);
        loop {
            let next = if self.leads_since().is_some() { self.renew().await } else { self.compete().await };
            tokio::select! {
                () = &mut writers_stopped => break,
                () = sleep_until(next) => {}
            }
        }
        self.release().await;
    }

    /// Start of the last successful renewal.
    fn leads_since(&self) -> Option<Instant> {
        match *self.role.borrow() {
            Role::Standby { .. } => None,
            Role::Leading { renewed, .. } => Some(renewed),
        }
    }

    /// One attempt to take the lease. Returns when to try again.
    async fn compete(&mut self) -> Instant {
        let started = clock::monotonic();
        let attempt = match self.observe().await {
            Ok(()) if self.may_take() => self.write_as_holder(started).await,
            Ok(()) => Ok(()),
            Err(error) => Err(error),
        };
        match attempt {
            Ok(()) if self.leads_since().is_some() => {
                tracing::info!(identity = self.identity, "leading");
                return started + RENEW_INTERVAL;
            }
            // Another candidate was faster; its record is visible at the next check.
            Err(error) if error.is_outdated() => tracing::debug!(%error, "the lease went to another"),
            Err(error) => tracing::warn!(%error, "failed to read the Lease"),
            Ok(()) => {}
        }
        self.stand_back();
        clock::monotonic() + RETRY_INTERVAL
    }

    /// One renewal. Returns when to renew again.
    async fn renew(&mut self) -> Instant {
        let started = clock::monotonic();
        let Err(error) = self.write_as_holder(started).await else { return started + RENEW_INTERVAL };
        tracing::warn!(%error, "failed to renew the lease");
        // The record on the server shows whether only the resourceVersion changed, as after a renewal with a lost
        // answer, or the holder.
        let passed_on = error.is_outdated() && self.observe().await.is_ok() && !self.is_mine();
        if passed_on || self.leads_since().is_none_or(|renewed| renewed.elapsed() >= LEASE_DURATION) {
            tracing::warn!("no longer leading");
            self.stand_back();
        }
        clock::monotonic() + RETRY_INTERVAL
    }

    /// Releases the Lease if it is held.
    async fn release(mut self) {
        if self.leads_since().is_none() {
            return;
        }
        self.stand_back();
        let Some(seen) = self.seen.take() else { return };
        let spec = LeaseSpec {
            holder_identity: None,
            renew_time: Some(MicroTime(clock::wall())),
            ..seen.lease.spec.unwrap_or_default()
        };
        let lease = Lease { spec: Some(spec), ..seen.lease };
        match bounded(self.api.replace(&self.name, &PostParams::default(), &lease)).await {
            Ok(_) => tracing::info!("lease released"),
            Err(error) => tracing::warn!(%error, "failed to release the lease"),
        }
    }

    fn stand_back(&self) {
        let holder = self.seen.as_ref().and_then(|seen| seen.record.holder.as_deref()).map(pod_name);
        metrics::leader(false);
        self.role.send_if_modified(|role| {
            let standby = Role::Standby { holder };
            let changed = *role != standby;
            *role = standby;
            changed
        });
    }

    /// Reads the Lease, and records since when its record has been unchanged.
    async fn observe(&mut self) -> Result<(), LeaseError> {
        match bounded(self.api.get_opt(&self.name)).await? {
            Some(lease) => self.note(lease),
            None => self.seen = None,
        }
        Ok(())
    }

    fn note(&mut self, lease: Lease) {
        let record = Record::of(&lease);
        let since = match &self.seen {
            Some(seen) if seen.record == record => seen.since,
            _ => clock::monotonic(),
        };
        self.seen = Some(ObservedLease { lease, record, since });
    }

    fn is_mine(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.record.holder.as_deref() == Some(&self.identity))
    }

    /// Whether nobody holds the Lease, or its holder has not renewed it for its whole duration.
    fn may_take(&self) -> bool {
        let Some(seen) = &self.seen else { return true };
        // A holder of another version may have set a longer duration.
        let asked = seen.lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or(0);
        let duration = LEASE_DURATION.max(Duration::from_secs(asked.try_into().unwrap_or(0)));
        seen.record.holder.is_none() || self.is_mine() || seen.since.elapsed() >= duration
    }

    /// Takes the Lease or renews it, and leads from `started` on.
    async fn write_as_holder(&mut self, started: Instant) -> Result<(), LeaseError> {
        let lease = self.held();
        let request = PostParams::default();
        let written = match &self.seen {
            Some(_) => bounded(self.api.replace(&self.name, &request, &lease)).await?,
            None => bounded(self.api.create(&request, &lease)).await?,
        };
        self.note(written);
        let epoch = self.seen.as_ref().map_or(0, |seen| seen.record.transitions);
        metrics::leader(true);
        self.role.send_replace(Role::Leading { epoch, renewed: started });
        Ok(())
    }

    /// The Lease as it is when this process holds it.
    fn held(&self) -> Lease {
        let now = Some(MicroTime(clock::wall()));
        let (mut metadata, before) = match &self.seen {
            Some(seen) => (seen.lease.metadata.clone(), seen.lease.spec.clone().unwrap_or_default()),
            None => {
                (ObjectMeta { name: Some(self.name.clone()), ..Default::default() }, LeaseSpec::default())
            }
        };
        metadata.managed_fields = None;
        let transitions = before.lease_transitions.unwrap_or(0);
        let (acquire_time, transitions) = if self.is_mine() {
            (before.acquire_time.clone(), transitions)
        } else {
            (now.clone(), transitions + 1)
        };
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(LEASE_DURATION.as_secs() as i32),
            lease_transitions: Some(transitions),
            acquire_time,
            renew_time: now,
            ..before
        };
        Lease { metadata, spec: Some(spec) }
    }
}

/// The pod's name in a holder's identity: the part before the random suffix.
fn pod_name(identity: &str) -> String {
    identity.rsplit_once('_').map_or(identity, |(pod, _)| pod).to_owned()
}

async fn bounded<T>(request: impl Future<Output = Result<T, Error>>) -> Result<T, LeaseError> {
    match timeout(REQUEST_TIMEOUT, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(LeaseError::TimedOut),
    }
}
