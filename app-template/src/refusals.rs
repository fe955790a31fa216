//! How the errors of what the service uses become refusals. No I/O.

use crate::cpu_pool::CpuPoolError;
use crate::database::DatabaseError;
use crate::jobs::{ClaimError, ForbiddenReceiver};
use crate::problem::Problem;

impl From<CpuPoolError> for Problem {
    fn from(error: CpuPoolError) -> Self {
        match error {
            // 503 makes gateways and clients try another pod.
            CpuPoolError::Full => {
                Self::unavailable("All CPU workers are busy and their queue is full; try again in a second.")
            }
            CpuPoolError::Lost(_) => {
                tracing::error!(%error, "failed to answer a request");
                Self::defect()
            }
        }
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        let detail = match &error {
            DatabaseError::Unreachable(_) => "The database cannot be reached now; try again in a second.",
            DatabaseError::Busy(_) => "All connections to the database are in use; try again in a second.",
            DatabaseError::Interrupted(_) => "The database stopped the request; try again in a second.",
            DatabaseError::ReplicasBehind => {
                "Your last write is not on the read replicas yet; try again in a second."
            }
            DatabaseError::Defect(_) => {
                tracing::error!(%error, "failed to answer a request");
                return Self::defect();
            }
        };
        tracing::debug!(%error, "refused a request");
        Self::unavailable(detail)
    }
}

impl From<ClaimError> for Problem {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Used => Self::unprocessable(error.to_string()),
            ClaimError::GivenUp => Self::unavailable(&error.to_string()),
            ClaimError::Database(error) => error.into(),
        }
    }
}

impl From<ForbiddenReceiver> for Problem {
    fn from(error: ForbiddenReceiver) -> Self {
        Self::unprocessable(error.to_string())
    }
}
