//! What the handlers of all routes share. No I/O.

use std::sync::Arc;

use tokio::sync::watch;

use crate::cpu_pool::CpuPool;
use crate::guard::Guards;
use crate::payments::Payments;
use crate::phase::Phase;
use crate::resilience::Dependencies;
use crate::sessions::Sessions;
use crate::shop::Shop;

/// The state of the routes outside of the modules; a module gets of it what it needs. Cloned with every request.
#[derive(Debug, Clone)]
pub(crate) struct AppState {
    pub(crate) guards: Guards,
    pub(crate) cpu: CpuPool,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) dependencies: Dependencies,
    /// None if this process takes no payments.
    pub(crate) payments: Option<Arc<Payments>>,
    /// None without Redis.
    pub(crate) sessions: Option<Sessions>,
    /// None without a database.
    pub(crate) shop: Option<Shop>,
}
