//! Work that outlives its request. I/O: PostgreSQL.
//!
//! A job is a row that is written together with what it belongs to: either both are there or neither. A worker holds
//! it by a lease that it renews; what the job changes is committed together with its end, and only by whoever still
//! holds the lease. So a job whose worker dies runs again, and its effect is there once.
//!
//! | file | what it owns |
//! |---|---|
//! | `args` | what a worker can be told |
//! | `queues` | the queues of the app: the one file to change |
//! | `enqueue` | adding a job |
//! | `idempotency` | a request that is repeated takes effect once |
//! | `work` | what runs the jobs of one kind, and what it needs of the app |
//! | `lease` | taking a job, keeping it, ending it |
//! | `worker` | the loop that takes jobs and runs them |
//! | `status` | what became of a job |
//! | `backlog` | how much waits, and for how long |
//! | `series` | what is measured of jobs |
//! | `notice` | the job that tells a caller that another has ended |
//! | `delivery` | running that job |
//! | `webhook` | sending to a caller, signed |
//! | `receiver` | where webhooks may go |
//! | `retention` | forgetting what is over |

mod args;
mod backlog;
mod delivery;
mod enqueue;
mod idempotency;
mod lease;
mod notice;
mod queues;
mod receiver;
mod retention;
mod series;
mod status;
mod webhook;
mod work;
mod worker;

pub use args::WorkerArgs;
pub(crate) use backlog::run as watch_backlog;
pub(crate) use delivery::delivery;
pub(crate) use enqueue::{NewJob, enqueue, withdraw};
pub(crate) use idempotency::{Claim, ClaimError, claim};
pub(crate) use lease::{JobError, Lease};
pub use receiver::Receiver;
pub(crate) use retention::run as forget_what_is_over;
pub(crate) use series::{BUCKETS, describe};
pub(crate) use status::status;
pub(crate) use webhook::{ForbiddenReceiver, Webhooks};
pub(crate) use work::{JobState, Work};
pub(crate) use worker::run as work;
