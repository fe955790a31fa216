//! Single products from the cache, and the changes that make them outdated there. I/O: PostgreSQL, Redis.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::context::FutureExt;

use super::store::{self, Product};
use crate::cache::{Cache, Caches};
use crate::database::{Connection, Database, DatabaseError, Transaction};
use crate::position::{Position, ReadAfter};
use crate::problem::Problem;

/// How old a product may be that is shown, if Redis could not be told of its change. Orders do not ask here.
const TOLERANCE: Duration = Duration::from_secs(10);

/// The products that were asked for of late, and the numbers of those that are missing.
#[derive(Debug, Clone)]
pub(crate) struct Products(Arc<Cache<Option<Product>>>);

impl Products {
    pub(crate) fn new(caches: &Caches) -> Self {
        Self(Arc::new(caches.cache("products", 2, TOLERANCE)))
    }

    /// The product if there is one, from the cache or from wherever it is current enough to be kept.
    pub(super) async fn get(&self, database: &Database, id: i64) -> Result<Arc<Option<Product>>, Problem> {
        let load = async |connection: Result<Connection, DatabaseError>| {
            Ok::<_, Problem>(store::by_id(&connection?, id).await?)
        };
        let to_keep = async |after: ReadAfter| load(database.read_to_keep(after).await).await;
        match self.0.get(&id.to_string(), to_keep).await {
            // No server that shows the last change can be asked. What any replica has is shown then, and not kept.
            Err(problem) if problem.is_passing() => {
                load(database.read(ReadAfter::Nothing).await).await.map(Arc::new)
            }
            outcome => outcome.map_err(Arc::unwrap_or_clone),
        }
    }

    /// Commits a product that is new or changed, and makes what is kept of it outdated.
    pub(super) async fn commit(&self, transaction: Transaction, id: i64) -> Result<Position, Problem> {
        let products = Arc::clone(&self.0);
        // A client that goes away in the middle must not leave the old value to all others.
        let change = async move {
            let outcome = transaction.commit().await;
            // After an error too: it may hide a commit.
            let change = outcome.as_ref().map_or(ReadAfter::Everything, |place| ReadAfter::At(*place));
            if let Err(error) = products.invalidate(&id.to_string(), change).await {
                tracing::warn!(product = id, %error, "other processes may show the old product for a while");
            }
            outcome
        };
        let outcome = tokio::spawn(change.with_current_context()).await.map_err(|error| {
            tracing::error!(%error, "failed to answer a request");
            Problem::defect()
        })?;
        Ok(outcome?)
    }
}

pub(super) fn missing(id: i64) -> Problem {
    Problem::missing(format!("There is no product {id}."))
}
