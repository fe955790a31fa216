//! The schema of the app: one step for each file in `migrations/`. No I/O.

use crate::database::Step;

/// In order; never changed once released.
pub(crate) const STEPS: [Step; 4] = [
    Step { name: "0001_shop", sql: include_str!("../migrations/0001_shop.sql") },
    Step { name: "0002_statements", sql: include_str!("../migrations/0002_statements.sql") },
    Step { name: "0003_lost_leases", sql: include_str!("../migrations/0003_lost_leases.sql") },
    Step { name: "0004_failed_orders", sql: include_str!("../migrations/0004_failed_orders.sql") },
];
