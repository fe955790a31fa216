//! One app from its caches to its decision: what is observed becomes the engine's input, and its decision the state of
//! each component. Pure.

pub mod component_state;
mod evidence;
pub mod fleet;
pub mod memory;
mod metrics_state;
mod news;
mod other_scaler;
mod pass;

pub use memory::DecideMemory;
pub use pass::{ComponentPass, Pass, View, pass};
