//! Every write of the operator, each within the Lease. I/O out.

pub mod app;
pub mod attempts;
pub mod children;
mod clusters;
mod deletion_costs;
mod edit;
pub mod eject;
pub mod events;
pub mod failing;
pub mod fence;
pub mod memory;
mod passwords;
pub mod record;
pub mod replicas;
pub mod resize;
pub mod scale;
pub mod status;
pub mod writer;
