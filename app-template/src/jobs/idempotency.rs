//! A request that is repeated takes effect once. I/O: PostgreSQL.

use uuid::Uuid;

use crate::database::{DatabaseError, Query, Transaction};

/// Waits for another request with this key that is in its transaction.
static CLAIM: Query = Query::new(
    "INSERT requests.keys",
    "INSERT INTO requests.keys (scope, key, fingerprint, reference) VALUES ($1, $2, $3, $4)
     ON CONFLICT (scope, key) DO NOTHING",
);

static EARLIER: Query = Query::new(
    "SELECT requests.keys",
    "SELECT fingerprint, reference FROM requests.keys WHERE scope = $1 AND key = $2",
);

/// What a key stands for.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It is new: go on, and make what it refers to.
    New,
    /// It has been used for the same request, which made this.
    Repeated(Uuid),
}

/// Why a key cannot be used; in words for whoever sent it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("This Idempotency-Key was used for another request; send a new key with a new request.")]
    Used,
    /// Its request was rolled back, or its row deleted for its age.
    #[error("The key was given up in this instant; try again in a second.")]
    GivenUp,
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Uses `key` for `reference`, within `scope`.
///
/// # Errors
/// When it has been used for a request with another fingerprint.
pub(crate) async fn claim(
    transaction: &Transaction,
    scope: &str,
    key: &str,
    fingerprint: &str,
    reference: Uuid,
) -> Result<Claim, ClaimError> {
    if transaction.execute(&CLAIM, &[&scope, &key, &fingerprint, &reference]).await? == 1 {
        return Ok(Claim::New);
    }
    let earlier = transaction.first(&EARLIER, &[&scope, &key]).await?;
    let earlier = earlier.ok_or(ClaimError::GivenUp)?;
    let (same, reference) = (earlier.get::<_, String>(0) == fingerprint, earlier.get(1));
    if same { Ok(Claim::Repeated(reference)) } else { Err(ClaimError::Used) }
}
