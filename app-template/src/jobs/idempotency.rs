//! A request that is repeated takes effect once. I/O: PostgreSQL.

use uuid::Uuid;

use crate::database::{Query, Transaction};
use crate::input::IdempotencyKey;
use crate::problem::Problem;

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

/// Uses `key` for `reference`, within `scope`.
///
/// # Errors
/// 422 if it has been used for another request.
pub(crate) async fn claim(
    transaction: &Transaction,
    scope: &str,
    IdempotencyKey(key): &IdempotencyKey,
    fingerprint: &str,
    reference: Uuid,
) -> Result<Claim, Problem> {
    if transaction.execute(&CLAIM, &[&scope, key, &fingerprint, &reference]).await? == 1 {
        return Ok(Claim::New);
    }
    let earlier = transaction.first(&EARLIER, &[&scope, key]).await?;
    let Some(earlier) = earlier else {
        return Err(Problem::unavailable("The key was given up in this instant; try again in a second."));
    };
    let (same, reference) = (earlier.get::<_, String>(0) == fingerprint, earlier.get(1));
    if same {
        Ok(Claim::Repeated(reference))
    } else {
        Err(Problem::unprocessable(
            "This Idempotency-Key was used for another request; send a new key with a new request."
                .to_owned(),
        ))
    }
}
