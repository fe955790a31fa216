//! From the cached objects of one app to its decision: builds the engine's input, and the state of each component from
//! the result. Pure.

mod clusters;
pub mod component_state;
pub mod deletion_costs;
pub mod ejection;
mod evidence;
pub mod fleet;
mod leaving;
pub mod memory;
mod metrics_state;
mod news;
mod other_scaler;
mod pass;
pub mod removed;
mod route_problem;
pub mod routes;
pub mod selection;
mod series;
pub mod shard_memory;
mod shards;
mod ungranted;

pub use memory::DecideMemory;
pub use pass::{ComponentPass, Pass, View, pass};
